//! The settings of a server. None of them changes an answer: those come as commands, through the log.
//!
//! Every key stands in `config/holdfast.toml` with its default. Unknown keys are refused.

mod keys;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contracts::{LogId, PartitionId};
use holdfast_core::MachineConfig;
use holdfast_engine::{SequencerConfig, WorkerConfig};
use holdfast_intake::IntakeConfig;
use holdfast_log::kafka::{KafkaLogOptions, KafkaSettings};
use holdfast_log::{EmbeddedConfig, Layout};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::roles::Connected;

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Without configured keys the server does not start, and no development tokens are issued. Default false.
    pub(crate) production: bool,
    /// Where everything lies. Default `holdfast-data`.
    pub(crate) data_dir: PathBuf,
    /// Partitions of a new log; a log that exists keeps its own. Default 4.
    pub(crate) partitions: NonZeroU32,
    /// The file with the 32 secret bytes that operators' commands, ticks and activated rules are authenticated with where
    /// others may write to the commands; every process of a log needs the same one. Default none.
    pub(crate) control_key_file: Option<PathBuf>,
    /// What is logged: a level, or directives as `info,holdfast_intake=debug`. Default `info`.
    pub(crate) log_level: String,
    /// How long an orderly end may take for each of its steps, in ms. Default 30,000.
    pub(crate) shutdown_patience_ms: NonZeroU64,
    /// The HTTP interface. Its `data_dir` is the one above.
    pub(crate) intake: IntakeConfig,
    /// The embedded log.
    pub(crate) log: LogConfig,
    /// The machines and their checkpoints.
    pub(crate) sequencer: SequencerSettings,
    /// How roles on Kafka reach it. `up` has a log of its own and does not look here.
    pub(crate) kafka: KafkaSettings,
    /// Roles on Kafka, each a process of its own.
    pub(crate) roles: RolesConfig,
}

/// The embedded log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// Size of a segment file of a new log. Default 64 MiB.
    pub(crate) segment_bytes: NonZeroU32,
    /// Bytes that may be accepted and not yet durable. Default 64 MiB.
    pub(crate) unsettled_bytes_max: NonZeroU64,
    /// Bytes of recent records kept in memory for readers. Default 128 MiB.
    pub(crate) tail_bytes_max: u64,
    /// Bytes of log that are kept even when checkpoints cover them. Default 1 GiB.
    pub(crate) keep_bytes: u64,
    /// How often the log is asked whether it wants to forget something, in ms. Default 10,000.
    pub(crate) retention_every_ms: NonZeroU64,
    /// Bytes of log that are checked at the start, newest first. Default 4 GiB.
    pub(crate) verify_bytes_max: u64,
    /// How long a decision may wait for a flush that comes anyway, in microseconds. Default 2,000.
    pub(crate) derived_delay_us: u64,
    /// How long the log is quiet before it writes down what is flushed, in ms. Default 50.
    pub(crate) mark_delay_ms: u64,
    /// How often room is looked for while the disk is full, in ms. Default 200.
    pub(crate) disk_full_retry_ms: NonZeroU64,
}

/// The machines and their checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SequencerSettings {
    /// Threads that share the partitions. Default 1.
    pub(crate) threads: NonZeroU32,
    /// Whether every partition has a warm standby in this process, which takes as much memory again. Default false.
    pub(crate) standby: bool,
    /// Remembered ids that each partition takes memory for at the start. Default 0.
    pub(crate) room_for_ids: u64,
    /// Holds likewise. Default 0.
    pub(crate) room_for_holds: u64,
    /// A checkpoint begins when so many bytes of commands came since the last. Default 64 MiB.
    pub(crate) checkpoint_after_bytes: NonZeroU64,
    /// ... or when so many ms passed and at least 64 KiB came. Default 1,000.
    pub(crate) checkpoint_after_ms: NonZeroU64,
    /// ... or when so many ms passed and anything came. Default 60,000.
    pub(crate) checkpoint_idle_ms: NonZeroU64,
    /// A quiet partition gets a tick this often, in ms. Default 1,000.
    pub(crate) idle_tick_ms: NonZeroU64,
}

