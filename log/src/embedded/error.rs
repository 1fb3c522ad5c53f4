//! Why a log directory is not opened. Each says what to do; nothing is repaired by guessing.

use std::io;

use holdfast_contracts::LogId;

use crate::port::Corruption;

/// Why a log directory was not opened. It is left as it was found.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open for writing.
    #[error(
        "the log directory {directory} is in use by another process; stop that process, or open the log for reading only"
    )]
    Locked {
        /// The directory.
        directory: String,
    },
    /// There is no log in it. Only a log that is opened for writing is created.
    #[error("there is no log in {directory}; check the path, or start the server once to create one")]
    NoLog {
        /// The directory.
        directory: String,
    },
    /// It has segments but no manifest.
    #[error("{directory} has log segments but no manifest; restore the file `manifest` from a backup")]
    ManifestMissing {
        /// The directory.
        directory: String,
    },
    /// No copy of the manifest is whole.
    #[error("the manifest is damaged; restore the file `manifest` from a backup")]
    ManifestDamaged,
    /// A newer program wrote it.
    #[error(
        "the log has format {found} and this program knows format {known}; use the version that wrote it, or a newer one"
    )]
    UnknownFormat {
        /// The format of the log.
        found: u32,
        /// The format this program reads and writes.
        known: u32,
    },
    /// It holds another log than the one that was asked for.
    #[error("this is log {found}, not log {expected}; check that the right directory is mounted")]
    OtherLog {
        /// The id asked for.
        expected: LogId,
        /// The id in the directory.
        found: LogId,
    },
    /// The number of partitions was pinned when the log was created.
    #[error(
        "{topic} has {was} partitions and {asked} were asked for; set the count back, or start a new log and move the stock there"
    )]
    PartitionsChanged {
        /// The topic.
        topic: &'static str,
        /// The count in the log.
        was: u32,
        /// The count asked for.
        asked: u32,
    },
    /// A segment file is not there.
    #[error("the segment {file} is missing; restore it, and everything after it, from a backup of this log")]
    MissingSegment {
        /// The file.
        file: String,
    },
    /// A segment file belongs to another log.
    #[error(
        "the segment {file} belongs to log {found}; take it out and put back the segment of this log, {expected}"
    )]
    ForeignSegment {
        /// The file.
        file: String,
        /// The log it belongs to.
        found: LogId,
        /// The log of this directory.
        expected: LogId,
    },
    /// Bytes that were flushed are not what was written.
    #[error(
        "the log is damaged: {0}; restore the directory from a backup, for what was acknowledged cannot be read any more"
    )]
    Corrupt(Corruption),
    /// A setting makes no sense.
    #[error("the log cannot be opened with these settings: {0}")]
    Config(String),
    /// The file system refused.
    #[error("{doing} failed")]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// True if a file was not there that should have been.
    pub(super) fn is_missing_file(&self) -> bool {
        match self {
            Self::MissingSegment { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// Says what was being done when the file system refused.
pub(super) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T, OpenError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, OpenError> {
        self.map_err(|source| OpenError::Io { doing: what, source })
    }
}
