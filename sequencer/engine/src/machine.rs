//! What the engine asks of a machine, and the inventory machine's answer to it.

use holdfast_contracts::{Digest, LogId, LogTime, Offset};
use holdfast_core::{Halt, InputRecord, MachineConfig, PageSink, Restore, RestoreError};
use holdfast_log::Topic;

/// A record of a machine's command log.
pub type Input<'a> = InputRecord<'a>;

/// A machine: everything a partition knows, moved by records alone.
///
/// Whatever it answers and whatever [`Machine::digest`] says must follow from the records it was given and from nothing
/// else.
pub trait Machine: Sized + Send + 'static {
    /// What it is made with, beside records. Nothing in it may change an answer, unless it belongs to the log for good, and
    /// a checkpoint made with something else is refused.
    type Config: Clone + Send + 'static;
    /// Loads its checkpoint.
    type Restore: Restoring<Machine = Self>;

    /// The topic of its commands.
    const COMMANDS: Topic;
    /// The topic of its decisions.
    const DECISIONS: Topic;

    /// A machine that has seen nothing.
    fn fresh(config: &Self::Config) -> Self;

    /// Begins to load a checkpoint.
    fn restore(config: &Self::Config) -> Self::Restore;

    /// Decides a record. Appends its part of the output record to `out` and says whether there is an output record.
    ///
    /// # Errors
    /// When the record asks for something this build must not guess at.
    fn apply(&mut self, record: Input<'_>, out: &mut Vec<u8>) -> Result<bool, Halt>;

    /// Digest of the whole state.
    fn digest(&self) -> Digest;

    /// Fixes the state as it is now as the next checkpoint.
    fn freeze(&mut self);

    /// Copies about `budget` bytes of the frozen checkpoint; says whether it is whole.
    fn copy_frozen(&mut self, budget: usize, sink: &mut dyn PageSink) -> bool;

    /// Makes the next checkpoint contain everything, because what was written before is not this machine's.
    fn write_whole_checkpoint_next(&mut self);

    /// Log time.
    fn now(&self) -> LogTime;

    /// Whether work is due now that the last record left undone.
    fn has_backlog(&self) -> bool;

    /// A log time by which work may become due, never too late.
    fn next_due(&self) -> Option<LogTime>;

    /// Whether log time stands still until ticks agree.
    fn clock_is_suspect(&self) -> bool;

    /// The bytes of a command record that only lets time pass in this machine's partition.
    fn tick(&self, wall: LogTime, log_id: LogId) -> Vec<u8>;
}

/// Loads a machine from the pages of a checkpoint.
pub trait Restoring {
    /// What is loaded.
    type Machine;

    /// Takes the next page, in order of kind and number.
    ///
    /// # Errors
    /// If it cannot belong to this machine.
    fn page(&mut self, kind: u8, number: u64, bytes: &[u8]) -> Result<(), RestoreError>;

    /// The machine.
    ///
    /// # Errors
    /// If it is not the one that was saved.
    fn finish(self) -> Result<Self::Machine, RestoreError>;
}

impl Machine for holdfast_core::Machine {
    type Config = MachineConfig;
    type Restore = Restore;

    const COMMANDS: Topic = Topic::InventoryCommands;
    const DECISIONS: Topic = Topic::InventoryDecisions;

    fn fresh(config: &MachineConfig) -> Self {
        Self::new(*config)
    }

    fn restore(config: &MachineConfig) -> Restore {
        Restore::new(*config)
    }

    fn apply(&mut self, record: Input<'_>, out: &mut Vec<u8>) -> Result<bool, Halt> {
        Self::apply(self, record, out)
    }

    fn digest(&self) -> Digest {
        Self::digest(self)
    }

    fn freeze(&mut self) {
        Self::freeze(self);
    }

    fn copy_frozen(&mut self, budget: usize, sink: &mut dyn PageSink) -> bool {
        Self::copy_frozen(self, budget, sink)
    }

    fn write_whole_checkpoint_next(&mut self) {
        Self::write_whole_checkpoint_next(self);
    }

    fn now(&self) -> LogTime {
        Self::now(self)
    }

    fn has_backlog(&self) -> bool {
        Self::has_backlog(self)
    }

    fn next_due(&self) -> Option<LogTime> {
        Self::next_due(self)
    }

    fn clock_is_suspect(&self) -> bool {
        Self::clock_is_suspect(self)
    }

    fn tick(&self, wall: LogTime, log_id: LogId) -> Vec<u8> {
        self.tick_record(wall, log_id)
    }
}

impl Restoring for Restore {
    type Machine = holdfast_core::Machine;

    fn page(&mut self, kind: u8, number: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        Self::page(self, kind, number, bytes)
    }

    fn finish(self) -> Result<holdfast_core::Machine, RestoreError> {
        Self::finish(self)
    }
}

/// The record that a machine is given.
pub(crate) fn input(record: &holdfast_log::Record) -> Input<'_> {
    Input { offset: Offset(record.offset.0), append_time: record.append_time, payload: &record.payload }
}
