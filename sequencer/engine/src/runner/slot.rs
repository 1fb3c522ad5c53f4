//! A place for one worker: it is built, stepped, rebuilt when that may help, and stopped when it does not.

mod orders;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::{LogTime, Offset};
use holdfast_log::OrderedLog;

use crate::machine::Machine;
use crate::status::{PartitionState, PartitionStatus, Stuck};
use crate::stop::StopReason;
use crate::store::CheckpointStore;
use crate::worker::{Role, STUCK_AFTER_MS, Step, Worker, WorkerConfig};

/// Times a worker is rebuilt without having applied anything in between.
const FRUITLESS_REBUILDS_MAX: u32 = 3;

/// Pauses before another try while the log is away.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Who says what a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It was said once, and the log is near: what it does not answer is damage.
    Fixed,
    /// It changes, and the log is elsewhere: it may be away for a while, and nothing is wrong here.
    Assigned,
}

pub(super) struct Slot<M: Machine, S> {
    pub(super) config: WorkerConfig,
    machine: M::Config,
    rule: Rule,
    pub(super) role: Role,
    pub(super) worker: Option<Worker<M, S>>,
    stopped: Option<StopReason>,
    rebuilds: u32,
    /// Where the last worker failed, and how often in a row workers failed there.
    failed_at: Option<(Offset, u32)>,
    outage: Option<Outage>,
    orders: orders::Orders,
}

/// The log is away, or loses what it is given.
struct Outage {
    since: LogTime,
    why: String,
    /// When to try again, and how long to wait after that.
    try_at: Instant,
    pause: Duration,
    /// The first command whose output was not in the log when it began.
    unsaid: Offset,
}

impl<M: Machine, S: CheckpointStore> Slot<M, S> {
    pub(super) fn new(config: WorkerConfig, machine: M::Config, rule: Rule, role: Role) -> Self {
        let orders = orders::Orders::new(rule, role);
        let role = if rule == Rule::Assigned { Role::Standby } else { role };
        Self {
            config,
            machine,
            rule,
            role,
            worker: None,
            stopped: None,
            rebuilds: 0,
            failed_at: None,
            outage: None,
            orders,
        }
    }

    /// Builds the worker if there is none and it may be built.
    pub(super) fn ensure(&mut self, log: &Arc<dyn OrderedLog>, store: impl FnOnce() -> S, wall: LogTime) {
        if self.worker.is_some() || self.stopped.is_some() || !self.orders.wants_worker() || self.is_waiting()
        {
            return;
        }
        let opened = guarded(Offset(0), || {
            Worker::open(self.config.clone(), &self.machine, Arc::clone(log), store(), self.role)
        });
        match opened {
            Ok(worker) => self.worker = Some(worker),
            Err(reason) if self.rule == Rule::Fixed => self.stopped = Some(reason),
            Err(reason) => self.fail(reason, wall),
        }
    }

    /// Steps the worker. `None` means that there is none to step, or that it failed just now.
    pub(super) fn step(&mut self, wall: LogTime) -> Option<Step> {
        if self.is_waiting() {
            return None;
        }
        let worker = self.worker.as_mut()?;
        match guarded(worker.next_offset(), || worker.step(wall)) {
            Ok(step) => {
                self.note_recovery();
                Some(step)
            }
            Err(reason) => {
                self.fail(reason, wall);
                None
            }
        }
    }

    /// The worker failed: another try, or a stop.
    fn fail(&mut self, reason: StopReason, wall: LogTime) {
        if self.rule == Rule::Assigned && reason.may_be_waited_out() {
            self.note_outage(&reason, wall);
            if !reason.is_outage() && self.worker.take().is_some() {
                self.rebuilds += 1;
            }
            return;
        }
        let at = self.worker.take().map_or(Offset(0), |worker| worker.next_offset());
        let times = match self.failed_at {
            Some((before, times)) if before == at => times + 1,
            _ => 1,
        };
        self.failed_at = Some((at, times));
        // A machine that fails twice at one record will fail at it for ever.
        let hopeless = matches!(reason, StopReason::Invariant { .. }) && times > 1;
        if !reason.may_be_rebuilt() || hopeless || times > FRUITLESS_REBUILDS_MAX {
            self.stopped = Some(reason);
        } else {
            self.rebuilds += 1;
        }
    }

    fn note_outage(&mut self, reason: &StopReason, wall: LogTime) {
        let unsaid = self.worker.as_ref().map_or(Offset(0), Worker::acknowledged_offset);
        let before = self.outage.take();
        let pause = before.as_ref().map_or(PAUSE_MIN, |outage| outage.pause);
        self.outage = Some(Outage {
            since: before.as_ref().map_or(wall, |outage| outage.since),
            why: with_cause(reason),
            try_at: Instant::now() + pause,
            pause: (2 * pause).min(PAUSE_MAX),
            unsaid: before.map_or(unsaid, |outage| outage.unsaid.max(unsaid)),
        });
    }

