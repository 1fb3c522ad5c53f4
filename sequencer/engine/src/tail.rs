//! What the decisions log already holds.

use std::collections::BTreeMap;

use holdfast_contracts::decision::{decode_decisions, split_chain};
use holdfast_contracts::{Offset, OutSeq};
use holdfast_log::{OrderedLog, ReadError, Record, StreamId};

use crate::anchor::payload_hash;
use crate::stop::StopReason;

/// Bytes read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// Reads the decisions log and knows which outputs are in it.
///
/// Several owners may have written there, each a stretch of the same sequence, so numbers may come twice, go back, or leave
/// a gap that somebody fills later.
#[derive(Debug)]
pub(crate) struct OutputTail {
    stream: StreamId,
    /// The first record not read.
    next: Offset,
    /// Every output up to this number is in the log, and a reader meets them in order.
    contiguous: u64,
    /// Numbers and hashes of outputs that nobody has asked for yet.
    hashes: BTreeMap<u64, [u8; 16]>,
    /// Outputs up to this one were asked for.
    taken: u64,
    /// The log had forgotten what came before the next record to be read.
    skipped: bool,
    records: Vec<Record>,
}

impl OutputTail {
    /// Begins after an output that is known to be in the log before `next`.
    pub(crate) fn new(stream: StreamId, next: Offset, out_seq: OutSeq) -> Self {
        Self {
            stream,
            next,
            contiguous: out_seq.0,
            hashes: BTreeMap::new(),
            taken: out_seq.0,
            skipped: false,
            records: Vec::new(),
        }
    }

    /// The first record of the decisions log that was not read yet.
    pub(crate) const fn next(&self) -> Offset {
        self.next
    }

    /// The highest number of an unbroken sequence of outputs in the log.
    pub(crate) const fn contiguous(&self) -> OutSeq {
        OutSeq(self.contiguous)
    }

    /// The highest number of any output in the log, beyond a gap or not.
    pub(crate) fn highest(&self) -> OutSeq {
        OutSeq(self.hashes.keys().next_back().copied().unwrap_or(0).max(self.contiguous))
    }

    /// Reads again from the beginning of the log: another owner may have said something before the place where this
    /// reading began, and said it only once.
    pub(crate) fn begin_again(&mut self, low: Offset) {
        self.next = low;
        self.skipped = low > Offset(0);
    }

    /// Reads on, up to `until`; says whether it got there.
    pub(crate) fn read(&mut self, log: &dyn OrderedLog, until: Offset) -> Result<bool, StopReason> {
        while self.next < until {
            let mut records = std::mem::take(&mut self.records);
            records.clear();
            match log.read(self.stream, self.next, READ_BYTES_MAX, &mut records) {
                Err(ReadError::Trimmed { low }) if low > self.next => {
                    self.records = records;
                    self.next = low;
                    self.skipped = true;
                    continue;
                }
                read => read?,
            }
            if records.is_empty() {
                self.records = records;
                return Ok(false);
            }
            for record in records.iter().take_while(|record| record.offset < until) {
                self.take_in(record)?;
            }
            self.records = records;
        }
        Ok(true)
    }

    /// Reads what is at hand. What lies beyond the end of the log was lost with it, and whoever emits says it again.
    pub(crate) fn read_at_hand(&mut self, log: &dyn OrderedLog) -> Result<(), StopReason> {
        match self.read(log, Offset(u64::MAX)) {
            Ok(_) | Err(StopReason::Read(ReadError::BeyondEnd { .. })) => Ok(()),
            Err(reason) => Err(reason),
        }
    }

    fn take_in(&mut self, record: &Record) -> Result<(), StopReason> {
        self.next = record.offset.next();
        let batch = decode_decisions(&record.payload);
        let batch = batch.map_err(|_| StopReason::ForeignOutput(record.offset))?;
        if split_chain(&record.payload).is_none() {
            return Err(StopReason::ForeignOutput(record.offset));
        }
        let number = batch.envelope.out_seq.0;
        if std::mem::take(&mut self.skipped) {
            // Retention forgets outputs from the front and only where a checkpoint has them, so none is missing there.
            self.contiguous = self.contiguous.max(number.saturating_sub(1));
        }
        if number <= self.taken {
            return Ok(());
        }
        let hash = payload_hash(&record.payload);
        if let Some(before) = self.hashes.insert(number, hash)
            && before != hash
        {
            return Err(StopReason::OutputTwice(OutSeq(number)));
        }
        // What a reader meets before a gap is filled it drops, so only the next number counts.
        if number == self.contiguous + 1 || cfg!(feature = "mutant-18") {
            self.contiguous = number;
        }
        Ok(())
    }

    /// Whether the log holds this output as part of an unbroken sequence, so that it need not be appended again. Outputs are
    /// asked for in order.
    ///
    /// # Errors
    /// If the log holds an output with this number and other bytes.
    pub(crate) fn take(&mut self, out_seq: OutSeq, payload: &[u8]) -> Result<bool, StopReason> {
        self.taken = out_seq.0;
        if let Some(stored) = self.hashes.remove(&out_seq.0)
            && stored != payload_hash(payload)
        {
            return Err(StopReason::OutputDiffers(out_seq));
        }
        Ok(out_seq.0 <= self.contiguous)
    }
}
