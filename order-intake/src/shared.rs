//! What all threads of an intake share. Nothing in here is locked on the way of a request.

use std::sync::Arc;

use holdfast_contracts::PartitionId;
use holdfast_contracts::murmur2::partition_of;
use holdfast_core::Machine;
use holdfast_engine::Sequencer;
use holdfast_log::{OrderedLog, Topic};

use crate::auth::Verifier;
use crate::config::IntakeConfig;
use crate::error::IntakeError;
use crate::gate::Progress;
use crate::health::Health;
use crate::ids::Ids;
use crate::keys::{DevelopmentKeys, IdKey, PublicKeys};
use crate::metrics::ShardMetrics;

pub(crate) struct Shared {
    pub(crate) config: IntakeConfig,
    pub(crate) log: Arc<dyn OrderedLog>,
    pub(crate) sequencer: Arc<Sequencer<Machine>>,
    pub(crate) health: Health,
    pub(crate) verifier: Verifier,
    pub(crate) ids: Ids,
    pub(crate) partitions: u32,
    pub(crate) progress: Arc<Progress>,
    pub(crate) metrics: Vec<Arc<ShardMetrics>>,
}

impl Shared {
    pub(crate) fn new(
        log: Arc<dyn OrderedLog>,
        sequencer: Arc<Sequencer<Machine>>,
        config: IntakeConfig,
    ) -> Result<Self, IntakeError> {
        let keys = match &config.auth.keys_file {
            Some(file) => PublicKeys::read(file)?,
            None => {
                tracing::warn!(
                    data_dir = %config.data_dir.display(),
                    "DEVELOPMENT MODE: no keys are configured, so tokens signed with the key in the data directory are \
                     trusted; do not expose this server"
                );
                PublicKeys::one(DevelopmentKeys::open_or_create(&config.data_dir)?.public())
            }
        };
        let ids = Ids::new(IdKey::open_or_create(&config.id_key_path())?);
        let partitions = log.partitions(Topic::InventoryCommands);
        let shards = usize::from(config.shards.get());
        Ok(Self {
            health: Health::new(partitions),
            verifier: Verifier::new(&config.auth, keys, ids.clone()),
            ids,
            partitions,
            progress: Arc::new(Progress::new(shards, partitions as usize)),
            metrics: (0..shards).map(|_| Arc::default()).collect(),
            config,
            log,
            sequencer,
        })
    }

    /// The partition that a SKU belongs to.
    pub(crate) fn partition(&self, sku: &str) -> PartitionId {
        partition_of(sku, self.partitions)
    }
}
