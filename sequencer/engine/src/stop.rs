//! Why a partition stands still. Nothing is guessed: the reason has a name, and there is something to do about it.

use holdfast_contracts::{LogId, Offset, OutSeq};
use holdfast_core::Halt;
use holdfast_log::{AppendFailure, ReadError};

use crate::store::StoreError;

/// Why a worker stopped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StopReason {
    /// The checkpoint was made from another log.
    #[error("the checkpoint belongs to log {checkpoint}, but this is log {log}")]
    OtherLog {
        /// The checkpoint's log.
        checkpoint: LogId,
        /// This log.
        log: LogId,
    },
    /// The log has another partition count than when the checkpoint was made.
    #[error("the checkpoint was made with {checkpoint} partitions, but the log has {log}")]
    PartitionCount {
        /// Then.
        checkpoint: u32,
        /// Now.
        log: u32,
    },
    /// The log ends before what the checkpoint has seen.
    #[error("the checkpoint has seen the commands up to offset {checkpoint}, but the log ends at {end}")]
    LogLost {
        /// The first offset the checkpoint has not seen.
        checkpoint: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// The decisions log ends before outputs that the checkpoint knows to be durable.
    #[error(
        "the checkpoint knows decisions up to offset {checkpoint} to be durable, but their log ends at {end}"
    )]
    OutputsLost {
        /// The decisions log held everything the checkpoint stands for before this offset.
        checkpoint: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// Where the checkpoint ends, the log has another record.
    #[error("the log has another record at offset {0} than the one the checkpoint was made from")]
    OtherHistory(Offset),
    /// Commands that are needed were trimmed.
    #[error("the commands from offset {needed} are needed, but the log begins at {low}")]
    TrimGap {
        /// The first command needed.
        needed: Offset,
        /// Where the log begins.
        low: Offset,
    },
    /// The checkpoint is damaged and the log does not reach back to its beginning.
    #[error(
        "the checkpoint is damaged ({damage}) and the log begins at offset {low}, too late to do without"
    )]
    CheckpointLost {
        /// What is wrong with it.
        damage: String,
        /// Where the log begins.
        low: Offset,
    },
    /// Replaying gives another output than the one in the log.
    #[error("output {0} in the log has other bytes than the same commands give now")]
    OutputDiffers(OutSeq),
    /// The log holds two outputs with one number and other bytes.
    #[error("the log holds output {0} twice with different bytes")]
    OutputTwice(OutSeq),
    /// The log holds an output that the commands in it cannot have given.
    #[error("the log holds output {found}, but all its commands give only {derived}")]
    OutputAhead {
        /// Number found.
        found: OutSeq,
        /// Number of the last output that the commands give.
        derived: OutSeq,
    },
    /// A record of the decisions log is not one of ours.
    #[error("the record at offset {0} of the decisions log is not a decision record")]
    ForeignOutput(Offset),
    /// The log asks for something this build does not know.
    #[error(transparent)]
    Halt(#[from] Halt),
    /// The machine broke one of its invariants.
    #[error("the machine broke an invariant at offset {offset}: {message}")]
    Invariant {
        /// The command record being decided.
        offset: Offset,
        /// What it said.
        message: String,
    },
    /// Commands or decisions could not be read.
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    /// The log takes no outputs any more.
    #[error("the log takes no more outputs: {0}")]
    LogFailed(String),
    /// An output was refused or lost; the worker is rebuilt from checkpoint and log.
    #[error("an output was not acknowledged")]
    OutputLost(#[from] AppendFailure),
    /// Checkpoints cannot be read or written.
    #[error("checkpoints do not work")]
    Store(#[from] StoreError),
    /// The machine's thread ended.
    #[error("the thread of the partition ended")]
    ThreadEnded,
}

impl StopReason {
    /// Whether building the worker anew from checkpoint and log may help.
    #[must_use]
    pub const fn may_be_rebuilt(&self) -> bool {
        // A standby that lags may find its next command trimmed; a later checkpoint is there then.
        matches!(self, Self::OutputLost(_) | Self::Invariant { .. } | Self::TrimGap { .. })
    }

    /// Whether the log could not be asked. It may be back at any time, and nothing else is wrong.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Read(ReadError::Io(_)))
    }

    /// Whether what is elsewhere may come to its senses: a log that cannot be asked, or lost an output that can be said again; a
    /// place for checkpoints that does not answer, here or elsewhere.
    pub(crate) const fn may_be_waited_out(&self) -> bool {
        let elsewhere = matches!(
            self,
            Self::OutputLost(_) | Self::Store(StoreError::Database { .. } | StoreError::Archive { .. })
        );
        self.is_outage() || elsewhere
    }

    /// What an operator can do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::OtherLog { .. } | Self::PartitionCount { .. } => {
                "point the server at the data directory (or topics) that this checkpoint was made from"
            }
            Self::LogLost { .. } | Self::OutputsLost { .. } | Self::OtherHistory(_) => {
                "the log lost acknowledged records; restore the log, or decide with the owner what to give up"
            }
            Self::TrimGap { .. } | Self::CheckpointLost { .. } => {
                "restore a checkpoint that reaches the beginning of the log, or the part of the log that is missing"
            }
            Self::OutputDiffers(_) | Self::OutputAhead { .. } => {
                "run the build that wrote the log; if it is this one, keep the data directory and report a bug"
            }
            Self::OutputTwice(_) | Self::ForeignOutput(_) => {
                "somebody else writes to the decisions log; find and stop that writer"
            }
            Self::Halt(_) => "run a build that knows these rules",
            Self::Invariant { .. } => "keep the data directory and report a bug; do not edit the log",
            Self::Read(_) | Self::LogFailed(_) | Self::OutputLost(_) => {
                "look at the disk and the system log, then start the server again"
            }
            Self::Store(StoreError::Archive { .. }) => {
                "there is no checkpoint here and the log alone is not enough: look whether the archive's folder is mounted and \
                 has checkpoints; it is asked again"
            }
            Self::Store(_) => {
                "look at the disk; the checkpoint directory may be moved aside if the log is whole: it is built anew"
            }
            Self::ThreadEnded => "start the server again and look at its log",
        }
    }
}
