//! Finding the log, and making sure that it is the right one and that this process may work on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use holdfast_archive::ObjectArchive;
use holdfast_contracts::ControlKey;
use holdfast_engine::CheckpointArchive;
use holdfast_intake::keys::IdKey;
use holdfast_log::kafka::identity::{IdentityError, Pins, pin_or_check};
use holdfast_log::kafka::topics::{self, Finding, Severity, TopicsSpec};
use holdfast_log::kafka::{
    KafkaConfig, KafkaError, KafkaLog, KafkaLogOptions, KafkaOpenError, LogOnKafka, lookup,
};
use holdfast_log::{OrderedLog, Topic};

use crate::config::{Config, Loaded};
use crate::control_key;
use crate::data::{DataDir, Identity};
use crate::failure::{Exit, Failure, causes};
use crate::output::Output;
use crate::up::Signals;

/// How long brokers may be away before a start is given up, and how often they are asked meanwhile.
const AWAY_MAX: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long whoever waits for an answer is told nothing.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// A log on Kafka that a role may work on.
pub(crate) struct Connected {
    pub(crate) kafka: KafkaConfig,
    pub(crate) found: LogOnKafka,
    pub(crate) log: Arc<KafkaLog>,
    pub(crate) control_key: Option<ControlKey>,
    pub(crate) archive: Option<Arc<dyn CheckpointArchive>>,
}

impl Connected {
    /// Finds the log and opens it. `id_key` is the secret of the reservation ids, of a role that derives them.
    ///
    /// # Errors
    /// If the brokers stay away, the topics are not as they must be, or the log belongs to other keys.
    pub(crate) fn open(
        loaded: &Loaded,
        data: &DataDir,
        id_key: Option<&IdKey>,
        signals: &Signals,
    ) -> Result<Self, Failure> {
        let config = &loaded.config;
        let kafka = config.kafka.resolve().map_err(|error| settings_refused(&error))?;
        let control_key = control_key::read(config)?;
        let found = patiently(signals, || lookup(&kafka))?;
        let partitions = found.layout.partitions(Topic::InventoryCommands);
        if let Some(asked) = loaded.partitions_asked.filter(|asked| *asked != partitions) {
            return Err(Failure::new(
                Exit::Failed,
                "PARTITIONS_CHANGED",
                format!("the topics have {partitions} partitions, the settings ask for {asked}"),
            )
            .advise("the count is for good: leave `partitions` out, or name the right topics with kafka.topic_prefix"));
        }
        let spec = TopicsSpec::new(partitions, config.kafka.profile);
        refuse_findings(&patiently(signals, || topics::check(&kafka, &spec))?)?;
        same_log(data, &found, partitions)?;
        let pins = Pins {
            log_id: Some(found.log_id),
            partitions: Some(partitions),
            reservation_id_key: id_key.map(IdKey::fingerprint),
            control_key: Some(control_key.as_ref().map_or_else(none, |key| key.fingerprint().to_string())),
        };
        let options = KafkaLogOptions { ..config.kafka_log(found.log_id, found.layout) };
        patiently(signals, || match pin_or_check(&kafka, &pins) {
            Ok(_) => Ok(Ok(())),
            Err(IdentityError::Kafka(error)) => Err(error),
            Err(error @ IdentityError::Other { .. }) => Ok(Err(other_keys(&error))),
        })??;
        let log = KafkaLog::open(&kafka, options).map_err(|error| open_refused(&error))?;
        let archive = archive(config)?;
        tracing::info!(
            log_id = %found.log_id, cluster_id = found.cluster_id, partitions, profile = config.kafka.profile.name(),
            "the log is open"
        );
        Ok(Self { kafka, found, log: Arc::new(log), control_key, archive })
    }

    /// The log as everybody else sees it.
    pub(crate) fn ordered(&self) -> Arc<dyn OrderedLog> {
        Arc::clone(&self.log) as Arc<dyn OrderedLog>
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.found.layout.partitions(Topic::InventoryCommands)
    }
}

/// What is pinned where no control key is used: going on with one, or without one, is another log's business.
fn none() -> String {
    "none".to_owned()
}

fn archive(config: &Config) -> Result<Option<Arc<dyn CheckpointArchive>>, Failure> {
    let Some(place) = &config.roles.archive else { return Ok(None) };
    let archive = ObjectArchive::open(place).map_err(|error| {
        Failure::of("ARCHIVE", &format!("opening the checkpoint archive {place}"), &error)
            .advise("roles.archive is a folder, or a file:// URL of one")
    })?;
    if let Err(error) = archive.reach() {
        tracing::error!(
            archive = place,
            error = causes(&error),
            "THE ARCHIVE IS NOT THERE: no checkpoint leaves this host until it is. Mount it, or make the folder if it is new"
        );
    }
    Ok(Some(Arc::new(archive)))
}

/// Asks the brokers until they answer, for a minute.
fn patiently<T>(signals: &Signals, mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, Failure> {
    let deadline = Instant::now() + AWAY_MAX;
    let mut said = false;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                if !said {
                    tracing::warn!(error = causes(&error), "the brokers do not answer; asking again");
                    said = true;
                }
                if signals.is_heard_within(ASK_EVERY) {
                    return Err(Failure::new(Exit::Interrupted, "INTERRUPTED", causes(&error)));
                }
            }
            Err(error) => return Err(refused(&error)),
        }
    }
}

