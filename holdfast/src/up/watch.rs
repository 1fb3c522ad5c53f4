//! Says in the log what becomes of the partitions.

use std::collections::BTreeMap;

use holdfast_contracts::{Offset, PartitionId};
use holdfast_engine::{PartitionState, PartitionStatus, RetentionStatus, StopReason};
use holdfast_log::Status;

use crate::failure::{Exit, Failure, causes};

/// How the partitions stand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Some are on their way.
    Starting,
    /// All answer.
    Live,
    /// Some stand still, all others answer.
    SomeStopped,
    /// None will ever answer.
    AllStopped(Failure),
}

/// What was said last of each partition.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    partitions: BTreeMap<PartitionId, Said>,
    log: Option<Status>,
    forgotten: BTreeMap<PartitionId, (Offset, bool)>,
    checkpoints_wait: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Said {
    state: &'static str,
    clock_suspect: bool,
    rebuilds: u32,
    was_damaged: bool,
}

impl Watch {
    /// Looks at everything, and says what has changed.
    pub(crate) fn look(&mut self, statuses: &[PartitionStatus], log: &Status) -> Standing {
        for status in statuses {
            self.look_at(status);
        }
        if self.log.as_ref() != Some(log) {
            say_log(log, self.log.is_some());
            self.log = Some(log.clone());
        }
        standing(statuses)
    }

    /// Says what the log may have forgotten since, and why it must not forget more.
    pub(crate) fn look_at_retention(&mut self, statuses: &[(PartitionId, RetentionStatus)]) {
        for (partition, status) in statuses {
            let said = self.forgotten.entry(*partition).or_default();
            let now = (status.commands_below, status.failed.is_some());
            let before = std::mem::replace(said, now);
            if now.0 > before.0 {
                tracing::info!(
                    partition = partition.0,
                    commands_below = status.commands_below.0,
                    decisions_below = status.decisions_below.0,
                    "the log may forget what a verified checkpoint covers"
                );
            }
            if let Some(error) = status.failed.as_ref().filter(|_| !before.1) {
                tracing::error!(
                    partition = partition.0,
                    reason = causes(error),
                    "nothing more is forgotten, and the log grows: look at the checkpoint with `holdfast doctor`"
                );
            }
        }
    }

    /// Says when checkpoints begin to wait for room on the disk, and when they go on.
    pub(crate) fn look_at_checkpoints(&mut self, wait_for_room: bool) {
        if std::mem::replace(&mut self.checkpoints_wait, wait_for_room) == wait_for_room {
            return;
        }
        if wait_for_room {
            tracing::error!(
                "THERE IS NO ROOM FOR CHECKPOINTS: partitions go on, but the next start replays more of the log, and nothing \
                 of it can be forgotten. Make room"
            );
        } else {
            tracing::info!("checkpoints are written again");
        }
    }

    fn look_at(&mut self, status: &PartitionStatus) {
        let partition = status.partition.0;
        let said = self.partitions.entry(status.partition).or_default();
        let now = Said {
            state: status.state.name(),
            clock_suspect: status.clock_suspect,
            rebuilds: status.rebuilds,
            was_damaged: status.checkpoint_damage.is_some(),
        };
        let before = std::mem::replace(said, now);
        if now.rebuilds > before.rebuilds {
            tracing::warn!(
                partition,
                rebuilds = now.rebuilds,
                "the partition was rebuilt from checkpoint and log"
            );
        }
        if let Some(damage) = status.checkpoint_damage.as_ref().filter(|_| !before.was_damaged) {
            tracing::error!(
                partition,
                damage,
                "the checkpoint was DAMAGED; an older one or the log stands in for it and nothing is lost. Look at the disk"
            );
        }
        if now.clock_suspect && !before.clock_suspect {
            tracing::warn!(
                partition,
                log_time_ms = status.log_time.0,
                "the clock is suspect: log time stands still until several ticks agree"
            );
        } else if before.clock_suspect && !now.clock_suspect {
            tracing::info!(partition, log_time_ms = status.log_time.0, "the clock is trusted again");
        }
        if now.state == before.state {
            return;
        }
        match &status.state {
            PartitionState::Stopped(reason) => tracing::error!(
                partition,
                offset = status.next_offset.0,
                code = code(reason),
                reason = causes(reason),
                advice = reason.advice(),
                "THE PARTITION HAS STOPPED and answers nothing until this is put right; the others go on"
            ),
            _ => tracing::info!(
                partition,
                state = now.state,
                offset = status.next_offset.0,
                target = status.target.0,
                records_applied = status.records_applied,
                "partition"
            ),
        }
    }
}

fn say_log(status: &Status, was_known: bool) {
    match status {
        Status::DiskFull => tracing::error!(
            "THE DISK IS FULL: requests are refused until there is room; nothing acknowledged is lost. Make room"
        ),
        Status::Failed { reason } => tracing::error!(
            reason,
            "THE LOG HAS FAILED and takes nothing more. Look at the disk and the system log, then start the server again"
        ),
        Status::Healthy if was_known => tracing::info!("the log takes appends again"),
        Status::Healthy | Status::Closed => {}
    }
}

fn standing(statuses: &[PartitionStatus]) -> Standing {
    let stopped: Vec<_> = statuses
        .iter()
        .filter_map(|status| match &status.state {
            PartitionState::Stopped(reason) => Some(reason),
            _ => None,
        })
        .collect();
    let live = statuses.iter().filter(|status| status.is_live()).count();
    match stopped.first() {
        Some(reason) if stopped.len() == statuses.len() => Standing::AllStopped(refusal(reason)),
        _ if stopped.len() + live < statuses.len() => Standing::Starting,
        None => Standing::Live,
        Some(_) => Standing::SomeStopped,
    }
}

fn refusal(reason: &StopReason) -> Failure {
    Failure::new(Exit::Failed, &code(reason), format!("no partition can start: {}", causes(reason)))
        .advise(reason.advice())
}

/// The name of a reason, as the API writes codes.
fn code(reason: &StopReason) -> String {
    let debug = format!("{reason:?}");
    let name = debug.split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default();
    crate::output::upper_snake(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_name() {
        assert_eq!(code(&StopReason::OtherHistory(Offset(3))), "OTHER_HISTORY");
        assert_eq!(code(&StopReason::LogLost { checkpoint: Offset(3), end: Offset(1) }), "LOG_LOST");
        assert_eq!(code(&StopReason::ThreadEnded), "THREAD_ENDED");
    }
}
