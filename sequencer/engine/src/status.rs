//! What a partition says of itself.

use holdfast_contracts::{LogTime, Offset, OutSeq, PartitionId};

use crate::stop::StopReason;
use crate::worker::Role;

/// What a partition is doing.
#[derive(Debug, Clone)]
pub enum PartitionState {
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
            Self::Loading => "loading",
            Self::Replaying => "replaying",
            Self::Live => "live",
            Self::Stopped(_) => "stopped",
        }
    }
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
        }
    }

    /// Whether it answers.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, PartitionState::Live)
    }
}
