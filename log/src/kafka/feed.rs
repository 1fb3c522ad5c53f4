//! A running fetch of one stream and the last records it brought.
//!
//! Nobody fetches ahead here: the client does, within its own bounds, and wakes the stream's subscribers when something
//! comes. Whoever reads takes over what has come, for all readers near that place.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use holdfast_contracts::{LogTime, Offset};

use super::native::{Batch, Fault, Fetch, Fetched, Room, Stamp, TopicHandle};
use crate::port::{Record, StreamId, WakerSet};

/// Messages taken from the client at once.
const BATCH_MAX: usize = 1024;
/// Bytes taken from the client at once, about, when the reader does not ask for more.
const BATCH_BYTES: usize = 256 << 10;
/// Payloads below this are copied next to each other into one allocation of about the same size as this many of them.
const SLAB_BYTES: usize = 64 << 10;
/// What a record costs beside its payload.
const RECORD_OVERHEAD_BYTES: usize = size_of::<Record>();
/// A reader that leaps ahead by less is served by reading on, which is faster than another fetch.
const LEAP_RECORDS: u64 = 4096;

/// Why a feed cannot go on.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The brokers have no record there.
    OutOfRange,
    /// The brokers could not be asked. Another feed may do better.
    Fault(Fault),
    /// What came cannot be what was appended.
    Corrupt { offset: u64, what: String },
    /// Records do not carry the log's time.
    BadStamp { offset: u64 },
}

pub(super) struct Feed {
    /// Which of the clients it runs on.
    pub(super) lane: usize,
    pub(super) topic: Arc<TopicHandle>,
    fetch: Fetch,
    window: VecDeque<Record>,
    /// Where the next payloads go. It outlives a batch, which may be of one record: each that is kept would keep as much.
    slab: BytesMut,
    bytes: usize,
    /// The offset of the record that comes next. The window ends there.
    next: u64,
    /// Payload of a record, on average.
    average: usize,
    trouble: Option<Trouble>,
    pub(super) last_read: Instant,
    /// When something came, or nothing was known to be missing.
    pub(super) last_progress: Instant,
    /// Whether anything ever came.
    delivered: bool,
}

impl Feed {
    pub(super) fn start(
        stream: StreamId,
        lane: usize,
        topic: Arc<TopicHandle>,
        from: u64,
        wakers: &Arc<WakerSet>,
    ) -> Result<Self, Fault> {
        let partition = i32::try_from(stream.partition.0).expect("partitions are few");
        let fetch = Fetch::start(&topic, partition, from, wakers)?;
        let now = Instant::now();
        Ok(Self {
            lane,
            topic,
            fetch,
            window: VecDeque::new(),
            slab: BytesMut::new(),
            bytes: 0,
            next: from,
            average: 256,
            trouble: None,
            last_read: now,
            last_progress: now,
            delivered: false,
        })
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    fn first(&self) -> u64 {
        self.next - self.window.len() as u64
    }

    /// Whether a reader at `from` is served by this feed.
    pub(super) fn serves(&self, from: u64) -> bool {
        self.first() <= from && from <= self.next + LEAP_RECORDS
    }

    /// Whether it may be given up for another reader: it has served somebody, or had the time to.
    pub(super) fn may_end(&self, now: Instant) -> bool {
        self.delivered || now.duration_since(self.last_progress) > Duration::from_secs(1)
    }

    /// Adds the records from `from` on that are at hand.
    pub(super) fn read(
        &mut self,
        from: u64,
        bytes_max: usize,
        room: &mut Room,
        out: &mut Vec<Record>,
    ) -> Result<(), Trouble> {
        self.last_read = Instant::now();
        while from >= self.next {
            if !self.pull(bytes_max, room)? {
                return Ok(());
            }
        }
        let skip = usize::try_from(from - self.first()).expect("the window fits into memory");
        let mut bytes = 0;
        for record in self.window.range(skip..) {
            bytes += record.payload.len();
            if bytes > bytes_max && record.offset.0 > from {
                break;
            }
            out.push(record.clone());
        }
        Ok(())
    }

    /// Forgets records below `from` until the rest fits.
    pub(super) fn trim(&mut self, from: u64, bytes_max: usize) {
        while self.bytes > bytes_max && self.first() < from {
            let Some(record) = self.window.pop_front() else { return };
            self.bytes -= record.payload.len() + RECORD_OVERHEAD_BYTES;
        }
    }

    /// Takes over what has come, for a reader that has not asked. True if something has come, trouble included.
    pub(super) fn probe(&mut self, room: &mut Room) -> bool {
        self.pull(0, room).unwrap_or(true)
    }

    /// Takes over what has come. False if that is nothing.
    fn pull(&mut self, bytes_max: usize, room: &mut Room) -> Result<bool, Trouble> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        let bytes = bytes_max.clamp(BATCH_BYTES, BATCH_BYTES << 4);
        let count_max = (bytes / self.average.max(1)).clamp(1, BATCH_MAX);
        let batch = self.fetch.take(count_max, room);
        if batch.len() == 0 {
            return Ok(false);
        }
        let before = self.next;
        let mut taken = Window {
            records: &mut self.window,
            slab: &mut self.slab,
            bytes: &mut self.bytes,
            next: &mut self.next,
        };
        let result = taken.fill(&batch);
        drop(batch);
        if self.next > before {
            self.last_progress = Instant::now();
            self.delivered = true;
        }
        match result {
            // What came before the trouble is right; the next reader hears of it.
            Err(trouble) if self.next > before => self.trouble = Some(trouble),
            Err(trouble) => {
                self.trouble = Some(trouble.clone());
                return Err(trouble);
            }
            Ok(payload) => self.average = (self.average * 7 + payload) / 8,
        }
        Ok(true)
    }
}

