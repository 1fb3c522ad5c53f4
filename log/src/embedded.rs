//! The embedded log: every stream of one process in one directory, durable through one flush for whatever waits.
//!
//! All streams share one sequence of segment files, so a single flush makes the waiting records of all partitions
//! durable. Appenders put records into a queue and get their offsets there; one thread writes. What was measured to
//! choose this shape is in `docs/adr/0001-embedded-log.md`.
//!
//! ```text
//! append ──► queue: offset, time, place ──► writer: frame, write, flush ──► publish, wake
//!               │                                                              ▲
//!               └──► tail in memory ──► readers of decisions at once, of commands when published
//! ```

mod config;
mod create;
mod disk;
mod error;
mod frame;
mod header;
mod index;
mod lock;
mod manifest;
mod prepare;
mod queue;
mod read;
mod read_only;
mod recover;
mod scan;
mod segment;
mod shared;
mod staging;
mod stream;
mod survey;
mod writer;

use std::{
    fs, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use holdfast_contracts::{LogId, LogTime, Offset};

use crate::{
    doorbell::doorbell,
    port::{
        AppendError, Durability, OrderedLog, ReadError, Record, Status, StreamId, Subscription, Ticket,
        Topic, TrimError, Watermarks,
    },
};

pub use config::EmbeddedConfig;
use disk::{Disk, RealDisk};
use error::Doing;
pub use error::OpenError;
use lock::DirectoryLock;
pub use manifest::FORMAT;
use manifest::ManifestFile;
use prepare::Preparer;
use queue::{Gate, Next, Queue};
use read::{Reader, Wanted};
pub use read_only::{ReadOnlyConfig, ReadOnlyLog};
use recover::Recovered;
use segment::Segments;
use shared::{Parts, Shared};
use stream::{Failure, Stream};
use writer::Writer;

/// An open log that owns its directory.
///
/// Dropping it closes it.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the log may write.
    lock: Mutex<Option<DirectoryLock>>,
}

