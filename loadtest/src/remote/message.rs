//! What a coordinator and a worker tell each other, once they know each other.

use serde::{Deserialize, Serialize};

use crate::books::Moment;
use crate::drive::Interval;
use crate::run::config::Source;

/// To be raised with every change of what is told, or of what is inside of it.
pub(crate) const PROTOCOL: u32 = 1;

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// What is to be played.
    Job(Box<Job>),
    /// Values of `Authorization`, one for each customer: parcels of texts. The operator's is not among them.
    Tokens(Vec<u8>),
    /// Names of SKUs, likewise.
    Skus(Vec<u8>),
    /// That was all: get ready.
    Prepare,
    /// What does your clock show? The answer has the same number.
    Ping(u32),
    /// T0, by the worker's clock.
    Start(Moment),
    /// Send nothing more, and tell what there is to tell.
    Stop,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) scenario: Source,
    /// Tells the keys of this run from those of others.
    pub(crate) run: u64,
    /// Who is asked, as `host:port`.
    pub(crate) server: String,
    /// The first of this worker's threads among those of all workers.
    pub(crate) first: u32,
    /// Threads of this worker.
    pub(crate) here: u32,
    /// Threads of all workers.
    pub(crate) all: u32,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The server can be reached, and threads can be started.
    Ready,
    /// That is what the clock shows.
    Pong(u32, Moment),
    /// A second of a thread is over.
    Second(u32, Box<Interval>),
    /// Exchanges that a thread has written down.
    Books(u32, Vec<u8>),
    /// The same with somebody else's interface.
    PlainBooks(u32, Vec<u8>),
    /// A thread has told all.
    Ended(u32),
    /// All have.
    Finished {
        /// Open at once, at most.
        sockets_max: u64,
    },
    /// There is nothing to be expected any more, and why.
    Failed(String),
}

#[cfg(test)]
mod tests;