    /// An outage has ended when a worker is up to date and something was acknowledged, or nothing has to be.
    fn note_recovery(&mut self) {
        let (Some(outage), Some(worker)) = (&self.outage, &self.worker) else { return };
        let was_heard = worker.acknowledged_offset() > outage.unsaid || worker.outputs_unacknowledged() == 0;
        if worker.is_ready() && (was_heard || worker.role() == Role::Standby) {
            self.outage = None;
        }
    }

    /// Whether nothing is tried for a while.
    pub(super) fn is_waiting(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| Instant::now() < outage.try_at)
    }

    /// How long nothing has to be done, if it is known.
    pub(super) fn rest(&self) -> Option<Duration> {
        let outage =
            self.outage.as_ref().map(|outage| outage.try_at.saturating_duration_since(Instant::now()));
        outage.filter(|rest| !rest.is_zero()).into_iter().chain(self.orders.rest()).min()
    }

    /// Takes over from an active worker that is gone; says whether it did.
    pub(super) fn promote(&mut self, wall: LogTime) -> bool {
        let Some(worker) = self.worker.as_mut() else { return false };
        match guarded(worker.next_offset(), || worker.promote()) {
            Ok(true) => {
                self.role = Role::Active;
                true
            }
            Ok(false) => false,
            Err(reason) => {
                self.fail(reason, wall);
                false
            }
        }
    }

    /// Drops the worker without a word; the next one, if there is one, has this role.
    pub(super) fn abandon(&mut self, next: Role) {
        self.worker = None;
        self.role = next;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The machine, once the partition is live.
    pub(super) fn machine(&self) -> Option<&M> {
        self.worker.as_ref().filter(|worker| worker.is_ready()).map(Worker::machine)
    }

    pub(super) fn status(&self, wall: LogTime) -> PartitionStatus {
        let mut status = PartitionStatus::new(self.config.partition, self.role);
        status.rebuilds = self.rebuilds;
        if let Some(worker) = &self.worker {
            status.state = if worker.is_ready() { PartitionState::Live } else { PartitionState::Replaying };
            status.next_offset = worker.next_offset();
            status.target = worker.target();
            status.out_seq = worker.out_seq();
            status.outputs_unacknowledged = worker.outputs_unacknowledged();
            status.acknowledged_offset = worker.acknowledged_offset();
            status.output_waits_since = worker.output_waits_since();
            status.log_end = worker.log_end();
            status.lag_ms = worker.lag_ms(wall);
            status.checkpoint_offset = worker.checkpoint().next_offset;
            status.checkpoint_bytes = worker.checkpoint_bytes();
            status.checkpoint_damage = worker.checkpoint_damage().map(str::to_owned);
            status.log_time = worker.machine().now();
            status.clock_suspect = worker.machine().clock_is_suspect();
            status.backlog = worker.machine().has_backlog();
            status.records_applied = worker.records_applied();
        }
        self.orders.describe(&mut status);
        status.stuck = self.stuck(wall);
        if let Some(reason) = &self.stopped {
            status.state = PartitionState::Stopped(reason.clone());
        }
        status
    }

    fn stuck(&self, wall: LogTime) -> Option<Stuck> {
        if let Some(outage) = &self.outage {
            return Some(Stuck { since: outage.since, why: outage.why.clone() });
        }
        let worker = self.worker.as_ref()?;
        let waits = match worker.role() {
            Role::Active => (worker.output_waits_since(), "the log does not acknowledge decisions"),
            Role::Standby if worker.is_full_of_outputs() => (
                worker.output_waits_since(),
                "it derives decisions that nobody emits, and keeps as many as it may",
            ),
            Role::Standby => (None, ""),
        };
        let tick = if worker.role() == Role::Active { worker.tick_waits_since() } else { None };
        let all = [
            waits,
            (tick, "the log does not acknowledge commands"),
            (worker.command_waits_since(), "commands that are in the log cannot be had"),
            (self.orders.taking_over_since(), "it cannot tell which decisions are in the log"),
        ];
        let long = all.into_iter().filter_map(|(since, why)| Some((since?, why)));
        let long = long.filter(|(since, _)| wall.ms_since(*since) >= STUCK_AFTER_MS);
        long.min_by_key(|(since, _)| *since).map(|(since, why)| Stuck { since, why: why.to_owned() })
    }
}

/// What is wrong, with what is behind it.
fn with_cause(reason: &StopReason) -> String {
    let mut text = reason.to_string();
    let mut cause = std::error::Error::source(reason);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs a part of a worker. A broken invariant becomes a reason to stop instead of ending the thread.
fn guarded<T>(at: Offset, part: impl FnOnce() -> Result<T, StopReason>) -> Result<T, StopReason> {
    // The worker is dropped after a panic, so nobody sees what it left half done.
    catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|panic| {
        Err(StopReason::Invariant { offset: at, message: message_of(panic.as_ref()) })
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
