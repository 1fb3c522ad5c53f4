//! The same buyers without the intake: commands go to the brokers in batches, and decisions are read from there.
//!
//! What is known of Holdfast here is its record format, as any client with a Kafka library would have it.

mod answer;
mod asking;
mod follower;
mod ids;
mod lane;
mod order;
mod questions;
mod read_back;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use questions::ask_all;
pub(crate) use read_back::{ReadBack, read_back};
pub(crate) use worker::{Worker, WorkerConfig};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_contracts::{Chain, Offset, OutSeq, PartitionId};
use holdfast_log::kafka::{ConfigError, KafkaError, KafkaSettings, LogOnKafka, lookup};
use holdfast_log::{
    KafkaConfig, KafkaLog, KafkaLogOptions, KafkaOpenError, OrderedLog, ReadError, StreamId, Topic,
};
use serde::Deserialize;

use self::ids::Ids;
use crate::scenario::Scenario;

/// How the brokers are reached, and how commands are gathered.
#[derive(Debug, Clone)]
pub struct ThroughKafka {
    /// Brokers to begin with, as `host:port`.
    pub bootstrap: String,
    /// What comes before the names of the topics; what the file says by default.
    pub topic_prefix: Option<String>,
    /// A file with a table `[kafka]` as the server's own configuration has it; whatever else it has is not looked at.
    pub settings: Option<PathBuf>,
    /// A command waits so long for others to go with it.
    pub linger: Duration,
}

/// Why nobody can ask through Kafka.
#[derive(Debug, thiserror::Error)]
pub enum ThroughKafkaError {
    /// There is nothing to look at in the log.
    #[error("the scenario has readers, who only look, and looking is not a command: set readers.share to 0")]
    Readers,
    /// Somebody else's interface has no log.
    #[error("the scenario describes an interface of its own, and Kafka is Holdfast's")]
    OwnInterface,
    /// The file with settings.
    #[error("the settings in {}: {what}", file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The brokers.
    #[error(transparent)]
    Brokers(#[from] KafkaError),
    /// The log.
    #[error(transparent)]
    Open(#[from] KafkaOpenError),
    /// The decisions cannot be read.
    #[error("reading decisions")]
    Read(#[from] ReadError),
    /// The decisions that must be there did not come.
    #[error(
        "the decisions of partition {partition} could not be read again: they came no further than {next} of {end}"
    )]
    Stuck {
        /// The partition.
        partition: PartitionId,
        /// What was wanted.
        next: Offset,
        /// The end as the brokers say.
        end: Offset,
    },
}

impl ThroughKafkaError {
    /// Whether the same will fail again: what was asked for cannot be run.
    pub(crate) const fn is_about_what_was_asked(&self) -> bool {
        matches!(self, Self::Readers | Self::OwnInterface | Self::Settings { .. } | Self::Config(_))
    }

    /// Whether nobody answers.
    pub(crate) const fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Brokers(KafkaError::Away { .. }) | Self::Open(KafkaOpenError::Unreachable { .. })
        )
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    kafka: KafkaSettings,
}

/// The last decision of a partition that was taken, by its number and the hash over everything up to it.
pub(crate) type Seen = (PartitionId, OutSeq, Chain);

/// Where commands of a run go and its decisions come from.
pub(crate) struct Post {
    config: KafkaConfig,
    found: LogOnKafka,
    log: Arc<dyn OrderedLog>,
    linger: Duration,
    ids: Ids,
    /// The ends of the decisions before anything was asked.
    began: Vec<Offset>,
    noted: Mutex<Noted>,
}

/// What readers leave behind when they end.
#[derive(Default)]
struct Noted {
    seen: Vec<Seen>,
    /// What must not be in a log, one sentence each.
    faults: Vec<String>,
}

impl Post {
    /// Finds the log. Whatever is decided from here on is read when the run is over. `run` tells ids of this run from those
    /// of others.
    ///
    /// # Errors
    /// If the settings cannot be used, or the brokers do not have the log.
    pub(crate) fn open(through: &ThroughKafka, run: u64) -> Result<Self, ThroughKafkaError> {
        let config = config(through)?;
        let found = lookup(&config)?;
        let log = open_log(&config, &found)?;
        let began = ends(log.as_ref())?;
        let linger = through.linger;
        Ok(Self { config, found, log, linger, ids: Ids::of(run), began, noted: Mutex::default() })
    }

    /// How many partitions the log has.
    pub(crate) fn partitions(&self) -> u32 {
        self.log.partitions(Topic::InventoryCommands)
    }

    /// Where decisions are read from, for people.
    pub(crate) fn name(&self) -> String {
        format!("kafka at {}", self.config.bootstrap)
    }

    /// What was read and must not be in a log, one sentence each.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.lock().faults.clone();
        faults.sort();
        // Whoever reads the same sees the same.
        faults.dedup();
        faults
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        // Nothing in there is left half done by a panic.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks whether all that the scenario's people do are commands.
///
/// # Errors
/// What of the scenario cannot be asked through Kafka.
pub(crate) fn check(scenario: &Scenario) -> Result<(), ThroughKafkaError> {
    if scenario.api.is_some() {
        return Err(ThroughKafkaError::OwnInterface);
    }
    if *scenario.readers.share.get_ref() > 0.0 {
        return Err(ThroughKafkaError::Readers);
    }
    Ok(())
}

/// The settings of the file with what was given beside it.
fn config(through: &ThroughKafka) -> Result<KafkaConfig, ThroughKafkaError> {
    let mut settings = match &through.settings {
        None => KafkaSettings::default(),
        Some(file) => {
            let wrong = |what: String| ThroughKafkaError::Settings { file: file.clone(), what };
            let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
            toml::from_str::<File>(&text).map_err(|error| wrong(error.message().to_owned()))?.kafka
        }
    };
    settings.bootstrap = Some(through.bootstrap.clone());
    // The server's own name is taken.
    settings.client_id = None;
    if let Some(prefix) = &through.topic_prefix {
        settings.topic_prefix.clone_from(prefix);
    }
    Ok(settings.resolve()?)
}

fn open_log(config: &KafkaConfig, found: &LogOnKafka) -> Result<Arc<dyn OrderedLog>, ThroughKafkaError> {
    Ok(Arc::new(KafkaLog::open(config, KafkaLogOptions::new(found.log_id, found.layout))?))
}

/// The ends of all partitions of the decisions, as the brokers say now.
fn ends(log: &dyn OrderedLog) -> Result<Vec<Offset>, ReadError> {
    let partitions = (0..log.partitions(Topic::InventoryDecisions)).map(PartitionId);
    partitions.map(|it| Ok(log.refresh(StreamId::inventory_decisions(it))?.end)).collect()
}
