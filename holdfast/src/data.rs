//! The data directory: what lies where in it, and whose it is.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use holdfast_contracts::LogId;
use holdfast_engine::StoreError;
use holdfast_engine::rocks::{CheckpointDb, ReadOnlyDb};
use holdfast_log::{OpenError, OrderedLog, ReadOnlyConfig, ReadOnlyLog, Topic};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure, causes};

/// How often a database that is being written to is opened again before it is called unreadable.
const LOOKS_MAX: u32 = 8;

const PRODUCTION: &str = "production";
const DEVELOPMENT: &str = "development";

/// A data directory, which may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// What a data directory belongs to, written when its log is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The log, as 32 hexadecimal digits.
    pub(crate) log_id: String,
    /// Partitions of the log.
    pub(crate) partitions: u32,
    /// Fingerprint of the key that reservation ids are derived with. None in a directory of before it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id_key: Option<String>,
}

impl Identity {
    pub(crate) fn of(log: &dyn OrderedLog) -> Self {
        let partitions = log.partitions(Topic::InventoryCommands);
        Self { log_id: log.log_id().to_string(), partitions, id_key: None }
    }

    pub(crate) fn log_id(&self) -> Option<LogId> {
        self.log_id.parse().ok()
    }
}

impl DataDir {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Refuses a directory that no server has run on yet, and one that is not there. Nothing is made.
    pub(crate) fn must_be_one(&self) -> Result<(), Failure> {
        if self.identity_file().exists() || self.log().is_dir() {
            return Ok(());
        }
        let shown = self.root.display();
        let detail = if self.root.is_dir() {
            format!("{shown} is not a data directory: no server has run on it")
        } else {
            format!("there is no data directory {shown}")
        };
        Err(Failure::new(Exit::Unavailable, "NO_DATA_DIRECTORY", detail).advise(
            "name the right one with --data or HOLDFAST_DATA; `holdfast up` makes one at its first start",
        ))
    }

    /// The segments of the log.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The checkpoint database.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The address a running server listens on.
    fn address_file(&self) -> PathBuf {
        self.root.join("address")
    }

    /// Where a running server says what its state is.
    pub(crate) fn live_socket(&self) -> PathBuf {
        self.root.join("live.sock")
    }

    /// Where a running sequencer is told to hand over.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The mode the last server ran in.
    fn mode_file(&self) -> PathBuf {
        self.root.join("mode")
    }

