//! Beginning: load the checkpoint, make sure of the log, read which outputs are there.

use std::collections::VecDeque;
use std::sync::Arc;

use holdfast_contracts::Offset;
use holdfast_log::{OrderedLog, ReadError, StreamId};

use super::begin::{self, Begun};
use super::{Phase, Role, Step, Worker, WorkerConfig, checkpoint, tick, watch};
use crate::anchor::{Anchor, record_hash};
use crate::machine::Machine;
use crate::stop::StopReason;
use crate::store::CheckpointStore;
use crate::tail::OutputTail;

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    /// Begins with the last checkpoint in `store`, or without one at the beginning of the log.
    ///
    /// Where `store` knows a newer one elsewhere, that is preferred. A checkpoint that is missing, damaged or too old for what the
    /// log still has is replaced by the newest stand-in that is not, or by the log if that reaches back to its beginning.
    ///
    /// # Errors
    /// [`StopReason`] if checkpoint and log do not belong together.
    pub fn open(
        config: WorkerConfig,
        machine: &M::Config,
        log: Arc<dyn OrderedLog>,
        mut store: S,
        role: Role,
    ) -> Result<Self, StopReason> {
        let commands = StreamId { topic: M::COMMANDS, partition: config.partition };
        let decisions = StreamId { topic: M::DECISIONS, partition: config.partition };
        if role == Role::Active {
            // Whatever failed before is read back below, so appending may go on.
            log.resume(decisions);
        }
        let beginning = Anchor::beginning(log.log_id(), log.partitions(M::COMMANDS));
        let Begun { machine: state, anchor, damage } =
            begin::begin::<M>(machine, &beginning, &mut store, || log.refresh(commands))?;
        // In this order: every output that is in the log by now comes from a command that is.
        let tail_end = log.refresh(decisions)?.end;
        let marks = log.refresh(commands)?;
        check_anchor(&anchor, &beginning, marks.low, marks.end)?;
        if anchor.out_offset > tail_end {
            // Readers would wait for ever for outputs that only the log's lost end had.
            return Err(StopReason::OutputsLost { checkpoint: anchor.out_offset, end: tail_end });
        }

        let phase = if anchor.last_record.is_some() && marks.low < anchor.next_offset {
            Phase::Anchor
        } else {
            Phase::Tail { until: tail_end }
        };
        Ok(Self {
            next: anchor.next_offset,
            last: None,
            out_seq: anchor.out_seq,
            chain: anchor.chain,
            tail: OutputTail::new(decisions, anchor.out_offset, anchor.out_seq),
            blocked: VecDeque::new(),
            blocked_bytes: 0,
            in_flight: VecDeque::new(),
            durable: (anchor.out_seq, anchor.out_offset),
            target: marks.end,
            caught_up: false,
            is_paused: false,
            watch: watch::Watch::default(),
            checkpoint: checkpoint::Progress::new(anchor.last_record),
            tick: tick::Ticker::default(),
            records: Vec::new(),
            commands_applied: 0,
            damage,
            #[cfg(feature = "mutant-12")]
            wall: holdfast_contracts::LogTime(0),
            machine: state,
            config,
            log,
            store,
            role,
            phase,
            anchor,
        })
    }

    /// Compares the record the checkpoint ends with.
    pub(super) fn step_anchor(&mut self) -> Result<Step, StopReason> {
        let at = Offset(self.anchor.next_offset.0 - 1);
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        match self.log.read(self.commands(), at, 1, &mut records) {
            // Trimmed since the worker was opened; what the checkpoint needs next is still there.
            Err(ReadError::Trimmed { low }) if low <= self.anchor.next_offset => {}
            Err(ReadError::Trimmed { low }) => {
                return Err(StopReason::TrimGap { needed: self.anchor.next_offset, low });
            }
            Err(error) => return Err(error.into()),
            Ok(()) => {
                let Some(record) = records.first() else {
                    self.records = records;
                    return Ok(Step { progressed: false, wake_at: None });
                };
                if self.anchor.last_record != Some(record_hash(record)) {
                    return Err(StopReason::OtherHistory(at));
                }
                self.tick.saw(record.append_time);
            }
        }
        self.records = records;
        let until = self.log.refresh(self.decisions())?.end;
        self.target = self.log.refresh(self.commands())?.end;
        self.phase = Phase::Tail { until };
        Ok(Step { progressed: true, wake_at: None })
    }

    /// Reads which outputs are in the log already.
    pub(super) fn step_tail(&mut self, until: Offset) -> Result<Step, StopReason> {
        let whole = self.tail.read(self.log.as_ref(), until)?;
        if whole {
            self.target = self.target.max(self.log.refresh(self.commands())?.end);
            self.phase = Phase::Running;
        }
        Ok(Step { progressed: whole, wake_at: None })
    }
}

/// Whether a checkpoint may be from this log; its last record is compared later.
pub(crate) fn check_anchor(
    anchor: &Anchor,
    log: &Anchor,
    low: Offset,
    end: Offset,
) -> Result<(), StopReason> {
    if anchor.log_id != log.log_id {
        return Err(StopReason::OtherLog { checkpoint: anchor.log_id, log: log.log_id });
    }
    if anchor.partitions != log.partitions {
        return Err(StopReason::PartitionCount { checkpoint: anchor.partitions, log: log.partitions });
    }
    if anchor.next_offset < low {
        return Err(StopReason::TrimGap { needed: anchor.next_offset, low });
    }
    if anchor.next_offset > end {
        return Err(StopReason::LogLost { checkpoint: anchor.next_offset, end });
    }
    Ok(())
}
