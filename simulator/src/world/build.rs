//! Builds of the inventory machine as they run side by side during a rolling upgrade.

use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::{Digest, LogId, LogTime};
use holdfast_core::{Halt, MachineConfig, PageSink, Restore, RestoreError};
use holdfast_engine::{Input, Machine, Restoring};
use holdfast_log::Topic;

use crate::model::Settings;

/// The real machine, in a build that knows the rules up to some version.
pub(super) struct Build {
    machine: holdfast_core::Machine,
    settings: Settings,
    rules_newest: u32,
}

/// What a build is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BuildConfig {
    /// Sizes of the machine. They differ from owner to owner and change no answer.
    pub machine: MachineConfig,
    /// The same as the model has it.
    pub settings: Settings,
    /// Newest rules this build knows.
    pub rules_newest: u32,
}

/// Loads a checkpoint of any build.
pub(super) struct RestoreBuild {
    restore: Restore,
    settings: Settings,
    rules_newest: u32,
}

impl Build {
    /// The real machine inside.
    #[must_use]
    pub(super) const fn machine(&self) -> &holdfast_core::Machine {
        &self.machine
    }
}

/// The first activation of rules that a build up to `rules_newest` does not know, if the record may have any.
#[must_use]
pub(super) fn unknown_rules(settings: &Settings, payload: &[u8], rules_newest: u32) -> Option<u32> {
    if !settings.may_control(payload) {
        return None;
    }
    let (mut skus, mut commands) = (Vec::new(), Vec::new());
    decode_batch(payload, &mut skus, &mut commands).ok()?;
    commands.iter().find_map(|command| match command {
        Command::ActivateRules { version, .. } if *version > rules_newest => Some(*version),
        _ => None,
    })
}

impl Machine for Build {
    type Config = BuildConfig;
    type Restore = RestoreBuild;

    const COMMANDS: Topic = Topic::InventoryCommands;
    const DECISIONS: Topic = Topic::InventoryDecisions;

    fn fresh(config: &BuildConfig) -> Self {
        let BuildConfig { machine, settings, rules_newest } = *config;
        Self { machine: holdfast_core::Machine::new(machine), settings, rules_newest }
    }

    fn restore(config: &BuildConfig) -> RestoreBuild {
        let BuildConfig { machine, settings, rules_newest } = *config;
        RestoreBuild { restore: Restore::new(machine), settings, rules_newest }
    }

    fn apply(&mut self, record: Input<'_>, out: &mut Vec<u8>) -> Result<bool, Halt> {
        if self.rules_newest < holdfast_core::RULES_VERSION_NEWEST
            && let Some(version) = unknown_rules(&self.settings, record.payload, self.rules_newest)
        {
            return Err(Halt::UnknownRules(version));
        }
        self.machine.apply(record, out)
    }

    fn digest(&self) -> Digest {
        self.machine.digest()
    }

    fn freeze(&mut self) {
        self.machine.freeze();
    }

    fn copy_frozen(&mut self, budget: usize, sink: &mut dyn PageSink) -> bool {
        self.machine.copy_frozen(budget, sink)
    }

    fn write_whole_checkpoint_next(&mut self) {
        self.machine.write_whole_checkpoint_next();
    }

    fn now(&self) -> LogTime {
        self.machine.now()
    }

    fn has_backlog(&self) -> bool {
        self.machine.has_backlog()
    }

    fn next_due(&self) -> Option<LogTime> {
        self.machine.next_due()
    }

    fn clock_is_suspect(&self) -> bool {
        self.machine.clock_is_suspect()
    }

    fn tick(&self, wall: LogTime, log_id: LogId) -> Vec<u8> {
        self.machine.tick_record(wall, log_id)
    }
}

impl Restoring for RestoreBuild {
    type Machine = Build;

    fn page(&mut self, kind: u8, number: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        self.restore.page(kind, number, bytes)
    }

    fn finish(self) -> Result<Build, RestoreError> {
        let Self { settings, rules_newest, .. } = self;
        Ok(Build { machine: self.restore.finish()?, settings, rules_newest })
    }
}
