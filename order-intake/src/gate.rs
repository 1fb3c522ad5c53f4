//! The sold-out gate: hopeless requests are refused without writing to the log.
//!
//! A SKU's gate closes in this thread when a decision says that nothing of it is left. A closed gate refuses nobody by
//! itself. It changes who is asked: not the log, but the machine, between two of its records, and many requests at once.
//! The machine looks whether it remembers the request's id, and whether a new reservation would be refused for want of
//! stock alone. Only if the id is new and nothing is left is the request refused by the gate, with the position up to
//! which the machine had decided. Everything else goes the usual way through the log, and the gate opens again.
//!
//! So a gate that is wrong costs a question and never a unit: units that come back, by expiry, release, restock or a
//! changed sale, are seen by the next request. And the repetition of a request that was decided gets its decision.
//!
//! A repetition may also come while the first one is still on its way to the machine, perhaps through another thread.
//! So a question waits until every command that any thread of this process had taken for the partition before the
//! question came has been answered; in a sold-out sale there are few. Two processes do not know of each other's
//! commands: if both get the same key at the same time, one may refuse by its gate what the other's command is granted
//! a moment later, when units come back in between. The key then stands for the grant.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use holdfast_contracts::{Offset, PartitionId, Position, ReservationId};
use holdfast_core::Machine;
use holdfast_engine::PartitionStatus;
use smallvec::SmallVec;

use crate::waiters::WaiterKey;

/// SKUs whose gates one thread keeps closed; more stay open.
const CLOSED_MAX: usize = 100_000;
/// Questions asked in one go, so that the machine is not kept from its records for long.
const QUESTIONS_MAX: usize = 512;

/// How far each thread is with the commands of each partition. Written by the thread itself, read by the others' gates.
pub(crate) struct Progress {
    lanes: Vec<LaneProgress>,
    partitions: usize,
}

/// On a cache line of its own: it changes with every request.
#[repr(align(128))]
#[derive(Default)]
struct LaneProgress {
    taken: AtomicU64,
    answered: AtomicU64,
}

impl Progress {
    pub(crate) fn new(shards: usize, partitions: usize) -> Self {
        Self { lanes: (0..shards * partitions).map(|_| LaneProgress::default()).collect(), partitions }
    }

    fn lane(&self, shard: usize, partition: usize) -> &LaneProgress {
        &self.lanes[shard * self.partitions + partition]
    }

    /// Commands before this tag were taken.
    pub(crate) fn set_taken(&self, shard: usize, partition: usize, tag: u64) {
        self.lane(shard, partition).taken.store(tag, Ordering::Release);
    }

    /// Commands before this tag were answered, or never will be.
    pub(crate) fn set_answered(&self, shard: usize, partition: usize, tag: u64) {
        self.lane(shard, partition).answered.store(tag, Ordering::Release);
    }

    /// What every thread has taken for the partition by now.
    fn fence(&self, partition: usize) -> Fence {
        let shards = self.lanes.len() / self.partitions;
        Fence((0..shards).map(|shard| self.lane(shard, partition).taken.load(Ordering::Acquire)).collect())
    }

    fn has_passed(&self, partition: usize, fence: &Fence) -> bool {
        let answered = |shard| self.lane(shard, partition).answered.load(Ordering::Acquire);
        fence.0.iter().enumerate().all(|(shard, taken)| answered(shard) >= *taken)
    }
}

struct Fence(SmallVec<[u64; 4]>);

/// A request before a closed gate.
pub(crate) struct Question {
    pub(crate) id: ReservationId,
    pub(crate) sku: Bytes,
    pub(crate) waiter: WaiterKey,
}

/// What the machine says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The id is remembered, or there may be something left.
    Proceed,
    /// The id is new and nothing is left.
    SoldOut(Position),
}

/// The gates of one thread.
pub(crate) struct Gate {
    closed: HashSet<Box<str>>,
    waiting: Vec<VecDeque<(Fence, Question)>>,
    questions: usize,
    progress: Arc<Progress>,
}

impl Gate {
    pub(crate) fn new(progress: Arc<Progress>, partitions: usize) -> Self {
        let waiting = (0..partitions).map(|_| VecDeque::new()).collect();
        Self { closed: HashSet::new(), waiting, questions: 0, progress }
    }

    pub(crate) fn is_closed(&self, sku: &str) -> bool {
        !self.closed.is_empty() && self.closed.contains(sku)
    }

    pub(crate) fn close(&mut self, sku: &str) {
        if self.closed.len() < CLOSED_MAX && !self.closed.contains(sku) {
            self.closed.insert(sku.into());
        }
    }

    pub(crate) fn open(&mut self, sku: &str) {
        self.closed.remove(sku);
    }

    pub(crate) fn closed_count(&self) -> usize {
        self.closed.len()
    }

    pub(crate) fn ask(&mut self, partition: usize, question: Question) {
        let fence = self.progress.fence(partition);
        self.waiting[partition].push_back((fence, question));
        self.questions += 1;
    }

    /// Whether somebody waits before a closed gate.
    pub(crate) fn has_questions(&self) -> bool {
        self.questions > 0
    }

    /// The questions for a partition that may be asked now, oldest first.
    pub(crate) fn due(&mut self, partition: usize) -> Vec<Question> {
        let mut due = Vec::new();
        let waiting = &mut self.waiting[partition];
        while due.len() < QUESTIONS_MAX
            && waiting.front().is_some_and(|(fence, _)| self.progress.has_passed(partition, fence))
        {
            due.extend(waiting.pop_front().map(|(_, question)| question));
        }
        self.questions -= due.len();
        due
    }
}

/// Lets the machine look at the questions.
pub(crate) fn verdicts(
    machine: Option<&Machine>,
    status: &PartitionStatus,
    partition: PartitionId,
    questions: &[(ReservationId, Bytes)],
) -> Vec<Verdict> {
    let Some(machine) = machine else { return vec![Verdict::Proceed; questions.len()] };
    let seen = Offset(status.next_offset.0.saturating_sub(1));
    let sold_out = Verdict::SoldOut(Position { partition, offset: seen, index: 0 });
    // Nearly always all ask about the same SKU.
    let mut last: Option<(&Bytes, bool)> = None;
    let mut verdicts = Vec::with_capacity(questions.len());
    for (id, sku) in questions {
        let is_sold_out = match last {
            Some((name, known)) if name == sku => known,
            _ => std::str::from_utf8(sku).is_ok_and(|sku| machine.is_sold_out(sku)),
        };
        last = Some((sku, is_sold_out));
        verdicts.push(if is_sold_out && !machine.remembers(*id) { sold_out } else { Verdict::Proceed });
    }
    verdicts
}
