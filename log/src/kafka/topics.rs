//! The topics of a log on Kafka: made with the settings that its promises rest on, and looked at for them.

mod check;
mod wanted;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use holdfast_contracts::{LogId, Offset, PartitionId};
use serde::Serialize;

use super::admin::{Admin, PATIENCE};
use super::library::{PartitionInfo, TopicInfo};
use super::{KafkaConfig, KafkaError, Profile};
use crate::Layout;

/// What the topics of a log must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsSpec {
    /// Partitions of the commands, the decisions and the dead letters. For good: another count sends SKUs elsewhere.
    pub partitions: u32,
    /// What the log is claimed to survive.
    pub profile: Profile,
    /// How long decisions are kept at least, in ms; for ever if there is none. Records that checkpoints cover are
    /// deleted by Holdfast itself.
    pub decisions_retention_ms: Option<u64>,
    /// Where reading begins for each partition of the commands: the offset after the oldest verified checkpoint. A log
    /// that begins later has lost what a recovery needs.
    pub needed_from: BTreeMap<PartitionId, Offset>,
}

impl TopicsSpec {
    /// Topics that keep decisions until Holdfast deletes them.
    #[must_use]
    pub const fn new(partitions: u32, profile: Profile) -> Self {
        Self { partitions, profile, decisions_retention_ms: None, needed_from: BTreeMap::new() }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, but not as it should.
    Warning,
    /// Nothing must run on it.
    Error,
}

/// Something about the topics that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Names the kind of finding, for programs.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The topic's name on the brokers.
    pub topic: String,
    /// What is wrong, in a sentence.
    pub sentence: String,
    /// What to do about it, in a sentence.
    pub advice: String,
}

/// What `create` did and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Topics that were made.
    pub created: Vec<String>,
    /// Topics that were there; not a setting of them was touched.
    pub existing: Vec<String>,
    /// What is not as it must be, afterwards.
    pub findings: Vec<Finding>,
}

/// The topics of a log as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The cluster's id.
    pub cluster_id: String,
    /// The log's id, if commands and decisions exist: 32 hexadecimal digits.
    pub log_id: Option<LogIdText>,
    /// The topics that exist.
    pub topics: Vec<TopicDescription>,
}

/// A log id that serialises as it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogIdText(pub LogId);

impl Serialize for LogIdText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// One topic as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicDescription {
    /// Its name on the brokers.
    pub name: String,
    /// Its id: another topic of the same name has another one.
    pub topic_id: String,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionDescription>,
    /// Its settings as they apply, by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

/// One partition as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: u32,
    /// The broker that leads it, if one does.
    pub leader: Option<i32>,
    /// The brokers that keep it.
    pub replicas: Vec<i32>,
    /// Those of them that have everything.
    pub in_sync: Vec<i32>,
    /// The first offset that can be read, if its leader said so.
    pub low: Option<u64>,
    /// The offset after the last readable record, likewise.
    pub end: Option<u64>,
}

/// Makes the topics that are missing and leaves the others as they are. Doing it twice is doing it once.
///
/// Blocks, for half a minute at most.
///
/// # Errors
/// If the brokers cannot be asked or refuse. Topics that were made until then stay.
pub fn create(config: &KafkaConfig, spec: &TopicsSpec) -> Result<Created, KafkaError> {
    Layout::inventory(spec.partitions).map_err(|error| KafkaError::Layout(error.to_string()))?;
    let admin = Admin::connect(config, "creating the topics", 2 * PATIENCE)?;
    let wanted = wanted::topics(config, spec);
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let there = admin.topics(&names)?;
    let mut created = Vec::new();
    for topic in wanted.iter().filter(|topic| !there.contains_key(&topic.name)) {
        if admin.create(&topic.request(spec.profile))? {
            created.push(topic.name.clone());
        }
    }
    let existing = names.iter().filter(|name| !created.contains(name)).cloned().collect();
    wait_for_leaders(&admin, &created)?;
    Ok(Created { created, existing, findings: check::findings(&admin, config, spec)? })
}

/// What is not as it must be. Nothing, if a log with these topics keeps its promises.
///
/// Blocks, for a quarter of a minute at most.
///
/// # Errors
/// If the brokers cannot be asked.
pub fn check(config: &KafkaConfig, spec: &TopicsSpec) -> Result<Vec<Finding>, KafkaError> {
    let admin = Admin::connect(config, "checking the topics", PATIENCE)?;
    check::findings(&admin, config, spec)
}

/// The topics as they are.
///
/// Blocks, for a quarter of a minute at most.
///
/// # Errors
/// If the brokers cannot be asked.
pub fn describe(config: &KafkaConfig) -> Result<Description, KafkaError> {
    let admin = Admin::connect(config, "describing the topics", PATIENCE)?;
    let names = wanted::names(config);
    let mut there = admin.topics(&names)?;
    let log_id = super::log_id::of(&admin, config, &there).ok().map(|log| LogIdText(log.log_id));
    let existing: Vec<String> = names.into_iter().filter(|name| there.contains_key(name)).collect();
    let mut settings = admin.settings(&existing)?;
    let mut topics = Vec::new();
    for name in existing {
        let Some(info) = there.remove(&name) else { continue };
        let partitions = info.partitions.into_iter().map(|it| described(&admin, &name, it)).collect();
        let settings = settings.remove(&name).unwrap_or_default();
        topics.push(TopicDescription { name, topic_id: info.id_text, partitions, settings });
    }
    Ok(Description { cluster_id: admin.cluster_id().to_owned(), log_id, topics })
}

fn described(admin: &Admin<'_>, topic: &str, info: PartitionInfo) -> PartitionDescription {
    // Without a leader nobody knows the ends, and asking takes until the time is up.
    let ends = info.leader.and_then(|_| admin.ends(topic, info.partition).ok());
    PartitionDescription {
        partition: info.partition,
        leader: info.leader,
        replicas: info.replicas,
        in_sync: info.in_sync,
        low: ends.map(|(low, _)| low),
        end: ends.map(|(_, end)| end),
    }
}

/// A topic that was made is known to all brokers a moment later.
fn wait_for_leaders(admin: &Admin<'_>, names: &[String]) -> Result<(), KafkaError> {
    const PAUSE: Duration = Duration::from_millis(50);
    if names.is_empty() {
        return Ok(());
    }
    loop {
        let there = admin.topics(names)?;
        let led = |topic: &TopicInfo| topic.partitions.iter().all(|partition| partition.leader.is_some());
        if names.iter().all(|name| there.get(name).is_some_and(led)) {
            return Ok(());
        }
        if admin.left().is_zero() {
            return Err(KafkaError::Refused {
                doing: "creating the topics".to_owned(),
                reason: "the topics were made, but not every partition has a leader".to_owned(),
                retryable: true,
            });
        }
        thread::sleep(PAUSE);
    }
}
