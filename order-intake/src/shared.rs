//! What all threads of an intake share. Nothing in here is locked on the way of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{IntakeId, PartitionId};
use holdfast_core::Machine;
use holdfast_engine::Sequencer;
use holdfast_log::{OrderedLog, Topic};

use crate::auth::Verifier;
use crate::config::IntakeConfig;
use crate::error::IntakeError;
use crate::gate::Progress;
use crate::health::Health;
use crate::ids::Ids;
use crate::keys::{DevelopmentKeys, IdKey, KeyError, PublicKeys};
use crate::metrics::ShardMetrics;
use crate::operators::Watched;

pub(crate) struct Shared {
    pub(crate) config: IntakeConfig,
    pub(crate) log: Arc<dyn OrderedLog>,
    pub(crate) sequencer: Arc<Sequencer<Machine>>,
    pub(crate) health: Health,
    /// What else there is to say of the process.
    pub(crate) watched: Option<Arc<dyn Watched>>,
    pub(crate) verifier: Verifier,
    pub(crate) ids: Ids,
    pub(crate) partitions: u32,
    /// The threads as the log knows them.
    pub(crate) intakes: Arc<[IntakeId]>,
    /// Partitions whose machines may remember reservations.
    reserved_in: Vec<AtomicBool>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) metrics: Vec<Arc<ShardMetrics>>,
}

impl Shared {
    pub(crate) fn new(
        log: Arc<dyn OrderedLog>,
        sequencer: Arc<Sequencer<Machine>>,
        config: IntakeConfig,
        watched: Option<Arc<dyn Watched>>,
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
        let ids = Ids::new(match &config.id_key {
            Some(key) => key.clone(),
            None => IdKey::open_or_create(&config.id_key_path())?,
        });
        let partitions = log.partitions(Topic::InventoryCommands);
        let shards = usize::from(config.shards.get());
        Ok(Self {
            health: Health::new(partitions),
            verifier: Verifier::new(&config.auth, keys, ids.clone()),
            ids,
            partitions,
            intakes: (0..shards).map(|_| intake_id()).collect::<Result<_, _>>()?,
            reserved_in: (0..partitions).map(|_| AtomicBool::new(false)).collect(),
            progress: Arc::new(Progress::new(shards, partitions as usize)),
            metrics: (0..shards).map(|_| Arc::default()).collect(),
            watched,
            config,
            log,
            sequencer,
        })
    }

    /// Whether the machine of a partition may remember reservations.
    pub(crate) fn is_reserved_in(&self, partition: PartitionId) -> bool {
        self.reserved_in[partition.0 as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn note_reserved_in(&self, partition: PartitionId) {
        let noted = &self.reserved_in[partition.0 as usize];
        // Written once and read with every request.
        if !noted.load(Ordering::Relaxed) {
            noted.store(true, Ordering::Relaxed);
        }
    }

    /// The partition that a SKU belongs to.
    pub(crate) fn partition(&self, sku: &str) -> PartitionId {
        partition_of(sku, self.partitions)
    }
}

/// An id that no intake had before. 0 is nobody.
fn intake_id() -> Result<IntakeId, KeyError> {
    getrandom::u64().map(|id| IntakeId(id | 1)).map_err(|_| KeyError::Random)
}
