//! Holdfast as its users run it on Kafka: topics made by its own command, and every role a process.

use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_benches::pipeline::Result;
use serde_json::Value;

use super::broker::Broker;
use crate::processes::{output, sibling};
use crate::server::Server;

/// How long the brokers wait for a sign of life of a sequencer, in milliseconds; as the peer has it.
pub(crate) const SESSION_TIMEOUT_MS: u64 = 3_000;

/// Bytes of records that roles keep for readers. So few are all there within seconds.
const TAIL_BYTES_MAX: u64 = 16 << 20;

/// Whether sequencers keep the partitions of others warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standby {
    Warm,
    None,
}

/// What roles are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roles {
    pub(crate) standby: Standby,
    /// Ids and holds to expect, as an operator says before a sale.
    pub(crate) room: u64,
    /// How often a checkpoint goes to the archive.
    pub(crate) ship_every_ms: u64,
}

impl Default for Roles {
    fn default() -> Self {
        Self { standby: Standby::None, room: 0, ship_every_ms: 60_000 }
    }
}

/// The topics of one log, and the settings of the roles on it.
pub(crate) struct Cluster<'a> {
    broker: &'a Broker,
    directory: PathBuf,
    settings: PathBuf,
    prefix: String,
}

impl<'a> Cluster<'a> {
    /// Makes topics of one partition.
    pub(crate) fn make(broker: &'a Broker, directory: &Path, name: &str, roles: Roles) -> Result<Self> {
        let Roles { standby, room, ship_every_ms } = roles;
        let directory = directory.join(name);
        let archive = directory.join("archive");
        std::fs::create_dir_all(&archive)?;
        let (settings, prefix) = (directory.join("kafka.toml"), format!("roles-{name}-"));
        let text = format!(
            "[log]\ntail_bytes_max = {TAIL_BYTES_MAX}\n\n[kafka]\nbootstrap = \"{}\"\ntopic_prefix = \"{prefix}\"\nprofile = \"single\"\n\n[sequencer]\nstandby = {}\n\
             room_for_ids = {room}\nroom_for_holds = {room}\n\n[roles]\nsession_timeout_ms = {SESSION_TIMEOUT_MS}\n\
             ship_every_ms = {ship_every_ms}\narchive = \"{}\"\n",
            broker.bootstrap(),
            standby == Standby::Warm,
            archive.display(),
        );
        std::fs::write(&settings, text)?;
        let mut create = Command::new(sibling("holdfast")?);
        create.args(["topics", "create", "--partitions", "1", "--config"]).arg(&settings);
        output(create.env_remove("HOLDFAST_CONFIG"))?;
        Ok(Self { broker, directory, settings, prefix })
    }

    /// Starts a sequencer with the disk of that name.
    pub(crate) fn sequencer(&self, name: &str) -> Result<Server> {
        Server::launch("sequencer", Some(&self.settings), self.directory.join(name))
    }

    /// Starts an intake with the disk of that name.
    pub(crate) fn intake(&self, name: &str) -> Result<Server> {
        Server::launch("intake", Some(&self.settings), self.directory.join(name))
    }

    /// Empties a disk.
    pub(crate) fn wipe(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.directory.join(name))?)
    }

    pub(crate) fn commands(&self) -> String {
        format!("{}{}", self.prefix, holdfast_contracts::topics::INVENTORY_COMMANDS)
    }

    pub(crate) fn decisions(&self) -> String {
        format!("{}{}", self.prefix, holdfast_contracts::topics::INVENTORY_DECISIONS)
    }

    /// Removes topics and files.
    pub(crate) fn delete(self) -> Result<()> {
        self.broker.delete_all(&self.prefix)?;
        Ok(std::fs::remove_dir_all(&self.directory)?)
    }
}

/// A partition that is decided here, and up to date.
pub(crate) fn owns(partition: &Value) -> bool {
    partition["assignment"] == "active" && partition["state"] == "live" && partition["lag_records"] == 0
}

/// A partition that is followed here, and up to date.
pub(crate) fn stands_by(partition: &Value) -> bool {
    partition["assignment"] == "standby" && partition["state"] == "live" && partition["lag_records"] == 0
}
