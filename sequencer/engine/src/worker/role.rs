//! Who emits: taking over, and handing over.

use std::collections::VecDeque;

use holdfast_contracts::{Offset, OutSeq};

use super::{InFlight, Phase, Role, Unsaid, Worker};
use crate::machine::Machine;
use crate::stop::StopReason;
use crate::store::CheckpointStore;
use crate::tail::OutputTail;

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    /// Takes over: compares what is in the log, emits what is missing, and goes on as the active worker. It need not be ready; what
    /// it has not applied yet it applies as the active worker.
    ///
    /// Says whether it did. It does nothing for an active worker, or while it cannot tell which outputs are in the log;
    /// then it may be asked again.
    ///
    /// # Errors
    /// As [`Worker::step`].
    pub fn promote(&mut self) -> Result<bool, StopReason> {
        if self.role == Role::Active {
            return Ok(false);
        }
        let until = self.log.refresh(self.decisions())?.end;
        if self.phase == Phase::Running {
            if !self.tail.read(self.log.as_ref(), until)? {
                return Ok(false);
            }
            self.compare_with_log()?;
            // What was read by now may come from commands that came after it began.
            let commands = self.log.refresh(self.commands())?;
            if !self.caught_up {
                self.target = self.target.max(commands.end);
            }
        } else if let Phase::Tail { until: before } = &mut self.phase {
            *before = until.max(*before);
        }
        self.role = Role::Active;
        // What an earlier owner in this process lost was read back just now.
        self.log.resume(self.decisions());
        if !self.config.standby_checkpoints {
            // Checkpoints were written by somebody else meanwhile.
            self.machine.write_whole_checkpoint_next();
            self.store.begin_whole();
        }
        if self.phase == Phase::Running {
            self.push_blocked()?;
        }
        Ok(true)
    }

    /// Reads no further commands until the worker is promoted or demoted or this is taken back. Outputs that are derived already
    /// are still brought into the log.
    pub const fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Reads on.
    pub const fn go_on(&mut self) {
        self.is_paused = false;
    }

    /// Stops emitting and goes on as a standby: outputs that are not acknowledged are compared with the log again. Says
    /// whether it did; if not, a checkpoint is under way that only an active worker may finish, and the worker must be
    /// built anew.
    pub fn demote(&mut self) -> bool {
        if !self.config.standby_checkpoints && !self.checkpoint.is_idle() {
            return false;
        }
        self.is_paused = false;
        if self.role == Role::Standby {
            return true;
        }
        if let Some(tail) = self.tail_after_demotion() {
            self.tail = tail;
        }
        let appended: VecDeque<Unsaid> =
            self.in_flight.drain(..).map(|InFlight { output, .. }| output).collect();
        let waiting = std::mem::replace(&mut self.blocked, appended);
        self.blocked.extend(waiting);
        self.blocked_bytes = self.blocked.iter().map(Unsaid::weight).sum();
        self.role = Role::Standby;
        true
    }

    /// A reading of the decisions log that begins where the first output may be that is not known to be there; `None` if the one
    /// that there is will do.
    fn tail_after_demotion(&self) -> Option<OutputTail> {
        let known = self.first_unsaid().map_or(self.out_seq, |output| OutSeq(output.out_seq.0 - 1));
        let from: Offset = if self.tail.contiguous() < known {
            // Appended and acknowledged by this worker, one after the other.
            self.durable.1
        } else if self.first_unsaid().is_some() {
            self.tail.next()
        } else {
            return None;
        };
        Some(OutputTail::new(self.decisions(), from, known))
    }

    /// The first output that is not known to be in the log.
    pub(super) fn first_unsaid(&self) -> Option<&Unsaid> {
        self.in_flight.front().map(|flight| &flight.output).or_else(|| self.blocked.front())
    }
}