    fn identity_file(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    /// What the directory belongs to; `None` before the first start.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, Failure> {
        let path = self.identity_file();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| unreadable(&path, &error))?,
        };
        let identity: Identity = serde_json::from_str(&text).map_err(|error| unreadable(&path, &error))?;
        match identity.log_id() {
            Some(_) => Ok(Some(identity)),
            None => Err(unreadable(&path, &holdfast_contracts::ids::NotAnId)),
        }
    }

    /// Pins what the directory belongs to.
    pub(crate) fn pin(&self, identity: &Identity) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(identity).unwrap_or_default() + "\n";
        replace(&self.identity_file(), text.as_bytes()).map_err(|error| {
            Failure::of("DATA_DIRECTORY", "writing down which log this directory belongs to", &error)
        })
    }

    /// Where the running server listens, if one says so.
    pub(crate) fn address(&self) -> Option<String> {
        let text = fs::read_to_string(self.address_file()).ok()?;
        Some(text.trim().to_owned()).filter(|address| !address.is_empty())
    }

    /// Lets the other commands find the server.
    pub(crate) fn announce(&self, address: &str) -> io::Result<()> {
        replace(&self.address_file(), format!("{address}\n").as_bytes())
    }

    /// Writes down the mode a server runs in, for `token` to know.
    pub(crate) fn note_mode(&self, production: bool) -> Result<(), Failure> {
        let mode = if production { PRODUCTION } else { DEVELOPMENT };
        replace(&self.mode_file(), format!("{mode}\n").as_bytes())
            .map_err(|error| Failure::of("DATA_DIRECTORY", "writing to the data directory", &error))
    }

    /// Whether the last server ran in production mode. What cannot be read is taken for it: development tokens must
    /// not open production data because a file was damaged.
    pub(crate) fn is_in_production(&self) -> bool {
        match fs::read_to_string(self.mode_file()) {
            Ok(mode) => mode.trim() != DEVELOPMENT,
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    /// The server listens no more.
    pub(crate) fn withdraw(&self) {
        // One that stays behind after a crash is found out by whoever calls it.
        fs::remove_file(self.address_file()).ok();
        fs::remove_file(self.live_socket()).ok();
    }

    /// The log, only to be read, whether a server runs on it or not.
    pub(crate) fn read_log(&self) -> Result<ReadOnlyLog, Failure> {
        self.must_be_one()?;
        let expected_log_id = self.identity()?.and_then(|identity| identity.log_id());
        let config = ReadOnlyConfig { expected_log_id, ..ReadOnlyConfig::default() };
        ReadOnlyLog::open(&self.log(), &config).map_err(|error| log_refused(&error))
    }

    /// The checkpoints, only to be read. `None` if there were never any.
    pub(crate) fn read_checkpoints(&self) -> Result<Option<ReadOnlyDb>, Failure> {
        let path = self.checkpoints();
        if !path.join("CURRENT").exists() {
            return Ok(None);
        }
        let mut looks = 1;
        loop {
            match CheckpointDb::open_read_only(&path) {
                Ok(db) => return Ok(Some(db)),
                // A server may have replaced the files in between.
                Err(_) if looks < LOOKS_MAX => looks += 1,
                Err(error) => return Err(checkpoints_refused(&error)),
            }
        }
    }
}

/// A log that cannot be opened, as a failure. Its own sentence says what to do.
pub(crate) fn log_refused(error: &OpenError) -> Failure {
    let (code, exit) = match error {
        OpenError::Locked { .. } => ("DATA_IN_USE", Exit::RetryLater),
        OpenError::NoLog { .. } => ("NO_LOG", Exit::Unavailable),
        OpenError::ManifestMissing { .. } | OpenError::ManifestDamaged => ("MANIFEST_LOST", Exit::Failed),
        OpenError::UnknownFormat { .. } => ("UNKNOWN_FORMAT", Exit::Failed),
        OpenError::OtherLog { .. } => ("OTHER_LOG", Exit::Failed),
        OpenError::PartitionsChanged { .. } => ("PARTITIONS_CHANGED", Exit::Failed),
        OpenError::MissingSegment { .. } => ("SEGMENT_MISSING", Exit::Failed),
        OpenError::ForeignSegment { .. } => ("SEGMENT_FOREIGN", Exit::Failed),
        OpenError::Corrupt(_) => ("LOG_DAMAGED", Exit::Failed),
        OpenError::Config(_) => ("CONFIG", Exit::Usage),
        OpenError::Io { source, .. } if source.kind() == ErrorKind::NotFound => ("NO_LOG", Exit::Unavailable),
        OpenError::Io { .. } => ("LOG_UNREADABLE", Exit::Failed),
    };
    let said = causes(error);
    // The errors of the log end with what to do about them.
    match said.rsplit_once("; ") {
        Some((detail, advice)) => Failure::new(exit, code, detail).advise(advice),
        None => Failure::new(exit, code, said),
    }
}

/// A checkpoint database that cannot be used, as a failure.
pub(crate) fn checkpoints_refused(error: &StoreError) -> Failure {
    if matches!(error, StoreError::InUse { .. }) {
        return Failure::new(Exit::RetryLater, "DATA_IN_USE", causes(error)).advise(
            "give every process a data directory of its own with --data, or end the other one first",
        );
    }
    Failure::of("CHECKPOINTS", "opening the checkpoint database", error).advise(
        "look at the disk; the checkpoint directory may be moved aside if the log is whole: it is built anew",
    )
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::of("DATA_DIRECTORY", &format!("reading {}", path.display()), error)
        .advise("restore the file from a backup, or remove it if you are sure that the log is the right one")
}

/// Replaces a file whole: a crash leaves the one or the other.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    let here = Path::new(".");
    File::open(if directory.as_os_str().is_empty() { here } else { directory })?.sync_all()
}
