//! What a world is made of: a log, checkpoint disks, processes, and how the story ends.

use std::fmt::Write as _;

use holdfast_contracts::{ControlKey, LogId, PartitionId};
use holdfast_core::MachineConfig;
use holdfast_engine::WorkerConfig;
use holdfast_log::simulated::Profile;

use super::build::BuildConfig;
use crate::case::{from_hex, to_hex};
use crate::model::Settings;

/// Everything that is fixed before the first action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Which real log is imitated.
    pub profile: Profile,
    /// Partitions of the log.
    pub partitions: u32,
    /// Its id.
    pub log_id: LogId,
    /// The control key, if there is one.
    pub control_secret: Option<[u8; 32]>,
    /// Appends that may be unsettled before more are refused.
    pub unsettled_max: usize,
    /// Processes.
    pub hosts: Vec<HostSetup>,
    /// What happens when everything else is over.
    pub end: End,
}

/// A process that runs one worker at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostSetup {
    /// The partition it works for.
    pub partition: u32,
    /// Its checkpoint disk. Two that share one are the active worker and the standby of one process.
    pub disk: usize,
    /// Newest rules its build knows.
    pub rules_newest: u32,
    /// Sizes of its machine.
    pub id_bins: usize,
    /// As above.
    pub wheel_slots: usize,
    /// Bytes read at once.
    pub read_bytes_max: usize,
    /// Bytes of a checkpoint copied in one step.
    pub copy_bytes_per_step: usize,
    /// Bytes of commands between checkpoints.
    pub checkpoint_after_bytes: u64,
    /// Outputs that may wait for their acknowledgement.
    pub unacknowledged_outputs_max: usize,
    /// How often a quiet partition gets a tick.
    pub idle_tick_ms: u64,
}

/// How the story ends: something that no owner can make good. It must say so by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after what happens to partition 0")]
pub enum End {
    Well,
    CommandsCutOff,
    CommandsReplaced,
    CommandsCutOffWhileRunning,
    LogReplaced,
    DecisionsCutOff,
    ForeignDecision,
    OtherDecision,
    CommandsOfDecisionsCutOff,
    DamagedCommand,
}

/// All ends with their names.
pub(super) const ENDS: [(End, &str); 10] = [
    (End::Well, "well"),
    (End::CommandsCutOff, "commands-cut-off"),
    (End::CommandsReplaced, "commands-replaced"),
    (End::CommandsCutOffWhileRunning, "commands-cut-off-while-running"),
    (End::LogReplaced, "log-replaced"),
    (End::DecisionsCutOff, "decisions-cut-off"),
    (End::ForeignDecision, "foreign-decision"),
    (End::OtherDecision, "other-decision"),
    (End::CommandsOfDecisionsCutOff, "commands-of-decisions-cut-off"),
    (End::DamagedCommand, "damaged-command"),
];

impl Setup {
    /// What the model of a partition is made with.
    #[must_use]
    pub const fn settings(&self, partition: u32) -> Settings {
        Settings {
            partition: PartitionId(partition),
            partitions: self.partitions,
            log_id: self.log_id,
            control_secret: self.control_secret,
        }
    }

    /// How many disks there are.
    #[must_use]
    pub fn disks(&self) -> usize {
        self.hosts.iter().map(|host| host.disk + 1).max().unwrap_or(0)
    }

    /// The setup as lines of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let profile = if self.profile == Profile::Kafka { "kafka" } else { "embedded" };
        let end = ENDS.iter().find(|(end, _)| *end == self.end).map_or("", |(_, name)| name);
        let mut text = format!(
            "log {profile} {} partitions {} unsettled {}\nend {end}\n",
            self.log_id, self.partitions, self.unsettled_max
        );
        if let Some(secret) = &self.control_secret {
            let _ = writeln!(text, "control {}", to_hex(secret));
        }
        for host in &self.hosts {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "host partition {} disk {} rules {} bins {} wheel {} read {} copy {} checkpoint {} outputs {} tick {}",
                host.partition,
                host.disk,
                host.rules_newest,
                host.id_bins,
                host.wheel_slots,
                host.read_bytes_max,
                host.copy_bytes_per_step,
                host.checkpoint_after_bytes,
                host.unacknowledged_outputs_max,
                host.idle_tick_ms,
            );
        }
        text
    }

    /// A setup without hosts, to be filled by [`Setup::read_line`].
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            profile: Profile::Embedded,
            partitions: 1,
            log_id: LogId([0; 16]),
            control_secret: None,
            unsettled_max: 1 << 20,
            hosts: Vec::new(),
            end: End::Well,
        }
    }

    /// Takes in a line that [`Setup::to_text`] wrote. `None` if it is something else.
    pub fn read_line(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["log", profile, id, "partitions", partitions, "unsettled", unsettled] => {
                self.profile = match profile {
                    "kafka" => Profile::Kafka,
                    "embedded" => Profile::Embedded,
                    _ => return None,
                };
                self.log_id = id.parse().ok()?;
                self.partitions = partitions.parse().ok()?;
                self.unsettled_max = unsettled.parse().ok()?;
            }
            ["control", secret] => self.control_secret = Some(from_hex(secret)?.try_into().ok()?),
            ["end", name] => self.end = ENDS.iter().find(|(_, known)| *known == name)?.0,
            ["host", ref rest @ ..] => self.hosts.push(HostSetup::of_words(rest)?),
            _ => return None,
        }
        Some(())
    }
}

impl HostSetup {
    fn of_words(words: &[&str]) -> Option<Self> {
        let number = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        let size = |name: &str| usize::try_from(number(name)?).ok();
        let small = |name: &str| u32::try_from(number(name)?).ok();
        Some(Self {
            partition: small("partition")?,
            disk: size("disk")?,
            rules_newest: small("rules")?,
            id_bins: size("bins")?,
            wheel_slots: size("wheel")?,
            read_bytes_max: size("read")?,
            copy_bytes_per_step: size("copy")?,
            checkpoint_after_bytes: number("checkpoint")?,
            unacknowledged_outputs_max: size("outputs")?,
            idle_tick_ms: number("tick")?,
        })
    }

    /// What its worker is made with.
    #[must_use]
    pub const fn worker(&self) -> WorkerConfig {
        WorkerConfig {
            read_bytes_max: self.read_bytes_max,
            copy_bytes_per_step: self.copy_bytes_per_step,
            checkpoint_after_bytes: self.checkpoint_after_bytes,
            unacknowledged_outputs_max: self.unacknowledged_outputs_max,
            idle_tick_ms: self.idle_tick_ms,
            ..WorkerConfig::new(PartitionId(self.partition))
        }
    }

    /// What its machine is made with.
    #[must_use]
    pub(super) fn build(&self, setup: &Setup) -> BuildConfig {
        let machine = MachineConfig {
            control_key: setup.control_secret.as_ref().map(ControlKey::new),
            id_bins: self.id_bins,
            wheel_slots: self.wheel_slots,
            ..MachineConfig::new(PartitionId(self.partition), setup.partitions, setup.log_id)
        };
        BuildConfig { machine, settings: setup.settings(self.partition), rules_newest: self.rules_newest }
    }
}
