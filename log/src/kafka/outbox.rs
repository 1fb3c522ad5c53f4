//! The appends of one stream that are not settled yet, and what became of each.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use holdfast_contracts::{LogTime, Offset};

use super::{
    native::{Persisted, Report, Stamp},
    producer::Producer,
};
use crate::{
    doorbell::Doorbell,
    port::{AppendFailure, Appended, Outcome, Settlement, Subscription, Ticket, WakerSet},
};

/// Appends that share an allocation.
const BLOCK_SLOTS: usize = 64;

/// No outcome yet.
const OPEN: u64 = 0;
/// The outcome is in `failures`.
const FAILED: u64 = 1;
/// Added to an offset, so that it is neither of the above.
const OFFSET_BASE: u64 = 2;

/// What became of some appends that follow each other. Tickets keep it alive.
struct Block {
    slots: [Slot; BLOCK_SLOTS],
    failures: Mutex<Vec<(usize, AppendFailure)>>,
    settled: Arc<WakerSet>,
}

#[derive(Default)]
struct Slot {
    outcome: AtomicU64,
    append_time: AtomicU64,
}

impl Block {
    fn new(settled: Arc<WakerSet>) -> Self {
        Self { slots: std::array::from_fn(|_| Slot::default()), failures: Mutex::default(), settled }
    }

    fn succeed(&self, slot: usize, offset: u64, append_time: u64) {
        self.slots[slot].append_time.store(append_time, Ordering::Relaxed);
        self.slots[slot].outcome.store(offset + OFFSET_BASE, Ordering::Release);
    }

    fn fail(&self, slot: usize, failure: AppendFailure) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push((slot, failure));
        self.slots[slot].outcome.store(FAILED, Ordering::Release);
    }
}

impl Settlement for Block {
    /// `place.offset` is the number of the slot.
    fn outcome(&self, place: Appended) -> Option<Outcome> {
        let number = usize::try_from(place.offset.0).expect("slots are few");
        let slot = &self.slots[number];
        match slot.outcome.load(Ordering::Acquire) {
            OPEN => None,
            FAILED => {
                let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                let (_, failure) =
                    failures.iter().find(|(of, _)| *of == number).expect("written before FAILED is");
                Some(Err(failure.clone()))
            }
            offset => Some(Ok(Appended {
                offset: Offset(offset - OFFSET_BASE),
                append_time: LogTime(slot.append_time.load(Ordering::Relaxed)),
            })),
        }
    }

    fn watch(&self, bell: &Doorbell) -> Subscription {
        self.settled.subscribe(bell.waker())
    }
}

struct Live {
    block: Arc<Block>,
    settled: usize,
}

/// The appends of one stream, numbered from 0 in the order in which they were accepted.
pub(super) struct Outbox {
    /// Why the stream is interrupted, if it is.
    pub(super) interrupted: bool,
    /// Takes the next append. None until there is one, and after one has failed.
    pub(super) producer: Option<Arc<Producer>>,
    next: u64,
    /// The number of the first slot of the first block.
    base: u64,
    blocks: VecDeque<Live>,
    unsettled: usize,
    /// Since when nothing was settled although something waits.
    waiting_since: Option<Instant>,
    settled: Arc<WakerSet>,
}

/// What a report has brought.
pub(super) struct Settled {
    /// The offset after the record, if it is in the log.
    pub(super) end: Option<u64>,
    /// The record was not stamped by its log.
    pub(super) bad_stamp: bool,
}

impl Outbox {
    pub(super) fn new(settled: Arc<WakerSet>) -> Self {
        Self {
            interrupted: false,
            producer: None,
            next: 0,
            base: 0,
            blocks: VecDeque::new(),
            unsettled: 0,
            waiting_since: None,
            settled,
        }
    }

    pub(super) const fn unsettled(&self) -> usize {
        self.unsettled
    }

    pub(super) const fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// The number that the next append will have.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The append with the number `next` was handed to the producer.
    pub(super) fn accepted(&mut self) -> Ticket {
        let slot = place(self.next - self.base);
        if slot / BLOCK_SLOTS == self.blocks.len() {
            let block = Arc::new(Block::new(Arc::clone(&self.settled)));
            self.blocks.push_back(Live { block, settled: 0 });
        }
        self.next += 1;
        if self.unsettled == 0 {
            self.waiting_since = Some(Instant::now());
        }
        self.unsettled += 1;
        let block = Arc::clone(&self.blocks[slot / BLOCK_SLOTS].block);
        let number = (slot % BLOCK_SLOTS) as u64;
        Ticket::new(block, Appended { offset: Offset(number), append_time: LogTime(0) })
    }

    /// Settles one append. `publish` is told the new end before the ticket is.
    pub(super) fn settle(&mut self, report: &Report, publish: impl FnOnce(u64)) -> Settled {
        let slot = place(report.tag - self.base);
        let live = &mut self.blocks[slot / BLOCK_SLOTS];
        let slot = slot % BLOCK_SLOTS;
        let mut settled = Settled { end: None, bad_stamp: false };
        match &report.outcome {
            Ok((offset, stamp)) => {
                settled.end = Some(offset + 1);
                publish(offset + 1);
                match stamp {
                    Stamp::LogAppend(time) => live.block.succeed(slot, *offset, *time),
                    Stamp::Other => {
                        settled.bad_stamp = true;
                        let reason = "it is in the log, but without the log's time".into();
                        live.block.fail(slot, AppendFailure::Unknown { reason });
                    }
                }
            }
            Err((fault, Persisted::No)) => {
                live.block.fail(slot, AppendFailure::NotAppended { reason: fault.text.as_str().into() });
            }
            Err((fault, Persisted::Perhaps)) => {
                live.block.fail(slot, AppendFailure::Unknown { reason: fault.text.as_str().into() });
            }
        }
        live.settled += 1;
        self.unsettled -= 1;
        while self.blocks.front().is_some_and(|live| live.settled == BLOCK_SLOTS) {
            self.blocks.pop_front();
            self.base += BLOCK_SLOTS as u64;
        }
        settled
    }

    /// Something was settled: the wait of the rest begins anew.
    pub(super) fn progressed(&mut self) {
        self.waiting_since = (self.unsettled > 0).then(Instant::now);
    }
}

fn place(distance: u64) -> usize {
    usize::try_from(distance).expect("what is unsettled fits into memory")
}
