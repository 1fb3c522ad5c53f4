//! One stream of the simulated log: what landed, what is durable, what is still in flight.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset};

use super::slot::Slot;
use crate::port::{Appended, Durability, Record};

/// How reading a simulated stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As it should.
    Works,
    /// It fails as if the disk or the broker could not be asked.
    Fails,
    /// Nothing is at hand although the watermarks promise more, as between two fetches.
    Stalls,
}

/// An append that has not landed yet. Without a slot nobody waits for it any more, but it may still land.
pub(super) struct InFlight {
    pub(super) payload: Bytes,
    pub(super) slot: Option<Arc<Slot>>,
}

/// A record that landed and is not durable yet.
struct Unflushed {
    /// When it landed, counted over all streams.
    landing: u64,
    slot: Option<Arc<Slot>>,
}

pub(super) struct SimStream {
    pub(super) low: Offset,
    pub(super) durable: Offset,
    /// From `low` to the end of what landed.
    records: VecDeque<Record>,
    /// From `durable` to the end of what landed.
    unflushed: VecDeque<Unflushed>,
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) clock: LogTime,
    pub(super) interrupted: bool,
    /// An append was refused for lack of room since the last wake-up for it.
    pub(super) refused: bool,
    pub(super) damaged: Option<Offset>,
    pub(super) reading: Reading,
}

impl SimStream {
    pub(super) fn new(clock: LogTime) -> Self {
        Self {
            low: Offset(0),
            durable: Offset(0),
            records: VecDeque::new(),
            unflushed: VecDeque::new(),
            in_flight: VecDeque::new(),
            clock,
            interrupted: false,
            refused: false,
            damaged: None,
            reading: Reading::Works,
        }
    }

    /// The offset after the last record that landed.
    pub(super) fn landed(&self) -> Offset {
        Offset(self.low.0 + self.records.len() as u64)
    }

    pub(super) fn readable_end(&self, durability: Durability) -> Offset {
        match durability {
            Durability::Flushed => self.durable,
            Durability::Derived => self.landed(),
        }
    }

    pub(super) fn unsettled(&self) -> usize {
        self.unflushed.len() + self.in_flight.len()
    }

    pub(super) fn append_time_of(&self, offset: Offset) -> LogTime {
        self.records[self.place(offset)].append_time
    }

    /// Puts a record at the end.
    pub(super) fn land(&mut self, flight: InFlight, landing: u64, clamp: bool) -> Offset {
        let offset = self.landed();
        let before = self.records.back().map_or(LogTime(0), |last| last.append_time);
        let append_time = if clamp { self.clock.max(before) } else { self.clock };
        self.records.push_back(Record { offset, append_time, payload: flight.payload });
        self.unflushed.push_back(Unflushed { landing, slot: flight.slot });
        offset
    }

    /// Makes what landed below `end` durable and settles its tickets. Returns how many records that were.
    pub(super) fn flush_to(&mut self, end: Offset) -> usize {
        let mut flushed = 0;
        while self.durable < end.min(self.landed()) {
            let unflushed = self.unflushed.pop_front().expect("what landed and is not durable is unflushed");
            if let Some(slot) = unflushed.slot {
                let append_time = self.append_time_of(self.durable);
                slot.settle(Ok(Appended { offset: self.durable, append_time }));
            }
            self.durable = self.durable.next();
            flushed += 1;
        }
        flushed
    }

    /// The landing numbers of what is not durable, rising.
    pub(super) fn unflushed_landings(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.unflushed.iter().map(|unflushed| unflushed.landing)
    }

    /// Fails the tickets of everything that is not durable; what landed stays where it is.
    pub(super) fn fail_open_tickets(&mut self, reason: &str) {
        let landed = self.unflushed.iter_mut().map(|unflushed| &mut unflushed.slot);
        let flying = self.in_flight.iter_mut().map(|flight| &mut flight.slot);
        for slot in landed.chain(flying).filter_map(Option::take) {
            slot.fail_unknown(reason);
        }
    }

    /// Fails the ticket of a record that landed and is not durable.
    pub(super) fn fail_ticket_of(&mut self, offset: Offset, reason: &str) {
        let place = usize::try_from(offset.0 - self.durable.0).expect("offsets of a test fit");
        if let Some(slot) = self.unflushed[place].slot.take() {
            slot.fail_unknown(reason);
        }
    }

    /// Forgets everything from `end` on, durable or not.
    pub(super) fn truncate(&mut self, end: Offset) {
        self.records
            .truncate(usize::try_from(end.0.saturating_sub(self.low.0)).expect("offsets of a test fit"));
        self.durable = self.durable.min(end.max(self.low));
        let unflushed = usize::try_from(self.landed().0 - self.durable.0).expect("offsets of a test fit");
        for slot in self.unflushed.drain(unflushed..).filter_map(|cut| cut.slot) {
            slot.fail_unknown("the record was cut off");
            self.interrupted = true;
        }
    }

    pub(super) fn trim(&mut self, below: Offset) {
        if below > self.low {
            self.records.drain(..self.place(below));
            self.low = below;
        }
    }

    pub(super) fn read(&self, from: Offset, end: Offset, max_bytes: usize, out: &mut Vec<Record>) {
        let mut bytes = 0;
        for record in self.records.range(self.place(from)..self.place(end)) {
            bytes += record.payload.len();
            if bytes > max_bytes && record.offset > from {
                break;
            }
            out.push(record.clone());
        }
    }

    fn place(&self, offset: Offset) -> usize {
        usize::try_from(offset.0 - self.low.0).expect("offsets of a test fit")
    }
}
