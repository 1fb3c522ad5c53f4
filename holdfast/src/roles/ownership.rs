//! Carries out what the group decides: who runs which partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_core::Machine;
use holdfast_engine::{Assignment, Handover, PartitionStatus, Sequencer, Settled};
use holdfast_log::kafka::{
    Generation, KafkaConfig, KafkaError, MemberEvent, Membership, MembershipConfig, MembershipNumbers,
};

/// How long a broken membership waits before it is joined again.
const REJOIN_AFTER: Duration = Duration::from_secs(1);
/// Who is fenced twice within this time shares an instance id. Once it may be fenced by itself: a coordinator that took over
/// finds two requests to join of one member, the first of which was given up, and takes them for two members
/// (KAFKA-20985 tells the whole story).
const FENCED_AGAIN: Duration = Duration::from_secs(30);

/// How long what is owned may be out of order before others are let have it.
const GIVE_WAY_AFTER: Duration = Duration::from_secs(10);
/// How often a process that stays out of the group looks whether it may join.
const HOLD_BACK: Duration = Duration::from_secs(2);
/// How long a process without standbys stays out that gave way: it does not know whether it could do better now.
const STAY_AWAY: Duration = Duration::from_secs(60);

/// Makes every partition the same.
pub(super) fn assign_all(sequencer: &Sequencer<Machine>, to: Assignment) {
    for status in sequencer.statuses() {
        if let Err(error) = sequencer.set_assignment(status.partition, to) {
            tracing::error!(partition = status.partition.0, %error, "the partition cannot be assigned");
        }
    }
}

/// Whether a partition cannot be run here, for reasons that others need not have.
fn is_unable(status: &PartitionStatus) -> bool {
    status.is_stopped() || (status.stuck.is_some() && !status.is_live())
}

/// Why a process must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fenced;

/// The place of this process in the group, and what follows from it.
pub(super) struct Ownership {
    kafka: KafkaConfig,
    config: MembershipConfig,
    sequencer: Arc<Sequencer<Machine>>,
    /// What a partition is that this process does not own.
    otherwise: Assignment,
    membership: Option<Arc<Membership>>,
    rejoin_at: Instant,
    fenced_at: Option<Instant>,
    /// Since when something that is owned cannot be run here.
    unable_since: Option<Instant>,
    /// Leaving because of that, to join again later.
    gives_way: bool,
    /// It was said why the group is not joined.
    held_back: bool,
    owned: BTreeMap<PartitionId, Generation>,
    left: bool,
    draining: bool,
}

impl Ownership {
    pub(super) fn new(
        kafka: KafkaConfig,
        config: MembershipConfig,
        sequencer: Arc<Sequencer<Machine>>,
        otherwise: Assignment,
    ) -> Self {
        Self {
            kafka,
            config,
            sequencer,
            otherwise,
            membership: None,
            rejoin_at: Instant::now(),
            fenced_at: None,
            unable_since: None,
            gives_way: false,
            held_back: false,
            owned: BTreeMap::new(),
            left: false,
            draining: false,
        }
    }

    /// Waits for what happens next, at most until then, and does what follows from it.
    pub(super) fn look(&mut self, until: Instant) -> Result<(), Fenced> {
        let Some(membership) = self.membership.clone() else {
            self.rejoin();
            // Nothing comes from nowhere; the caller has other things to look at.
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            return Ok(());
        };
        let mut next = membership.next_until(until);
        while let Some(event) = next {
            self.follow(&membership, event)?;
            next = membership.try_next();
        }
        Ok(())
    }

    /// Leaves what cannot be run here to others, if there are any. Alone, it keeps what it can run.
    pub(super) fn give_way(&mut self, statuses: &[PartitionStatus]) {
        let Some(membership) = self.membership.clone() else { return };
        let unable = statuses.iter().find(|it| self.owned.contains_key(&it.partition) && is_unable(it));
        let Some(unable) = unable.filter(|_| !self.draining && !self.gives_way) else {
            self.unable_since = None;
            return;
        };
        let since = *self.unable_since.get_or_insert_with(Instant::now);
        if since.elapsed() < GIVE_WAY_AFTER {
            return;
        }
        // Asked again after as long a time.
        self.unable_since = None;
        if Membership::has_others(&self.kafka, &self.config).unwrap_or(false) {
            let partition = unable.partition.0;
            tracing::error!(
                partition,
                "the partition cannot be run here: leaving the group to those who may"
            );
            self.gives_way = true;
            membership.leave();
        }
    }

    /// Whether the group has to wait for this process: what it would be given it cannot run, or not yet, and others can.
    fn is_held_back(&mut self) -> bool {
        let statuses = self.sequencer.statuses();
        let behind = statuses.iter().find(|it| it.assignment != Assignment::None && !it.is_live());
        let Some(behind) = behind else {
            self.held_back = false;
            return false;
        };
        if !Membership::has_others(&self.kafka, &self.config).unwrap_or(false) {
            return false;
        }
        if !std::mem::replace(&mut self.held_back, true) {
            let (partition, state) = (behind.partition.0, behind.state.name());
            tracing::info!(partition, state, "others have the partitions until this process can run them");
        }
        self.rejoin_at = Instant::now() + if is_unable(behind) { HOLD_BACK } else { HOLD_BACK / 4 };
        true
    }