/// Roles on Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolesConfig {
    /// Where a role without buyers shows operators its pages. Default `127.0.0.1:9464`.
    pub(crate) operators_listen: SocketAddr,
    /// The name of this sequencer in its group. Default made once and kept in the data directory.
    pub(crate) instance_id: Option<String>,
    /// After so long without a sign of life a sequencer's partitions go to others, in ms. Default 10,000.
    pub(crate) session_timeout_ms: NonZeroU64,
    /// How long a sequencer may take to hand a partition over, in ms. Default 5,000.
    pub(crate) handover_ms: NonZeroU64,
    /// Where verified checkpoints are shipped to: a folder, or a `file://` URL. Default nowhere.
    pub(crate) archive: Option<String>,
    /// How often a checkpoint is shipped, if there is a later one, in ms. Default 60,000.
    pub(crate) ship_every_ms: NonZeroU64,
}

/// More ids or holds than that are a slip of the pen: they would take 30 GB and more.
const ROOM_MAX: u64 = 1_000_000_000;

const fn nz32(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a default is not 0")
}

const fn nz64(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("a default is not 0")
}

impl Default for Config {
    fn default() -> Self {
        Self {
            production: false,
            data_dir: PathBuf::from("holdfast-data"),
            partitions: nz32(4),
            control_key_file: None,
            log_level: "info".to_owned(),
            shutdown_patience_ms: nz64(30_000),
            intake: IntakeConfig::default(),
            log: LogConfig::default(),
            sequencer: SequencerSettings::default(),
            kafka: KafkaSettings::default(),
            roles: RolesConfig::default(),
        }
    }
}

impl Default for RolesConfig {
    fn default() -> Self {
        Self {
            operators_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
            instance_id: None,
            session_timeout_ms: nz64(10_000),
            handover_ms: nz64(5_000),
            archive: None,
            ship_every_ms: nz64(60_000),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: nz32(64 << 20),
            unsettled_bytes_max: nz64(64 << 20),
            tail_bytes_max: 128 << 20,
            keep_bytes: 1 << 30,
            retention_every_ms: nz64(10_000),
            verify_bytes_max: 4 << 30,
            derived_delay_us: 2_000,
            mark_delay_ms: 50,
            disk_full_retry_ms: nz64(200),
        }
    }
}

impl Default for SequencerSettings {
    fn default() -> Self {
        Self {
            threads: nz32(1),
            standby: false,
            room_for_ids: 0,
            room_for_holds: 0,
            checkpoint_after_bytes: nz64(64 << 20),
            checkpoint_after_ms: nz64(1_000),
            checkpoint_idle_ms: nz64(60_000),
            idle_tick_ms: nz64(1_000),
        }
    }
}

/// Settings, and which of them somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The partition count, if it was set and is not a default.
    pub(crate) partitions_asked: Option<u32>,
}

impl Loaded {
    /// Reads a file, or takes the defaults if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or says something that is not understood.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else { return Self::parse("") };
        let shown = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("the settings in {shown} cannot be read: {error}"))
                .advise("check the path given with --config or HOLDFAST_CONFIG")
        })?;
        Self::parse(&text)
            .map_err(|failure| Failure { detail: format!("{shown}: {}", failure.detail), ..failure })
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let refused = |error: &toml::de::Error| {
            Failure::usage(format!("the settings are not understood: {}", error.to_string().trim_end()))
        };
        let table: toml::Table = text.parse().map_err(|error| refused(&error))?;
        keys::refuse_unknown(&table)?;
        let config: Config = toml::from_str(text).map_err(|error| refused(&error))?;
        let partitions_asked = table.contains_key("partitions").then(|| config.partitions.get());
        Ok(Self { config, partitions_asked })
    }
}

