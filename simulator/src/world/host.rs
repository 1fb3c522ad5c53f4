//! Processes: each runs one real worker at a time, or none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use holdfast_contracts::LogTime;
use holdfast_engine::{Role, StopReason, Worker};
use holdfast_log::OrderedLog;
use holdfast_log::simulated::Reading;

use super::build::Build;
use super::disk::SimStore;
use super::setup::HostSetup;
use super::{Check, World, WorldMark};
use crate::run::panic_message;

/// A process.
pub(super) struct Host {
    pub(super) setup: HostSetup,
    pub(super) worker: Option<Worker<Build, SimStore>>,
    /// Its next worker begins in a process that has had one before.
    pub(super) in_process: bool,
    /// It stopped because its build does not know the rules of the log.
    pub(super) needs_upgrade: bool,
    /// It stopped because the log has forgotten what it needs.
    pub(super) needs_checkpoint: bool,
}

impl Host {
    pub(super) const fn new(setup: HostSetup) -> Self {
        Self { setup, worker: None, in_process: false, needs_upgrade: false, needs_checkpoint: false }
    }

    /// Whether it has a worker for this partition.
    pub(super) fn works_for(&self, partition: u32) -> bool {
        self.setup.partition == partition && self.worker.is_some()
    }

    /// Whether it has a worker that emits.
    pub(super) fn is_active(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.role() == Role::Active)
    }

    pub(super) fn next_offset(&self) -> u64 {
        self.worker.as_ref().map_or(0, |worker| worker.next_offset().0)
    }
}

/// Does something to a worker; a panic is a finding.
pub(super) fn guarded<T>(
    part: impl FnOnce() -> Result<T, StopReason>,
) -> Result<Result<T, StopReason>, String> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|panic| format!("panic: {}", panic_message(panic.as_ref())))
}

impl World {
    /// One step; says whether the worker got on.
    pub(super) fn step_once(
        &mut self,
        host: usize,
        wall: u64,
        reading: Option<Reading>,
    ) -> Result<bool, String> {
        let Some(worker) = &mut self.hosts[host].worker else { return Ok(false) };
        let before = worker.next_offset();
        match guarded(|| worker.step(LogTime(wall)))? {
            Ok(step) => {
                let next = worker.next_offset();
                let waits = worker.role() == Role::Active && worker.outputs_unacknowledged() > 0;
                if waits && self.log.status() == holdfast_log::Status::DiskFull {
                    self.marks.hit(WorldMark::OutputWaitedForRoom);
                }
                if next != before {
                    self.check_digest(host)?;
                }
                Ok(step.progressed)
            }
            Err(reason) => {
                self.stopped(host, &reason, reading)?;
                Ok(false)
            }
        }
    }

    /// The state of a worker must be that of everybody who stood where it stands.
    pub(super) fn check_digest(&mut self, host: usize) -> Check {
        let Some(worker) = &self.hosts[host].worker else { return Ok(()) };
        let partition = self.hosts[host].setup.partition;
        let (next, digest) = (worker.next_offset().0, holdfast_engine::Machine::digest(worker.machine()));
        let truth = &mut self.truths[Self::place(partition)];
        truth.digest(next, digest, &mut self.marks).map_err(|why| format!("partition {partition}: {why}"))
    }

    /// The process of this host ends, with everybody in it.
    pub(super) fn kill(&mut self, host: usize) {
        let disk = self.hosts[host].setup.disk;
        if !self.is_used(disk) {
            return;
        }
        self.marks.hit(WorldMark::OwnerCrashed);
        self.marks.hit_if(self.disks[disk].waiting() > 0, WorldMark::OwnerCrashedWhileCheckpointWaited);
        for host in self.hosts.iter_mut().filter(|host| host.setup.disk == disk) {
            if let Some(worker) = host.worker.take() {
                self.marks.hit_if(
                    worker.role() == Role::Active && worker.outputs_unacknowledged() > 0,
                    WorldMark::OwnerCrashedWithOutputsUnacknowledged,
                );
            }
            host.in_process = false;
        }
        self.disks[disk].lose_process();
    }

    /// The worker ends; its process and what waits to be written stay.
    pub(super) fn drop_worker(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        host.in_process |= host.worker.take().is_some();
    }

    /// A stopped process gets the newest build.
    pub(super) fn upgrade(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        if host.worker.is_none() && host.setup.rules_newest < holdfast_core::RULES_VERSION_NEWEST {
            host.setup.rules_newest = holdfast_core::RULES_VERSION_NEWEST;
            host.needs_upgrade = false;
            host.in_process = false;
            self.marks.hit(WorldMark::OldBuildWasUpgraded);
        }
    }

    /// A standby takes over. The active worker of its own process ends first; one elsewhere does not know.
    pub(super) fn promote(&mut self, host: usize) -> Check {
        let HostSetup { disk, partition, .. } = self.hosts[host].setup;
        let ready = |worker: &Worker<_, _>| worker.role() == Role::Standby && worker.is_ready();
        if !self.hosts[host].worker.as_ref().is_some_and(ready) {
            return Ok(());
        }
        for other in 0..self.hosts.len() {
            if self.hosts[other].setup.disk == disk && self.hosts[other].is_active() {
                self.drop_worker(other);
            }
        }
        let beside = self.hosts.iter().any(|other| other.setup.partition == partition && other.is_active());
        let Some(worker) = &mut self.hosts[host].worker else { return Ok(()) };
        match guarded(|| worker.promote())? {
            Ok(promoted) => {
                self.marks.hit_if(promoted, WorldMark::StandbyPromoted);
                self.marks.hit_if(promoted && beside, WorldMark::StandbyPromotedBesideALiveOwner);
                Ok(())
            }
            Err(reason) => self.stopped(host, &reason, None),
        }
    }

    /// Two that emit, and one of them far behind the other.
    pub(super) fn note_zombie(&mut self, host: usize) {
        if !self.hosts[host].is_active() {
            return;
        }
        let partition = self.hosts[host].setup.partition;
        let here = self.hosts[host].next_offset();
        let mut others = self.hosts.iter().enumerate().filter(|(number, other)| {
            *number != host && other.setup.partition == partition && other.is_active()
        });
        let ahead = others.clone().any(|(_, other)| other.next_offset() > here + 8);
        self.marks.hit_if(others.next().is_some(), WorldMark::TwoActiveOwners);
        self.marks.hit_if(ahead, WorldMark::ZombieWokeUp);
    }
}
