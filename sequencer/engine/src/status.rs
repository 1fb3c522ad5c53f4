//! What a partition says of itself.

use holdfast_contracts::{LogTime, Offset, OutSeq, PartitionId};

use crate::assignment::{Assignment, Generation};
use crate::stop::StopReason;
use crate::worker::Role;

/// What a partition is doing.
#[derive(Debug, Clone)]
pub enum PartitionState {
    /// Not run here.
    Unassigned,
    /// Loading its checkpoint.
    Loading,
    /// Applying what was in the log when it began.
    Replaying,
    /// Up to date.
    Live,
    /// Standing still until somebody does something about it.
    Stopped(StopReason),
}

impl PartitionState {
    /// One word for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Loading => "loading",
            Self::Replaying => "replaying",
            Self::Live => "live",
            Self::Stopped(_) => "stopped",
        }
    }
}

/// Something that should go on and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Since when, by the wall clock.
    pub since: LogTime,
    /// What is waited for, for people.
    pub why: String,
}

/// A partition as one of its workers sees it.
#[derive(Debug, Clone)]
pub struct PartitionStatus {
    /// The partition.
    pub partition: PartitionId,
    /// What it is doing.
    pub state: PartitionState,
    /// Whether it emits.
    pub role: Role,
    /// The first command not applied.
    pub next_offset: Offset,
    /// Commands that must be applied before it is ready.
    pub target: Offset,
    /// The last output derived.
    pub out_seq: OutSeq,
    /// Outputs not yet acknowledged by the log.
    pub outputs_unacknowledged: usize,
    /// The first command that is not in the last checkpoint.
    pub checkpoint_offset: Offset,
    /// Bytes of the last checkpoint.
    pub checkpoint_bytes: u64,
    /// What was wrong with the checkpoint it began from, if an older one or the log had to stand in for it.
    pub checkpoint_damage: Option<String>,
    /// Log time.
    pub log_time: LogTime,
    /// Log time stands still until ticks agree.
    pub clock_suspect: bool,
    /// Due work that the last record left undone.
    pub backlog: bool,
    /// Command records applied since the process began.
    pub records_applied: u64,
    /// Times it was rebuilt from checkpoint and log.
    pub rebuilds: u32,
    /// What it is run as.
    pub assignment: Assignment,
    /// Counts its assignments.
    pub generation: Generation,
    /// It has become what it is assigned to be. While it has not, it is handing over, or taking over.
    pub is_settled: bool,
    /// The first command whose output is not known to be in the log.
    pub acknowledged_offset: Offset,
    /// The offset after the last command in the log, as far as is known.
    pub log_end: Offset,
    /// At most how many milliseconds the oldest command that is not applied has been in the log; 0 if all are applied.
    pub lag_ms: u64,
    /// Since when the oldest output that is not known to be in the log waits for that, by the wall clock: of an active worker
    /// for the log to acknowledge it, of a standby for somebody to emit it.
    pub output_waits_since: Option<LogTime>,
    /// What it waits for and has waited for too long.
    pub stuck: Option<Stuck>,
    /// Times a standby became active here.
    pub promotions: u32,
    /// Times an active worker was taken back here.
    pub handovers: u32,
}

impl PartitionStatus {
    pub(crate) const fn new(partition: PartitionId, role: Role) -> Self {
        Self {
            partition,
            state: PartitionState::Loading,
            role,
            next_offset: Offset(0),
            target: Offset(0),
            out_seq: OutSeq(0),
            outputs_unacknowledged: 0,
            checkpoint_offset: Offset(0),
            checkpoint_bytes: 0,
            checkpoint_damage: None,
            log_time: LogTime(0),
            clock_suspect: false,
            backlog: false,
            records_applied: 0,
            rebuilds: 0,
            assignment: match role {
                Role::Active => Assignment::Active,
                Role::Standby => Assignment::Standby,
            },
            generation: Generation(0),
            is_settled: true,
            acknowledged_offset: Offset(0),
            log_end: Offset(0),
            lag_ms: 0,
            output_waits_since: None,
            stuck: None,
            promotions: 0,
            handovers: 0,
        }
    }

    /// Of a partition that nobody runs here.
    pub(crate) fn unassigned(partition: PartitionId) -> Self {
        let status = Self::new(partition, Role::Standby);
        Self { state: PartitionState::Unassigned, assignment: Assignment::None, ..status }
    }

    /// Command records that are in the log and not applied, as far as is known.
    #[must_use]
    pub const fn lag_records(&self) -> u64 {
        self.log_end.0.saturating_sub(self.next_offset.0)
    }

    /// Whether it answers.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, PartitionState::Live)
    }

    /// Whether it stands still until somebody does something about it.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.state, PartitionState::Stopped(_))
    }
}
