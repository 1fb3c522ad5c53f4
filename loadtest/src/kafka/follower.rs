//! Reads the decisions of one partition as they come.

use holdfast_contracts::decision::{DecisionBatch, decode_decisions};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{OrderedLog, ReadError, Record, StreamId};

use super::Seen;
use super::order::{Order, Place};

/// Bytes of decisions that are read at once.
const READ_BYTES_MAX: usize = 512 << 10;

/// The place of a reader in one partition.
pub(super) struct Follower {
    pub(super) partition: PartitionId,
    next: Offset,
    order: Order,
    records: Vec<Record>,
    faults: Vec<String>,
    /// The log does not have what comes next.
    is_broken: bool,
}

impl Follower {
    pub(super) fn new(partition: PartitionId, from: Offset) -> Self {
        Self {
            partition,
            next: from,
            order: Order::default(),
            records: Vec::new(),
            faults: Vec::new(),
            is_broken: false,
        }
    }

    /// The offset of the next record to be read.
    pub(super) const fn next(&self) -> Offset {
        self.next
    }

    /// Takes what is there, with the bytes of each record. False if there was nothing. Brokers that are away are waited for;
    /// a log that does not have what it had promised to keep is a fault, and is not read on.
    pub(super) fn read(
        &mut self,
        log: &dyn OrderedLog,
        mut take: impl FnMut(&DecisionBatch<'_>, usize),
    ) -> bool {
        let stream = StreamId::inventory_decisions(self.partition);
        if self.is_broken {
            return false;
        }
        match log.read(stream, self.next, READ_BYTES_MAX, &mut self.records) {
            Ok(()) => {}
            Err(ReadError::Io(_)) => return false,
            Err(error) => {
                self.is_broken = true;
                self.fault(self.next, &error.to_string());
                return false;
            }
        }
        let mut records = std::mem::take(&mut self.records);
        let found = !records.is_empty();
        for record in records.drain(..) {
            self.next = record.offset.next();
            let Ok(batch) = decode_decisions(&record.payload) else {
                self.fault(record.offset, "it is no decision");
                continue;
            };
            match self.order.place(batch.envelope.out_seq, batch.chain) {
                Place::Next => take(&batch, record.payload.len()),
                Place::Again | Place::BeyondGap => {}
                Place::Contradiction => {
                    self.fault(record.offset, "it repeats the number of another, and says something else");
                }
            }
        }
        self.records = records;
        found
    }

    /// Whether nothing more can come.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn fault(&mut self, offset: Offset, what: &str) {
        self.faults.push(format!("the decision at {offset} in partition {}: {what}", self.partition));
    }

    /// The last decision that was taken, and what must not be, a gap that nobody has filled included.
    pub(super) fn finish(mut self) -> (Option<Seen>, Vec<String>) {
        if let Some((last, beyond)) = self.order.gap() {
            self.faults.push(format!(
                "decisions are missing in partition {}: after number {last} came {beyond}",
                self.partition
            ));
        }
        (self.order.last().map(|(seq, chain)| (self.partition, seq, chain)), self.faults)
    }
}
