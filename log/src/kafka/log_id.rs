//! Which log it is: another cluster or a topic that was made again is another log.

use std::collections::BTreeMap;

use holdfast_contracts::LogId;

use super::admin::{Admin, PATIENCE};
use super::library::TopicInfo;
use super::{KafkaConfig, KafkaError};
use crate::{Layout, Topic};

/// What the hash is for; hashes for other purposes have nothing to do with it.
const PURPOSE: &str = "holdfast log id on kafka, 1";

/// The log that the topics of a cluster make up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOnKafka {
    /// A hash over the cluster's id and the ids of its topics. Stored nowhere, so it cannot outlive a topic.
    pub log_id: LogId,
    /// The cluster's id.
    pub cluster_id: String,
    /// How many partitions it has.
    pub layout: Layout,
}

/// Asks the brokers which log it is. Blocks, for a quarter of a minute at most.
///
/// # Errors
/// If the brokers cannot be asked, the topics do not exist, or their partitions do not match.
pub fn lookup(config: &KafkaConfig) -> Result<LogOnKafka, KafkaError> {
    let admin = Admin::connect(config, "looking up the log", PATIENCE)?;
    let there = admin.topics(&Topic::ALL.map(|topic| config.topic_name(topic)))?;
    of(&admin, config, &there)
}

/// The log that these topics make up.
pub(super) fn of(
    admin: &Admin<'_>,
    config: &KafkaConfig,
    there: &BTreeMap<String, TopicInfo>,
) -> Result<LogOnKafka, KafkaError> {
    let mut hash = blake3::Hasher::new_derive_key(PURPOSE);
    // Ids of topics have one length, so the id of the cluster is told apart from what follows.
    hash.update(admin.cluster_id().as_bytes());
    let mut counts = Vec::new();
    for topic in Topic::ALL {
        let name = config.topic_name(topic);
        let Some(info) = there.get(&name) else { return Err(KafkaError::NoTopic { topic: name }) };
        if info.id == [0; 16] {
            let reason = "the brokers do not tell the ids of topics; Kafka 2.8 or later is needed";
            return Err(KafkaError::Layout(reason.to_owned()));
        }
        hash.update(&info.id);
        counts.push(u32::try_from(info.partitions.len()).unwrap_or(u32::MAX));
    }
    if counts.iter().any(|count| *count != counts[0]) {
        return Err(KafkaError::Layout(format!("their partitions do not match: {counts:?}")));
    }
    let layout = Layout::inventory(counts[0]).map_err(|error| KafkaError::Layout(error.to_string()))?;
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    Ok(LogOnKafka { log_id: LogId(id), cluster_id: admin.cluster_id().to_owned(), layout })
}
