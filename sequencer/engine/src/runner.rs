//! Threads for workers: each owns some partitions and their machines by value.

mod slot;
mod thread;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use holdfast_contracts::PartitionId;
use holdfast_log::{Doorbell, OrderedLog, doorbell};

use crate::assignment::{Assignment, Generation, Handover, OnSettled, Order, Settled};
use crate::machine::Machine;
use crate::retention::ReaderMarks;
use crate::status::{PartitionState, PartitionStatus};
use crate::stop::StopReason;
use crate::store::CheckpointStore;
use crate::worker::{Role, WorkerConfig};
use slot::Rule;

/// Requests that may wait for a thread.
const REQUESTS_MAX: usize = 4_096;

/// What to run.
#[derive(Debug, Clone)]
pub struct SequencerConfig<C> {
    /// The partitions, with what their machines are made with.
    pub partitions: Vec<(WorkerConfig, C)>,
    /// Threads that share them.
    pub threads: usize,
    /// Whether every partition also has a warm standby, on a thread of its own. It takes as much memory again.
    pub standby: bool,
}

/// Why a sequencer cannot do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequencerError {
    /// It does not run this partition.
    #[error("partition {0} is not run here")]
    NoSuchPartition(PartitionId),
    /// What it runs was fixed when it started.
    #[error("the partitions were assigned for good when the sequencer started")]
    Fixed,
    /// Too many requests wait already.
    #[error("too many requests wait for the partition's thread")]
    Busy,
    /// It is shutting down, or its thread has ended.
    #[error("the partition's thread has ended")]
    Ended,
}

/// Looks at a machine, which is there once its partition is live.
pub type Query<M> = Box<dyn FnOnce(Option<&M>, &PartitionStatus) + Send>;

/// What a thread is asked.
enum Request<M> {
    /// An order waits.
    LookAtOrders,
    Query(PartitionId, Query<M>),
    /// The standby of this partition takes over.
    Promote(PartitionId),
    /// The active worker of this partition is gone, without a word, as if it had crashed.
    Abandon(PartitionId),
    /// Write checkpoints and end.
    Stop {
        deadline: Instant,
    },
}

/// Runs workers on threads of their own until it is stopped.
pub struct Sequencer<M> {
    shared: Arc<Shared<M>>,
    threads: Mutex<Vec<JoinHandle<bool>>>,
}

/// What threads and handles share.
struct Shared<M> {
    rule: Rule,
    partitions: Vec<Partition>,
    threads: Vec<Mailbox<M>>,
    readers: Arc<ReaderMarks>,
}

struct Mailbox<M> {
    requests: Sender<Request<M>>,
    bell: Doorbell,
}

/// A partition as everybody sees it.
struct Partition {
    id: PartitionId,
    /// The thread of its active worker.
    active: AtomicUsize,
    status: Mutex<PartitionStatus>,
    standby: Mutex<Option<PartitionStatus>>,
    orders: Mutex<Orders>,
}

/// Assignments of a partition. Only the last one counts.
#[derive(Default)]
struct Orders {
    last: Generation,
    waiting: Option<Order>,
}

impl<M> Shared<M> {
    fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.id == id)
    }

    fn publish(&self, status: PartitionStatus) {
        let Some(partition) = self.partition(status.partition) else { return };
        match (self.rule, status.role) {
            (Rule::Assigned, _) | (Rule::Fixed, Role::Active) => *lock(&partition.status) = status,
            (Rule::Fixed, Role::Standby) => *lock(&partition.standby) = Some(status),
        }
    }

    /// The thread of a partition's active worker, or of its standby, has ended without being told to.
    fn publish_end(&self, id: PartitionId, thread: usize) {
        let Some(partition) = self.partition(id) else { return };
        let ended = PartitionState::Stopped(StopReason::ThreadEnded);
        if partition.active.load(Ordering::Acquire) == thread {
            lock(&partition.status).state = ended;
        } else if let Some(standby) = lock(&partition.standby).as_mut() {
            standby.state = ended;
        }
    }

    fn send(&self, thread: usize, request: Request<M>) -> Result<(), SequencerError> {
        let mailbox = &self.threads[thread];
        mailbox.requests.try_send(request).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(_) => SequencerError::Busy,
            crossbeam_channel::TrySendError::Disconnected(_) => SequencerError::Ended,
        })?;
        mailbox.bell.ring();
        Ok(())
    }
}