impl EmbeddedLog {
    /// Opens the log in a directory, or creates one if the directory is empty or missing.
    ///
    /// # Errors
    ///
    /// Whatever cannot be explained by a crash is refused with a sentence on what to do, and left as it was found.
    pub fn open(directory: &Path, config: &EmbeddedConfig) -> Result<Self, OpenError> {
        config.validate()?;
        fs::create_dir_all(directory).doing("creating the log directory")?;
        let lock = DirectoryLock::take(directory)?;
        let disk = Arc::new(RealDisk::new(directory));
        Self::open_on(disk, &directory.display().to_string(), config, Some(lock), wall_clock)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        directory: &str,
        config: &EmbeddedConfig,
        lock: Option<DirectoryLock>,
        clock: fn() -> LogTime,
    ) -> Result<Self, OpenError> {
        let (manifest, mut recovered) = recover::open(&*disk, directory, config)?;
        let (writer_bell, writer_ear) = doorbell();
        let (preparer_bell, preparer_ear) = doorbell();
        let tuning = config.tuning(manifest.get().segment_bytes);
        let parts = parts(disk, config, manifest, &mut recovered, clock);
        let shared = Arc::new(Shared::new(parts, tuning, writer_bell, preparer_bell));
        let writer = Writer::new(Arc::clone(&shared), writer_ear, recovered);
        let preparer = Preparer { shared: Arc::clone(&shared), listener: preparer_ear };
        let log = Self { shared, threads: Mutex::default(), lock: Mutex::new(lock) };
        log.spawn("holdfast-log-write", move || writer.run())?;
        log.spawn("holdfast-log-room", move || preparer.run())?;
        Ok(log)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let run = move || {
            // A panic is a broken rule; whoever waits for this thread must hear of it.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                shared.fail("a thread of the log panicked");
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.doing("starting a thread of the log")?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    fn stream(&self, id: StreamId) -> Option<(usize, &Arc<Stream>)> {
        let index = self.shared.layout.index(id)?;
        Some((index, &self.shared.streams[index]))
    }

    fn known_stream(&self, id: StreamId) -> &Arc<Stream> {
        self.stream(id).unwrap_or_else(|| panic!("the log has no stream {id}")).1
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            disk: &*self.shared.disk,
            log_id: self.shared.log_id,
            layout: &self.shared.layout,
            segments: &self.shared.segments,
        }
    }
}

fn parts(
    disk: Arc<dyn Disk>,
    config: &EmbeddedConfig,
    file: ManifestFile,
    recovered: &mut Recovered,
    clock: fn() -> LogTime,
) -> Parts {
    let manifest = file.get();
    let failure = Arc::new(Failure::new());
    let lows = recover::lows(&recovered.segments);
    let ends = recovered.points.iter().map(|point| point.next);
    let streams = manifest.layout.streams().zip(lows).zip(ends);
    let streams = streams.map(|((id, low), end)| Arc::new(Stream::new(id, Arc::clone(&failure), low, end)));
    let next = |point: &segment::StreamPoint| Next { offset: point.next, last_time: point.last_time };
    let last = recovered.segments.last().expect("a log has a segment that was begun");
    Parts {
        log_id: manifest.log_id,
        layout: manifest.layout,
        disk,
        clock,
        streams: streams.collect(),
        segments: Segments::new(recovered.segments.clone()),
        failure,
        manifest: file,
        queue: Queue::new(
            config.queue_limits(manifest.segment_bytes),
            frame::Place { segment: last.number, position: recovered.end },
            u32::try_from(recovered.prepared.len()).expect("a few segments are prepared"),
            recovered.points.iter().map(next).collect(),
        ),
        prepared: mem::take(&mut recovered.prepared),
    }
}

fn wall_clock() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl OrderedLog for EmbeddedLog {
    fn log_id(&self) -> LogId {
        self.shared.log_id
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.shared.layout.partitions(topic)
    }

    fn append(&self, stream: StreamId, payload: Bytes) -> Result<Ticket, AppendError> {
        let (index, shared_stream) = self.stream(stream).ok_or(AppendError::NoSuchStream(stream))?;
        let bytes_max = stream.topic.payload_bytes_max();
        if payload.len() > bytes_max {
            return Err(AppendError::TooLarge { bytes: payload.len(), bytes_max });
        }
        let now = (self.shared.clock)();
        let mut queue = self.shared.queue();
        let accepted = queue.accept(index, stream, &payload, now)?;
        let appended = accepted.appended;
        // Still under the queue's lock: the tail gets the records of a stream in their order.
        shared_stream.push(Record { offset: appended.offset, append_time: appended.append_time, payload });
        drop(queue);
        if accepted.ring {
            self.shared.writer.ring();
        }
        if stream.topic.durability() == Durability::Derived {
            shared_stream.subscribers.wake_all();
        }
        Ok(Ticket::new(shared_stream.clone(), appended))
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        let (index, shared_stream) = self.stream(stream).ok_or(ReadError::NoSuchStream(stream))?;
        let marks = shared_stream.watermarks();
        if from < marks.low {
            return Err(ReadError::Trimmed { low: marks.low });
        }
        if from > marks.end {
            return Err(ReadError::BeyondEnd { end: marks.end });
        }
        let Err(tail) = shared_stream.read_tail(from, marks.end, max_bytes, out) else {
            return Ok(());
        };
        let wanted = Wanted { stream, index, from, end: tail, bytes_max: max_bytes };
        match self.reader().read(wanted, shared_stream.take_cursor(from), out)? {
            Some(cursor) => shared_stream.keep_cursor(cursor),
            None => return Err(ReadError::Trimmed { low: shared_stream.low() }),
        }
        Ok(())
    }

    fn watermarks(&self, stream: StreamId) -> Watermarks {
        self.known_stream(stream).watermarks()
    }

    fn subscribe(&self, stream: StreamId, waker: Waker) -> Subscription {
        self.known_stream(stream).subscribers.subscribe(waker)
    }

    fn trim(&self, stream: StreamId, below: Offset) -> Result<(), TrimError> {
        let (_, stream) = self.stream(stream).ok_or(TrimError::NoSuchStream(stream))?;
        let durable = stream.durable();
        if below > durable {
            return Err(TrimError::BeyondDurable { durable });
        }
        stream.raise_trim_mark(below);
        self.shared.preparer.ring();
        Ok(())
    }

    fn wants_trim(&self) -> bool {
        let segments = self.shared.segments.snapshot().len();
        // The one that is being written stays in any case.
        segments > 1 && self.shared.surplus(segments) > 0
    }

    fn resume(&self, _stream: StreamId) {
        // A failed append fails the whole log, and that is for good.
    }

    fn status(&self) -> Status {
        let queue = self.shared.queue();
        match &queue.gate {
            Gate::Failed(reason) => Status::Failed { reason: reason.to_string() },
            Gate::Closed => Status::Closed,
            Gate::Open if queue.disk_full => Status::DiskFull,
            Gate::Open => Status::Healthy,
        }
    }

    fn close(&self) {
        self.shared.queue().shut(Gate::Closed);
        self.shared.writer.ring();
        self.shared.preparer.ring();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // Its panic was caught inside and has failed the log.
            let _caught = thread.join();
        }
        drop(threads);
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.wake_everyone();
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
