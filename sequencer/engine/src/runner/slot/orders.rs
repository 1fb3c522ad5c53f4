//! Assignments that change: taking a partition over and giving it up.

use std::time::{Duration, Instant};

use holdfast_contracts::LogTime;

use super::{Rule, Slot};
use crate::assignment::{Assignment, Generation, Order, Settled};
use crate::machine::Machine;
use crate::status::{PartitionState, PartitionStatus};
use crate::store::CheckpointStore;
use crate::worker::{Role, Worker};

/// How often a change that waits for the log is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What a partition is to be, and how far it is with that.
pub(super) struct Orders {
    rule: Rule,
    assignment: Assignment,
    generation: Generation,
    under_way: Option<UnderWay>,
    promotions: u32,
    handovers: u32,
}

struct UnderWay {
    order: Order,
    since: LogTime,
    deadline: Instant,
}

impl Orders {
    pub(super) const fn new(rule: Rule, role: Role) -> Self {
        let assignment = match (rule, role) {
            (Rule::Assigned, _) => Assignment::None,
            (Rule::Fixed, Role::Active) => Assignment::Active,
            (Rule::Fixed, Role::Standby) => Assignment::Standby,
        };
        Self { rule, assignment, generation: Generation(0), under_way: None, promotions: 0, handovers: 0 }
    }

    pub(super) fn wants_worker(&self) -> bool {
        self.assignment != Assignment::None
    }

    pub(super) fn rest(&self) -> Option<Duration> {
        self.under_way.as_ref().map(|_| LOOK)
    }

    pub(super) fn taking_over_since(&self) -> Option<LogTime> {
        let under_way = self.under_way.as_ref()?;
        (under_way.order.to == Assignment::Active).then_some(under_way.since)
    }

    pub(super) fn describe(&self, status: &mut PartitionStatus) {
        status.generation = self.generation;
        status.promotions = self.promotions;
        status.handovers = self.handovers;
        if self.rule == Rule::Fixed {
            return;
        }
        status.assignment = self.assignment;
        status.is_settled = self.under_way.is_none();
        if self.assignment == Assignment::None && status.is_settled {
            status.state = PartitionState::Unassigned;
        }
    }
}

impl<M: Machine, S: CheckpointStore> Slot<M, S> {
    /// Whether the log is to wake it.
    pub(in crate::runner) fn listens(&self) -> bool {
        self.orders.wants_worker() || self.worker.is_some()
    }

    /// Begins to carry out an assignment. It replaces the one before, wherever that stands.
    pub(in crate::runner) fn take(&mut self, order: Order, wall: LogTime) {
        if let Some(mut before) = self.orders.under_way.take() {
            before.order.tell(Settled::Replaced);
        }
        self.orders.assignment = order.to;
        self.orders.generation = order.generation;
        // What stopped the partition under another assignment may have been put right since.
        self.stopped = None;
        self.failed_at = None;
        if let Some(worker) = self.worker.as_mut() {
            if order.to == Assignment::Active {
                worker.go_on();
            } else if worker.role() == Role::Active {
                worker.pause();
                if order.how.checkpoint {
                    worker.request_checkpoint();
                }
            }
        }
        let deadline = Instant::now() + order.how.patience;
        self.orders.under_way = Some(UnderWay { order, since: wall, deadline });
    }

    /// Does what can be done for the assignment now. When the partition has become what it is to be, whoever ordered it is to
    /// be told so.
    pub(in crate::runner) fn carry_out(&mut self, wall: LogTime) -> Option<(Order, Settled)> {
        let settled = match self.orders.under_way.as_ref()?.order.to {
            Assignment::Active => self.take_over(wall),
            Assignment::Standby | Assignment::None => self.give_up(),
        }?;
        let under_way = self.orders.under_way.take()?;
        Some((under_way.order, settled))
    }

    fn take_over(&mut self, wall: LogTime) -> Option<Settled> {
        self.role = Role::Active;
        match self.worker.as_ref().map(Worker::role) {
            // The next one begins as the active worker.
            None => self.stopped.is_some().then_some(Settled::Abrupt),
            Some(Role::Active) => Some(Settled::Orderly),
            Some(Role::Standby) if self.is_waiting() || !self.promote(wall) => None,
            Some(Role::Standby) => {
                self.orders.promotions += 1;
                Some(Settled::Orderly)
            }
        }
    }

    fn give_up(&mut self) -> Option<Settled> {
        let under_way = self.orders.under_way.as_ref()?;
        let mut settled = Settled::Orderly;
        match &self.worker {
            Some(worker) if worker.role() == Role::Active => {
                let is_said = worker.outputs_unacknowledged() == 0;
                let is_saved = !under_way.order.how.checkpoint || worker.is_requested_checkpoint_written();
                if !(is_said && is_saved) {
                    if Instant::now() < under_way.deadline {
                        return None;
                    }
                    settled = Settled::Abrupt;
                }
                self.orders.handovers += 1;
            }
            // It failed, and whoever is next reads back what it said.
            None if self.role == Role::Active => settled = Settled::Abrupt,
            _ => {}
        }
        self.role = Role::Standby;
        let stays = under_way.order.to == Assignment::Standby;
        if let Some(worker) = self.worker.as_mut()
            && !(stays && worker.demote())
        {
            self.worker = None;
        }
        if !stays {
            self.outage = None;
        }
        Some(settled)
    }
}
