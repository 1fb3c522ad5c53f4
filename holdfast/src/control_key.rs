//! The control key: what operators' commands, ticks and activated rules are authenticated with where other processes may
//! write to the commands.
//!
//! All processes of a log have the same one for as long as the log lasts, so none of them makes it on the way:
//! `holdfast control-key create` does, once.

use std::path::Path;

use holdfast_contracts::ControlKey;
use holdfast_intake::keys::{KeyError, create_control_key, read_control_key};
use serde::Serialize;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::id_key::refused;
use crate::output::{Answer, Output, Table};

/// A key as it may be shown.
#[derive(Debug, Serialize)]
struct Shown {
    file: String,
    fingerprint: String,
}

impl Shown {
    fn of(file: &Path, key: ControlKey) -> Self {
        Self { file: file.display().to_string(), fingerprint: key.fingerprint().to_string() }
    }
}

impl Answer for Shown {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&["file", "fingerprint"]);
        table.row([self.file.clone(), self.fingerprint.clone()]);
        table
    }
}

/// The control key that the settings name. None if they name none.
///
/// # Errors
/// If the file is missing or cannot be used. It is never made.
pub(crate) fn read(config: &Config) -> Result<Option<ControlKey>, Failure> {
    let Some(file) = &config.control_key_file else { return Ok(None) };
    let key = read_control_key(file).map_err(|error| refused(&error))?;
    key.map(Some).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "CONTROL_KEY_MISSING",
            format!("there is no control key in {}", file.display()),
        )
        .advise(
            "copy the file from another process of this log; for a log that is yet to be made, \
             `holdfast control-key create` makes one",
        )
    })
}

/// Refuses a key for a log that only its own process writes to: it would be a setting that changes answers.
///
/// # Errors
/// If one is set.
pub(crate) fn must_not_be_set(config: &Config) -> Result<(), Failure> {
    match &config.control_key_file {
        None => Ok(()),
        Some(_) => Err(Failure::usage("control_key_file is set, and the embedded log has no control key")
            .advise("leave it out: nobody but the server writes to its log")),
    }
}

/// Makes the key that the settings name.
///
/// # Errors
/// If they name none, it is there already, or cannot be written.
pub(crate) fn create(config: &Config, output: Output) -> Result<(), Failure> {
    let file = file(config)?;
    let key = create_control_key(file).map_err(|error| match error {
        KeyError::Exists(_) => Failure::of("CONTROL_KEY_EXISTS", "making a control key", &error)
            .advise("`holdfast control-key show` shows which one it is"),
        error => refused(&error),
    })?;
    output.say("give the same file to every process of the log, and keep it in the backup");
    output.answer(&Shown::of(file, key))
}

/// Shows which key the settings name.
///
/// # Errors
/// If they name none, or it cannot be used.
pub(crate) fn show(config: &Config, output: Output) -> Result<(), Failure> {
    let file = file(config)?;
    match read(config)? {
        Some(key) => output.answer(&Shown::of(file, key)),
        None => Ok(()),
    }
}

fn file(config: &Config) -> Result<&Path, Failure> {
    config.control_key_file.as_deref().ok_or_else(|| {
        Failure::usage("no control key is configured").advise("set control_key_file to where it is to lie")
    })
}
