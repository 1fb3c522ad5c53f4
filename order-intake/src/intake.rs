//! Starting and ending an intake.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_core::Machine;
use holdfast_engine::Sequencer;
use holdfast_log::{OrderedLog, StreamId, Topic};
use tokio::sync::watch;

use crate::config::IntakeConfig;
use crate::error::IntakeError;
use crate::listen;
use crate::operators::Watched;
use crate::shard::{self, Stage};
use crate::shared::Shared;

/// A running HTTP interface. Dropping it ends it without patience.
pub struct Intake {
    shared: Arc<Shared>,
    address: SocketAddr,
    stage: watch::Sender<Stage>,
    threads: Mutex<Vec<JoinHandle<bool>>>,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Every request that had begun was answered.
    pub drained: bool,
}

impl Intake {
    /// Begins to listen. Requests are refused with 503 until every partition is live, knows the newest rules if it is a
    /// fresh one, and trusts its clock; [`Intake::wait_until_ready`] waits for that.
    ///
    /// # Errors
    /// [`IntakeError`] when the settings do not fit, a key cannot be used, the log cannot be asked, or the address cannot be
    /// listened to.
    pub fn start(
        log: Arc<dyn OrderedLog>,
        sequencer: Arc<Sequencer<Machine>>,
        config: IntakeConfig,
    ) -> Result<Self, IntakeError> {
        Self::start_watched(log, sequencer, config, None)
    }

    /// The same, with something that says on `/status` and `/metrics` how the process stands besides, and that must be
    /// ready for `/readyz` to say so.
    ///
    /// # Errors
    /// As [`Intake::start`].
    pub fn start_watched(
        log: Arc<dyn OrderedLog>,
        sequencer: Arc<Sequencer<Machine>>,
        config: IntakeConfig,
        watched: Option<Arc<dyn Watched>>,
    ) -> Result<Self, IntakeError> {
        config.validate()?;
        let shards = usize::from(config.shards.get());
        let (address, listeners) = listen::bind(config.listen, shards)?;
        // Every thread begins with the decisions that come from now on; a log that is elsewhere has to be asked where that is.
        for partition in 0..log.partitions(Topic::InventoryDecisions) {
            log.refresh(StreamId::inventory_decisions(PartitionId(partition)))?;
        }
        let shared = Arc::new(Shared::new(log, sequencer, config, watched)?);
        let (stage, _) = watch::channel(Stage::Serving);
        let intake = Self { shared, address, stage, threads: Mutex::default() };
        for (number, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&intake.shared);
            let stage = intake.stage.subscribe();
            let thread = std::thread::Builder::new()
                .name(format!("intake-{number}"))
                .spawn(move || shard::run(&shared, number, listener, stage))
                .map_err(IntakeError::Thread)?;
            intake.threads().push(thread);
        }
        Ok(intake)
    }

    /// The address it listens to, with the port that was chosen if the settings left it open.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether tokens are checked with a development key pair, because no keys were configured.
    #[must_use]
    pub fn is_in_development_mode(&self) -> bool {
        self.shared.config.auth.keys_file.is_none()
    }

    /// Whether requests are answered now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.health.is_ready()
    }

    /// Whether the start is over: requests are answered by every partition that does not stand still for good.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.shared.health.is_started()
    }

    /// Waits until requests are answered, at most for `patience`. Says whether they are.
    #[must_use]
    pub fn wait_until_ready(&self, patience: Duration) -> bool {
        self.shared.health.wait_until_ready(Instant::now() + patience)
    }

    /// Stops accepting connections, answers what has begun, and ends. What is not answered within `patience` is cut off.
    /// Ending twice is ending once.
    pub fn shutdown(&self, patience: Duration) -> ShutdownReport {
        self.shared.health.drain();
        self.stage.send_replace(Stage::Draining { until: Instant::now() + patience });
        let threads = std::mem::take(&mut *self.threads());
        // A thread that panicked has answered nobody.
        let drained: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect();
        ShutdownReport { drained: drained.into_iter().all(|one| one) }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<bool>>> {
        // A vector of handles is never left half changed.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("address", &self.address).finish_non_exhaustive()
    }
}
