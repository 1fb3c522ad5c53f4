//! The Kafka log: streams are partitions of topics on real brokers.
//!
//! What is Kafka's stays in here: no type of the client library shows in a public function.

mod config;
mod feed;
mod keeper;
mod lanes;
mod log;
mod native;
mod open;
mod outbox;
mod producer;
mod shared;
mod stats;
mod stream;

pub use config::{ConfigError, KafkaConfig};
pub use log::KafkaLog;
pub use open::{KafkaLogOptions, KafkaOpenError};
pub use stats::{KafkaStats, KafkaStreamStats};