/// A status is replaced whole, so nothing is left half done by a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: Machine> Sequencer<M> {
    /// Starts the threads. Partitions load their checkpoints there; [`Sequencer::statuses`] tells how far they are.
    ///
    /// # Panics
    /// If a thread cannot be started.
    pub fn start<S, F>(log: &Arc<dyn OrderedLog>, config: &SequencerConfig<M::Config>, stores: F) -> Self
    where
        S: CheckpointStore + 'static,
        F: Fn(PartitionId) -> S + Clone + Send + 'static,
        M::Config: Sync,
    {
        Self::start_with(Rule::Fixed, log, config, stores)
    }

    /// Starts the threads of a sequencer that runs nothing until [`Sequencer::assign`] says what, on a log that may be away
    /// for a while. Nobody else may write to its stores. There are no standbys beside the partitions that it runs: a partition
    /// is one thing at a time.
    ///
    /// # Panics
    /// If a thread cannot be started.
    pub fn start_unassigned<S, F>(
        log: &Arc<dyn OrderedLog>,
        config: &SequencerConfig<M::Config>,
        stores: F,
    ) -> Self
    where
        S: CheckpointStore + 'static,
        F: Fn(PartitionId) -> S + Clone + Send + 'static,
        M::Config: Sync,
    {
        let mut config = SequencerConfig { standby: false, ..config.clone() };
        config.partitions.iter_mut().for_each(|(worker, _)| worker.standby_checkpoints = true);
        Self::start_with(Rule::Assigned, log, &config, stores)
    }

    /// Starts the threads of a sequencer that follows every partition and never emits, on a log that may be away for a while.
    /// Its machines can be looked at; checkpoints are read from its stores and none is written.
    ///
    /// # Panics
    /// If a thread cannot be started.
    pub fn start_following<S, F>(
        log: &Arc<dyn OrderedLog>,
        config: &SequencerConfig<M::Config>,
        stores: F,
    ) -> Self
    where
        S: CheckpointStore + 'static,
        F: Fn(PartitionId) -> S + Clone + Send + 'static,
        M::Config: Sync,
    {
        let mut config = SequencerConfig { standby: false, ..config.clone() };
        config.partitions.iter_mut().for_each(|(worker, _)| worker.standby_checkpoints = false);
        let sequencer = Self::start_with(Rule::Assigned, log, &config, stores);
        for (worker, _) in &config.partitions {
            let assigned = sequencer.set_assignment(worker.partition, Assignment::Standby);
            assigned.expect("its partitions are there, and its threads have just been started");
        }
        sequencer
    }

    fn start_with<S, F>(
        rule: Rule,
        log: &Arc<dyn OrderedLog>,
        config: &SequencerConfig<M::Config>,
        stores: F,
    ) -> Self
    where
        S: CheckpointStore + 'static,
        F: Fn(PartitionId) -> S + Clone + Send + 'static,
        M::Config: Sync,
    {
        let threads = config.threads.clamp(1, config.partitions.len().max(1));
        let all = if config.standby { 2 * threads } else { threads };
        let mut mailboxes = Vec::new();
        let mut ears = Vec::new();
        for _ in 0..all {
            let (requests, inbox) = bounded(REQUESTS_MAX);
            let (bell, listener) = doorbell();
            mailboxes.push(Mailbox { requests, bell });
            ears.push((inbox, listener));
        }
        let partitions = config.partitions.iter().enumerate().map(|(at, (worker, _))| Partition {
            id: worker.partition,
            active: AtomicUsize::new(at % threads),
            status: Mutex::new(match rule {
                Rule::Fixed => PartitionStatus::new(worker.partition, Role::Active),
                Rule::Assigned => PartitionStatus::unassigned(worker.partition),
            }),
            standby: Mutex::new(None),
            orders: Mutex::default(),
        });
        let shared = Arc::new(Shared {
            rule,
            partitions: partitions.collect(),
            threads: mailboxes,
            readers: Arc::default(),
        });
        let handles = ears.into_iter().enumerate().map(|(number, (inbox, listener))| {
            let role = if number < threads { Role::Active } else { Role::Standby };
            let mine = config.partitions.iter().skip(number % threads).step_by(threads).cloned();
            let thread = thread::Thread {
                number,
                log: Arc::clone(log),
                shared: Arc::clone(&shared),
                inbox,
                listener,
                stores: stores.clone(),
                store: PhantomData::<fn() -> S>,
                partitions: mine.collect(),
                role,
                has_standby: config.standby,
            };
            std::thread::Builder::new()
                .name(format!("sequencer-{number}"))
                .spawn(move || thread.run())
                .expect("the system starts a thread")
        });
        let handles = handles.collect();
        Self { shared, threads: Mutex::new(handles) }
    }

    /// Says what a partition is from now on, and how it is handed over if it emits. `on_settled` hears when that is so; by
    /// then nothing more is said under an earlier assignment, and the partition can be given to somebody else.
    ///
    /// Returns at once. A later assignment replaces one that is not settled.
    ///
    /// # Errors
    /// [`SequencerError`] if the partition cannot be assigned here. Then `on_settled` hears that the sequencer ended, or
    /// nothing if there is no such partition.
    pub fn assign(
        &self,
        partition: PartitionId,
        to: Assignment,
        how: Handover,
        on_settled: impl FnOnce(Settled) + Send + 'static,
    ) -> Result<Generation, SequencerError> {
        if self.shared.rule == Rule::Fixed {
            return Err(SequencerError::Fixed);
        }
        let found = self.shared.partition(partition).ok_or(SequencerError::NoSuchPartition(partition))?;
        let on_settled: OnSettled = Box::new(on_settled);
        let (generation, before) = {
            let mut orders = lock(&found.orders);
            orders.last.0 += 1;
            let order = Order::new(to, orders.last, how, on_settled);
            (orders.last, orders.waiting.replace(order))
        };
        if let Some(mut before) = before {
            before.tell(Settled::Replaced);
        }
        match self.shared.send(found.active.load(Ordering::Acquire), Request::LookAtOrders) {
            // A thread with so much to do looks at its orders in between.
            Ok(()) | Err(SequencerError::Busy) => Ok(generation),
            Err(error) => {
                // Dropped outside the lock: it tells somebody.
                let waiting = lock(&found.orders).waiting.take();
                drop(waiting);
                Err(error)
            }
        }
    }

    /// Says what a partition is from now on. An active worker waits a little for its outputs in flight before it hands over.
    ///
    /// # Errors
    /// As [`Sequencer::assign`].
    pub fn set_assignment(
        &self,
        partition: PartitionId,
        to: Assignment,
    ) -> Result<Generation, SequencerError> {
        self.assign(partition, to, Handover::ORDERLY, drop)
    }

    /// What every partition says of itself.
    #[must_use]
    pub fn statuses(&self) -> Vec<PartitionStatus> {
        self.shared.partitions.iter().map(|partition| lock(&partition.status).clone()).collect()
    }

    /// Where whoever reads these partitions' logs in this process enters, so that retention leaves what it still needs.
    #[must_use]
    pub fn readers(&self) -> &Arc<ReaderMarks> {
        &self.shared.readers
    }

    /// What the standby of a partition says of itself.
    #[must_use]
    pub fn standby_status(&self, partition: PartitionId) -> Option<PartitionStatus> {
        lock(&self.shared.partition(partition)?.standby).clone()
    }

    /// Lets `query` look at a machine between two of its records.
    ///
    /// # Errors
    /// [`SequencerError`] if it cannot be asked. Then `query` is dropped without having been called.
    pub fn query(&self, partition: PartitionId, query: Query<M>) -> Result<(), SequencerError> {
        let thread = self.active_thread(partition)?;
        self.shared.send(thread, Request::Query(partition, query))
    }

    /// Looks at a machine and waits for the answer, which is `None` while the partition is not live.
    ///
    /// # Errors
    /// [`SequencerError`] if it cannot be asked.
    pub fn ask<R: Send + 'static>(
        &self,
        partition: PartitionId,
        look: impl FnOnce(&M, &PartitionStatus) -> R + Send + 'static,
    ) -> Result<Option<R>, SequencerError> {
        let (answer, answered) = bounded(1);
        self.query(
            partition,
            Box::new(move |machine, status| {
                // Whoever asked may have given up.
                answer.send(machine.map(|machine| look(machine, status))).ok();
            }),
        )?;
        answered.recv().map_err(|_| SequencerError::Ended)
    }

    /// Drops the active worker of a partition, as a crash would, and lets its standby take over.
    ///
    /// # Errors
    /// [`SequencerError`] if there is no such partition.
    pub fn fail_over(&self, partition: PartitionId) -> Result<(), SequencerError> {
        let thread = self.active_thread(partition)?;
        self.shared.send(thread, Request::Abandon(partition))
    }

    fn active_thread(&self, partition: PartitionId) -> Result<usize, SequencerError> {
        let found = self.shared.partition(partition).ok_or(SequencerError::NoSuchPartition(partition))?;
        Ok(found.active.load(Ordering::Acquire))
    }

    /// Writes a last checkpoint of every partition, as far as that is done within `patience`, and ends the threads. Says
    /// whether all were written; if not, the next start replays more of the log.
    pub fn stop(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        for thread in 0..self.shared.threads.len() {
            // A thread that has ended needs no telling.
            self.shared.send(thread, Request::Stop { deadline }).ok();
        }
        // A thread that panicked has said so. All are waited for, whatever one of them says.
        let saved: Vec<bool> = lock(&self.threads).drain(..).map(|it| it.join().unwrap_or(false)).collect();
        saved.into_iter().all(|saved| saved)
    }
}

impl<M> Drop for Sequencer<M> {
    fn drop(&mut self) {
        for thread in 0..self.shared.threads.len() {
            self.shared.send(thread, Request::Stop { deadline: Instant::now() }).ok();
        }
        for handle in lock(&self.threads).drain(..) {
            handle.join().ok();
        }
    }
}
