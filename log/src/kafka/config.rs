//! How the brokers are reached, and which settings nobody may change.

mod protected;
mod secret;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use holdfast_contracts::topics;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaConfRes;
use serde::{Serialize, Serializer};

use crate::port::Topic;
pub use secret::Value;
pub use settings::KafkaSettings;

/// How a log on Kafka is reached.
///
/// The three maps go to the client library as they are, under its own names (`security.protocol`, `sasl.username`, ...);
/// the more particular one wins. What the correctness of Holdfast rests on cannot be set there: see
/// [`validate`](Self::validate). Passwords and private keys are shown nowhere: `Debug` and `Serialize` mask them.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to begin with, as `host:port,host:port`.
    pub bootstrap: String,
    /// Names this process to the brokers; unique among the members of a group.
    pub client_id: String,
    /// Comes before the name of every topic and group. Empty unless several Holdfasts share a cluster.
    pub topic_prefix: String,
    /// Settings of every client.
    pub common: BTreeMap<String, String>,
    /// Settings of consumers.
    pub consumer: BTreeMap<String, String>,
    /// Settings of producers.
    pub producer: BTreeMap<String, String>,
}

/// A setting that cannot be used. No text of it shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The correctness of Holdfast rests on it.
    #[error("kafka setting `{key}` cannot be changed: {why}")]
    Protected {
        /// The setting.
        key: String,
        /// What rests on it.
        why: &'static str,
    },
    /// It is lower than Holdfast can work with.
    #[error("kafka setting `{key}` must be at least {least}: {why}")]
    TooLow {
        /// The setting.
        key: String,
        /// The least value.
        least: u64,
        /// What needs it.
        why: &'static str,
    },
    /// The client library has no such setting.
    #[error("there is no kafka setting `{key}` in the client library")]
    Unknown {
        /// The setting.
        key: String,
    },
    /// The same setting stands twice in one table, under two names.
    #[error("kafka setting `{key}` is another name of `{other}`, which is set too")]
    Twice {
        /// The one.
        key: String,
        /// The other.
        other: String,
    },
    /// The client library does not take the value, or the settings do not go together.
    #[error("kafka settings do not work: {reason}")]
    Refused {
        /// What the client library says.
        reason: String,
    },
    /// A file or variable that a value comes from cannot be read.
    #[error("kafka setting `{key}`: {what}")]
    Source {
        /// The setting.
        key: String,
        /// What is wrong with its source.
        what: String,
    },
    /// Others than its owner may read a file with a secret.
    #[error("kafka setting `{key}`: others than its owner may read {}; take their rights away", file.display())]
    ReadableByOthers {
        /// The setting.
        key: String,
        /// The file.
        file: PathBuf,
    },
    /// Names of topics are made of letters, digits, `.`, `_` and `-`.
    #[error(
        "`{0}` cannot come before the name of a topic: use letters, digits, `.`, `_` and `-`, 100 at most"
    )]
    Prefix(String),
    /// There are no brokers to begin with.
    #[error("kafka setting `bootstrap` names no brokers")]
    NoBrokers,
}

/// What the client library is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Consumer,
    Producer,
    /// Topics and metadata.
    Admin,
}

const PREFIX_BYTES_MAX: usize = 100;

