//! The Kafka log: streams are partitions of topics on real brokers.
//!
//! What is Kafka's stays in here: no type of the client library shows in a public function.

mod admin;
mod config;
pub mod dead_letters;
mod error;
pub mod identity;
mod library;
mod log_id;
pub mod membership;
mod profile;
mod send;
pub mod topics;

pub use config::{ConfigError, KafkaConfig, KafkaSettings, Value};
pub use error::KafkaError;
pub use log_id::{LogOnKafka, lookup};
pub use membership::{Generation, MemberEvent, Membership, MembershipConfig, MembershipNumbers};
pub use profile::{Profile, Survives};
