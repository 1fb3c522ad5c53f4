//! What is right in one partition: the model follows the durable commands, and everything an owner says is held against
//! it.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_contracts::{ControlKey, Digest, LogTime, Offset, PartitionId};
use holdfast_core::{InputRecord, Machine, MachineConfig};
use holdfast_log::{OrderedLog, Record, StreamId};

use super::marks::{WorldMark, WorldMarks};
use super::reader::Reader;
use crate::answer::Expected;
use crate::model::{Model, Settings};

/// Bytes read at once.
pub(super) const READ_BYTES_MAX: usize = 1 << 20;

/// A partition as it must be.
#[derive(Debug)]
pub struct Truth {
    settings: Settings,
    model: Model,
    /// Every durable command, whatever the log has forgotten since.
    commands: Vec<Record>,
    /// For each command decided: its output and that output's number, if it has one.
    answers: Vec<Option<(u64, Expected)>>,
    outputs: u64,
    /// The partition stops at this command.
    stopped_at: Option<u64>,
    /// Digest of the state before the command with this offset, as the first owner who stood there had it.
    digests: BTreeMap<u64, Digest>,
    /// Somebody who reads the decisions.
    pub(super) reader: Reader,
    records: Vec<Record>,
}

impl Truth {
    /// A partition that has seen nothing.
    #[must_use]
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            model: Model::new(settings),
            commands: Vec::new(),
            answers: Vec::new(),
            outputs: 0,
            stopped_at: None,
            digests: BTreeMap::new(),
            reader: Reader::default(),
            records: Vec::new(),
        }
    }

    /// The model as of the last durable command.
    #[must_use]
    pub(super) const fn model(&self) -> &Model {
        &self.model
    }

    /// Durable commands.
    #[must_use]
    pub(super) fn commands(&self) -> &[Record] {
        &self.commands
    }

    /// The first command that was never durable.
    #[must_use]
    pub(super) fn end(&self) -> u64 {
        self.commands.len() as u64
    }

    /// Outputs of the durable commands.
    #[must_use]
    pub(super) const fn outputs(&self) -> u64 {
        self.outputs
    }

    /// The command at which the partition must stop.
    #[must_use]
    pub(super) const fn stopped_at(&self) -> Option<u64> {
        self.stopped_at
    }

    /// What must be answered to a command, and under which number.
    #[must_use]
    pub(super) fn answer(&self, offset: u64) -> Option<&(u64, Expected)> {
        self.answers.get(usize::try_from(offset).ok()?)?.as_ref()
    }

    /// Commands the model has decided.
    #[must_use]
    pub(super) fn decided(&self) -> u64 {
        self.answers.len() as u64
    }

    fn commands_stream(&self) -> StreamId {
        StreamId::inventory_commands(self.settings.partition)
    }

    /// The partition.
    #[must_use]
    pub(super) const fn partition(&self) -> PartitionId {
        self.settings.partition
    }

    /// Follows the log: first the commands that became durable, then the decisions that can be read.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(super) fn follow(&mut self, log: &dyn OrderedLog, marks: &mut WorldMarks) -> Result<(), String> {
        let durable = log.watermarks(self.commands_stream()).durable.0;
        if durable < self.end() {
            return Err(format!("{} commands were durable, the log has {durable}", self.end()));
        }
        let mut records = std::mem::take(&mut self.records);
        while self.end() < durable {
            records.clear();
            let read = log.read(self.commands_stream(), Offset(self.end()), READ_BYTES_MAX, &mut records);
            read.map_err(|error| format!("durable commands cannot be read: {error}"))?;
            if records.is_empty() {
                return Err("durable commands are not at hand".to_owned());
            }
            for record in records.drain(..).filter(|record| record.offset.0 < durable) {
                self.decide(record);
            }
        }
        self.records = records;
        Reader::follow(self, log, marks)
    }

    fn decide(&mut self, record: Record) {
        let offset = record.offset.0;
        if self.stopped_at.is_none() {
            match self.model.apply(offset, record.append_time.0, &record.payload) {
                Err(_) => self.stopped_at = Some(offset),
                Ok(None) => self.answers.push(None),
                Ok(Some(expected)) => {
                    self.outputs += 1;
                    self.answers.push(Some((self.outputs, expected)));
                }
            }
        }
        self.commands.push(record);
    }

    /// The digest of an owner that has applied everything before `next`.
    ///
    /// # Errors
    /// If another owner had another one, or nobody may stand there.
    pub(super) fn digest(&mut self, next: u64, digest: Digest, marks: &mut WorldMarks) -> Result<(), String> {
        if next > self.end() {
            return Err(format!("an owner applied {next} commands, {} are durable", self.end()));
        }
        if self.stopped_at.is_some_and(|at| next > at) {
            return Err(format!("an owner went on to {next}, the partition stops at {:?}", self.stopped_at));
        }
        let known = self.digests.entry(next).or_insert(digest);
        if *known != digest {
            return Err(format!("digest {digest} before command {next}, another owner had {known}"));
        }
        marks.hit(WorldMark::OwnersAgreed);
        Ok(())
    }

    /// Replays everything with a machine that has seen nothing and compares it with what owners were.
    ///
    /// # Errors
    /// The first place where it differs.
    pub(super) fn replay(&self) -> Result<(), String> {
        let Settings { partition, partitions, log_id, .. } = self.settings;
        let config = MachineConfig {
            control_key: self.settings.control_secret.as_ref().map(ControlKey::new),
            id_bins: 16,
            wheel_slots: 128,
            ..MachineConfig::new(partition, partitions, log_id)
        };
        let mut machine = Machine::new(config);
        let mut out = Vec::new();
        for next in 0..=self.decided() {
            if let Some(digest) = self.digests.get(&next)
                && *digest != machine.digest()
            {
                let replayed = machine.digest();
                return Err(format!("digest {digest} before command {next}, replayed from zero {replayed}"));
            }
            if next == self.decided() {
                break;
            }
            let record = &self.commands[usize::try_from(next).map_err(|error| error.to_string())?];
            out.clear();
            let input = InputRecord {
                offset: record.offset,
                append_time: record.append_time,
                payload: &record.payload,
            };
            machine.apply(input, &mut out).map_err(|halt| format!("replay stops at {next}: {halt}"))?;
        }
        Ok(())
    }

    /// Reads the log again from its beginning to its end and compares it with what was durable.
    ///
    /// # Errors
    /// The first record that is another one, or gone.
    pub(super) fn compare_log(&self, log: &dyn OrderedLog) -> Result<(), String> {
        let marks = log.watermarks(self.commands_stream());
        let mut next = marks.low;
        let mut records = Vec::new();
        while next < marks.durable {
            records.clear();
            let read = log.read(self.commands_stream(), next, READ_BYTES_MAX, &mut records);
            read.map_err(|error| format!("the commands cannot be read again: {error}"))?;
            for record in &records {
                let known = usize::try_from(record.offset.0).ok().and_then(|at| self.commands.get(at));
                if known != Some(record) {
                    return Err(format!("command {} is not the one that was durable", record.offset));
                }
                next = record.offset.next();
            }
        }
        if next.0 < self.end() {
            return Err(format!("the log ends at {next}, {} commands were durable", self.end()));
        }
        Ok(())
    }

    /// The bytes and the time of a durable command.
    #[must_use]
    pub(super) fn command(&self, offset: Offset) -> Option<(&Bytes, LogTime)> {
        let record = self.commands.get(usize::try_from(offset.0).ok()?)?;
        Some((&record.payload, record.append_time))
    }
}
