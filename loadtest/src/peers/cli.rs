//! The settings as they are given on a command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::config::{PeersConfig, System};

/// Compares Holdfast with what people would use otherwise, at the same work, on this machine.
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Numbers of connections; each has one request under way.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [64])]
    pub connections: Vec<u32>,
    /// Requests of a run; without it as many as take about 80 % of the time.
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// The longest that a run may take, in seconds.
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub seconds: u64,
    /// Runs of which the table has the medians.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: u32,
    /// Who takes part; everybody by default.
    #[arg(long, value_name = "SYSTEM,...", value_delimiter = ',', value_enum)]
    pub systems: Vec<System>,
    /// Where the servers keep their data while they run; a temporary directory by default.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

impl PeersArgs {
    /// The settings, with this `holdfast` executable.
    #[must_use]
    pub fn config(self, server: PathBuf) -> PeersConfig {
        let systems = if self.systems.is_empty() { System::ALL.to_vec() } else { self.systems };
        PeersConfig {
            systems,
            connections: self.connections,
            requests: self.requests,
            time: Duration::from_secs(self.seconds),
            repeat: self.repeat,
            data: self.scratch,
            ..PeersConfig::new(server)
        }
    }
}
