//! Which log it is: another cluster or a topic that was made again is another log.

use holdfast_contracts::LogId;

use super::{KafkaConfig, KafkaError};
use crate::Layout;

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
    let _ = config;
    unimplemented!()
}
