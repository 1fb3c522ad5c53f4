//! Checkpoints: frozen at a record, copied between records, committed only when the outputs they stand for are durable.

use holdfast_contracts::{LogTime, Offset, OutSeq};
use holdfast_core::PageSink;

use super::{CHECKPOINT_BYTES_MIN, Role, Worker};
use crate::anchor::{Anchor, record_hash};
use crate::machine::Machine;
use crate::stop::StopReason;
use crate::store::CheckpointStore;

/// How far the checkpoint under way has come.
#[derive(Debug)]
enum Stage {
    /// There is none.
    None,
    /// Pages are being copied.
    Copying(Anchor),
    /// All pages are copied, some output is not durable yet.
    Copied(Anchor),
    /// The store is writing it.
    Committed,
}

#[derive(Debug)]
pub(super) struct Progress {
    stage: Stage,
    /// Bytes of commands since the last checkpoint began.
    bytes_since: u64,
    /// When the last one began.
    began: Option<LogTime>,
    /// The first command that need not be in the checkpoint that somebody asked for.
    requested: Offset,
    /// Hash of the last record in the state that was loaded.
    loaded_record: Option<[u8; 16]>,
    /// Where the decisions log goes on after the last output of the checkpoint under way.
    out_offset: Option<Offset>,
    bytes: u64,
    bytes_written: u64,
}

impl Progress {
    pub(super) const fn new(loaded_record: Option<[u8; 16]>) -> Self {
        Self {
            stage: Stage::None,
            bytes_since: 0,
            began: None,
            requested: Offset(0),
            loaded_record,
            out_offset: None,
            bytes: 0,
            bytes_written: 0,
        }
    }

    pub(super) const fn count(&mut self, bytes: usize) {
        // A checkpoint that was asked for stands at the end of the range until it begins.
        self.bytes_since = self.bytes_since.saturating_add(bytes as u64);
    }

    /// Whether somebody has to look again although the log is quiet.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Copied(_) | Stage::Committed)
    }

    /// Whether there is none under way.
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::None)
    }

    pub(super) const fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Outputs up to `out_seq` are durable, the last of them before `offset`.
    pub(super) fn note_durable(&mut self, out_seq: OutSeq, offset: Offset) {
        if let Stage::Copying(anchor) | Stage::Copied(anchor) = &self.stage
            && self.out_offset.is_none()
            && out_seq >= anchor.out_seq
        {
            self.out_offset = Some(offset);
        }
    }
}

/// The offset of a checkpoint, wrong where a bug is planted.
const fn planted_offset(next: Offset) -> Offset {
    if cfg!(feature = "mutant-13") {
        Offset(next.0 + 1)
    } else if cfg!(feature = "mutant-14") {
        Offset(next.0.saturating_sub(1))
    } else {
        next
    }
}

/// Counts what goes to the store.
struct Counting<'a, S> {
    store: &'a mut S,
    bytes: u64,
}

impl<S: PageSink> PageSink for Counting<'_, S> {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.store.put(kind, page, bytes);
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.store.delete(kind, page);
    }
}

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    /// Moves the checkpoint under way on, or begins one when it is time.
    pub(super) fn step_checkpoint(&mut self, wall: LogTime) -> Result<bool, StopReason> {
        if self.role == Role::Standby && !self.config.standby_checkpoints {
            return Ok(false);
        }
        if let Some(anchor) = self.store.poll()? {
            self.anchor = anchor;
            self.checkpoint.stage = Stage::None;
        }
        match std::mem::replace(&mut self.checkpoint.stage, Stage::None) {
            Stage::None => {
                if self.is_checkpoint_due(wall) {
                    self.begin_checkpoint(wall);
                    return Ok(true);
                }
                Ok(false)
            }
            Stage::Copying(anchor) => {
                let mut sink = Counting { store: &mut self.store, bytes: 0 };
                let whole = self.machine.copy_frozen(self.config.copy_bytes_per_step, &mut sink);
                self.checkpoint.bytes += sink.bytes;
                self.checkpoint.stage = if whole { Stage::Copied(anchor) } else { Stage::Copying(anchor) };
                Ok(true)
            }
            Stage::Copied(mut anchor) => match self.checkpoint.out_offset {
                // Never past what the log has acknowledged: a checkpoint ahead of its outputs would lose them at restart.
                Some(offset) => {
                    anchor.out_offset = offset;
                    if cfg!(feature = "mutant-15") {
                        anchor.next_offset = self.next;
                        anchor.last_record = self.last.as_ref().map(record_hash).or(anchor.last_record);
                    }
                    self.store.commit(&anchor);
                    self.checkpoint.bytes_written = std::mem::take(&mut self.checkpoint.bytes);
                    self.checkpoint.stage = Stage::Committed;
                    Ok(true)
                }
                None => {
                    self.checkpoint.stage = Stage::Copied(anchor);
                    Ok(false)
                }
            },
            Stage::Committed => {
                self.checkpoint.stage = Stage::Committed;
                Ok(false)
            }
        }
    }

    fn is_checkpoint_due(&mut self, wall: LogTime) -> bool {
        if self.next == self.anchor.next_offset {
            return false;
        }
        let began = *self.checkpoint.began.get_or_insert(wall);
        let (bytes, elapsed) = (self.checkpoint.bytes_since, wall.ms_since(began));
        bytes >= self.config.checkpoint_after_bytes
            || (bytes >= CHECKPOINT_BYTES_MIN && elapsed >= self.config.checkpoint_after_ms)
            || elapsed >= self.config.checkpoint_idle_ms
    }

    /// Fixes the state as it is now as the next checkpoint.
    fn begin_checkpoint(&mut self, wall: LogTime) {
        self.checkpoint.began = Some(wall);
        self.checkpoint.bytes_since = 0;
        self.machine.freeze();
        let anchor = Anchor {
            log_id: self.anchor.log_id,
            partitions: self.anchor.partitions,
            next_offset: planted_offset(self.next),
            last_record: self.last.as_ref().map(record_hash).or(self.checkpoint.loaded_record),
            out_seq: self.out_seq,
            out_offset: Offset(0),
            chain: self.chain,
            log_time: self.machine.now(),
            digest: self.machine.digest(),
        };
        // All outputs may be durable already.
        self.checkpoint.out_offset = (self.durable.0 >= anchor.out_seq).then_some(self.durable.1);
        self.checkpoint.stage = Stage::Copying(anchor);
    }

    /// Begins a checkpoint at the next step, for somebody who asks for one or before an orderly end.
    pub fn request_checkpoint(&mut self) {
        self.checkpoint.bytes_since = u64::MAX;
        self.checkpoint.requested = self.next;
    }

    /// Whether the last checkpoint that counts contains everything that was applied when one was asked for. Not what came
    /// after it: a tick a second comes even to a quiet partition, and a large checkpoint takes longer than that.
    #[must_use]
    pub fn is_requested_checkpoint_written(&self) -> bool {
        self.anchor.next_offset >= self.checkpoint.requested
    }

    /// Whether the last checkpoint that counts contains everything applied.
    #[must_use]
    pub fn is_checkpoint_current(&self) -> bool {
        self.anchor.next_offset == self.next
    }
}
