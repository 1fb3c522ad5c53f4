//! Outputs: derived, numbered, chained, and appended once.

use bytes::Bytes;
use holdfast_contracts::decision::{Envelope, write_chain, write_digest, write_envelope};
use holdfast_contracts::{Offset, OutSeq};
use holdfast_log::{AppendError, AppendFailure};

use super::{InFlight, Role, Unsaid, Worker};
use crate::anchor::next_chain;
use crate::machine::{Input, Machine};
use crate::stop::StopReason;
use crate::store::CheckpointStore;

/// Every so many outputs one carries the digest of the state, so that two owners who differ find out.
const DIGEST_EVERY: u64 = 1024;

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
    pub(super) fn emit(&mut self, source: Offset, payload: Bytes) -> Result<(), StopReason> {
        let output = Unsaid { out_seq: self.out_seq, source, payload };
        match self.role {
            // Kept until whoever is active has emitted it, or until this worker takes over.
            Role::Standby => self.block(output),
            Role::Active if self.tail.take(output.out_seq, &output.payload)? => {}
            Role::Active => {
                self.block(output);
                self.push_blocked()?;
            }
        }
        Ok(())
    }

    fn block(&mut self, output: Unsaid) {
        self.blocked_bytes += output.weight();
        self.blocked.push_back(output);
    }

    fn unblock(&mut self) -> Option<Unsaid> {
        let output = self.blocked.pop_front()?;
        self.blocked_bytes -= output.weight();
        Some(output)
    }

    /// Whether a standby has as many outputs as it may keep, and reads no further until somebody emits some.
    #[must_use]
    pub fn is_full_of_outputs(&self) -> bool {
        self.role == Role::Standby && !self.may_read()
    }

    /// Appends outputs as far as the log takes them; says whether it took any.
    pub(super) fn push_blocked(&mut self) -> Result<bool, StopReason> {
        let mut progressed = false;
        while self.role == Role::Active
            && let Some(output) = self.blocked.front()
        {
            match self.log.append(self.decisions(), output.payload.clone()) {
                Ok(ticket) => {
                    let output = self.unblock().expect("there is a first one");
                    self.in_flight.push_back(InFlight { output, ticket });
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
            let out_seq = front.output.out_seq;
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

    /// Drops derived outputs that somebody else has emitted, after comparing them.
    pub(super) fn compare_with_log(&mut self) -> Result<bool, StopReason> {
        self.tail.read_at_hand(self.log.as_ref())?;
        let mut progressed = false;
        while let Some(output) = self.blocked.front() {
            if output.out_seq > self.tail.contiguous() {
                break;
            }
            self.tail.take(output.out_seq, &output.payload)?;
            self.unblock();
            progressed = true;
        }
        Ok(progressed)
    }
}
