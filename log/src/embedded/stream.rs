//! What readers and waiters see of one stream: its ends, its most recent records, and who wants to be woken.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use holdfast_contracts::Offset;

use super::index::IndexPoint;
use crate::{
    doorbell::Doorbell,
    port::{
        AppendFailure, Appended, Durability, Outcome, Record, Settlement, StreamId, Subscription, WakerSet,
        Watermarks,
    },
};

/// What a record costs in the tail cache besides its payload.
const RECORD_OVERHEAD_BYTES: usize = 96;
/// Records taken out of the tail in one go, so that a reader of many small ones does not hold up the appenders.
const RECORDS_MAX: usize = 1024;
/// Sequential readers of one stream whose place is remembered.
const CURSORS_MAX: usize = 4;

/// Why the whole log failed, once it has.
pub(super) type Failure = OnceLock<Arc<str>>;

/// Where a sequential reader stopped, so that its next read need not search.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) segment: u32,
    pub(super) point: IndexPoint,
}

/// One stream, shared by appenders, the writer and readers.
pub(super) struct Stream {
    id: StreamId,
    failure: Arc<Failure>,
    low: AtomicU64,
    /// Below this everything is durable.
    durable: AtomicU64,
    /// Below this everything is in the tail or was evicted from it. The readable end of a derived stream.
    appended: AtomicU64,
    /// Callers allow to forget what is below.
    trim_mark: AtomicU64,
    tail: Mutex<Tail>,
    cursors: Mutex<VecDeque<Cursor>>,
    /// Woken when there is something to read, or to know.
    pub(super) subscribers: Arc<WakerSet>,
    /// Woken when tickets may have settled.
    pub(super) settled: Arc<WakerSet>,
}

/// The newest records, without gaps up to the last one appended.
struct Tail {
    first: Offset,
    records: VecDeque<Record>,
    bytes: usize,
}

impl Stream {
    pub(super) fn new(id: StreamId, failure: Arc<Failure>, low: Offset, end: Offset) -> Self {
        Self {
            id,
            failure,
            low: AtomicU64::new(low.0),
            durable: AtomicU64::new(end.0),
            appended: AtomicU64::new(end.0),
            trim_mark: AtomicU64::new(low.0),
            tail: Mutex::new(Tail { first: end, records: VecDeque::new(), bytes: 0 }),
            cursors: Mutex::default(),
            subscribers: Arc::default(),
            settled: Arc::default(),
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    pub(super) fn low(&self) -> Offset {
        Offset(self.low.load(Ordering::Acquire))
    }

    pub(super) fn set_low(&self, low: Offset) {
        self.low.store(low.0, Ordering::Release);
    }

    pub(super) fn durable(&self) -> Offset {
        Offset(self.durable.load(Ordering::Acquire))
    }

    /// Publishes that everything below `end` is durable.
    pub(super) fn set_durable(&self, end: Offset) {
        self.durable.store(end.0, Ordering::Release);
    }

    pub(super) fn trim_mark(&self) -> Offset {
        Offset(self.trim_mark.load(Ordering::Acquire))
    }

    pub(super) fn raise_trim_mark(&self, below: Offset) {
        self.trim_mark.fetch_max(below.0, Ordering::AcqRel);
    }

    /// The offset after the last record that may be read.
    pub(super) fn readable(&self) -> Offset {
        match self.id.topic.durability() {
            Durability::Flushed => self.durable(),
            Durability::Derived => Offset(self.appended.load(Ordering::Acquire)),
        }
    }

    pub(super) fn watermarks(&self) -> Watermarks {
        // In this order: each mark only grows, and durable <= end must hold for whoever looks at both.
        let low = self.low();
        let durable = self.durable();
        Watermarks { low, end: self.readable(), durable }
    }

    /// Puts a record at the end. The caller keeps the stream's order.
    pub(super) fn push(&self, record: Record) {
        let mut tail = self.lock_tail();
        let end = record.offset.next();
        tail.bytes += record.payload.len() + RECORD_OVERHEAD_BYTES;
        tail.records.push_back(record);
        self.appended.store(end.0, Ordering::Release);
    }

    /// Moves some records out of the tail that are durable and over the budget. They are handed to the caller because
    /// freeing their memory may take a while and needs no lock. True if there are more.
    pub(super) fn evict(&self, bytes_max: usize, evicted: &mut Vec<Record>) -> bool {
        let durable = self.durable();
        let mut tail = self.lock_tail();
        for _ in 0..RECORDS_MAX {
            if tail.bytes <= bytes_max || tail.first >= durable {
                return false;
            }
            let Some(record) = tail.records.pop_front() else { return false };
            tail.bytes -= record.payload.len() + RECORD_OVERHEAD_BYTES;
            tail.first = record.offset.next();
            evicted.push(record);
        }
        true
    }

    /// Adds the records from `from` below `end`, at most about `bytes_max` of payload but at least one. If the first
    /// is no longer in the tail, nothing is added and the tail's first offset is returned.
    pub(super) fn read_tail(
        &self,
        from: Offset,
        end: Offset,
        bytes_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), Offset> {
        let tail = self.lock_tail();
        let Some(skip) = from.0.checked_sub(tail.first.0) else {
            return Err(tail.first);
        };
        let count = usize::try_from(end.0 - from.0).unwrap_or(usize::MAX).min(RECORDS_MAX);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut bytes = 0;
        for record in tail.records.iter().skip(skip).take(count) {
            bytes += record.payload.len();
            if bytes > bytes_max && record.offset > from {
                break;
            }
            out.push(record.clone());
        }
        Ok(())
    }

    /// Takes the place of the reader whose next record is `offset`, if it is remembered.
    pub(super) fn take_cursor(&self, offset: Offset) -> Option<Cursor> {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let nr = cursors.iter().position(|cursor| cursor.point.offset == offset)?;
        cursors.remove(nr)
    }

    pub(super) fn keep_cursor(&self, cursor: Cursor) {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if cursors.len() == CURSORS_MAX {
            cursors.pop_front();
        }
        cursors.push_back(cursor);
    }

    fn lock_tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settlement for Stream {
    fn outcome(&self, place: Appended) -> Option<Outcome> {
        // The failure first: after it nothing becomes durable, so what is not durable then never will be. The
        // other way round a record could become durable between the two looks and be called unknown.
        let failure = self.failure.get();
        if self.durable() > place.offset {
            return Some(Ok(place));
        }
        failure.map(|reason| Err(AppendFailure::Unknown { reason: Arc::clone(reason) }))
    }

    fn watch(&self, bell: &Doorbell) -> Subscription {
        self.settled.subscribe(bell.waker())
    }
}
