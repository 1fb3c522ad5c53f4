//! The ordered-log port and its adapters: records of a stream get dense offsets, are read back in that order, and
//! are acknowledged once they are durable.
//!
//! Code above this crate knows [`OrderedLog`] and nothing else; which adapter stands behind it is the wiring's choice.

#![cfg_attr(loom, allow(dead_code, unused_imports, reason = "a build for loom has the lock-free parts only"))]

pub mod doorbell;
#[cfg(not(loom))]
pub mod embedded;
#[cfg(not(loom))]
pub mod kafka;
pub mod layout;
pub mod port;
#[cfg(not(loom))]
pub mod simulated;

pub use doorbell::{Doorbell, Listener, doorbell};
#[cfg(not(loom))]
pub use embedded::{EmbeddedConfig, EmbeddedLog, OpenError, ReadOnlyConfig, ReadOnlyLog};
#[cfg(not(loom))]
pub use kafka::{KafkaConfig, KafkaLog, KafkaLogOptions, KafkaOpenError};
pub use layout::{BadPartitionCount, Layout};
pub use port::{
    AppendError, AppendFailure, Appended, Corruption, Durability, OrderedLog, ReadError, Record, Status,
    StreamId, Subscription, Ticket, Topic, TrimError, Watermarks,
};
#[cfg(not(loom))]
pub use simulated::{SimulatedConfig, SimulatedLog};
