//! Somebody who reads the decisions of a partition as every consumer should, and remembers everything.
//!
//! An output with the next number is applied, a lower one is compared with what came before and dropped, and after a gap
//! nothing is applied until somebody has filled it.

use bytes::Bytes;
use holdfast_contracts::decision::{decode_decisions, split_chain};
use holdfast_contracts::{Chain, Offset, ReservationId};
use holdfast_log::{OrderedLog, Record, StreamId};

use super::marks::{WorldMark, WorldMarks};
use super::truth::{READ_BYTES_MAX, Truth};
use crate::audit::Auditor;
use crate::compare::{compare, read_output};

/// Ids kept to ask about.
const RECENT_IDS: usize = 24;

/// A reader of decisions, with the books of an auditor.
#[derive(Debug, Default)]
pub(super) struct Reader {
    next: Offset,
    /// Number of the last output applied.
    last: u64,
    chain: Chain,
    /// The first bytes seen under each number.
    outputs: Vec<Option<Bytes>>,
    auditor: Auditor,
    recent: Vec<ReservationId>,
    /// An output beyond a gap may be seen: outputs were lost on their way.
    pub(super) gaps_allowed: bool,
    in_gap: bool,
    decisions: u64,
    events: u64,
    records: Vec<Record>,
    /// A reader that does not see what it reads: a run with it must fail.
    pub(super) garbles: bool,
}

impl Reader {
    /// Number of the last output applied.
    #[must_use]
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Where it reads on.
    #[must_use]
    pub(super) const fn next(&self) -> Offset {
        self.next
    }

    /// Decisions and events applied.
    #[must_use]
    pub(super) const fn applied(&self) -> (u64, u64) {
        (self.decisions, self.events)
    }

    /// Ids decided lately.
    #[must_use]
    pub(super) fn recent_ids(&self) -> &[ReservationId] {
        &self.recent
    }

    /// The log has lost what was not durable; whoever read it reads it again.
    pub(super) fn go_back_to(&mut self, end: Offset) {
        self.next = self.next.min(end);
    }

    /// Reads what is there.
    pub(super) fn follow(
        truth: &mut Truth,
        log: &dyn OrderedLog,
        marks: &mut WorldMarks,
    ) -> Result<(), String> {
        let stream = StreamId::inventory_decisions(truth.partition());
        let end = log.watermarks(stream).end;
        let mut reader = std::mem::take(&mut truth.reader);
        let mut records = std::mem::take(&mut reader.records);
        while reader.next < end {
            records.clear();
            let read = log.read(stream, reader.next, READ_BYTES_MAX, &mut records);
            read.map_err(|error| format!("decisions cannot be read: {error}"))?;
            if records.is_empty() {
                return Err("decisions are not at hand".to_owned());
            }
            for record in &records {
                reader.next = record.offset.next();
                reader
                    .take(truth, record, marks)
                    .map_err(|why| format!("decision {}: {why}", record.offset))?;
            }
        }
        reader.records = records;
        truth.reader = reader;
        Ok(())
    }

    fn take(&mut self, truth: &Truth, record: &Record, marks: &mut WorldMarks) -> Result<(), String> {
        let mut payload = record.payload.clone();
        if self.garbles && self.last == 20 {
            let mut bytes = payload.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            payload = bytes.into();
        }
        let envelope = decode_decisions(&payload).map_err(|error| error.to_string())?.envelope;
        let (offset, number) = (envelope.source_offset.0, envelope.out_seq.0);
        if offset >= truth.decided() {
            return Err(format!("it answers command {offset}, only {} are durable", truth.decided()));
        }
        let Some((expected_number, expected)) = truth.answer(offset) else {
            return Err(format!("command {offset} has no answer, this one came"));
        };
        if number != *expected_number {
            return Err(format!("command {offset} has answer {expected_number}, it came as {number}"));
        }
        let at = usize::try_from(number - 1).map_err(|error| error.to_string())?;
        if self.outputs.len() <= at {
            self.outputs.resize(at + 1, None);
        }
        match &self.outputs[at] {
            Some(before) if *before != payload => {
                return Err(format!("output {number} has other bytes than before"));
            }
            Some(_) => marks.hit(WorldMark::OutputSeenAgain),
            None => {
                compare(offset, Some(expected), Some(&payload)).map_err(|difference| difference.what)?;
                self.outputs[at] = Some(payload.clone());
            }
        }
        if number > self.last + 1 {
            if !self.gaps_allowed {
                return Err(format!("output {number} after {}, and nothing was lost on the way", self.last));
            }
            marks.hit(WorldMark::GapSeen);
            self.in_gap = true;
        }
        if number == self.last + 1 {
            marks.hit_if(self.in_gap, WorldMark::GapFilled);
            self.in_gap = false;
            self.apply(truth, offset, &payload)?;
        }
        Ok(())
    }

    fn apply(&mut self, truth: &Truth, offset: u64, payload: &Bytes) -> Result<(), String> {
        self.last += 1;
        let (body, chain) = split_chain(payload).ok_or("it has no chain")?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.chain.0);
        hasher.update(body);
        if hasher.finalize().as_bytes()[..16] != chain.0 {
            return Err(format!("its chain {chain} does not continue {}", self.chain));
        }
        self.chain = chain;
        let (_, came) = read_output(payload)?;
        let (command, _) = truth.command(Offset(offset)).ok_or("it answers a command that is not there")?;
        self.auditor.check(offset, command, Some(&came)).map_err(|why| format!("audit: {why}"))?;
        self.decisions += came.decisions.len().max(usize::from(came.malformed.is_some())) as u64;
        self.events += came.events.len() as u64;
        let ids = came.decisions.iter().filter_map(|decision| decision.id);
        self.recent.extend(ids);
        let too_many = self.recent.len().saturating_sub(RECENT_IDS);
        self.recent.drain(..too_many);
        Ok(())
    }
}
