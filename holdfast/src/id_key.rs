//! The secret that reservation ids are derived with belongs to a log as much as the log's own identity does: with another
//! one, a repeated request is decided a second time, and nobody reaches a reservation that was made before.
//!
//! So its fingerprint stands in `identity.json`, beside the id of the log. A log without commands binds nobody; from the first
//! command on, only the key that is pinned will do. The key is durable before it is pinned, and both are before a command
//! is written, so a crash in between leaves a key that is pinned at the next start.

use std::path::Path;

use holdfast_contracts::PartitionId;
use holdfast_intake::IntakeConfig;
use holdfast_intake::keys::{IdKey, KeyError};
use holdfast_log::{OrderedLog, StreamId, Topic};

use crate::config::Loaded;
use crate::data::{DataDir, Identity};
use crate::failure::{Exit, Failure, causes};
use crate::live;
use crate::output::{self, Output};

/// What another key costs.
const COST: &str = "every Idempotency-Key used so far is then decided afresh, and no buyer can see, confirm or release a \
                    reservation made so far";

/// The key that the log was begun with. None if it has not begun and there is no key yet.
///
/// # Errors
/// If the key is missing, or is another than the one that is pinned.
pub(crate) fn check(
    file: &Path,
    pinned: Option<&str>,
    log: &dyn OrderedLog,
) -> Result<Option<IdKey>, Failure> {
    let key = IdKey::read(file).map_err(|error| refused(&error))?;
    let restore = |what: &str| {
        format!("{what}; if that key is lost for good, `holdfast accept-id-key` gives it up: {COST}")
    };
    match (key, pinned) {
        (key, _) if !has_begun(log) => Ok(key),
        (None, _) => Err(Failure::new(
            Exit::Failed,
            "ID_KEY_MISSING",
            format!("the log has commands, and the secret their reservation ids come from is gone: {}", file.display()),
        )
        .advise(restore("restore the file from a backup, or set intake.id_key_file to where it is"))),
        (Some(key), Some(pinned)) if key.fingerprint() != pinned => Err(Failure::new(
            Exit::Failed,
            "ID_KEY_CHANGED",
            format!(
                "{} is not the secret that the reservation ids in this log come from: its fingerprint is {}, not {pinned}",
                file.display(),
                key.fingerprint()
            ),
        )
        .advise(restore("put the right file back, or set intake.id_key_file back"))),
        (key, _) => Ok(key),
    }
}

/// The key a server goes on with, made if this is the first start, and pinned together with the log it belongs to.
///
/// # Errors
/// As [`check`], or if key or pin cannot be written.
pub(crate) fn open(data: &DataDir, file: &Path, log: &dyn OrderedLog) -> Result<IdKey, Failure> {
    // Read under the log's lock: whoever had the directory before may have pinned one a moment ago.
    let identity = data.identity()?;
    let pinned = identity.as_ref().and_then(|it| it.id_key.as_deref());
    check(file, pinned, log)?;
    let key = IdKey::open_or_create(file).map_err(|error| refused(&error))?;
    let wanted = Identity { id_key: Some(key.fingerprint()), ..Identity::of(log) };
    if identity.as_ref() == Some(&wanted) {
        return Ok(key);
    }
    if pinned.is_none() && has_begun(log) {
        tracing::warn!(
            file = %file.display(),
            "nothing says which key the reservation ids of this log come from; the one that is there is taken to be it, \
             and is pinned"
        );
    }
    data.pin(&wanted)?;
    Ok(key)
}

/// Pins the key that is there, or one that is made, whatever was pinned before.
///
/// # Errors
/// If nobody agrees to it, a server runs, or key or pin cannot be written.
pub(crate) fn accept(loaded: &Loaded, yes: bool, output: Output) -> Result<(), Failure> {
    let data = DataDir::new(&loaded.config.data_dir);
    data.must_be_one()?;
    if live::ask(&data.live_socket()).is_some() {
        let detail = "a server runs on this data directory, with its own key";
        return Err(Failure::new(Exit::RetryLater, "DATA_IN_USE", detail).advise("stop it first"));
    }
    let log = data.read_log()?;
    if !yes {
        output::confirm("Go on with another reservation id key?", COST)?;
    }
    let file = path(loaded);
    let key = IdKey::open_or_create(&file).map_err(|error| refused(&error))?;
    data.pin(&Identity { id_key: Some(key.fingerprint()), ..Identity::of(&log) })?;
    output.say(&format!("the key in {} is the one this log goes on with", file.display()));
    Ok(())
}

/// The file of the key.
pub(crate) fn path(loaded: &Loaded) -> std::path::PathBuf {
    let config = &loaded.config;
    IntakeConfig { data_dir: config.data_dir.clone(), ..config.intake.clone() }.id_key_path()
}

/// Whether anything was ever asked of this log.
fn has_begun(log: &dyn OrderedLog) -> bool {
    let commands = (0..log.partitions(Topic::InventoryCommands)).map(PartitionId);
    commands.map(StreamId::inventory_commands).any(|stream| log.watermarks(stream).end.0 > 0)
}

/// A key that cannot be used, as a failure.
pub(crate) fn refused(error: &KeyError) -> Failure {
    Failure::new(Exit::Failed, "KEYS", causes(error))
        .advise("put the key files right; they belong to the user that runs the server, and to nobody else")
}
