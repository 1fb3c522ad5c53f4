//! The `[kafka]` table of a configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigError, KafkaConfig, Value};
use crate::kafka::Profile;

/// The `[kafka]` table of a configuration file.
///
/// Besides the keys below it takes every setting of the client library under the library's own name, for all clients;
/// its tables `consumer` and `producer` likewise, for those. `security.protocol = "sasl_ssl"` may be written with or
/// without quotes around the name. A value is a text, a number, true or false, or names where it comes from:
/// `{ file = "/etc/holdfast/kafka.password" }` or `{ env = "KAFKA_PASSWORD" }`.
///
/// Serialising it is for people: a secret that stands in the table itself comes out as `***`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KafkaSettings {
    /// Brokers to begin with, as `host:port,host:port`. No default: without it there is no log on Kafka.
    pub bootstrap: Option<String>,
    /// Names this process to the brokers, unique among all processes. By default made at each start.
    pub client_id: Option<String>,
    /// Comes before the name of every topic and group. Default empty.
    pub topic_prefix: String,
    /// What the log is claimed to survive: `replicated` (default) or `single`.
    pub profile: Profile,
    /// Settings of every client.
    pub common: BTreeMap<String, Value>,
    /// Settings of consumers.
    pub consumer: BTreeMap<String, Value>,
    /// Settings of producers.
    pub producer: BTreeMap<String, Value>,
}

/// Names of the client library that end like a reference to a file.
const NAMES_WITH_FILE: &[&str] = &[
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
];

impl KafkaSettings {
    /// Reads the values that come from files and variables, and refuses what [`KafkaConfig::validate`] refuses.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(&self) -> Result<KafkaConfig, ConfigError> {
        let bootstrap = self.bootstrap.clone().ok_or(ConfigError::NoBrokers)?;
        let client_id = self.client_id.clone().unwrap_or_else(unique_client_id);
        let table = |settings: &BTreeMap<String, Value>| -> Result<BTreeMap<String, String>, ConfigError> {
            settings.iter().map(|(key, value)| Ok((key.clone(), value.resolve(key)?))).collect()
        };
        let config = KafkaConfig {
            topic_prefix: self.topic_prefix.clone(),
            common: table(&self.common)?,
            consumer: table(&self.consumer)?,
            producer: table(&self.producer)?,
            ..KafkaConfig::new(bootstrap, client_id)
        };
        config.validate()?;
        Ok(config)
    }
}

/// A name that no other process has.
fn unique_client_id() -> String {
    // Without random numbers the process id still tells the processes of one host apart.
    let random = getrandom::u32().unwrap_or_default();
    format!("holdfast-{}-{random:08x}", std::process::id())
}

/// A table as it is read: names may be split at their dots.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, a whole number, true or false, or a table")]
enum Node {
    Flag(bool),
    Number(i64),
    Text(String),
    Table(BTreeMap<String, Node>),
}

impl Node {
    fn text(self, key: &str) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(format!("`{key}` must be a text")),
        }
    }

    fn flatten(self, key: &str, settings: &mut BTreeMap<String, Value>) -> Result<(), String> {
        let value = match self {
            Self::Flag(flag) => Value::Text(flag.to_string()),
            Self::Number(number) => Value::Text(number.to_string()),
            Self::Text(text) => Value::Text(text),
            Self::Table(table) => match reference(key, table) {
                Ok(value) => value,
                Err(table) => {
                    return table
                        .into_iter()
                        .try_for_each(|(name, node)| node.flatten(&format!("{key}.{name}"), settings));
                }
            },
        };
        match settings.insert(key.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(format!("`{key}` is set twice")),
        }
    }
}

/// What `{ file = ... }` or `{ env = ... }` refers to, or the table if it is none of them.
fn reference(key: &str, mut table: BTreeMap<String, Node>) -> Result<Value, BTreeMap<String, Node>> {
    if table.len() != 1 || NAMES_WITH_FILE.contains(&format!("{key}.file").as_str()) {
        return Err(table);
    }
    match table.pop_first() {
        Some((name, Node::Text(file))) if name == "file" => Ok(Value::File(PathBuf::from(file))),
        Some((name, Node::Text(variable))) if name == "env" => Ok(Value::Env(variable)),
        Some((name, node)) => Err(BTreeMap::from([(name, node)])),
        None => Err(table),
    }
}

fn table(key: &str, node: Option<Node>) -> Result<BTreeMap<String, Value>, String> {
    let mut settings = BTreeMap::new();
    match node {
        None => {}
        Some(Node::Table(inner)) => {
            for (name, node) in inner {
                node.flatten(&name, &mut settings)?;
            }
        }
        Some(_) => return Err(format!("`{key}` must be a table")),
    }
    Ok(settings)
}

fn read(mut nodes: BTreeMap<String, Node>) -> Result<KafkaSettings, String> {
    let mut text = |key: &str| nodes.remove(key).map(|node| node.text(key)).transpose();
    let bootstrap = text("bootstrap")?;
    let client_id = text("client_id")?;
    let topic_prefix = text("topic_prefix")?.unwrap_or_default();
    let profile = text("profile")?.map_or(Ok(Profile::default()), |name| {
        Profile::named(&name)
            .ok_or_else(|| format!("there is no profile `{name}`; it is `replicated` or `single`"))
    })?;
    let consumer = table("consumer", nodes.remove("consumer"))?;
    let producer = table("producer", nodes.remove("producer"))?;
    let common = table("kafka", Some(Node::Table(nodes)))?;
    Ok(KafkaSettings { bootstrap, client_id, topic_prefix, profile, common, consumer, producer })
}

impl<'de> Deserialize<'de> for KafkaSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(BTreeMap::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Shows a table of values by the names of their settings.
struct Shown<'a>(&'a BTreeMap<String, Value>);

impl Shown<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&String, String)> {
        self.0.iter().map(|(key, value)| (key, value.shown(key)))
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.pairs())
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pairs()).finish()
    }
}

impl Serialize for KafkaSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A file format without a word for nothing leaves the key out.
        if let Some(bootstrap) = &self.bootstrap {
            map.serialize_entry("bootstrap", bootstrap)?;
        }
        if let Some(client_id) = &self.client_id {
            map.serialize_entry("client_id", client_id)?;
        }
        map.serialize_entry("topic_prefix", &self.topic_prefix)?;
        map.serialize_entry("profile", &self.profile)?;
        for (key, value) in Shown(&self.common).pairs() {
            map.serialize_entry(key, &value)?;
        }
        map.serialize_entry("consumer", &Shown(&self.consumer))?;
        map.serialize_entry("producer", &Shown(&self.producer))?;
        map.end()
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("topic_prefix", &self.topic_prefix)
            .field("profile", &self.profile)
            .field("common", &Shown(&self.common))
            .field("consumer", &Shown(&self.consumer))
            .field("producer", &Shown(&self.producer))
            .finish()
    }
}
