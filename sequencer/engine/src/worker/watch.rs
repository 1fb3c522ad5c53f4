//! What a partition waits for, and since when.

use holdfast_contracts::{LogTime, Offset, OutSeq};

use super::{Role, Worker};
use crate::machine::Machine;
use crate::store::CheckpointStore;

/// An active owner says what it has to say much sooner.
const LOOK_AGAIN_MS: u64 = 10_000;

/// Whatever takes this long does not go on by itself.
pub(crate) const STUCK_AFTER_MS: u64 = 2_000;

#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The output that waits to be in the log, and since when.
    output: Option<(OutSeq, LogTime)>,
    /// When a standby that misses an output reads the decisions again, and how long it waits after that.
    look_again: Option<(LogTime, u64)>,
    /// The command that waits to be read, and since when.
    command: Option<(Offset, LogTime)>,
    /// When everything in the log was applied.
    caught_up: Option<LogTime>,
}

impl Watch {
    /// Whether an output has waited for so long that looking often is of no use.
    pub(super) fn waits_long(&self, wall: LogTime) -> bool {
        self.output.is_some_and(|(_, since)| wall.ms_since(since) >= 1_000)
    }
}

/// Since when the same thing has been waited for.
fn waited<T: PartialEq>(
    before: Option<(T, LogTime)>,
    waits: Option<T>,
    wall: LogTime,
) -> Option<(T, LogTime)> {
    let waits = waits?;
    match before {
        // A wall clock that was set back must not make it look shorter than it is for ever.
        Some((same, since)) if same == waits => Some((same, since.min(wall))),
        _ => Some((waits, wall)),
    }
}

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    /// Notes what is waited for, and lets a standby that misses an output for long look for it elsewhere.
    pub(super) fn keep_watch(&mut self, wall: LogTime) {
        let first = self.first_unsaid().map(|output| output.out_seq);
        let before = self.watch.output;
        self.watch.output = waited(before, first, wall);
        if self.watch.output != before {
            self.watch.look_again = first.map(|_| (wall.plus_ms(LOOK_AGAIN_MS), 2 * LOOK_AGAIN_MS));
        }
        if self.role == Role::Standby {
            self.look_again_if_stuck(wall);
        }
        let behind = self.next < self.log_end();
        if !behind {
            self.watch.caught_up = Some(wall);
        }
        let unread = (behind && self.may_read()).then_some(self.next);
        self.watch.command = waited(self.watch.command, unread, wall);
    }

    /// A standby that misses an output for long reads the decisions again. Of several owners one may have said it before
    /// the place where another's checkpoint lets a reader begin, and nobody says it twice for no reason. Every time it
    /// waits longer: perhaps nobody is there to say it.
    fn look_again_if_stuck(&mut self, wall: LogTime) {
        if let Some((at, pause)) = self.watch.look_again
            && at <= wall
        {
            self.tail.begin_again(self.log.watermarks(self.decisions()).low);
            self.watch.look_again = Some((wall.plus_ms(pause), pause.saturating_mul(2)));
        }
    }

    /// The offset after the last command in the log, as far as the log knows without being asked.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log.watermarks(self.commands()).end.max(self.next)
    }

    /// At most how many milliseconds the oldest command that is not applied has been in the log; 0 if all are applied.
    #[must_use]
    pub fn lag_ms(&self, wall: LogTime) -> u64 {
        if self.next >= self.log_end() {
            return 0;
        }
        // It came after the last one applied, and after the last time that there was none.
        let since = self.tick.last_record().max(self.watch.caught_up);
        since.map_or(0, |since| wall.ms_since(since))
    }

    /// Since when the first output that is not known to be in the log waits for that: of an active worker for the log to
    /// acknowledge it, of a standby for somebody to emit it.
    #[must_use]
    pub fn output_waits_since(&self) -> Option<LogTime> {
        self.watch.output.map(|(_, since)| since)
    }

    /// Since when there are commands that cannot be had.
    #[must_use]
    pub fn command_waits_since(&self) -> Option<LogTime> {
        self.watch.command.map(|(_, since)| since)
    }
}
