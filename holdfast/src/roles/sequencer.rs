//! `holdfast sequencer`: decides about the partitions that the group gives it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{ArchivedStore, Assignment, Sequencer, ShipConfig, Shipper, Shipping};
use holdfast_intake::OperatorPages;
use holdfast_log::OrderedLog;
use holdfast_log::kafka::MembershipConfig;
use serde_json::json;

use super::connect::{Connected, instance_id, settings_refused};
use super::control::{self, Asked};
use super::dead::Copier;
use super::ownership::{Fenced, Ownership, assign_all};
use super::standing::{Changing, Standing};
use crate::config::Loaded;
use crate::data::DataDir;
use crate::failure::{Exit, Failure, causes};
use crate::output;
use crate::up::{Heard, Signals, Watch, intake_refused, make_directory, open_checkpoints};

/// How often the state of the partitions is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often that is told to whoever asks.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// A running sequencer, in the order in which it is ended.
struct Role {
    pages: OperatorPages,
    ownership: Ownership,
    copier: Copier,
    shipping: Option<Shipping>,
    standing: Arc<Standing>,
    sequencer: Arc<Sequencer<Machine>>,
    log: Arc<dyn OrderedLog>,
    checkpoints: Arc<CheckpointDb>,
    asked: Option<Receiver<Asked>>,
    watch: Watch,
    patience: Duration,
}

/// Runs the role until it is told to end.
pub(crate) fn run(loaded: &Loaded, listen: SocketAddr) -> Result<(), Failure> {
    let config = &loaded.config;
    config.validate_role()?;
    crate::logging::begin(&config.log_level)?;
    let signals = Signals::listen()?;
    let data = DataDir::new(&config.data_dir);
    make_directory(data.root())?;
    let connected = Connected::open(loaded, &data, None, &signals)?;
    let mut role = Role::start(loaded, &data, &connected, listen)?;
    let address = format!("http://{}", role.pages.local_addr());
    tracing::info!(address, "the sequencer runs");
    output::data(&address)?;
    let ended = role.serve(&signals);
    signals.end_at_once_from_now_on();
    role.stop();
    ended
}

impl Role {
    fn start(
        loaded: &Loaded,
        data: &DataDir,
        connected: &Connected,
        listen: SocketAddr,
    ) -> Result<Self, Failure> {
        let config = &loaded.config;
        let db = open_checkpoints(data)?;
        let log = connected.ordered();
        let otherwise = if config.sequencer.standby { Assignment::Standby } else { Assignment::None };
        let machines = config.role_sequencer(connected);
        let (stores, archive, log_id) = (Arc::clone(&db), connected.archive.clone(), log.log_id());
        let sequencer = Sequencer::start_unassigned(&log, &machines, move |partition| {
            ArchivedStore::new(stores.partition(partition), archive.clone(), log_id, partition)
        });
        let sequencer = Arc::new(sequencer);
        assign_all(&sequencer, otherwise);
        let shipping = connected.archive.as_ref().map(|archive| {
            let shippers = machines.partitions.iter().map(|(worker, machine)| {
                // A checkpoint that is only read back needs no room to grow.
                let machine = MachineConfig { room_for_ids: 0, room_for_holds: 0, ..*machine };
                let readers = Arc::clone(sequencer.readers());
                let settings = ShipConfig { every: config.ship_every(), ..ShipConfig::default() };
                let (log, db, archive) = (Arc::clone(&log), Arc::clone(&db), Arc::clone(archive));
                Shipper::<Machine>::new(worker.partition, machine, log, db, archive, readers, settings)
            });
            Shipping::start(shippers.collect())
        });
        let copier = Copier::start(&connected.kafka, Arc::clone(&log), &sequencer)
            .map_err(|error| settings_refused(&error))?;
        let instance = instance_id(config, data.root())?;
        let membership = MembershipConfig {
            instance_id: Some(instance.clone()),
            session_timeout: Duration::from_millis(config.roles.session_timeout_ms.get()),
            release_timeout: Duration::from_millis(config.roles.handover_ms.get()),
            ..MembershipConfig::new()
        };
        let ownership =
            Ownership::new(connected.kafka.clone(), membership, Arc::clone(&sequencer), otherwise);
        let standing = Arc::new(Standing {
            role: "sequencer",
            profile: config.kafka.profile,
            found: connected.found.clone(),
            log: Arc::clone(&connected.log),
            sequencer: Arc::clone(&sequencer),
            changing: Changing { instance, ..Changing::default() }.into(),
            dead: Some(Arc::clone(copier.figures())),
            needs_group: true,
        });
        let pages = OperatorPages::start(listen, standing.clone()).map_err(|error| intake_refused(&error))?;
        let asked = control::listen(&data.control_socket()).map_err(|error| {
            tracing::warn!(error = causes(&error), "`holdfast drain` cannot reach this process");
        });
        crate::live::serve(&data.live_socket(), &sequencer).ok();
        Ok(Self {
            pages,
            ownership,
            copier,
            shipping,
            standing,
            sequencer,
            log,
            checkpoints: db,
            asked: asked.ok(),
            watch: Watch::default(),
            patience: config.shutdown_patience(),
        })
    }

