//! The appends of one stream that are not settled yet, and what became of each.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset};

use super::{
    native::{Fault, Persisted, Report, Stamp},
    producer::Producer,
};
use crate::{
    doorbell::Doorbell,
    port::{AppendFailure, Appended, Outcome, Settlement, Subscription, Ticket, WakerSet},
};

/// Appends that share an allocation.
const BLOCK_SLOTS: usize = 64;
/// Groups of records that are with the client at once. Whatever is appended meanwhile goes along with the next one.
///
/// The client wakes its thread for every record that finds its queue empty, so records handed over one by one cost a
/// wake-up and nearly a request each. Groups are as large as the brokers are slow, and a record that is alone never waits.
const GROUPS_MAX: usize = 2;
/// Records of a group. Bounds how long the others wait for the lock.
const GROUP_RECORDS_MAX: usize = 4096;

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

/// Records that were handed to the client together.
struct Group {
    tags: Range<u64>,
    unsettled: usize,
}

/// The appends of one stream, numbered from 0 in the order in which they were accepted.
pub(super) struct Outbox {
    /// Why the stream is interrupted, if it is.
    pub(super) interrupted: bool,
    /// Takes the next append. None until there is one, and after one has failed.
    pub(super) producer: Option<Arc<Producer>>,
    next: u64,
    /// The last appends, which the client does not have yet.
    waiting: VecDeque<Bytes>,
    /// What the client has, in the order in which it got it.
    groups: VecDeque<Group>,
    /// The number of the first slot of the first block.
    base: u64,
    blocks: VecDeque<Live>,
    unsettled: usize,
    /// Since when nothing was settled although something waits.
    waiting_since: Option<Instant>,
    settled: Arc<WakerSet>,
}

impl Outbox {
    pub(super) fn new(settled: Arc<WakerSet>) -> Self {
        Self {
            interrupted: false,
            producer: None,
            next: 0,
            waiting: VecDeque::new(),
            groups: VecDeque::new(),
            base: 0,
            blocks: VecDeque::new(),
            unsettled: 0,
            waiting_since: None,
            settled,
        }
    }

    /// Whether appends go to this producer.
    pub(super) fn goes_to(&self, producer: &Arc<Producer>) -> bool {
        self.producer.as_ref().is_some_and(|current| Arc::ptr_eq(current, producer))
    }

    pub(super) const fn unsettled(&self) -> usize {
        self.unsettled
    }

    pub(super) const fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Takes an append. It waits here until [`hand_over`](Self::hand_over).
    pub(super) fn accept(&mut self, payload: Bytes) -> Ticket {
        self.waiting.push_back(payload);
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

    /// Gives what waits to the producer, if there is one and it does not have enough already.
    ///
    /// # Errors
    /// What the client said about the first record that still waits. [`Fault::QUEUE_FULL`] passes; after anything else
    /// the producer is of no more use.
    pub(super) fn hand_over(&mut self, partition: i32) -> Result<(), Fault> {
        let Some(producer) = &self.producer else { return Ok(()) };
        while self.groups.len() < GROUPS_MAX && !self.waiting.is_empty() {
            let first = self.next - self.waiting.len() as u64;
            let (mut end, mut result) = (first, Ok(()));
            for payload in self.waiting.iter().take(GROUP_RECORDS_MAX) {
                result = producer.produce(partition, payload, end);
                if result.is_err() {
                    break;
                }
                end += 1;
            }
            let handed = place(end - first);
            if handed > 0 {
                self.waiting.drain(..handed);
                self.groups.push_back(Group { tags: first..end, unsettled: handed });
            }
            result?;
        }
        Ok(())
    }

    /// Gives up the producer and the appends that it has not got. Returns how many those are, and their bytes.
    pub(super) fn abandon(&mut self, reason: &str) -> (u64, u64) {
        self.producer = None;
        self.groups.clear();
        let (first, mut bytes) = (self.next - self.waiting.len() as u64, 0);
        let waiting = std::mem::take(&mut self.waiting);
        for (tag, payload) in (first..).zip(&waiting) {
            bytes += payload.len() as u64;
            self.close(tag, |block, slot| {
                block.fail(slot, AppendFailure::NotAppended { reason: reason.into() });
            });
        }
        (waiting.len() as u64, bytes)
    }

    /// Settles one append. `publish` is told the new end before the ticket is.
    pub(super) fn settle(&mut self, report: &Report, publish: impl FnOnce(u64)) {
        let of = self.groups.iter().position(|group| group.tags.contains(&report.tag));
        if let Some(of) = of {
            self.groups[of].unsettled -= 1;
            if self.groups[of].unsettled == 0 {
                self.groups.remove(of);
            }
        }
        self.close(report.tag, |block, slot| match &report.outcome {
            Ok((offset, stamp)) => {
                publish(offset + 1);
                match stamp {
                    Stamp::LogAppend(time) => block.succeed(slot, *offset, *time),
                    Stamp::Other => {
                        let reason = "it is in the log, but without the log's time".into();
                        block.fail(slot, AppendFailure::Unknown { reason });
                    }
                }
            }
            Err((fault, Persisted::No)) => {
                block.fail(slot, AppendFailure::NotAppended { reason: fault.text.as_str().into() });
            }
            Err((fault, Persisted::Perhaps)) => {
                block.fail(slot, AppendFailure::Unknown { reason: fault.text.as_str().into() });
            }
        });
    }

    /// Lets an append have its outcome, which `decide` writes down.
    fn close(&mut self, tag: u64, decide: impl FnOnce(&Block, usize)) {
        let slot = place(tag - self.base);
        let live = &mut self.blocks[slot / BLOCK_SLOTS];
        decide(&live.block, slot % BLOCK_SLOTS);
        live.settled += 1;
        self.unsettled -= 1;
        while self.blocks.front().is_some_and(|live| live.settled == BLOCK_SLOTS) {
            self.blocks.pop_front();
            self.base += BLOCK_SLOTS as u64;
        }
    }

    /// Something was settled: the wait of the rest begins anew.
    pub(super) fn progressed(&mut self) {
        self.waiting_since = (self.unsettled > 0).then(Instant::now);
    }
}

fn place(distance: u64) -> usize {
    usize::try_from(distance).expect("what is unsettled fits into memory")
}
