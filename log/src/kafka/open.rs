//! Opening a log on Kafka: the topics must be there, and be what they are said to be.

use std::{io, sync::Arc, time::Duration};

use holdfast_contracts::LogId;

use super::{
    ConfigError, KafkaConfig,
    config::Client as Purpose,
    native::{Client, Fault, Kind, TopicHandle, Undertaker},
    producer::Producers,
    shared::{Parts, Shared},
};
use crate::{layout::Layout, port::Topic};

/// How a log on Kafka is opened.
#[derive(Debug, Clone, Copy)]
pub struct KafkaLogOptions {
    /// Which log the topics are; see the crate's administration of topics.
    pub log_id: LogId,
    /// The partitions that the topics have.
    pub layout: Layout,
    /// Bytes of recent records kept in memory for readers, all streams together. Readers behind that fetch for themselves.
    pub tail_bytes_max: usize,
    /// Bytes of payload that may be accepted and not acknowledged, all streams together, before appends are refused
    /// as [`Full`](crate::AppendError::Full).
    pub unsettled_bytes_max: u64,
    /// Records that a stream keeps before [`wants_trim`](crate::OrderedLog::wants_trim) says yes.
    pub keep_records: u64,
    /// How long fetching may bring nothing although there is something before the consumer is replaced.
    pub stall_timeout: Duration,
    /// How long the brokers may take to answer while the log is opened.
    pub open_timeout: Duration,
}

impl KafkaLogOptions {
    /// 32 MiB of recent records for each stream, 64 MiB in flight, everything may be trimmed, 10 s to stall, 30 s to
    /// open.
    #[must_use]
    pub const fn new(log_id: LogId, layout: Layout) -> Self {
        Self {
            log_id,
            layout,
            tail_bytes_max: 32 << 20,
            unsettled_bytes_max: 64 << 20,
            keep_records: 0,
            stall_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(30),
        }
    }
}

/// Why a log on Kafka could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum KafkaOpenError {
    /// A setting is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client library refuses its settings.
    #[error("the kafka client cannot be started: {reason}")]
    Client {
        /// What it says.
        reason: String,
    },
    /// The brokers do not answer.
    #[error("the brokers at {bootstrap} do not answer: {reason}")]
    Unreachable {
        /// Where they were looked for.
        bootstrap: String,
        /// What the client library says.
        reason: String,
    },
    /// The brokers have no such topic.
    #[error("there is no topic {topic}")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The topic has another number of partitions.
    #[error("topic {topic} has {found} partitions, not {expected}")]
    PartitionCount {
        /// Its name.
        topic: String,
        /// As it should be.
        expected: u32,
        /// As it is.
        found: u32,
    },
    /// A thread could not be started.
    #[error("a thread of the log could not be started")]
    Thread(#[source] io::Error),
}

/// Connects, and looks at the topics.
pub(super) fn open(config: &KafkaConfig, options: &KafkaLogOptions) -> Result<Arc<Shared>, KafkaOpenError> {
    config.validate()?;
    let refused = |fault: Fault| KafkaOpenError::Client { reason: fault.text };
    let undertaker = Arc::new(Undertaker::default());
    let mut asking = config.client(Purpose::Consumer);
    // The end is where the log ends, whatever strangers do in their transactions.
    asking.set("isolation.level", "read_uncommitted");
    let client = Client::new(&asking, Kind::Consumer, &undertaker).map_err(refused)?;
    let [commands, decisions] = Topic::ALL.map(|topic| client.topic(&config.topic_name(topic)));
    let askers = [commands.map_err(refused)?, decisions.map_err(refused)?];
    for (topic, asker) in Topic::ALL.into_iter().zip(&askers) {
        check_topic(config, options, topic, asker)?;
    }
    let shared = Arc::new(Shared::new(Parts {
        log_id: options.log_id,
        layout: options.layout,
        config: config.clone(),
        askers,
        undertaker,
        tail_bytes_max: options.tail_bytes_max / options.layout.stream_count(),
        unsettled_bytes_max: options.unsettled_bytes_max,
        stall: options.stall_timeout,
        delivery_timeout: delivery_timeout(config),
    }));
    let unreachable = |fault| unreachable(config, fault);
    for stream in &shared.streams {
        stream.refresh(&shared, options.open_timeout).map_err(unreachable)?;
    }
    for topic in Topic::ALL {
        // The first record of a producer waits for its id; the wait is better now.
        if let Err(fault) = shared.producers[topic.code() as usize].current(&shared, topic) {
            // Their threads keep the rest alive.
            shared.producers.iter().for_each(Producers::close);
            return Err(refused(fault));
        }
    }
    Ok(shared)
}

fn check_topic(
    config: &KafkaConfig,
    options: &KafkaLogOptions,
    topic: Topic,
    asker: &TopicHandle,
) -> Result<(), KafkaOpenError> {
    let found = asker.partition_count(options.open_timeout).map_err(|fault| unreachable(config, fault))?;
    let (name, expected) = (config.topic_name(topic), options.layout.partitions(topic));
    match found {
        None | Some(0) => Err(KafkaOpenError::NoTopic { topic: name }),
        Some(found) if found != expected => {
            Err(KafkaOpenError::PartitionCount { topic: name, expected, found })
        }
        Some(_) => Ok(()),
    }
}

fn unreachable(config: &KafkaConfig, fault: Fault) -> KafkaOpenError {
    KafkaOpenError::Unreachable { bootstrap: config.bootstrap.clone(), reason: fault.text }
}

/// Longer than any process lives, and still a time that can be added to another.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long the brokers may acknowledge nothing, from the producer's settings.
fn delivery_timeout(config: &KafkaConfig) -> Duration {
    let producer = config.client(Purpose::Producer);
    let setting = producer.get("message.timeout.ms").or_else(|| producer.get("delivery.timeout.ms"));
    match setting.and_then(|setting| setting.parse().ok()) {
        None => Duration::from_secs(30),
        Some(0) => FOR_EVER,
        Some(milliseconds) => Duration::from_millis(milliseconds),
    }
}