impl Config {
    /// Says how the values must relate.
    ///
    /// # Errors
    /// A sentence about the first value that does not fit.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        if self.production && self.intake.auth.keys_file.is_none() {
            return Err(Failure::usage("production mode needs the keys that tokens are signed with")
                .advise("set intake.auth.keys_file to a file of public keys, or leave out --production"));
        }
        let room = self.sequencer.room_for_ids.max(self.sequencer.room_for_holds);
        if room > ROOM_MAX {
            return Err(Failure::usage(format!("there is no room for {room}; it is at most {ROOM_MAX}"))
                .advise("sequencer.room_for_ids and room_for_holds are for each partition"));
        }
        Layout::inventory(self.partitions.get()).map_err(|error| Failure::usage(error.to_string()))?;
        self.intake.validate().map_err(|error| Failure::usage(crate::failure::causes(&error)))
    }

    /// Says how the values of a role on Kafka must relate.
    ///
    /// # Errors
    /// A sentence about the first value that does not fit.
    pub(crate) fn validate_role(&self) -> Result<(), Failure> {
        if self.kafka.bootstrap.is_none() {
            return Err(Failure::usage("a role needs brokers: kafka.bootstrap is not set").advise(
                "set it in the [kafka] table of the settings; without Kafka, `holdfast up` runs everything",
            ));
        }
        if self.production && self.control_key_file.is_none() {
            return Err(Failure::usage(
                "production mode needs the secret that operators' commands are authenticated with",
            )
            .advise("set control_key_file, and make the key once with `holdfast control-key create`"));
        }
        if self.roles.session_timeout_ms.get() < 1_000 {
            return Err(Failure::usage("roles.session_timeout_ms must be at least 1000"));
        }
        Ok(())
    }

    pub(crate) const fn ship_every(&self) -> Duration {
        Duration::from_millis(self.roles.ship_every_ms.get())
    }

    /// How the log on Kafka is opened.
    pub(crate) fn kafka_log(&self, log_id: LogId, layout: Layout) -> KafkaLogOptions {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        KafkaLogOptions {
            tail_bytes_max: size(self.log.tail_bytes_max),
            unsettled_bytes_max: self.log.unsettled_bytes_max.get(),
            ..KafkaLogOptions::new(log_id, layout)
        }
    }

    /// What a role on Kafka runs, once it is assigned.
    pub(crate) fn role_sequencer(&self, connected: &Connected) -> SequencerConfig<MachineConfig> {
        let mut config = self.sequencer(connected.partitions(), connected.found.log_id);
        for (_, machine) in &mut config.partitions {
            machine.control_key = connected.control_key;
        }
        // Standbys come with assignments.
        config.standby = false;
        config
    }

    pub(crate) const fn shutdown_patience(&self) -> Duration {
        Duration::from_millis(self.shutdown_patience_ms.get())
    }

    pub(crate) const fn retention_every(&self) -> Duration {
        Duration::from_millis(self.log.retention_every_ms.get())
    }

    /// How the log is opened.
    ///
    /// # Errors
    /// If no log can have so many partitions.
    pub(crate) fn embedded_log(
        &self,
        partitions: u32,
        expected_log_id: Option<LogId>,
    ) -> Result<EmbeddedConfig, Failure> {
        let layout = Layout::inventory(partitions).map_err(|error| Failure::usage(error.to_string()))?;
        let it = &self.log;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(EmbeddedConfig {
            expected_log_id,
            segment_bytes: it.segment_bytes.get(),
            unsettled_bytes_max: size(it.unsettled_bytes_max.get()),
            tail_bytes_max: size(it.tail_bytes_max),
            verify_bytes_max: it.verify_bytes_max,
            keep_bytes: it.keep_bytes,
            derived_delay: Duration::from_micros(it.derived_delay_us),
            mark_delay: Duration::from_millis(it.mark_delay_ms),
            disk_full_retry: Duration::from_millis(it.disk_full_retry_ms.get()),
            ..EmbeddedConfig::new(layout)
        })
    }

    /// What the sequencer runs.
    pub(crate) fn sequencer(&self, partitions: u32, log_id: LogId) -> SequencerConfig<MachineConfig> {
        let it = &self.sequencer;
        let worker = |partition| WorkerConfig {
            checkpoint_after_bytes: it.checkpoint_after_bytes.get(),
            checkpoint_after_ms: it.checkpoint_after_ms.get(),
            checkpoint_idle_ms: it.checkpoint_idle_ms.get(),
            idle_tick_ms: it.idle_tick_ms.get(),
            ..WorkerConfig::new(partition)
        };
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let machine = |partition| MachineConfig {
            room_for_ids: size(it.room_for_ids),
            room_for_holds: size(it.room_for_holds),
            ..MachineConfig::new(partition, partitions, log_id)
        };
        let all = (0..partitions).map(PartitionId);
        SequencerConfig {
            partitions: all.map(|it| (worker(it), machine(it))).collect(),
            threads: usize::try_from(it.threads.get()).unwrap_or(1),
            standby: it.standby,
        }
    }
}

#[cfg(test)]
mod tests;
