//! The HTTP interface: turns requests into commands, waits for their decisions, answers.
//!
//! [`Intake`] runs a few threads, each with an event loop, a listening socket on the shared port, and connections of its
//! own. What a thread has to send to a partition goes out as one record per round of its event loop; the decisions come
//! back through the log, and each thread reads them there. A decision can be read only after its command is durable, so
//! an answer is never sent before that.

mod answer;
mod api;
mod auth;
mod body;
mod config;
mod connection;
mod error;
mod gate;
mod headers;
mod health;
mod ids;
mod intake;
mod json;
pub mod keys;
mod lane;
mod listen;
mod metrics;
mod names;
mod operators;
mod problem;
mod rate;
mod reserve;
mod respond;
mod shard;
mod shared;
mod startup;
mod trace;
mod waiters;

pub use config::{AuthConfig, IntakeConfig};
pub use error::IntakeError;
pub use intake::{Intake, ShutdownReport};
pub use listen::can_listen;
pub use operators::{OperatorPages, Watched};