    fn serve(&mut self, signals: &Signals) -> Result<(), Failure> {
        let mut tell_at = Instant::now();
        while signals.heard() == Heard::Nothing {
            self.look()?;
            if Instant::now() >= tell_at {
                self.tell();
                tell_at = Instant::now() + TELL_EVERY;
            }
            while let Some(asked) = self.asked.as_ref().and_then(|it| it.try_recv().ok()) {
                let left = self.drain()?;
                asked.answer(&json!({"left": left, "partitions": self.partitions_as_assigned()}));
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        self.ownership.look(Instant::now() + LOOK_EVERY).map_err(|Fenced| {
            const WHY: &str = "another process has joined the group under the same instance id";
            tracing::error!("FENCED: {WHY}");
            Failure::new(Exit::Failed, "FENCED", WHY)
                .advise("give every sequencer a data directory, or a roles.instance_id, of its own")
        })
    }

    fn tell(&mut self) {
        let statuses = self.sequencer.statuses();
        self.watch.look(&statuses, &self.log.status());
        self.watch.look_at_checkpoints(self.checkpoints.waits_for_room());
        self.ownership.commit(&statuses);
        self.ownership.give_way(&statuses);
        let (group, draining) = (self.ownership.numbers(), self.ownership.is_draining());
        let shipped = self.shipping.as_ref().map(Shipping::statuses).unwrap_or_default();
        self.standing.change(|it| {
            it.group = group;
            it.draining = draining;
            it.shipped = shipped;
        });
    }

    fn partitions_as_assigned(&self) -> Vec<serde_json::Value> {
        let statuses = self.sequencer.statuses();
        let told = statuses.iter().map(|it| {
            json!({"partition": it.partition.0, "assignment": super::standing::assignment_name(it.assignment)})
        });
        told.collect()
    }

    /// Hands everything over and leaves the group; says whether that was done in time.
    fn drain(&mut self) -> Result<bool, Failure> {
        tracing::info!("handing over");
        let deadline = Instant::now() + self.patience;
        self.ownership.commit(&self.sequencer.statuses());
        self.ownership.leave();
        while !self.ownership.has_left() && Instant::now() < deadline {
            self.look()?;
        }
        self.tell();
        let left = self.ownership.has_left();
        tracing::info!(left, "handed over");
        Ok(left)
    }

    fn stop(mut self) {
        tracing::info!("ending");
        self.standing.change(|it| it.draining = true);
        // Whoever takes over does so at once instead of waiting for the session to time out.
        if !matches!(self.drain(), Ok(true)) {
            tracing::warn!(
                "not everything was handed over in time; the next owners say again what is missing"
            );
        }
        drop(self.pages);
        drop(self.copier);
        drop(self.shipping);
        if !self.sequencer.stop(self.patience) {
            tracing::warn!(
                "not every last checkpoint was written in time; the next start replays more of the log"
            );
        }
        drop(self.checkpoints);
        self.log.close();
        tracing::info!("ended");
    }
}
