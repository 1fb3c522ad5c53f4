//! Outputs: derived, numbered, chained, and appended once.

use bytes::Bytes;
use holdfast_contracts::decision::{Envelope, write_chain, write_digest, write_envelope};
use holdfast_contracts::{LogTime, Offset, OutSeq};
use holdfast_log::{AppendError, AppendFailure};

use super::{InFlight, Role, Worker};
use crate::anchor::next_chain;
use crate::machine::{Input, Machine};
use crate::stop::StopReason;
use crate::store::CheckpointStore;

/// Every so many outputs one carries the digest of the state, so that two owners who differ find out.
const DIGEST_EVERY: u64 = 1024;

/// An active owner says what it has to say much sooner.
const LOOK_AGAIN_MS: u64 = 10_000;

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    /// The output of a command record, numbered and chained, if it has one.
    pub(super) fn derive(&mut self, record: Input<'_>) -> Result<Option<Bytes>, StopReason> {
        let out_seq = OutSeq(self.out_seq.0 + 1);
        let mut payload = Vec::with_capacity(record.payload.len() + 256);
        write_envelope(&mut payload, Envelope { source_offset: record.offset, out_seq });
        if !self.machine.apply(record, &mut payload)? {
            return Ok(None);
        }
        if out_seq.0.is_multiple_of(DIGEST_EVERY) {
            write_digest(&mut payload, self.machine.digest());
        }
        self.chain = next_chain(self.chain, &payload);
        write_chain(&mut payload, self.chain);
        self.out_seq = out_seq;
        Ok(Some(Bytes::from(payload)))
    }

    /// Brings an output into the log, unless it is there already.
    pub(super) fn emit(&mut self, payload: Bytes) -> Result<(), StopReason> {
        let out_seq = self.out_seq;
        match self.role {
            // Kept until whoever is active has emitted it, or until this worker takes over.
            Role::Standby => self.blocked.push_back((out_seq, payload)),
            Role::Active if self.tail.take(out_seq, &payload)? => {}
            Role::Active => {
                self.blocked.push_back((out_seq, payload));
                self.push_blocked()?;
            }
        }
        Ok(())
    }

    /// Appends outputs as far as the log takes them; says whether it took any.
    pub(super) fn push_blocked(&mut self) -> Result<bool, StopReason> {
        let mut progressed = false;
        while self.role == Role::Active
            && let Some((out_seq, payload)) = self.blocked.front()
        {
            match self.log.append(self.decisions(), payload.clone()) {
                Ok(ticket) => {
                    self.in_flight.push_back(InFlight { out_seq: *out_seq, ticket });
                    self.blocked.pop_front();
                    progressed = true;
                }
                // The log has no room just now: commands wait, nothing is lost.
                Err(AppendError::Full | AppendError::DiskFull) => break,
                Err(AppendError::Interrupted) => {
                    let reason = "an earlier output was lost".into();
                    return Err(AppendFailure::Unknown { reason }.into());
                }
                Err(error) => return Err(StopReason::LogFailed(error.to_string())),
            }
        }
        Ok(progressed)
    }

    /// Takes note of outputs that became durable.
    pub(super) fn settle(&mut self) -> Result<(), StopReason> {
        while let Some(front) = self.in_flight.front() {
            let Some(outcome) = front.ticket.result() else { break };
            let out_seq = front.out_seq;
            let appended = outcome?;
            self.in_flight.pop_front();
            self.note_durable(out_seq, appended.offset.next());
        }
        if self.in_flight.is_empty() && self.durable.0 < self.out_seq {
            self.settle_held();
        }
        Ok(())
    }

    /// Outputs that were in the log already are durable when the part of the log that was read is.
    fn settle_held(&mut self) {
        let held = self.out_seq.min(self.tail.contiguous());
        let end = self.tail.next();
        if held <= self.durable.0 || self.log.watermarks(self.decisions()).durable < end {
            return;
        }
        // The copies of later outputs may lie anywhere in the part that was read.
        let offset = if held == self.tail.contiguous() { end } else { self.durable.1 };
        self.note_durable(held, offset);
    }

    fn note_durable(&mut self, out_seq: OutSeq, offset: Offset) {
        self.durable = (out_seq, offset);
        self.checkpoint.note_durable(out_seq, offset);
    }

    /// A standby that misses an output for long reads the decisions again. Of several owners one may have said it before
    /// the place where another's checkpoint lets a reader begin, and nobody says it twice for no reason.
    pub(super) fn look_again_if_stuck(&mut self, wall: LogTime) {
        let front = self.blocked.front().map(|(out_seq, _)| *out_seq);
        match (front, self.stuck) {
            (Some(front), Some((missed, since))) if front == missed => {
                if wall.ms_since(since) >= LOOK_AGAIN_MS {
                    self.tail.begin_again(self.log.watermarks(self.decisions()).low);
                    self.stuck = Some((front, wall));
                }
            }
            _ => self.stuck = front.map(|front| (front, wall)),
        }
    }

    /// Drops derived outputs that somebody else has emitted, after comparing them.
    pub(super) fn compare_with_log(&mut self) -> Result<bool, StopReason> {
        let until = self.log.watermarks(self.decisions()).end;
        self.tail.read(self.log.as_ref(), until)?;
        let mut progressed = false;
        while let Some((out_seq, payload)) = self.blocked.front() {
            if *out_seq > self.tail.contiguous() {
                break;
            }
            self.tail.take(*out_seq, payload)?;
            self.blocked.pop_front();
            progressed = true;
        }
        Ok(progressed)
    }
}
