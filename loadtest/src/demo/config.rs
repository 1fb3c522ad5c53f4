//! What a sale is made of.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of a demonstration.
#[derive(Clone, Debug)]
pub struct DemoConfig {
    /// The `holdfast` executable that is started.
    pub server: PathBuf,
    /// Brokers to hold the sale on, as `host:port,host:port`: then every role is a process of its own, and the sequencer
    /// that decides is killed while another stands by. Without them everything is one process with an embedded log.
    pub kafka: Option<String>,
    /// An empty or missing directory for the server's data. Without one, a temporary directory is used and removed
    /// again, unless the verdict is not exact.
    pub data: Option<PathBuf>,
    /// How many people want to buy. At least as many as there are units.
    pub buyers: u32,
    /// Units on the shelf, 1 to 100,000.
    pub units: u32,
    /// Everything the buyers decide follows from it.
    pub seed: u64,
    /// How many connections the buyers share, 2 to 10,000.
    pub connections: u32,
    /// How often the server is killed, 0 to 5. The first time when half of the units are promised, then on the way to
    /// the last one.
    pub kills: u32,
    /// How long a hold lives without being paid for, 1 s to 60 s.
    pub hold_ttl: Duration,
    /// When the sale is given up, if it has not sold out. At most an hour.
    pub give_up_after: Duration,
}

/// Why a demonstration cannot be held like that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {must}")]
pub struct ConfigError {
    what: &'static str,
    must: &'static str,
}

impl DemoConfig {
    /// The usual sale with this server: 20,000 buyers, 1,000 units, 3 s, one kill.
    #[must_use]
    pub fn new(server: PathBuf) -> Self {
        Self {
            server,
            kafka: None,
            data: None,
            buyers: 20_000,
            units: 1_000,
            seed: 1,
            connections: 256,
            kills: 1,
            hold_ttl: Duration::from_secs(3),
            give_up_after: Duration::from_secs(180),
        }
    }

    /// Whether it can work.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let seconds = |from, to| Duration::from_secs(from)..=Duration::from_secs(to);
        let rules = [
            ("the number of units", "1 to 100,000", (1..=100_000).contains(&self.units)),
            (
                "the number of buyers",
                "the number of units to 1,000,000",
                (self.units..=1_000_000).contains(&self.buyers),
            ),
            ("the number of connections", "2 to 10,000", (2..=10_000).contains(&self.connections)),
            ("the number of kills", "at most 5", self.kills <= 5),
            ("the time to live of a hold", "1 s to 60 s", seconds(1, 60).contains(&self.hold_ttl)),
            ("the time to give up", "1 s to an hour", seconds(1, 3_600).contains(&self.give_up_after)),
        ];
        rules.into_iter().find(|it| !it.2).map_or(Ok(()), |(what, must, _)| Err(ConfigError { what, must }))
    }
}
