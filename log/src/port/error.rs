//! What can go wrong at the port. Nothing here is retried inside a log; the caller decides.

use std::{io, sync::Arc};

use holdfast_contracts::Offset;

use super::StreamId;

/// Why a record was not accepted. It is nowhere and may be offered again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The bounded queue in front of the log is full. A subscriber of the stream is woken when there is room.
    #[error("the log's append queue is full")]
    Full,
    /// The disk has no room for new records of this topic. A subscriber of the stream is woken when there is.
    #[error("the log's disk is full")]
    DiskFull,
    /// An earlier append to this stream failed and nobody has resumed the stream since.
    #[error("an earlier append to this stream failed; read back what arrived, then resume the stream")]
    Interrupted,
    /// The payload is larger than its topic allows.
    #[error("a payload of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
        /// Largest size allowed.
        bytes_max: usize,
    },
    /// The log has failed for good and must be opened again.
    #[error("the log has failed: {reason}")]
    Failed {
        /// What went wrong, for people.
        reason: String,
    },
    /// The log was opened for reading only.
    #[error("the log was opened for reading only")]
    ReadOnly,
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
    /// The log has no such stream.
    #[error("the log has no stream {0}")]
    NoSuchStream(StreamId),
}

/// What became of a record that was accepted and then not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendFailure {
    /// It may be in the log, or may still get there, or not. Only reading the log tells.
    #[error("the record may or may not be in the log: {reason}")]
    Unknown {
        /// What went wrong, for people.
        reason: Arc<str>,
    },
    /// It is not in the log and never will be.
    #[error("the record is not in the log: {reason}")]
    NotAppended {
        /// What went wrong, for people.
        reason: Arc<str>,
    },
}

/// Why records could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The log has forgotten the record; the stream now begins at `low`.
    #[error("the record was trimmed; the stream begins at offset {low}")]
    Trimmed {
        /// The first offset that can be read.
        low: Offset,
    },
    /// The reader is ahead of the log: the log has lost records, or is another log.
    #[error("the offset lies beyond the end of the stream at {end}")]
    BeyondEnd {
        /// The offset after the last record that can be read.
        end: Offset,
    },
    /// Stored bytes are not what was written.
    #[error("the log is damaged: {0}")]
    Corrupt(Corruption),
    /// The storage or the broker could not be asked.
    #[error("reading the log failed")]
    Io(#[source] Arc<io::Error>),
    /// The log has no such stream.
    #[error("the log has no stream {0}")]
    NoSuchStream(StreamId),
}

/// Where stored bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} at byte {position}: {what}")]
pub struct Corruption {
    /// The file, or the name of whatever holds the bytes.
    pub file: String,
    /// Byte position in it.
    pub position: u64,
    /// What does not add up.
    pub what: String,
}

/// Why a stream could not be trimmed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrimError {
    /// Only durable records may be forgotten.
    #[error("only records below the durable end at {durable} can be trimmed")]
    BeyondDurable {
        /// The durable end.
        durable: Offset,
    },
    /// The log was opened for reading only.
    #[error("the log was opened for reading only")]
    ReadOnly,
    /// The storage or the broker refused.
    #[error("trimming the log failed")]
    Io(#[source] Arc<io::Error>),
    /// The log has no such stream.
    #[error("the log has no stream {0}")]
    NoSuchStream(StreamId),
}
