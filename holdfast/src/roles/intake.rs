//! `holdfast intake`: serves buyers, and follows the commands with machines that never emit.

use std::sync::Arc;
use std::time::Duration;

use holdfast_core::Machine;
use holdfast_engine::{ArchivedStore, Sequencer};
use holdfast_intake::keys::IdKey;
use holdfast_intake::{Intake, IntakeConfig, Watched};

use super::connect::Connected;
use super::standing::{Changing, Standing};
use crate::config::Loaded;
use crate::data::DataDir;
use crate::failure::Failure;
use crate::id_key;
use crate::output;
use crate::up::{
    Heard, Signals, Watch, intake_refused, make_directory, must_not_be_production, raise_open_files,
};

/// How often the state of the partitions is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the role until it is told to end.
pub(crate) fn run(loaded: &Loaded) -> Result<(), Failure> {
    let config = &loaded.config;
    config.validate_role()?;
    config.validate()?;
    crate::logging::begin(&config.log_level)?;
    let signals = Signals::listen()?;
    let data = DataDir::new(&config.data_dir);
    must_not_be_production(&data, config)?;
    make_directory(data.root())?;
    // Keys are pinned for good, so nothing is begun by an intake that could not listen.
    holdfast_intake::can_listen(config.intake.listen).map_err(|error| intake_refused(&error))?;
    let key = IdKey::open_or_create(&id_key::path(loaded)).map_err(|error| id_key::refused(&error))?;
    let connected = Connected::open(loaded, &data, Some(&key), &signals)?;
    data.note_mode(config.production)?;
    serve(loaded, &data, key, &connected, &signals)
}

fn serve(
    loaded: &Loaded,
    data: &DataDir,
    key: IdKey,
    connected: &Connected,
    signals: &Signals,
) -> Result<(), Failure> {
    let config = &loaded.config;
    let log = connected.ordered();
    let machines = config.role_sequencer(connected);
    let (archive, log_id) = (connected.archive.clone(), log.log_id());
    let followers = Sequencer::start_following(&log, &machines, move |partition| {
        ArchivedStore::reading_only(archive.clone(), log_id, partition)
    });
    let followers: Arc<Sequencer<Machine>> = Arc::new(followers);
    let standing = Arc::new(Standing {
        role: "intake",
        profile: config.kafka.profile,
        found: connected.found.clone(),
        log: Arc::clone(&connected.log),
        sequencer: Arc::clone(&followers),
        changing: Changing::default().into(),
        dead: None,
        needs_group: false,
    });
    let settings = IntakeConfig {
        data_dir: config.data_dir.clone(),
        id_key: Some(key),
        control_key: connected.control_key,
        connections_max: raise_open_files(&config.intake),
        ..config.intake.clone()
    };
    let watched = Some(standing as Arc<dyn Watched>);
    let intake = Intake::start_watched(Arc::clone(&log), Arc::clone(&followers), settings, watched);
    let intake = intake.map_err(|error| intake_refused(&error))?;
    let mut watch = Watch::default();
    let mut announced = false;
    loop {
        watch.look(&followers.statuses(), &log.status());
        if !announced && intake.wait_until_ready(LOOK_EVERY) {
            let address = format!("http://{}", intake.local_addr());
            if let Err(error) = data.announce(&address) {
                tracing::warn!(%error, "the address could not be written to the data directory");
            }
            tracing::info!(address, production = config.production, "ready");
            output::data(&address)?;
            announced = true;
        }
        if signals.wait(if announced { LOOK_EVERY } else { Duration::ZERO }) != Heard::Nothing {
            break;
        }
    }
    signals.end_at_once_from_now_on();
    tracing::info!("ending");
    data.withdraw();
    if !intake.shutdown(config.shutdown_patience()).drained {
        tracing::warn!("some requests were not answered in time; the same key will get their answer");
    }
    followers.stop(Duration::ZERO);
    log.close();
    tracing::info!("ended");
    Ok(())
}