/// The end of a feed where records are added.
struct Window<'a> {
    records: &'a mut VecDeque<Record>,
    slab: &'a mut BytesMut,
    bytes: &'a mut usize,
    next: &'a mut u64,
}

impl Window<'_> {
    /// Adds a batch. Returns the average payload.
    fn fill(&mut self, batch: &Batch<'_>) -> Result<usize, Trouble> {
        let mut total = 0;
        for message in batch.messages() {
            let (offset, stamp, payload) = match message {
                Fetched::Record { offset, stamp, payload } => (offset, stamp, payload),
                Fetched::Fault(fault) => return Err(trouble(fault, *self.next)),
            };
            self.check_order(offset)?;
            let Stamp::LogAppend(time) = stamp else { return Err(Trouble::BadStamp { offset }) };
            let payload = keep(self.slab, payload);
            total += payload.len();
            *self.bytes += payload.len() + RECORD_OVERHEAD_BYTES;
            *self.next = offset + 1;
            self.records.push_back(Record { offset: Offset(offset), append_time: LogTime(time), payload });
        }
        Ok(total / batch.len())
    }

    fn check_order(&self, offset: u64) -> Result<(), Trouble> {
        let expected = *self.next;
        if offset == expected {
            return Ok(());
        }
        let what = if offset > expected {
            format!(
                "offsets {expected} to {} are missing: somebody appends in transactions, or the topic is compacted",
                offset - 1
            )
        } else {
            format!("offset {offset} came again where {expected} was due")
        };
        Err(Trouble::Corrupt { offset: expected, what })
    }
}

/// A copy of a payload that does not keep the client's memory alive.
fn keep(slab: &mut BytesMut, payload: &[u8]) -> Bytes {
    if payload.is_empty() {
        return Bytes::new();
    }
    if payload.len() > SLAB_BYTES / 8 {
        return Bytes::copy_from_slice(payload);
    }
    if slab.capacity() < payload.len() {
        *slab = BytesMut::with_capacity(SLAB_BYTES);
    }
    slab.extend_from_slice(payload);
    slab.split().freeze()
}

fn trouble(fault: Fault, next: u64) -> Trouble {
    match fault.code {
        Fault::OUT_OF_RANGE | Fault::OFFSET_RESET => Trouble::OutOfRange,
        Fault::BAD_MESSAGE => Trouble::Corrupt { offset: next, what: fault.text },
        _ => Trouble::Fault(fault),
    }
}
