//! Everything in one process: opens the log, starts the machines and the intake, and ends them in an orderly way.

mod signals;
mod watch;

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{Keeper, Retention, Sequencer};
use holdfast_intake::{Intake, IntakeConfig, IntakeError};
use holdfast_log::{EmbeddedConfig, EmbeddedLog, OpenError, OrderedLog, Topic};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, Loaded};
use crate::control_key;
use crate::data::{DataDir, Identity, checkpoints_refused, log_refused, sync_directory};
use crate::failure::{Exit, Failure, causes};
use crate::id_key;
use crate::live;
use crate::output;
pub(crate) use signals::{Heard, Signals};
use watch::Standing;
pub(crate) use watch::Watch;

/// How often the state of the partitions is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a log may be somebody else's before the start is refused, and how often that is looked at.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(25);

/// What a running server is made of, in the order in which it is ended.
struct Server {
    data: DataDir,
    intake: Intake,
    sequencer: Arc<Sequencer<Machine>>,
    checkpoints: Arc<CheckpointDb>,
    log: Arc<dyn OrderedLog>,
    watch: Watch,
    retention: Retention,
    patience: Duration,
}

/// Runs a server until it is told to end.
pub(crate) fn run(loaded: &Loaded) -> Result<(), Failure> {
    let config = &loaded.config;
    config.validate()?;
    control_key::must_not_be_set(config)?;
    crate::logging::begin(&config.log_level)?;
    let signals = Signals::listen()?;
    let mut server = start(loaded)?;
    let ended = match server.wait_until_ready(&signals) {
        Ok(Heard::Nothing) => server.serve(&signals, config),
        Ok(_) => Ok(()),
        Err(failure) => Err(failure),
    };
    let stopped = server.stop(&signals);
    ended.and(stopped)
}

fn start(loaded: &Loaded) -> Result<Server, Failure> {
    let config = &loaded.config;
    let data = DataDir::new(&config.data_dir);
    let connections_max = raise_open_files(&config.intake);
    must_not_be_production(&data, config)?;
    make_directory(data.root())?;
    let (log, partitions) = open_log(loaded, &data)?;
    // Before anything is written: from the first command on, the log and the key belong together.
    let id_key = id_key::open(&data, &id_key::path(loaded), log.as_ref())?;
    data.note_mode(config.production)?;
    let db = open_checkpoints(&data)?;
    let machines = config.sequencer(partitions, log.log_id());
    let stores = Arc::clone(&db);
    let sequencer = Sequencer::start(&log, &machines, move |partition| stores.partition(partition));
    let sequencer = Arc::new(sequencer);
    let settings = IntakeConfig {
        data_dir: config.data_dir.clone(),
        id_key: Some(id_key),
        connections_max,
        ..config.intake.clone()
    };
    let intake = Intake::start(Arc::clone(&log), Arc::clone(&sequencer), settings);
    let intake = match intake {
        Ok(intake) => intake,
        Err(error) => {
            sequencer.stop(config.shutdown_patience());
            log.close();
            return Err(intake_refused(&error));
        }
    };
    let keepers = machines.partitions.iter().map(|(worker, machine)| {
        let (log, db, readers) = (Arc::clone(&log), Arc::clone(&db), Arc::clone(sequencer.readers()));
        // A checkpoint that is only read back needs no room to grow.
        let machine = MachineConfig { room_for_ids: 0, room_for_holds: 0, ..*machine };
        Keeper::<Machine>::new(worker.partition, machine, log, db, readers)
    });
    Ok(Server {
        retention: Retention::start(keepers.collect(), config.retention_every()),
        watch: Watch::default(),
        patience: config.shutdown_patience(),
        data,
        intake,
        sequencer,
        checkpoints: db,
        log,
    })
}

