//! Sends requests when they are due, and measures from then.

mod connection;
mod figures;
pub(crate) mod hdr_bytes;
mod poller;
mod response;
mod watch;
mod wheel;
mod worker;

pub(crate) use figures::{Counts, Latencies, histogram, record};
#[cfg(test)]
pub(crate) use response::Body;
pub(crate) use response::Head;
pub(crate) use watch::{SelfWatch, Signs, busy_seconds, cores, verdict};
pub(crate) use wheel::Wheel;
pub(crate) use worker::{Script, Standing, Times, Worker, WorkerConfig};
