//! Ticks: the owner lets time pass when nobody else does.

use bytes::Bytes;
use holdfast_contracts::LogTime;
use holdfast_log::{AppendError, Ticket};

use super::{Role, Worker, earlier};
use crate::machine::Machine;
use crate::stop::StopReason;
use crate::store::CheckpointStore;

/// Ticks of a suspect clock, and tries after a refusal, are at least this far apart.
const RETRY_MS: u64 = 50;

#[derive(Debug, Default)]
pub(super) struct Ticker {
    /// The tick under way: appended, not yet applied.
    under_way: Option<Ticket>,
    /// Append time of the last record.
    last_record: Option<LogTime>,
    last_sent: Option<LogTime>,
}

impl Ticker {
    pub(super) fn saw(&mut self, append_time: LogTime) {
        self.last_record = Some(append_time);
    }

    pub(super) const fn last_record(&self) -> Option<LogTime> {
        self.last_record
    }
}

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    /// Since when the log has had a tick that it has not acknowledged.
    #[must_use]
    pub fn tick_waits_since(&self) -> Option<LogTime> {
        self.tick.under_way.as_ref().filter(|ticket| ticket.result().is_none()).and(self.tick.last_sent)
    }

    /// Writes a tick if the partition is quiet and needs one; says when to look again.
    pub(super) fn step_tick(&mut self, wall: LogTime) -> Result<Option<LogTime>, StopReason> {
        let quiet = self.next >= self.log.watermarks(self.commands()).end;
        if self.role == Role::Standby || !quiet || !self.caught_up || self.is_tick_under_way() {
            return Ok(None);
        }
        let now_due = self.machine.has_backlog() || self.machine.next_due().is_some_and(|due| due <= wall);
        let retry_at = self.tick.last_sent.map(|sent| sent.plus_ms(RETRY_MS));
        // A wall clock that was set back must not have to catch up first.
        let set_back = self.tick.last_sent.is_some_and(|sent| sent > wall);
        let may_retry = set_back || retry_at.is_none_or(|at| at <= wall);
        let suspect = self.machine.clock_is_suspect();
        let idle_at = self.tick.last_record.map(|last| last.plus_ms(self.config.idle_tick_ms));
        let idle = idle_at.is_none_or(|at| at <= wall);
        // A clock that is ahead of its log would make every tick look due at once.
        let stuck = suspect || idle_at.is_some_and(|at| at.0 > wall.plus_ms(2 * self.config.idle_tick_ms).0);
        let wanted = if stuck { may_retry && (suspect || now_due) } else { now_due || (idle && may_retry) };
        if !wanted {
            let again = if stuck { retry_at } else { earlier(self.machine.next_due(), idle_at) };
            return Ok(again.map(|at| at.max(wall.plus_ms(1))));
        }
        self.tick.last_sent = Some(wall);
        match self.log.append(self.commands(), Bytes::from(self.machine.tick(wall, self.log.log_id()))) {
            Ok(ticket) => {
                self.tick.under_way = Some(ticket);
                Ok(None)
            }
            Err(AppendError::Interrupted) => {
                // Nobody derives commands from anything, so there is nothing to put right first.
                self.log.resume(self.commands());
                Ok(Some(wall.plus_ms(RETRY_MS)))
            }
            Err(AppendError::Full | AppendError::DiskFull) => Ok(Some(wall.plus_ms(RETRY_MS))),
            Err(error) => Err(StopReason::LogFailed(error.to_string())),
        }
    }

    /// One tick at a time: the next only when the last was applied, or will never come.
    fn is_tick_under_way(&mut self) -> bool {
        let Some(ticket) = &self.tick.under_way else { return false };
        match ticket.result() {
            None => true,
            Some(Ok(appended)) if self.next <= appended.offset => true,
            Some(Ok(_)) => {
                self.tick.under_way = None;
                false
            }
            Some(Err(_)) => {
                self.tick.under_way = None;
                self.log.resume(self.commands());
                false
            }
        }
    }
}
