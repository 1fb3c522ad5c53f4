//! Holdfast and its peers at the same work on the same machine, one after the other, in one table.
//!
//! The work is RESERVE-1: one SKU; requests for one unit, each with an id of 128 bits and a customer; holds of ten
//! minutes; two units per customer at most. A request is decided once, its id gets the same answer for ever, its expiry is
//! registered, and all of it is durable before the answer leaves. Every run has a server of its own, started on an empty
//! directory, and ends with a check of what was told against what the server itself has stored.

mod check;
mod cli;
mod config;
mod course;
mod daemon;
mod error;
mod holdfast;
mod postgres;
mod redis;
mod report;
mod till;
mod told;
mod work;

pub use cli::PeersArgs;
pub use config::{ConfigError, PeersConfig, System};
pub use course::run;
pub use error::PeersError;
pub use report::{PeersReport, Row, RunFigures};
pub use work::Workload;

#[cfg(test)]
mod tests;
