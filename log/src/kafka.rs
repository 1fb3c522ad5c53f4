//! The Kafka log: streams are partitions of topics on real brokers.
//!
//! What is Kafka's stays in here: no type of the client library shows in a public function.

mod config;

pub use config::{ConfigError, KafkaConfig};