impl KafkaConfig {
    /// Brokers without security, and settings that suit a log.
    #[must_use]
    pub fn new(bootstrap: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            client_id: client_id.into(),
            topic_prefix: String::new(),
            common: BTreeMap::new(),
            consumer: BTreeMap::new(),
            producer: BTreeMap::new(),
        }
    }

    /// Refuses settings that would break a promise, that the client library does not know, or that do not go together.
    /// Nothing is sent.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.bootstrap.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(ConfigError::NoBrokers);
        }
        let of_a_topic = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.topic_prefix.len() > PREFIX_BYTES_MAX || !self.topic_prefix.chars().all(of_a_topic) {
            return Err(ConfigError::Prefix(self.topic_prefix.clone()));
        }
        for table in [&self.common, &self.consumer, &self.producer] {
            protected::check(table)?;
        }
        self.check_client::<BaseConsumer>(Client::Consumer)?;
        self.check_client::<BaseProducer>(Client::Producer)
    }

    /// The topic's name on the brokers.
    #[must_use]
    pub fn topic_name(&self, topic: Topic) -> String {
        self.prefixed(topic.name())
    }

    /// The name of the topic that pins what belongs to the log.
    #[must_use]
    pub fn identity_topic(&self) -> String {
        self.prefixed(topics::INVENTORY_IDENTITY)
    }

    /// The name of the topic with undecodable records.
    #[must_use]
    pub fn dead_letters_topic(&self) -> String {
        self.prefixed(topics::INVENTORY_DEAD_LETTERS)
    }

    /// The text without the value of any secret setting. For whatever the client library or a broker says.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        let tables = [&self.common, &self.consumer, &self.producer];
        for (key, value) in tables.into_iter().flatten() {
            if secret::is_secret(key) && !value.is_empty() {
                masked = masked.replace(value, secret::MASK);
            }
        }
        masked
    }

    pub(crate) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// The configuration of one client.
    pub(crate) fn client(&self, client: Client) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", &self.client_id);
        for (key, value) in defaults(client) {
            config.set(*key, *value);
        }
        let own = match client {
            Client::Consumer => Some(&self.consumer),
            Client::Producer => Some(&self.producer),
            Client::Admin => None,
        };
        for (key, value) in self.common.iter().chain(own.into_iter().flatten()) {
            // One name for each setting, so that a default and an alias of it cannot both be there.
            config.set(protected::canonical(key), value);
        }
        config
    }

    /// Lets the client library judge, without letting it connect.
    fn check_client<T: rdkafka::config::FromClientConfig>(&self, client: Client) -> Result<(), ConfigError> {
        let mut config = self.client(client);
        config.remove("bootstrap.servers").set_log_level(RDKafkaLogLevel::Emerg);
        match config.create::<T>() {
            Ok(_) => Ok(()),
            Err(ClientError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _)) => {
                Err(ConfigError::Unknown { key })
            }
            // The text for people is made here: what the library prints holds the value.
            Err(ClientError::ClientConfig(_, reason, key, _)) if secret::is_secret(&key) => {
                Err(ConfigError::Refused { reason: format!("`{key}`: {}", self.mask(&reason)) })
            }
            Err(ClientError::ClientConfig(_, reason, ..) | ClientError::ClientCreation(reason)) => {
                Err(ConfigError::Refused { reason: self.mask(&reason) })
            }
            Err(other) => Err(ConfigError::Refused { reason: self.mask(&other.to_string()) }),
        }
    }
}

/// What suits a log, unless somebody says otherwise.
const fn defaults(client: Client) -> &'static [(&'static str, &'static str)] {
    match client {
        Client::Consumer => &[
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("check.crcs", "true"),
            ("allow.auto.create.topics", "false"),
            ("fetch.min.bytes", "1"),
            ("fetch.wait.max.ms", "100"),
            ("fetch.queue.backoff.ms", "1"),
            // A leader that changes is an error of fetching, and half a second on top of an election.
            ("fetch.error.backoff.ms", "50"),
            // The broker that comes back may be the only one.
            ("reconnect.backoff.max.ms", "1000"),
            ("fetch.message.max.bytes", "4194304"),
            ("queued.min.messages", "50000"),
            ("queued.max.messages.kbytes", "65536"),
            ("socket.keepalive.enable", "true"),
            ("enable.partition.eof", "false"),
        ],
        Client::Producer => &[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("compression.type", "lz4"),
            ("message.max.bytes", "9000000"),
            ("queue.buffering.max.messages", "500000"),
            ("queue.buffering.max.kbytes", "262144"),
            ("retry.backoff.max.ms", "250"),
            ("reconnect.backoff.max.ms", "1000"),
            ("delivery.timeout.ms", "30000"),
            ("socket.timeout.ms", "10000"),
            ("socket.keepalive.enable", "true"),
            ("allow.auto.create.topics", "false"),
        ],
        Client::Admin => &[("socket.keepalive.enable", "true"), ("allow.auto.create.topics", "false")],
    }
}

/// Secrets are not shown.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("topic_prefix", &self.topic_prefix)
            .field("common", &secret::masked(&self.common))
            .field("consumer", &secret::masked(&self.consumer))
            .field("producer", &secret::masked(&self.producer))
            .finish()
    }
}

/// What applies, for people: secrets are not shown.
impl Serialize for KafkaConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut shown = serializer.serialize_struct("KafkaConfig", 6)?;
        shown.serialize_field("bootstrap", &self.bootstrap)?;
        shown.serialize_field("client_id", &self.client_id)?;
        shown.serialize_field("topic_prefix", &self.topic_prefix)?;
        shown.serialize_field("common", &secret::masked(&self.common))?;
        shown.serialize_field("consumer", &secret::masked(&self.consumer))?;
        shown.serialize_field("producer", &secret::masked(&self.producer))?;
        shown.end()
    }
}

#[cfg(test)]
mod tests;