/// Refuses to let development tokens open what was production data.
pub(crate) fn must_not_be_production(data: &DataDir, config: &Config) -> Result<(), Failure> {
    if !data.is_in_production() || config.intake.auth.keys_file.is_some() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        "PRODUCTION_DATA",
        "a server has run in production mode on this data directory (or its file `mode` is damaged), and no keys are \
         configured now: anybody with a development token could change it",
    )
    .advise("start it with its settings; if it is production data no more, remove the file `mode` in it"))
}

/// Files that a server has open beside its connections: log, checkpoints and readers (a quiet one has about 30) with room
/// to spare, and for each thread its listening socket and event queue.
pub(crate) fn files_beside(intake: &IntakeConfig) -> u64 {
    128 + 8 * u64::from(intake.shards.get())
}

/// Allows as many open files as the connections need, as far as the system lets us. Says how many connections there may be:
/// one more must never take the file that the log needs next.
pub(crate) fn raise_open_files(intake: &IntakeConfig) -> NonZeroU32 {
    let limit = getrlimit(Resource::Nofile);
    let (wanted, beside) = (intake.connections_max, files_beside(intake));
    let needed = u64::from(wanted.get()) + beside;
    let Some(current) = limit.current.filter(|current| *current < needed) else { return wanted };
    let most = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    let allowed = if raised.is_ok() { most } else { current };
    let connections_max = connections_within(allowed, intake);
    if connections_max < wanted {
        tracing::warn!(
            allowed,
            needed,
            connections_max,
            "fewer open files are allowed than connections need, so there may be fewer connections; raise the limit \
             (ulimit -n)"
        );
    }
    connections_max
}

/// Connections that a limit of open files leaves room for: at least one for each thread.
pub(crate) fn connections_within(files: u64, intake: &IntakeConfig) -> NonZeroU32 {
    let left = u32::try_from(files.saturating_sub(files_beside(intake))).unwrap_or(u32::MAX);
    let least = NonZeroU32::from(intake.shards);
    intake.connections_max.min(NonZeroU32::new(left).unwrap_or(least)).max(least)
}

/// The directory holds secrets, so it is its owner's. It is durable when this returns.
pub(crate) fn make_directory(root: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let missing = root.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists());
    let missing: Vec<_> = missing.collect();
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
    let parents = missing.into_iter().filter_map(Path::parent);
    made.and_then(|()| parents.into_iter().try_for_each(sync_directory)).map_err(|error| {
        Failure::of("DATA_DIRECTORY", &format!("making the data directory {}", root.display()), &error)
            .advise("let it belong to the user that runs the server, or choose another with --data")
    })
}

fn open_log(loaded: &Loaded, data: &DataDir) -> Result<(Arc<dyn OrderedLog>, u32), Failure> {
    let identity = data.identity()?;
    // Whoever says nothing means the log that is there.
    let partitions = loaded.partitions_asked.or(identity.as_ref().map(|it| it.partitions));
    let partitions = partitions.unwrap_or(loaded.config.partitions.get());
    let expected_log_id = identity.as_ref().and_then(Identity::log_id);
    let open = |partitions| {
        let settings = loaded.config.embedded_log(partitions, expected_log_id)?;
        Ok::<_, Failure>(open_when_free(&data.log(), &settings))
    };
    let mut opened = open(partitions)?;
    if let (Err(OpenError::PartitionsChanged { was, .. }), None) = (&opened, loaded.partitions_asked) {
        opened = open(*was)?;
    }
    let log = opened.map_err(|error| log_refused(&error))?;
    let log: Arc<dyn OrderedLog> = Arc::new(log);
    let partitions = log.partitions(Topic::InventoryCommands);
    tracing::info!(log_id = %log.log_id(), partitions, data = %data.root().display(), "the log is open");
    Ok((log, partitions))
}

