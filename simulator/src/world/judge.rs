//! Which reasons to stop are right as the world stands. Any other is a finding.

use holdfast_core::Halt;
use holdfast_engine::{Anchor, StopReason, StoreError};
use holdfast_log::simulated::Reading;
use holdfast_log::{OrderedLog, ReadError};

use super::build::unknown_rules;
use super::{Check, Which, World, WorldMark};

/// Faults that happened and may have broken a worker since.
pub(super) struct Excuses {
    /// Outputs were lost, by partition.
    pub(super) outputs: Vec<bool>,
    /// Decisions were trimmed, by partition.
    pub(super) trimmed: Vec<bool>,
    /// Disks could not be written to.
    pub(super) disks: Vec<bool>,
    /// The log has failed for good.
    pub(super) log_failed: bool,
}

impl Excuses {
    pub(super) fn new(partitions: usize, disks: usize) -> Self {
        Self {
            outputs: vec![false; partitions],
            trimmed: vec![false; partitions],
            disks: vec![false; disks],
            log_failed: false,
        }
    }

    pub(super) fn every_output(&mut self) {
        self.outputs.fill(true);
    }
}

impl World {
    /// A worker stopped. Was it right?
    pub(super) fn stopped(&mut self, host: usize, reason: &StopReason, reading: Option<Reading>) -> Check {
        let setup = self.hosts[host].setup;
        let next = self.hosts[host].next_offset();
        let place = Self::place(setup.partition);
        let low = self.log.watermarks(Self::stream(setup.partition, Which::Commands)).low.0;
        let right = match reason {
            StopReason::OutputLost(_) => self.excuses.outputs[place] || self.excuses.log_failed,
            StopReason::LogFailed(_) => self.excuses.log_failed,
            StopReason::Store(StoreError::Database { .. }) => {
                self.marks.hit(WorldMark::CheckpointWriteFailed);
                self.excuses.disks[setup.disk]
            }
            StopReason::Read(ReadError::Io(_)) => reading == Some(Reading::Fails),
            StopReason::TrimGap { .. } | StopReason::Read(ReadError::Trimmed { .. }) => {
                self.marks.hit(WorldMark::ReaderOvertakenByTrim);
                next < low || self.excuses.trimmed[place]
            }
            StopReason::Halt(Halt::UnknownRules(version)) => {
                self.halted(host, next, *version) || self.truths[place].stopped_at() == Some(next)
            }
            StopReason::Halt(Halt::OtherLog { .. }) => self.truths[place].stopped_at() == Some(next),
            _ => false,
        };
        if matches!(reason, StopReason::Halt(_)) && self.truths[place].stopped_at() == Some(next) {
            self.marks.hit(WorldMark::StoppedByRecordInTheLog);
        }
        self.drop_worker(host);
        // Whoever runs it starts a process that does not begin anew by itself.
        self.hosts[host].in_process &= reason.may_be_rebuilt();
        if right {
            return Ok(());
        }
        Err(format!("host {host} stopped before command {next}, for no reason: {reason}: {reason:?}"))
    }

    /// A build met rules that it does not know, and somebody else does.
    fn halted(&mut self, host: usize, next: u64, version: u32) -> bool {
        let setup = self.hosts[host].setup;
        let truth = &self.truths[Self::place(setup.partition)];
        let command = truth.command(holdfast_contracts::Offset(next));
        let settings = self.setup.settings(setup.partition);
        let there = command.and_then(|(payload, _)| unknown_rules(&settings, payload, setup.rules_newest));
        let old = setup.rules_newest < holdfast_core::RULES_VERSION_NEWEST;
        if old && there == Some(version) {
            self.hosts[host].needs_upgrade = true;
            self.marks.hit(WorldMark::OldBuildMetUnknownRules);
            return true;
        }
        false
    }

    /// A worker could not begin. Was it right?
    pub(super) fn could_not_begin(
        &mut self,
        host: usize,
        reason: &StopReason,
        anchor: Option<&Anchor>,
        damaged: bool,
    ) -> Check {
        let setup = self.hosts[host].setup;
        let low = self.log.watermarks(Self::stream(setup.partition, Which::Commands)).low;
        let needed = anchor.map_or(0, |anchor| anchor.next_offset.0);
        let right = match reason {
            StopReason::TrimGap { .. } => {
                self.marks.hit(WorldMark::TrimGapNoticed);
                needed < low.0 && (anchor.is_some() || !damaged)
            }
            StopReason::CheckpointLost { .. } => {
                self.marks.hit(WorldMark::CheckpointDamageStopped);
                // The verified copy, if there is one, ends before the log begins.
                damaged && needed < low.0
            }
            _ => false,
        };
        if right {
            self.hosts[host].needs_checkpoint = true;
            return Ok(());
        }
        Err(format!("host {host} could not begin, for no reason: {reason}: {reason:?}"))
    }
}
