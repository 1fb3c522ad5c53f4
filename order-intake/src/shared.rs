//! What all threads of an intake share. Nothing in here is locked on the way of a request.

use std::sync::Arc;

use holdfast_core::Machine;
use holdfast_engine::Sequencer;
use holdfast_log::{OrderedLog, Topic};

use crate::config::IntakeConfig;
use crate::error::IntakeError;
use crate::health::Health;
use crate::keys::{DevelopmentKeys, IdKey, PublicKeys};

pub(crate) struct Shared {
    pub(crate) config: IntakeConfig,
    pub(crate) log: Arc<dyn OrderedLog>,
    pub(crate) sequencer: Arc<Sequencer<Machine>>,
    pub(crate) health: Health,
    pub(crate) keys: PublicKeys,
    pub(crate) id_key: IdKey,
    pub(crate) partitions: u32,
}

impl Shared {
    pub(crate) fn new(
        log: Arc<dyn OrderedLog>,
        sequencer: Arc<Sequencer<Machine>>,
        config: IntakeConfig,
    ) -> Result<Self, IntakeError> {
        let keys = match &config.auth.keys_file {
            Some(file) => PublicKeys::read(file)?,
            None => PublicKeys::one(DevelopmentKeys::open_or_create(&config.data_dir)?.public()),
        };
        let id_key = IdKey::open_or_create(&config.id_key_path())?;
        let partitions = log.partitions(Topic::InventoryCommands);
        Ok(Self { health: Health::new(partitions), keys, id_key, partitions, config, log, sequencer })
    }
}
