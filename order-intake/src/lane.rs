//! What one thread sends to one partition. Batches form by themselves: whatever comes while records are being written
//! makes up the next one.

mod order;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_contracts::command::BatchBuilder;
use holdfast_contracts::decision::{DecisionBatch, Outcome, decode_decisions, split_chain};
use holdfast_contracts::{ControlKey, IntakeId, Offset, PartitionId, Position, RequestTag};
use holdfast_engine::{ReaderMark, ReaderMarks};
use holdfast_log::{AppendError, AppendFailure, OrderedLog, ReadError, Record, StreamId, Ticket};

use crate::answer::{self, NotWritten, Reply};
use crate::waiters::{WaiterKey, Waiters};
use order::{Order, Place};

/// Bytes of decisions read at once.
const READ_BYTES_MAX: usize = 1 << 20;

struct InFlight {
    ticket: Ticket,
    /// The first tag after the record's.
    end: u64,
}

/// The commands of one thread for one partition, from being asked to being answered.
///
/// Commands are tagged densely and decided in the order of their tags, so whoever waits for a command is found by
/// counting.
pub(crate) struct Lane {
    partition: PartitionId,
    intake: IntakeId,
    /// All intakes of this process.
    intakes: Arc<[IntakeId]>,
    in_flight_max: usize,
    builder: BatchBuilder,
    /// The tag of the first command in `builder`, and of the next one.
    pending: u64,
    next: u64,
    /// Who waits for the commands from this tag on.
    base: u64,
    waiting: VecDeque<WaiterKey>,
    in_flight: VecDeque<InFlight>,
    /// Commands before this tag are durable.
    durable: u64,
    /// Vouches for records with operators' commands.
    control_key: Option<ControlKey>,
    read_from: Offset,
    /// Keeps the log from forgetting decisions that were not read yet. None once they cannot be read on.
    mark: Option<ReaderMark>,
    order: Order,
    records: Vec<Record>,
    /// The decisions cannot be read on.
    broken: bool,
    /// Another process sends commands to this partition.
    strangers: bool,
    decided: Offset,
    pub(crate) sent: Sent,
}

/// What a lane has done, for the metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) records: u64,
    pub(crate) commands: u64,
    pub(crate) bytes: u64,
}

impl Lane {
    pub(crate) fn new(
        partition: PartitionId,
        intake: IntakeId,
        intakes: Arc<[IntakeId]>,
        in_flight_max: usize,
        control_key: Option<ControlKey>,
        log: &dyn OrderedLog,
        readers: &ReaderMarks,
    ) -> Self {
        let decisions = StreamId::inventory_decisions(partition);
        let read_from = log.watermarks(decisions).end;
        let mut builder = BatchBuilder::default();
        builder.start(intake, RequestTag(0));
        Self {
            partition,
            intake,
            intakes,
            in_flight_max,
            builder,
            pending: 0,
            next: 0,
            base: 0,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            durable: 0,
            control_key,
            read_from,
            mark: Some(readers.enter(decisions, read_from)),
            order: Order::default(),
            records: Vec::new(),
            broken: false,
            strangers: false,
            decided: Offset(0),
            sent: Sent::default(),
        }
    }

    pub(crate) const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Whether another process has sent commands to this partition.
    pub(crate) const fn has_heard_strangers(&self) -> bool {
        self.strangers
    }

