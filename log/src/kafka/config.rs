//! How the brokers are reached, and which settings nobody may change.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;

use crate::port::Topic;

/// How a log on Kafka is reached.
///
/// The three maps go to the client library as they are, under its own names (`security.protocol`, `sasl.username`, ...);
/// the more particular one wins. What the correctness of Holdfast rests on cannot be set there.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to begin with, as `host:port,host:port`.
    pub bootstrap: String,
    /// Names this process to the brokers; unique among the members of a group.
    pub client_id: String,
    /// Put before the name of every topic, so that several logs can live on the same brokers. Usually empty.
    pub topic_prefix: String,
    /// Settings of every client.
    pub common: BTreeMap<String, String>,
    /// Settings of consumers.
    pub consumer: BTreeMap<String, String>,
    /// Settings of producers.
    pub producer: BTreeMap<String, String>,
}

/// A setting that cannot be used.
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
}

/// What the client library is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Consumer,
    Producer,
    /// Topics and metadata.
    Admin,
}

/// Settings that are not to be touched, and what rests on each.
const PROTECTED: &[(&str, &str)] = &[
    ("acks", "an answer leaves only when every in-sync replica has its record"),
    ("allow.auto.create.topics", "a topic that creates itself has the wrong settings"),
    ("auto.offset.reset", "a silent jump would sell units twice"),
    ("bootstrap.servers", "it is set as `bootstrap`"),
    ("check.crcs", "a flipped bit must not be decided upon"),
    ("client.id", "members of a group are told apart by it"),
    ("enable.auto.commit", "offsets come from the checkpoint"),
    ("enable.auto.offset.store", "offsets come from the checkpoint"),
    ("enable.gapless.guarantee", "gaps are closed from the log, not by the client"),
    ("enable.idempotence", "the order of records rests on it"),
    ("enable.partition.eof", "positions are kept by Holdfast"),
    ("group.id", "membership is set up by Holdfast"),
    ("isolation.level", "aborted transactions of strangers must not be read"),
    ("partition.assignment.strategy", "hand-over rests on it"),
    ("partitioner", "every record names its partition"),
    ("transactional.id", "there are no transactions"),
];

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

    /// What the brokers call a topic.
    #[must_use]
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{topic}", self.topic_prefix)
    }

    /// Refuses settings that would break a promise.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let all = self.common.keys().chain(self.consumer.keys()).chain(self.producer.keys());
        for key in all {
            if let Some((_, why)) = PROTECTED.iter().find(|(name, _)| name == key) {
                return Err(ConfigError::Protected { key: key.clone(), why });
            }
        }
        Ok(())
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
            config.set(key, value);
        }
        config
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
            ("delivery.timeout.ms", "30000"),
            ("socket.timeout.ms", "10000"),
            ("socket.keepalive.enable", "true"),
            ("allow.auto.create.topics", "false"),
        ],
        Client::Admin => &[("socket.keepalive.enable", "true")],
    }
}

/// Secrets are not shown.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |map: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let shown =
                |key: &str, value: &str| if is_secret(key) { "***".to_owned() } else { value.to_owned() };
            map.iter().map(|(key, value)| (key.clone(), shown(key, value))).collect()
        };
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("topic_prefix", &self.topic_prefix)
            .field("common", &masked(&self.common))
            .field("consumer", &masked(&self.consumer))
            .field("producer", &masked(&self.producer))
            .finish()
    }
}

/// Whether the value of a setting must not be shown.
fn is_secret(key: &str) -> bool {
    ["password", "secret", "key.pem", "sasl.oauthbearer.config", "jaas"].iter().any(|part| key.contains(part))
}