/// Asks the brokers something, and tells people that an answer is waited for if it takes long.
pub(crate) fn asking<T>(kafka: &KafkaConfig, output: Output, ask: impl FnOnce() -> T) -> T {
    let (asked, answered) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if answered.recv_timeout(SILENCE_MAX) == Err(RecvTimeoutError::Timeout) {
                output
                    .say(&format!("the brokers at {} have not answered yet; still asking", kafka.bootstrap));
            }
        });
        let answer = ask();
        drop(asked);
        answer
    })
}

/// Brokers that did not do what was asked, as a failure.
pub(crate) fn refused(error: &KafkaError) -> Failure {
    let said = causes(error);
    match error {
        KafkaError::Away { .. } => Failure::new(Exit::Unavailable, "BROKERS_AWAY", said)
            .advise("look whether the brokers run and kafka.bootstrap names them"),
        KafkaError::NotLetIn { .. } => Failure::new(Exit::Failed, "NOT_LET_IN", said)
            .advise("look at security.protocol, name, password and certificates in the [kafka] settings"),
        KafkaError::NotAllowed { .. } => Failure::new(Exit::Failed, "NOT_ALLOWED", said)
            .advise("docs/kafka.md lists the rights that each role needs"),
        KafkaError::NoTopic { .. } => {
            Failure::new(Exit::Unavailable, "NO_TOPIC", said).advise("run `holdfast topics create`")
        }
        KafkaError::Layout(_) | KafkaError::Foreign { .. } => Failure::new(Exit::Failed, "TOPICS", said)
            .advise("look at the topics with `holdfast topics describe`"),
        KafkaError::Refused { retryable, .. } => {
            let exit = if *retryable { Exit::RetryLater } else { Exit::Failed };
            Failure::new(exit, "BROKERS_REFUSE", said).advise("look at the brokers' logs")
        }
    }
}

pub(crate) fn settings_refused(error: &dyn std::error::Error) -> Failure {
    Failure::usage(format!("the [kafka] settings cannot be used: {}", causes(error)))
        .advise("docs/kafka.md describes them")
}

fn open_refused(error: &KafkaOpenError) -> Failure {
    Failure::of("LOG", "opening the log on Kafka", error)
        .advise("look at the topics with `holdfast topics check`")
}

fn other_keys(error: &IdentityError) -> Failure {
    Failure::new(Exit::Failed, "OTHER_IDENTITY", causes(error)).advise(
        "every process on these topics needs the keys they were begun with: give it the same key files, or point it at \
         other topics",
    )
}

/// Refuses topics on which the promises do not hold.
fn refuse_findings(findings: &[Finding]) -> Result<(), Failure> {
    for finding in findings.iter().filter(|it| it.severity == Severity::Warning) {
        tracing::warn!(
            code = finding.code,
            topic = finding.topic,
            advice = finding.advice,
            "{}",
            finding.sentence
        );
    }
    let Some(first) = findings.iter().find(|it| it.severity == Severity::Error) else { return Ok(()) };
    let more = findings.iter().filter(|it| it.severity == Severity::Error).count() - 1;
    let others =
        if more == 0 { String::new() } else { format!(" (and {more} more: `holdfast topics check`)") };
    Err(Failure::new(Exit::Failed, first.code, format!("{}: {}{others}", first.topic, first.sentence))
        .advise(first.advice.clone()))
}

/// A data directory belongs to one log for good: its checkpoints are of that log.
fn same_log(data: &DataDir, found: &LogOnKafka, partitions: u32) -> Result<(), Failure> {
    let identity = data.identity()?;
    let this = Identity { log_id: found.log_id.to_string(), partitions, id_key: None };
    match identity {
        None => data.pin(&this),
        Some(before) if before.log_id == this.log_id && before.partitions == partitions => Ok(()),
        Some(before) => Err(Failure::new(
            Exit::Failed,
            "OTHER_LOG",
            format!(
                "the data directory {} belongs to log {} with {} partitions, but the topics make up log {} with {partitions}: \
                 they are on another cluster, or were made again",
                data.root().display(), before.log_id, before.partitions, this.log_id
            ),
        )
        .advise("point the role at the right brokers and topics; with an empty data directory it begins from the archive or the log")),
    }
}

/// The name of this process in the group, which stays over restarts: from the settings, or made once.
pub(crate) fn instance_id(config: &Config, data: &Path) -> Result<String, Failure> {
    if let Some(name) = &config.roles.instance_id {
        return Ok(name.clone());
    }
    let file: PathBuf = data.join("instance-id");
    let failed = |error: &dyn std::error::Error| Failure::of("DATA_DIRECTORY", "naming this process", error);
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            let name = format!("holdfast-{:016x}", getrandom::u64().map_err(|error| failed(&error))?);
            std::fs::write(&file, format!("{name}\n")).map_err(|error| failed(&error))?;
            Ok(name)
        }
    }
}