    /// Whether no more commands are taken until some were written.
    pub(crate) fn is_full(&self) -> bool {
        self.builder.is_full()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The tag of the next command.
    pub(crate) const fn next_tag(&self) -> u64 {
        self.next
    }

    /// Commands before this tag were answered, or never will be.
    pub(crate) const fn answered_tag(&self) -> u64 {
        self.base
    }

    /// Decisions about all commands before this one were read.
    pub(crate) const fn decided_before(&self) -> Offset {
        self.decided
    }

    pub(crate) const fn is_durable(&self, tag: u64) -> bool {
        tag < self.durable
    }

    /// Adds a command that `waiter` waits for. `write` writes exactly one.
    pub(crate) fn push(&mut self, waiter: WaiterKey, write: impl FnOnce(&mut BatchBuilder)) {
        write(&mut self.builder);
        self.waiting.push_back(waiter);
        self.next += 1;
    }

    /// Sends what is pending, if anything is and not too much is under way.
    pub(crate) fn flush(&mut self, log: &dyn OrderedLog, waiters: &mut Waiters) {
        self.settle(log, waiters);
        if self.in_flight.len() < self.in_flight_max {
            self.send(log, waiters);
        }
    }

    /// Sends what is pending, however much is under way, so that a large command gets a record of its own. False if
    /// the log does not take it now.
    pub(crate) fn make_room(&mut self, log: &dyn OrderedLog, waiters: &mut Waiters) -> bool {
        self.send(log, waiters);
        self.builder.is_empty()
    }

    fn send(&mut self, log: &dyn OrderedLog, waiters: &mut Waiters) {
        if self.builder.is_empty() {
            return;
        }
        let stream = StreamId::inventory_commands(self.partition);
        let key = self.control_key.as_ref();
        let payload = Bytes::from(self.builder.record_for(key, log.log_id(), self.partition));
        let payload_bytes = payload.len() as u64;
        let mut result = log.append(stream, payload.clone());
        if matches!(result, Err(AppendError::Interrupted)) {
            // Nobody derives commands from anything, so there is nothing to put right first.
            log.resume(stream);
            result = log.append(stream, payload);
        }
        let refused = match result {
            Ok(ticket) => {
                self.sent.records += 1;
                self.sent.commands += self.next - self.pending;
                self.sent.bytes += payload_bytes;
                self.in_flight.push_back(InFlight { ticket, end: self.next });
                self.pending = self.next;
                self.builder.start(self.intake, RequestTag(self.next));
                return;
            }
            // There will be room again soon: what is pending waits, what comes on top is refused.
            Err(AppendError::Full | AppendError::Interrupted) => return,
            Err(AppendError::DiskFull) => NotWritten::DiskFull,
            Err(error) => {
                tracing::error!(partition = self.partition.0, %error, "commands cannot be written");
                NotWritten::Unavailable
            }
        };
        // They are nowhere: their tags are given again.
        for _ in self.pending..self.next {
            if let Some(waiter) = self.waiting.pop_back() {
                waiters.complete(waiter, Reply::NotWritten(refused));
            }
        }
        self.next = self.pending;
        self.builder.start(self.intake, RequestTag(self.next));
    }

    /// Takes note of records that became durable, or failed.
    pub(crate) fn settle(&mut self, log: &dyn OrderedLog, waiters: &mut Waiters) {
        while let Some(front) = self.in_flight.front() {
            let Some(outcome) = front.ticket.result() else { return };
            let end = front.end;
            self.in_flight.pop_front();
            match outcome {
                Ok(_) => self.durable = self.durable.max(end),
                Err(failure) => {
                    tracing::warn!(partition = self.partition.0, %failure, "commands were not acknowledged");
                    let for_sure = matches!(failure, AppendFailure::NotAppended { .. });
                    self.give_up_before(end, waiters, for_sure);
                    log.resume(StreamId::inventory_commands(self.partition));
                }
            }
        }
    }

    /// Nobody will be answered whose command has a tag before `end`.
    fn give_up_before(&mut self, end: u64, waiters: &mut Waiters, for_sure: bool) {
        while self.base < end
            && let Some(waiter) = self.waiting.pop_front()
        {
            self.base += 1;
            let reply = if for_sure { Reply::NotWritten(NotWritten::Unavailable) } else { Reply::Unknown };
            waiters.complete(waiter, reply);
        }
    }

    /// Reads the decisions that have come and answers those who wait for them. `sold_out` hears of every SKU of which
    /// nothing was left.
    pub(crate) fn read(
        &mut self,
        log: &dyn OrderedLog,
        waiters: &mut Waiters,
        sold_out: &mut dyn FnMut(&str),
    ) {
        let stream = StreamId::inventory_decisions(self.partition);
        // Not asked first where the log ends: one that fetches from elsewhere learns that by being read.
        while !self.broken {
            let mut records = std::mem::take(&mut self.records);
            let read = log.read(stream, self.read_from, READ_BYTES_MAX, &mut records);
            let found = !records.is_empty();
            for record in records.drain(..) {
                self.read_from = record.offset.next();
                self.take(&record, waiters, sold_out);
            }
            self.records = records;
            if let Err(error) = read {
                self.fail(&error);
            }
            self.mark_read();
            if !found {
                return;
            }
        }
    }

    /// Lets the log forget what was read, or anything if nothing will be read any more.
    fn mark_read(&mut self) {
        if self.broken {
            self.mark = None;
        } else if let Some(mark) = &self.mark {
            mark.advance(self.read_from);
        }
    }

    fn fail(&mut self, error: &ReadError) {
        match error {
            // Asked again at the next wake-up.
            ReadError::Io(_) => {
                tracing::warn!(partition = self.partition.0, %error, "decisions cannot be read now");
            }
            // Whoever waits for what is gone hears that it is unknown, as soon as later commands are decided.
            ReadError::Trimmed { low } if *low > self.read_from => {
                tracing::error!(partition = self.partition.0, %error, "decisions were forgotten before they were read");
                self.read_from = *low;
                self.order = Order::default();
            }
            _ => {
                tracing::error!(partition = self.partition.0, %error, "decisions cannot be read any more");
                self.broken = true;
            }
        }
    }

    fn take(&mut self, record: &Record, waiters: &mut Waiters, sold_out: &mut dyn FnMut(&str)) {
        let (Ok(batch), Some((_, chain))) = (decode_decisions(&record.payload), split_chain(&record.payload))
        else {
            tracing::error!(partition = self.partition.0, offset = record.offset.0, "not a decision");
            self.broken = true;
            return;
        };
        let seq = batch.envelope.out_seq;
        match self.order.place(seq, chain) {
            Place::Next => {}
            Place::Again => return,
            Place::BeyondGap { is_first } => {
                if is_first {
                    tracing::error!(partition = self.partition.0, %seq, "decisions are missing; they must come again");
                }
                return;
            }
            Place::Contradiction => {
                tracing::error!(partition = self.partition.0, %seq, "two decisions have one number");
                self.broken = true;
                return;
            }
        }
        self.decided = self.decided.max(batch.envelope.source_offset.next());
        let intake = batch.header.intake_id;
        if intake == self.intake {
            self.answer(&batch, &record.payload, waiters, sold_out);
        } else if intake != IntakeId(0) && !self.intakes.contains(&intake) {
            self.strangers = true;
            self.overhear(&batch, &record.payload, sold_out);
        }
    }

    /// Learns from the decisions for another process's buyers what is sold out. One of them is enough: when something is sold out
    /// nearly all are told so.
    fn overhear(&self, batch: &DecisionBatch<'_>, payload: &Bytes, sold_out: &mut dyn FnMut(&str)) {
        let Some(decision) = batch.decisions().next() else { return };
        if !matches!(decision.outcome, Some(Outcome::Refused { .. })) {
            return;
        }
        let skus: Vec<&str> = batch.skus().collect();
        let position = Position { partition: self.partition, offset: batch.envelope.source_offset, index: 0 };
        if let Some(sku) = answer::take(&decision, position, &skus, payload).answer.sold_out() {
            sold_out(sku);
        }
    }

    fn answer(
        &mut self,
        batch: &DecisionBatch<'_>,
        payload: &Bytes,
        waiters: &mut Waiters,
        sold_out: &mut dyn FnMut(&str),
    ) {
        let mut tag = batch.header.first_request_tag.0;
        // They are decided in order, so what is before this record will never be.
        self.give_up_before(tag, waiters, false);
        let skus: Vec<&str> = batch.skus().collect();
        let position = Position { partition: self.partition, offset: batch.envelope.source_offset, index: 0 };
        for (decision, index) in batch.decisions().zip(0u32..) {
            if tag >= self.base
                && let Some(waiter) = self.waiting.pop_front()
            {
                self.base += 1;
                let decided = answer::take(&decision, Position { index, ..position }, &skus, payload);
                if let Some(sku) = decided.answer.sold_out() {
                    sold_out(sku);
                }
                waiters.complete(waiter, Reply::Decided(decided));
            }
            tag += 1;
        }
        // A command is readable, and so decided, only once it is durable.
        self.durable = self.durable.max(tag);
        while self.in_flight.front().is_some_and(|front| front.end <= tag) {
            self.in_flight.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
