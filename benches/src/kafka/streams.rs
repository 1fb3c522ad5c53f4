//! Kafka Streams doing the same work on the same broker: as fast as it goes, how long an answer takes, and how long
//! nobody answers after `kill -9`.

mod check;
pub(crate) mod latency;
mod peer;
pub(crate) mod takeover;
pub(crate) mod throughput;
mod work;