/// Opens the log. A server that has just ended may need a moment until it has let go of it.
fn open_when_free(directory: &Path, settings: &EmbeddedConfig) -> Result<EmbeddedLog, OpenError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut said = false;
    loop {
        match EmbeddedLog::open(directory, settings) {
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => {
                if !said {
                    let patience_ms = u64::try_from(LOCK_PATIENCE.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(
                        patience_ms,
                        "another process uses the data directory; waiting for it to end"
                    );
                    said = true;
                }
                std::thread::sleep(LOCK_LOOK_EVERY);
            }
            opened => return opened,
        }
    }
}

pub(crate) fn open_checkpoints(data: &DataDir) -> Result<Arc<CheckpointDb>, Failure> {
    let (db, aside) =
        CheckpointDb::open_or_set_aside(&data.checkpoints()).map_err(|error| checkpoints_refused(&error))?;
    if let Some(aside) = aside {
        tracing::error!(
            moved_to = %aside.display(),
            "the checkpoint database was damaged and is set aside; the state is built anew from the log"
        );
    }
    Ok(Arc::new(db))
}

pub(crate) fn intake_refused(error: &IntakeError) -> Failure {
    let said = causes(error);
    match error {
        IntakeError::Config(_) => Failure::usage(said),
        IntakeError::Key(error) => id_key::refused(error),
        IntakeError::Listen { .. } => Failure::new(Exit::Unavailable, "ADDRESS", said)
            .advise("stop whoever listens there, or choose another address with --listen"),
        _ => Failure::new(Exit::Failed, "INTAKE", said).advise("look at the limits of the system"),
    }
}

impl Server {
    /// Waits until requests are answered: every partition is live, or stands still for good while another is live.
    ///
    /// # Errors
    /// If no partition can be brought to life.
    fn wait_until_ready(&mut self, signals: &Signals) -> Result<Heard, Failure> {
        loop {
            let ready = self.intake.wait_until_ready(LOOK_EVERY);
            match self.watch.look(&self.sequencer.statuses(), &self.log.status()) {
                Standing::Live if ready => return Ok(Heard::Nothing),
                Standing::SomeStopped if self.intake.is_started() => return Ok(Heard::Nothing),
                Standing::AllStopped(failure) => return Err(failure),
                Standing::Live | Standing::SomeStopped | Standing::Starting => {}
            }
            if let heard @ (Heard::End | Heard::EndNow) = signals.heard() {
                return Ok(heard);
            }
        }
    }

    /// Says where it listens, and looks after the partitions until a signal comes.
    fn serve(&mut self, signals: &Signals, config: &Config) -> Result<(), Failure> {
        let address = format!("http://{}", self.intake.local_addr());
        if let Err(error) = self.data.announce(&address) {
            tracing::warn!(error = causes(&error), "the address could not be written to the data directory");
        }
        if let Err(error) = live::serve(&self.data.live_socket(), &self.sequencer) {
            tracing::warn!(error = causes(&error), "`holdfast replay` cannot ask this server for its state");
        }
        tracing::info!(address, production = config.production, "ready");
        output::data(&address)?;
        while signals.wait(LOOK_EVERY) == Heard::Nothing {
            let statuses = self.sequencer.statuses();
            self.watch.look(&statuses, &self.log.status());
            self.watch.look_at_retention(&self.retention.statuses());
            self.watch.look_at_checkpoints(self.checkpoints.waits_for_room());
        }
        Ok(())
    }

    /// Answers what has begun, writes the last checkpoints, and closes the log.
    fn stop(self, signals: &Signals) -> Result<(), Failure> {
        signals.end_at_once_from_now_on();
        tracing::info!("ending");
        self.data.withdraw();
        let report = self.intake.shutdown(self.patience);
        if !report.drained {
            tracing::warn!("some requests were not answered in time; the same key will get their answer");
        }
        drop(self.retention);
        if !self.sequencer.stop(self.patience) {
            tracing::warn!(
                "not every last checkpoint was written in time; the next start replays more of the log"
            );
        }
        drop(self.checkpoints);
        self.log.close();
        tracing::info!("ended");
        Ok(())
    }
}
