//! One thread: steps its workers, answers requests between two steps, and sleeps when there is nothing to do.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;
use holdfast_contracts::{LogTime, PartitionId};
use holdfast_log::{Listener, OrderedLog, StreamId, Subscription};

use super::slot::Slot;
use super::{Request, Shared};
use crate::machine::Machine;
use crate::store::CheckpointStore;
use crate::worker::{Role, WorkerConfig};

/// Longest sleep: a look now and then costs nothing and bounds what a lost wake-up could do.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// How often at most a standby looks at the log of outputs.
const STANDBY_LOOK: Duration = Duration::from_millis(20);

pub(super) struct Thread<M: Machine, S, F> {
    pub(super) number: usize,
    pub(super) log: Arc<dyn OrderedLog>,
    pub(super) shared: Arc<Shared<M>>,
    pub(super) inbox: Receiver<Request<M>>,
    pub(super) listener: Listener,
    pub(super) stores: F,
    pub(super) store: PhantomData<fn() -> S>,
    pub(super) partitions: Vec<(WorkerConfig, M::Config)>,
    pub(super) role: Role,
    pub(super) has_standby: bool,
}

impl<M, S, F> Thread<M, S, F>
where
    M: Machine,
    S: CheckpointStore,
    F: Fn(PartitionId) -> S,
{
    /// Runs until it is told to stop; says whether everything was saved by then. If it ends in another way, its
    /// partitions say so.
    pub(super) fn run(self) -> bool {
        let shared = Arc::clone(&self.shared);
        let partitions: Vec<_> = self.partitions.iter().map(|(worker, _)| worker.partition).collect();
        let number = self.number;
        // Everything the thread had is gone by then.
        catch_unwind(AssertUnwindSafe(|| self.work())).unwrap_or_else(|_| {
            partitions.iter().for_each(|partition| shared.publish_end(*partition, number));
            false
        })
    }

    fn work(mut self) -> bool {
        let _subscriptions = self.subscribe();
        let partitions = std::mem::take(&mut self.partitions);
        let mut slots: Vec<Slot<M, S>> =
            partitions.into_iter().map(|(worker, machine)| Slot::new(worker, machine, self.role)).collect();
        let mut stop_at = None;
        loop {
            while let Ok(request) = self.inbox.try_recv() {
                self.answer(&mut slots, request, &mut stop_at);
            }
            let wall = wall_clock();
            let (progressed, wake_at) = self.step_all(&mut slots, wall);
            if let Some(deadline) = stop_at {
                let done = slots.iter().all(is_saved);
                if done || Instant::now() >= deadline {
                    return done;
                }
            }
            if !progressed {
                self.sleep(wall, wake_at);
            }
        }
    }

    fn subscribe(&self) -> Vec<Subscription> {
        let waker = self.shared.threads[self.number].bell.waker();
        let streams = self
            .partitions
            .iter()
            .map(|(worker, _)| StreamId { topic: M::COMMANDS, partition: worker.partition });
        streams.map(|stream| self.log.subscribe(stream, waker.clone())).collect()
    }

    fn step_all(&self, slots: &mut [Slot<M, S>], wall: LogTime) -> (bool, Option<LogTime>) {
        let mut progressed = false;
        let mut wake_at: Option<LogTime> = None;
        for slot in slots {
            let partition = slot.config.partition;
            let was_running = slot.worker.is_some();
            slot.ensure(&self.log, || (self.stores)(partition));
            match slot.step(wall) {
                Some(step) => {
                    progressed |= step.progressed;
                    wake_at = wake_at.into_iter().chain(step.wake_at).min();
                }
                // A failed worker is rebuilt at once, unless its standby is there.
                None if was_running => {
                    progressed = true;
                    self.hand_over(slot);
                }
                None => {}
            }
            self.shared.publish(slot.status());
        }
        (progressed, wake_at)
    }

    /// The worker of an active slot is gone: its standby is asked to take over, and this slot becomes the standby.
    fn hand_over(&self, slot: &mut Slot<M, S>) {
        if slot.role != Role::Active || !self.has_standby {
            return;
        }
        let partition = slot.config.partition;
        let other = self.other_thread();
        if self.shared.send(other, Request::Promote(partition)).is_ok() {
            slot.abandon(Role::Standby);
        }
    }

    /// The thread that has the other worker of every partition of this one.
    fn other_thread(&self) -> usize {
        let half = self.shared.threads.len() / 2;
        (self.number + half) % self.shared.threads.len()
    }

    fn answer(&self, slots: &mut [Slot<M, S>], request: Request<M>, stop_at: &mut Option<Instant>) {
        let find = |slots: &mut [Slot<M, S>], partition| {
            slots.iter().position(|slot: &Slot<M, S>| slot.config.partition == partition)
        };
        match request {
            Request::Query(partition, query) => {
                if let Some(at) = find(slots, partition) {
                    query(slots[at].machine(), &slots[at].status());
                }
            }
            Request::Promote(partition) => {
                if let Some(at) = find(slots, partition) {
                    self.take_over(&mut slots[at]);
                }
            }
            Request::Abandon(partition) => {
                if let Some(at) = find(slots, partition) {
                    slots[at].abandon(Role::Active);
                    self.hand_over(&mut slots[at]);
                }
            }
            Request::Stop { deadline } => {
                *stop_at = Some(deadline);
                for worker in slots.iter_mut().filter_map(|slot| slot.worker.as_mut()) {
                    worker.request_checkpoint();
                }
            }
        }
    }

    fn take_over(&self, slot: &mut Slot<M, S>) {
        if !slot.promote() {
            // Not ready: it is faster to begin anew as the active worker than to wait for a standby that lags.
            slot.abandon(Role::Active);
        }
        if let Some(partition) = self.shared.partition(slot.config.partition) {
            partition.active.store(self.number, Ordering::Release);
            // What this worker said as a standby must not be taken for the next one, which is still loading.
            *super::lock(&partition.standby) = None;
        }
        self.shared.publish(slot.status());
    }

    fn sleep(&mut self, wall: LogTime, wake_at: Option<LogTime>) {
        let mut pause = wake_at.map_or(SLEEP_MAX, |at| Duration::from_millis(at.ms_since(wall)));
        if self.role == Role::Standby {
            pause = pause.min(STANDBY_LOOK);
        }
        self.listener.wait_until(Instant::now() + pause.min(SLEEP_MAX));
    }
}

/// Whether an orderly end has nothing left to wait for.
fn is_saved<M: Machine, S: CheckpointStore>(slot: &Slot<M, S>) -> bool {
    let Some(worker) = &slot.worker else { return true };
    slot.is_stopped()
        || slot.role == Role::Standby
        || (worker.is_requested_checkpoint_written() && worker.outputs_unacknowledged() == 0)
}

fn wall_clock() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
