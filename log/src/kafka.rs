//! The Kafka log: streams are partitions of topics on real brokers.
//!
//! What is Kafka's stays in here: no type of the client library shows in a public function.

mod admin;
mod config;
pub mod dead_letters;
mod error;
mod feed;
pub mod identity;
mod keeper;
mod lanes;
mod library;
mod log;
mod log_id;
pub mod membership;
mod native;
mod open;
mod outbox;
mod producer;
mod profile;
mod send;
mod shared;
mod stats;
mod stream;
pub mod topics;

pub use config::{ConfigError, KafkaConfig, KafkaSettings, Value};
pub use error::KafkaError;
pub use log::KafkaLog;
pub use log_id::{LogOnKafka, lookup};
pub use membership::{Generation, MemberEvent, Membership, MembershipConfig, MembershipNumbers};
pub use open::{KafkaLogOptions, KafkaOpenError};
pub use profile::{Profile, Survives};
pub use stats::{KafkaStats, KafkaStreamStats};
