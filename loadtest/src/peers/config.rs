//! Which systems are compared, and how long.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// A system that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Holdfast over HTTP, one request for each reservation, with its log on the disk before the answer.
    Holdfast,
    /// PostgreSQL, one function call for each reservation, under a lock on the row of the SKU.
    PostgresRowLock,
    /// PostgreSQL, one function call for each reservation, with a version that is compared and counted up.
    PostgresOptimistic,
    /// Redis, one script call for each reservation, with its append-only file on the disk before the answer.
    RedisLua,
}

impl System {
    /// All, in the order of the table.
    pub const ALL: [Self; 4] =
        [Self::Holdfast, Self::PostgresRowLock, Self::PostgresOptimistic, Self::RedisLua];

    /// As it stands in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holdfast => "Holdfast, HTTP",
            Self::PostgresRowLock => "PostgreSQL, row lock",
            Self::PostgresOptimistic => "PostgreSQL, optimistic",
            Self::RedisLua => "Redis, Lua, AOF always",
        }
    }
}

/// The settings of a comparison.
#[derive(Debug, Clone)]
pub struct PeersConfig {
    /// The `holdfast` executable.
    pub server: PathBuf,
    /// Who takes part. Without [`System::Holdfast`] there are no ratios, and no executable is needed.
    pub systems: Vec<System>,
    /// Numbers of connections to run with, 1 to 1,000 each. Each connection has one request under way.
    pub connections: Vec<u32>,
    /// Requests of a run, 100 to 1,000,000. Without it as many as take about 80 % of `time`, for each system its own number,
    /// found by a short run before.
    pub requests: Option<u64>,
    /// A run ends after so long, 1 s to 5 min, however much there is left to ask.
    pub time: Duration,
    /// Runs of which the table has the medians, 1 to 9.
    pub repeat: u32,
    /// Where the servers keep their data while they run: below this directory, or below that of the system for temporary
    /// files. The user `postgres` must be able to reach it.
    pub data: Option<PathBuf>,
}

/// Why systems cannot be compared like that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {must}")]
pub struct ConfigError {
    what: &'static str,
    must: &'static str,
}

impl PeersConfig {
    /// The usual comparison with this server: everybody, 64 connections, 10 s, medians of 3.
    #[must_use]
    pub fn new(server: PathBuf) -> Self {
        Self {
            server,
            systems: System::ALL.to_vec(),
            connections: vec![64],
            requests: None,
            time: Duration::from_secs(10),
            repeat: 3,
            data: None,
        }
    }

    /// Whether it can work.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let connections = |it: &u32| (1..=1_000).contains(it);
        let time = Duration::from_secs(1)..=Duration::from_secs(300);
        let rules = [
            ("the list of systems", "not empty", !self.systems.is_empty()),
            ("the list of connections", "not empty", !self.connections.is_empty()),
            ("the number of connections", "1 to 1,000", self.connections.iter().all(connections)),
            (
                "the number of requests",
                "100 to 1,000,000",
                self.requests.is_none_or(|it| (100..=1_000_000).contains(&it)),
            ),
            ("the time of a run", "1 s to 5 min", time.contains(&self.time)),
            ("the number of runs", "1 to 9", (1..=9).contains(&self.repeat)),
        ];
        rules.into_iter().find(|it| !it.2).map_or(Ok(()), |(what, must, _)| Err(ConfigError { what, must }))
    }
}
