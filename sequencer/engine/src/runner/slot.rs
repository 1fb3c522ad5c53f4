//! A place for one worker: it is built, stepped, rebuilt when that may help, and stopped when it does not.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use holdfast_contracts::{LogTime, Offset};
use holdfast_log::OrderedLog;

use crate::machine::Machine;
use crate::status::{PartitionState, PartitionStatus};
use crate::stop::StopReason;
use crate::store::CheckpointStore;
use crate::worker::{Role, Step, Worker, WorkerConfig};

/// Times a worker is rebuilt without having applied anything in between.
const FRUITLESS_REBUILDS_MAX: u32 = 3;

pub(super) struct Slot<M: Machine, S> {
    pub(super) config: WorkerConfig,
    machine: M::Config,
    pub(super) role: Role,
    pub(super) worker: Option<Worker<M, S>>,
    stopped: Option<StopReason>,
    rebuilds: u32,
    /// Where the last worker failed, and how often in a row workers failed there.
    failed_at: Option<(Offset, u32)>,
}

impl<M: Machine, S: CheckpointStore> Slot<M, S> {
    pub(super) const fn new(config: WorkerConfig, machine: M::Config, role: Role) -> Self {
        Self { config, machine, role, worker: None, stopped: None, rebuilds: 0, failed_at: None }
    }

    /// Builds the worker if there is none and it may be built.
    pub(super) fn ensure(&mut self, log: &Arc<dyn OrderedLog>, store: impl FnOnce() -> S) {
        if self.worker.is_some() || self.stopped.is_some() {
            return;
        }
        let opened = guarded(Offset(0), || {
            Worker::open(self.config.clone(), &self.machine, Arc::clone(log), store(), self.role)
        });
        match opened {
            Ok(worker) => self.worker = Some(worker),
            Err(reason) => self.stopped = Some(reason),
        }
    }

    /// Steps the worker. `None` means that there is none to step, or that it failed just now.
    pub(super) fn step(&mut self, wall: LogTime) -> Option<Step> {
        let worker = self.worker.as_mut()?;
        match guarded(worker.next_offset(), || worker.step(wall)) {
            Ok(step) => Some(step),
            Err(reason) => {
                self.fail(reason);
                None
            }
        }
    }

    /// The worker failed: another try, or a stop.
    fn fail(&mut self, reason: StopReason) {
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

    /// Takes over from an active worker that is gone; says whether it did.
    pub(super) fn promote(&mut self) -> bool {
        let Some(worker) = self.worker.as_mut() else { return false };
        match guarded(worker.next_offset(), || worker.promote()) {
            Ok(true) => {
                self.role = Role::Active;
                true
            }
            Ok(false) => false,
            Err(reason) => {
                self.fail(reason);
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

    pub(super) fn status(&self) -> PartitionStatus {
        let mut status = PartitionStatus::new(self.config.partition, self.role);
        status.rebuilds = self.rebuilds;
        if let Some(worker) = &self.worker {
            status.state = if worker.is_ready() { PartitionState::Live } else { PartitionState::Replaying };
            status.next_offset = worker.next_offset();
            status.target = worker.target();
            status.out_seq = worker.out_seq();
            status.outputs_unacknowledged = worker.outputs_unacknowledged();
            status.checkpoint_offset = worker.checkpoint().next_offset;
            status.checkpoint_bytes = worker.checkpoint_bytes();
            status.checkpoint_damage = worker.checkpoint_damage().map(str::to_owned);
            status.log_time = worker.machine().now();
            status.clock_suspect = worker.machine().clock_is_suspect();
            status.backlog = worker.machine().has_backlog();
            status.records_applied = worker.records_applied();
        }
        if let Some(reason) = &self.stopped {
            status.state = PartitionState::Stopped(reason.clone());
        }
        status
    }
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