    fn rejoin(&mut self) {
        if self.left || self.draining || Instant::now() < self.rejoin_at || self.is_held_back() {
            return;
        }
        match Membership::join(&self.kafka, self.config.clone(), std::task::Waker::noop().clone()) {
            Ok(membership) => self.membership = Some(Arc::new(membership)),
            Err(error) => self.wait_to_rejoin(&error),
        }
    }

    fn wait_to_rejoin(&mut self, error: &KafkaError) {
        tracing::error!(%error, "the group cannot be joined; trying again");
        self.rejoin_at = Instant::now() + REJOIN_AFTER;
    }

    fn follow(&mut self, membership: &Arc<Membership>, event: MemberEvent) -> Result<(), Fenced> {
        match event {
            MemberEvent::Assigned { partition, generation } => {
                tracing::info!(partition = partition.0, generation = generation.0, "the partition is ours");
                self.owned.insert(partition, generation);
                self.assign(partition, Assignment::Active, Handover::AT_ONCE, |_| {});
            }
            MemberEvent::Revoked { partition, generation } => {
                tracing::info!(
                    partition = partition.0,
                    generation = generation.0,
                    "the partition goes to another process"
                );
                self.owned.remove(&partition);
                let how = Handover { patience: self.config.release_timeout, checkpoint: false };
                let membership = Arc::downgrade(membership);
                self.assign(partition, self.otherwise, how, move |settled| {
                    tracing::info!(partition = partition.0, ?settled, "the partition is handed over");
                    if let Some(membership) = membership.upgrade() {
                        membership.release(partition, generation);
                    }
                });
            }
            MemberEvent::Lost { partition, generation } => {
                tracing::warn!(
                    partition = partition.0,
                    generation = generation.0,
                    "the partition was lost: another process may have it by now"
                );
                self.owned.remove(&partition);
                self.assign(partition, self.otherwise, Handover::AT_ONCE, |_| {});
            }
            MemberEvent::Fenced => {
                let again = self.fenced_at.is_some_and(|at| at.elapsed() < FENCED_AGAIN);
                self.fenced_at = Some(Instant::now());
                self.join_anew();
                if again {
                    // There is nothing to leave and nobody to hand over to: the other one has it already.
                    (self.draining, self.left) = (true, true);
                    return Err(Fenced);
                }
                tracing::warn!("the group took another member for this one; joining again");
            }
            MemberEvent::Left if self.gives_way && !self.draining => {
                self.gives_way = false;
                self.join_anew();
                if self.otherwise == Assignment::None {
                    self.rejoin_at = Instant::now() + STAY_AWAY;
                }
            }
            MemberEvent::Left => self.left = true,
            MemberEvent::Failed { reason } => {
                tracing::error!(reason, "membership of the group does not work; joining again");
                self.join_anew();
            }
        }
        Ok(())
    }

    fn join_anew(&mut self) {
        self.give_up_all();
        self.membership = None;
        // Whoever is about to leave has left.
        self.left |= self.draining;
        self.rejoin_at = Instant::now() + REJOIN_AFTER;
    }

    fn give_up_all(&mut self) {
        for (partition, _) in std::mem::take(&mut self.owned) {
            self.assign(partition, self.otherwise, Handover::AT_ONCE, |_| {});
        }
    }

    fn assign(
        &self,
        partition: PartitionId,
        to: Assignment,
        how: Handover,
        settled: impl FnOnce(Settled) + Send + 'static,
    ) {
        if let Err(error) = self.sequencer.assign(partition, to, how, settled) {
            tracing::error!(partition = partition.0, %error, "the partition cannot be assigned");
        }
    }

    /// Tells lag tools how far the owned partitions are.
    pub(super) fn commit(&self, statuses: &[PartitionStatus]) {
        let Some(membership) = &self.membership else { return };
        for status in statuses {
            if self.owned.contains_key(&status.partition) && status.is_live() {
                membership.commit(status.partition, status.acknowledged_offset);
            }
        }
    }

    /// Leaves the group, so that others take over without waiting. What is owned is handed over as for any revocation.
    pub(super) fn leave(&mut self) {
        self.draining = true;
        match &self.membership {
            Some(membership) => membership.leave(),
            None => self.left = true,
        }
    }

    /// Whether the group is left, and everything was handed over.
    pub(super) fn has_left(&self) -> bool {
        self.left && self.owned.is_empty()
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.draining
    }

    pub(super) fn numbers(&self) -> Option<MembershipNumbers> {
        self.membership.as_ref().map(|it| it.numbers())
    }
}
