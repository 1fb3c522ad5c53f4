//! One thread: steps its workers, answers requests between two steps, and sleeps when there is nothing to do.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;
use holdfast_contracts::{LogTime, PartitionId};
use holdfast_log::{Listener, OrderedLog, StreamId, Subscription};

use super::slot::{Rule, Slot};
use super::{Request, Shared};
use crate::machine::Machine;
use crate::store::CheckpointStore;
use crate::worker::{Role, WorkerConfig};

/// Longest sleep: a look now and then costs nothing and bounds what a lost wake-up could do.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// How often at most a standby looks at the log of outputs.
const STANDBY_LOOK: Duration = Duration::from_millis(20);
/// How often an orderly end looks whether it is done.
const ENDING_LOOK: Duration = Duration::from_millis(2);

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
        let partitions = std::mem::take(&mut self.partitions);
        let new = |(worker, machine)| Slot::new(worker, machine, self.shared.rule, self.role);
        let mut slots: Vec<Slot<M, S>> = partitions.into_iter().map(new).collect();
        let mut subscriptions: Vec<Option<Subscription>> = slots.iter().map(|_| None).collect();
        let mut stop_at = None;
        loop {
            while let Ok(request) = self.inbox.try_recv() {
                self.answer(&mut slots, request, &mut stop_at);
            }
            let wall = wall_clock();
            self.take_orders(&mut slots, wall);
            self.subscribe(&slots, &mut subscriptions);
            let (progressed, wake_at) = self.step_all(&mut slots, wall);
            if let Some(deadline) = stop_at {
                let done = slots.iter().all(is_saved);
                if done || Instant::now() >= deadline {
                    return done;
                }
            }
            if !progressed {
                self.sleep(&slots, wall, wake_at, stop_at.is_some());
            }
        }
    }

    /// Listens to the commands of the partitions that are run.
    fn subscribe(&self, slots: &[Slot<M, S>], subscriptions: &mut [Option<Subscription>]) {
        for (slot, subscription) in slots.iter().zip(subscriptions) {
            if !slot.listens() {
                *subscription = None;
            } else if subscription.is_none() {
                let commands = StreamId { topic: M::COMMANDS, partition: slot.config.partition };
                let waker = self.shared.threads[self.number].bell.waker();
                *subscription = Some(self.log.subscribe(commands, waker));
            }
        }
    }

    fn take_orders(&self, slots: &mut [Slot<M, S>], wall: LogTime) {
        if self.shared.rule == Rule::Fixed {
            return;
        }
        for slot in slots {
            let Some(partition) = self.shared.partition(slot.config.partition) else { continue };
            let order = super::lock(&partition.orders).waiting.take();
            if let Some(order) = order {
                slot.take(order, wall);
            }
        }
    }

    fn step_all(&self, slots: &mut [Slot<M, S>], wall: LogTime) -> (bool, Option<LogTime>) {
        let mut progressed = false;
        let mut wake_at: Option<LogTime> = None;
        for slot in slots {
            let partition = slot.config.partition;
            // Before a worker is built: perhaps none is wanted any more.
            progressed |= self.carry_out(slot, wall);
            let was_running = slot.worker.is_some() && !slot.is_waiting();
            slot.ensure(&self.log, || (self.stores)(partition), wall);
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
            progressed |= self.carry_out(slot, wall);
            self.shared.publish(slot.status(wall));
        }
        (progressed, wake_at)
    }

    /// Does what can be done for an assignment; says whether that is all.
    fn carry_out(&self, slot: &mut Slot<M, S>, wall: LogTime) -> bool {
        let Some((mut order, settled)) = slot.carry_out(wall) else { return false };
        // Whoever hears of it may look at the status next.
        self.shared.publish(slot.status(wall));
        order.tell(settled);
        true
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
            // They are looked at before every step.
            Request::LookAtOrders => {}
            Request::Query(partition, query) => {
                if let Some(at) = find(slots, partition) {
                    query(slots[at].machine(), &slots[at].status(wall_clock()));
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
        let wall = wall_clock();
        let is_ready = slot.machine().is_some();
        if !is_ready || !slot.promote(wall) {
            // Not ready: it is faster to begin anew as the active worker than to wait for a standby that lags.
            slot.abandon(Role::Active);
        }
        if let Some(partition) = self.shared.partition(slot.config.partition) {
            partition.active.store(self.number, Ordering::Release);
            // What this worker said as a standby must not be taken for the next one, which is still loading.
            *super::lock(&partition.standby) = None;
        }
        self.shared.publish(slot.status(wall));
    }

    fn sleep(&mut self, slots: &[Slot<M, S>], wall: LogTime, wake_at: Option<LogTime>, is_ending: bool) {
        let mut pause = wake_at.map_or(SLEEP_MAX, |at| Duration::from_millis(at.ms_since(wall)));
        if is_ending {
            // Nobody rings when the last output is acknowledged.
            pause = pause.min(ENDING_LOOK);
        }
        for slot in slots.iter().filter(|slot| slot.worker.is_some() || slot.rest().is_some()) {
            let look = if slot.role == Role::Standby { STANDBY_LOOK } else { SLEEP_MAX };
            pause = pause.min(slot.rest().unwrap_or(look));
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
