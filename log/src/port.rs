//! The port: what a log promises, whoever keeps it.

mod error;
mod stream;
mod ticket;
mod wakers;

use std::task::Waker;

use bytes::Bytes;
use holdfast_contracts::{LogId, LogTime, Offset};

pub use error::{AppendError, AppendFailure, Corruption, ReadError, TrimError};
pub use stream::{Durability, StreamId, Topic};
pub use ticket::{Appended, Ticket};
pub(crate) use ticket::{Outcome, Settlement};
pub use wakers::Subscription;
pub(crate) use wakers::{WakeRound, WakerSet};

/// Named streams of records, each with dense offsets from 0.
///
/// Every call returns at once; waiting is done with [`subscribe`](Self::subscribe) and a
/// [`Listener`](crate::Listener), or by blocking on a [`Ticket`]. A thread that drives several streams can therefore
/// sleep on one doorbell for all of them.
///
/// # Order and failure
///
/// Records that one thread appends to one stream get rising offsets in that order. When an append fails after it was
/// accepted, the stream is *interrupted*: its ticket says so, subscribers are woken, and further appends are refused
/// with [`AppendError::Interrupted`] until [`resume`](Self::resume), so that a later record cannot slip past one whose
/// failure the caller has not seen. Whoever derives records from another stream rebuilds itself first: it reads
/// back what did arrive, then resumes and appends what is missing.
pub trait OrderedLog: Send + Sync {
    /// The random id minted when this log was created. Another id is another history.
    fn log_id(&self) -> LogId;

    /// How many partitions the topic has. Fixed when the log was created.
    fn partitions(&self, topic: Topic) -> u32;

    /// Accepts one record for the end of the stream.
    ///
    /// Returning `Ok` is a promise to try, not an acknowledgement: that is the [`Ticket`]. The log may keep `payload`
    /// alive for as long as readers may want it, so it should not be a small piece of a large buffer.
    ///
    /// # Errors
    ///
    /// A refused record is nowhere: it gets no offset and the same bytes may be offered again.
    fn append(&self, stream: StreamId, payload: Bytes) -> Result<Ticket, AppendError>;

    /// Adds to `out` the records from `from` on that are readable now: at most about `max_bytes` of payload, but at
    /// least one record when there is one at hand. There may be more than it adds; only adding nothing means that
    /// nothing is at hand.
    ///
    /// A subscriber is woken when there is something at hand again. Below the readable end there is always, except in
    /// adapters that fetch from elsewhere.
    ///
    /// # Errors
    ///
    /// With an error nothing is added. An adapter that fetches from elsewhere may ask there, once and for no longer
    /// than a few seconds, before it answers one of the next two. [`ReadError::Trimmed`] and [`ReadError::BeyondEnd`] mean that reader and log
    /// disagree about history; a reader must stop and say so, never skip.
    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError>;

    /// Where the stream begins and ends now, as far as this adapter knows.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    fn watermarks(&self, stream: StreamId) -> Watermarks;

    /// Asks whoever keeps the log where the stream begins and ends, for callers that a stale answer would mislead. May block
    /// for one round trip; afterwards [`watermarks`](Self::watermarks) is at least as fresh.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`] if nobody answers. An adapter that always knows does not fail.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    fn refresh(&self, stream: StreamId) -> Result<Watermarks, ReadError> {
        Ok(self.watermarks(stream))
    }

    /// Wakes `waker` whenever the stream's readable end moves, an append to it fails, an append that was refused for
    /// lack of room may be tried again, or the log fails or closes; until the subscription is dropped.
    ///
    /// No wake-up is lost: whatever happens after this call returns either shows in a later look at the log, or wakes.
    /// Wakes may be spurious. A waker that is subscribed to several streams is woken once for what arrived together.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    #[must_use = "dropping the subscription ends it"]
    fn subscribe(&self, stream: StreamId, waker: Waker) -> Subscription;

    /// Allows the log to forget the stream's records below `below`. The log may keep them longer: the low watermark
    /// never passes `below` because of this call, but it may stay under it.
    ///
    /// # Errors
    ///
    /// Trimming beyond the durable end is refused: nobody can have read that.
    fn trim(&self, stream: StreamId, below: Offset) -> Result<(), TrimError>;

    /// Whether the log has more than it was told to keep, so that trimming would free something. A log that cannot tell
    /// says yes.
    fn wants_trim(&self) -> bool {
        true
    }

    /// Ends the interruption of a stream after a failed append; see the type's notes on order and failure. Does
    /// nothing if the stream is not interrupted, or if the log has failed for good.
    fn resume(&self, stream: StreamId);

    /// Whether the log accepts appends now.
    fn status(&self) -> Status;

    /// Makes everything accepted durable if it still can, then refuses further appends. Returns when that is done.
    /// What was readable stays readable. Closing twice is closing once.
    fn close(&self);
}

/// One record as it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the stream.
    pub offset: Offset,
    /// When the log took it, by the log's own clock. Readers must not count on it rising from record to record.
    pub append_time: LogTime,
    /// Its bytes.
    pub payload: Bytes,
}

/// The ends of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that can be read.
    pub low: Offset,
    /// The offset after the last record that can be read.
    pub end: Offset,
    /// The offset after the last record that survives whatever the log's durability profile covers.
    pub durable: Offset,
}

/// Whether a log accepts appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Healthy,
    /// There is no room for new commands. Heals by itself when there is room again.
    DiskFull,
    /// It failed and stays failed: what happened to the last appends is unknown until it is opened again.
    Failed {
        /// What went wrong, for people.
        reason: String,
    },
    /// It was closed.
    Closed,
}
