//! Questions to the machine before anything is written: the sold-out gate, and keys that were used elsewhere.
//!
//! # The sold-out gate
//!
//! Hopeless requests are refused without writing to the log.
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
//!
//! Where another process decides, the machine that is asked only follows the log. It is not asked before it has applied
//! whatever this process has told of. And a gate also closes when the decisions for another process's buyers say that nothing is
//! left.
//!
//! # Keys used elsewhere
//!
//! A machine remembers the ids of its own partition. A key that was used for a SKU of one partition and comes again with
//! a SKU of another would not be recognised there, so the other partitions are asked first whether they remember it; those
//! that have never seen a reservation are not. Two requests with one key and SKUs of different partitions that are under
//! way at the same time do not see each other: each is decided, under an id of its own.

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
    decided: AtomicU64,
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

    /// Decisions about all commands before this one were read.
    pub(crate) fn set_decided(&self, shard: usize, partition: usize, before: Offset) {
        self.lane(shard, partition).decided.store(before.0, Ordering::Release);
    }

    /// A machine that is asked must have applied the commands before this one: this process has told what was decided about
    /// them. A machine that decides has; one that only follows may be a little behind.
    pub(crate) fn told(&self, partition: PartitionId) -> Offset {
        let place = partition.0 as usize;
        let shards = self.lanes.len() / self.partitions;
        let decided = |shard| self.lane(shard, place).decided.load(Ordering::Acquire);
        Offset((0..shards).map(decided).max().unwrap_or(0))
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

/// Asks about a request.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) id: ReservationId,
    /// Whether this SKU is sold out and the id new; without it, whether the id is remembered.
    pub(crate) sku: Option<Bytes>,
}

/// What the machine says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There may be something left, or the gate has no say because the id is remembered; of a plain id, it is new.
    Proceed,
    /// The id is new and nothing is left.
    SoldOut(Position),
    /// Asked about an id alone: it is remembered.
    Remembered,
}

/// The gates of one thread, and its questions.
pub(crate) struct Gate {
    closed: HashSet<Box<str>>,
    /// Questions about ids alone, which wait for nothing.
    lookups: Vec<VecDeque<(Question, WaiterKey)>>,
    waiting: Vec<VecDeque<(Fence, (Question, WaiterKey))>>,
    questions: usize,
    progress: Arc<Progress>,
}

impl Gate {
    pub(crate) fn new(progress: Arc<Progress>, partitions: usize) -> Self {
        let lookups = (0..partitions).map(|_| VecDeque::new()).collect();
        let waiting = (0..partitions).map(|_| VecDeque::new()).collect();
        Self { closed: HashSet::new(), lookups, waiting, questions: 0, progress }
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

    pub(crate) fn ask(&mut self, partition: usize, question: Question, waiter: WaiterKey) {
        if question.sku.is_some() {
            let fence = self.progress.fence(partition);
            self.waiting[partition].push_back((fence, (question, waiter)));
        } else {
            self.lookups[partition].push_back((question, waiter));
        }
        self.questions += 1;
    }

    /// Whether anything is to be asked.
    pub(crate) fn has_questions(&self) -> bool {
        self.questions > 0
    }

    /// The questions for a partition that may be asked now, oldest first.
    pub(crate) fn due(&mut self, partition: usize) -> Vec<(Question, WaiterKey)> {
        let lookups = &mut self.lookups[partition];
        let mut due: Vec<_> = lookups.drain(..lookups.len().min(QUESTIONS_MAX)).collect();
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

/// Lets the machine look at the questions. `None` if it has not applied the commands before `told` yet.
pub(crate) fn verdicts(
    machine: Option<&Machine>,
    status: &PartitionStatus,
    partition: PartitionId,
    told: Offset,
    questions: &[Question],
) -> Option<Vec<Verdict>> {
    let Some(machine) = machine else { return Some(vec![Verdict::Proceed; questions.len()]) };
    if status.next_offset < told {
        return None;
    }
    let seen = Offset(status.next_offset.0.saturating_sub(1));
    let position = Position { partition, offset: seen, index: 0 };
    // Nearly always all ask about the same SKU.
    let mut last: Option<(&Bytes, bool)> = None;
    let mut verdicts = Vec::with_capacity(questions.len());
    for Question { id, sku } in questions {
        let Some(sku) = sku else {
            verdicts.push(if machine.remembers(*id) { Verdict::Remembered } else { Verdict::Proceed });
            continue;
        };
        let is_sold_out = match last {
            Some((name, known)) if name == sku => known,
            _ => std::str::from_utf8(sku).is_ok_and(|sku| machine.is_sold_out(sku)),
        };
        last = Some((sku, is_sold_out));
        let refused = is_sold_out && !machine.remembers(*id);
        verdicts.push(if refused { Verdict::SoldOut(position) } else { Verdict::Proceed });
    }
    Some(verdicts)
}
