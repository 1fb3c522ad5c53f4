//! Ends that no owner can make good: the log has lost what it had acknowledged, or somebody else wrote to it.
//!
//! Each happens to partition 0 of a world that is in order. Whoever owns it must stop and give the right reason, and must
//! not answer anything before that.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_contracts::decision::{self, Envelope};
use holdfast_contracts::{Chain, LogId, LogTime, Offset, OutSeq};
use holdfast_engine::{Anchor, Role, StopReason, Worker};
use holdfast_log::{OrderedLog, ReadError, StreamId};

use super::host::guarded;
use super::setup::End;
use super::{Check, World, WorldMark};
use crate::answer::Expected;
use crate::encode::write_body;

const COMMANDS: StreamId = StreamId::inventory_commands(holdfast_contracts::PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(holdfast_contracts::PartitionId(0));
/// The host that finds out.
const HOST: usize = 0;

impl World {
    /// Lets the story end as its setup says. The world is of no use afterwards.
    ///
    /// # Errors
    /// If an owner went on, or stopped for another reason than the right one.
    pub fn end(&mut self) -> Check {
        let end = self.setup.end;
        if end == End::Well || self.truth(0).stopped_at().is_some() {
            return Ok(());
        }
        let anchor = self.save()?;
        if anchor.next_offset.0 <= self.log.watermarks(COMMANDS).low.0 + 1 || anchor.out_offset.0 == 0 {
            return Ok(());
        }
        let (reason, mark) = match end {
            End::CommandsCutOffWhileRunning => {
                (self.cut_under_way()?, WorldMark::StoppedByLostCommandsWhileRunning)
            }
            _ => {
                for host in 0..self.hosts.len() {
                    self.kill(host);
                }
                self.strike(end, &anchor)?
            }
        };
        let right = match end {
            End::Well => true,
            End::CommandsCutOff => matches!(reason, StopReason::LogLost { .. }),
            End::CommandsReplaced => matches!(reason, StopReason::OtherHistory(_)),
            End::CommandsCutOffWhileRunning => {
                matches!(reason, StopReason::Read(ReadError::BeyondEnd { .. }))
            }
            End::LogReplaced => matches!(reason, StopReason::OtherLog { .. }),
            End::DecisionsCutOff => matches!(reason, StopReason::OutputsLost { .. }),
            End::ForeignDecision => matches!(reason, StopReason::ForeignOutput(_)),
            End::OtherDecision => matches!(reason, StopReason::OutputDiffers(_)),
            End::CommandsOfDecisionsCutOff => matches!(reason, StopReason::OutputAhead { .. }),
            End::DamagedCommand => matches!(reason, StopReason::Read(ReadError::Corrupt(_))),
        };
        self.marks.hit_if(right, mark);
        if right {
            Ok(())
        } else {
            Err(format!("{end:?}, and the owner stopped because: {reason}: {reason:?}"))
        }
    }

    /// Has the first host write a checkpoint of everything.
    fn save(&mut self) -> Result<Anchor, String> {
        for _ in 0..400 {
            if !self.hosts[HOST].is_active() {
                return Err("the first host is not active".to_owned());
            }
            if let Some(worker) = &mut self.hosts[HOST].worker
                && !worker.is_checkpoint_current()
            {
                worker.request_checkpoint();
            }
            self.step(HOST, 20, self.clocks[0], None)?;
            self.settle(0);
            self.write(self.hosts[HOST].setup.disk);
            self.observe()?;
            let worker = self.hosts[HOST].worker.as_ref();
            let saved = worker
                .is_some_and(|it| it.is_checkpoint_current() && it.next_offset().0 == self.truth(0).end());
            if saved {
                return self.disks[self.hosts[HOST].setup.disk]
                    .anchor()
                    .ok_or_else(|| "no checkpoint".to_owned());
            }
        }
        Err("no checkpoint of everything came".to_owned())
    }

    /// What happens while nobody runs, and what the owner that begins says to it.
    fn strike(&mut self, end: End, anchor: &Anchor) -> Result<(StopReason, WorldMark), String> {
        let mark = match end {
            End::CommandsCutOff => {
                self.log.truncate(COMMANDS, Offset(anchor.next_offset.0 - 1));
                WorldMark::StoppedByLostCommands
            }
            End::CommandsReplaced => {
                self.log.truncate(COMMANDS, Offset(anchor.next_offset.0 - 1));
                self.put(COMMANDS, Bytes::from_static(b"another history"))?;
                WorldMark::StoppedByOtherHistory
            }
            End::LogReplaced => {
                self.log.recreate(LogId([0xee; 16]));
                WorldMark::StoppedByOtherLog
            }
            End::DecisionsCutOff => {
                self.log.truncate(DECISIONS, Offset(anchor.out_offset.0 - 1));
                WorldMark::StoppedByLostOutputs
            }
            End::ForeignDecision => {
                self.put(DECISIONS, Bytes::from_static(b"no decision"))?;
                WorldMark::StoppedByForeignOutput
            }
            End::OtherDecision => {
                self.put(COMMANDS, Bytes::from_static(b"no command"))?;
                self.put(DECISIONS, other_decision(anchor))?;
                WorldMark::StoppedByOtherOutput
            }
            End::CommandsOfDecisionsCutOff => {
                self.put(COMMANDS, Bytes::from_static(b"no command"))?;
                self.run_and_crash()?;
                self.log.truncate(COMMANDS, anchor.next_offset);
                WorldMark::StoppedByOutputsOfLostCommands
            }
            End::DamagedCommand => {
                self.put(COMMANDS, Bytes::from_static(b"no command"))?;
                self.log.set_damaged(COMMANDS, Some(anchor.next_offset));
                WorldMark::StoppedByDamagedLog
            }
            End::Well | End::CommandsCutOffWhileRunning => return Err("this is no such end".to_owned()),
        };
        let mut worker = match self.begin()? {
            Ok(worker) => worker,
            Err(reason) => return Ok((reason, mark)),
        };
        self.run_until_it_stops(&mut worker).map(|reason| (reason, mark))
    }

    fn put(&mut self, stream: StreamId, payload: Bytes) -> Check {
        self.log.append(stream, payload).map_err(|error| error.to_string())?;
        self.settle(0);
        Ok(())
    }

    fn begin(
        &self,
    ) -> Result<Result<Worker<super::build::Build, super::disk::SimStore>, StopReason>, String> {
        let setup = self.hosts[HOST].setup;
        let store = self.disks[setup.disk].store();
        let log = Arc::clone(&self.port);
        guarded(|| Worker::open(setup.worker(), &setup.build(&self.setup), log, store, Role::Active))
    }

    /// An owner answers what is there, and ends without a checkpoint.
    fn run_and_crash(&mut self) -> Check {
        let mut worker = self.begin()?.map_err(|reason| reason.to_string())?;
        for _ in 0..50 {
            guarded(|| worker.step(LogTime(self.clocks[0])))?.map_err(|reason| reason.to_string())?;
            self.settle(0);
        }
        Ok(())
    }

    fn run_until_it_stops(
        &mut self,
        worker: &mut Worker<super::build::Build, super::disk::SimStore>,
    ) -> Result<StopReason, String> {
        for _ in 0..200 {
            if let Err(reason) = guarded(|| worker.step(LogTime(self.clocks[0])))? {
                return Ok(reason);
            }
        }
        Err(format!("{:?}, and the owner went on", self.setup.end))
    }

    fn cut_under_way(&mut self) -> Result<StopReason, String> {
        let end = self.truth(0).end();
        self.log.truncate(COMMANDS, Offset(end - 1));
        let mut worker = self.hosts[HOST].worker.take().ok_or("nobody runs")?;
        self.run_until_it_stops(&mut worker)
    }
}

/// A decision record that could be the next one, and is not what the commands give.
fn other_decision(anchor: &Anchor) -> Bytes {
    let mut record = Vec::new();
    let out_seq = OutSeq(anchor.out_seq.0 + 1);
    decision::write_envelope(&mut record, Envelope { source_offset: anchor.next_offset, out_seq });
    let log_time_ms = anchor.log_time.0 + 1;
    write_body(&Expected { log_time_ms, malformed: Some(u32::MAX), ..Expected::default() }, &mut record);
    decision::write_chain(&mut record, Chain::default());
    record.into()
}
