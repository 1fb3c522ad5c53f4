//! What the threads of an embedded log share.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use holdfast_contracts::{LogId, LogTime};

use super::{
    disk::{Disk, DiskFile},
    header::header_bytes,
    manifest::ManifestFile,
    queue::{Gate, Queue},
    segment::Segments,
    stream::{Failure, Stream},
};
use crate::{doorbell::Doorbell, layout::Layout, port::WakeRound};

/// The settings that the threads need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuning {
    pub(super) segment_bytes: u32,
    /// Bytes of log below which nothing is removed.
    pub(super) keep_bytes: u64,
    /// Bytes of recent records kept in memory for each stream.
    pub(super) tail_bytes_max: usize,
    /// How long derived records wait for a flush that comes anyway.
    pub(super) derived_delay: Duration,
    /// How long the log rests before it marks what is flushed.
    pub(super) mark_delay: Duration,
    /// How often room is looked for while the disk is full.
    pub(super) disk_full_retry: Duration,
}

/// A segment file that is ready to be begun.
pub(super) struct Prepared {
    pub(super) number: u32,
    pub(super) file: Arc<dyn DiskFile>,
}

/// The state of an open embedded log.
pub(super) struct Shared {
    pub(super) log_id: LogId,
    pub(super) layout: Layout,
    pub(super) tuning: Tuning,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: fn() -> LogTime,
    pub(super) streams: Vec<Arc<Stream>>,
    pub(super) segments: Segments,
    pub(super) failure: Arc<Failure>,
    pub(super) writer: Doorbell,
    pub(super) preparer: Doorbell,
    manifest: Mutex<ManifestFile>,
    queue: Mutex<Queue>,
    /// In the order of their numbers, following the segment being written.
    prepared: Mutex<Vec<Prepared>>,
}

/// What recovery hands to [`Shared::new`].
pub(super) struct Parts {
    pub(super) log_id: LogId,
    pub(super) layout: Layout,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: fn() -> LogTime,
    pub(super) streams: Vec<Arc<Stream>>,
    pub(super) segments: Segments,
    pub(super) failure: Arc<Failure>,
    pub(super) manifest: ManifestFile,
    pub(super) queue: Queue,
    pub(super) prepared: Vec<Prepared>,
}

impl Shared {
    pub(super) fn new(parts: Parts, tuning: Tuning, writer: Doorbell, preparer: Doorbell) -> Self {
        Self {
            log_id: parts.log_id,
            layout: parts.layout,
            tuning,
            disk: parts.disk,
            clock: parts.clock,
            streams: parts.streams,
            segments: parts.segments,
            failure: parts.failure,
            writer,
            preparer,
            manifest: Mutex::new(parts.manifest),
            queue: Mutex::new(parts.queue),
            prepared: Mutex::new(parts.prepared),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic under this lock ends the writer or an appender; the gate tells which, and the rest is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn manifest(&self) -> MutexGuard<'_, ManifestFile> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn prepared(&self) -> MutexGuard<'_, Vec<Prepared>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of so many segments are more than the log was told to keep.
    pub(super) fn surplus(&self, segments: usize) -> usize {
        if self.queue().disk_full {
            return segments;
        }
        let kept = self.tuning.keep_bytes.div_ceil(u64::from(self.tuning.segment_bytes));
        segments.saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX))
    }

    pub(super) fn header_bytes(&self) -> u32 {
        header_bytes(&self.layout)
    }

    /// Ends the log for good. What was not acknowledged is unknown from now on; nothing is tried again, because after
    /// a failed write or flush nobody knows what is on the disk.
    pub(super) fn fail(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        // Only the first failure counts; the others follow from it.
        let _first_stays = OnceLock::set(&self.failure, Arc::clone(&reason));
        self.queue().shut(Gate::Failed(reason));
        self.writer.ring();
        self.preparer.ring();
        self.wake_everyone();
    }

    /// Wakes everyone who waits for anything.
    pub(super) fn wake_everyone(&self) {
        let mut round = WakeRound::default();
        for stream in &self.streams {
            round.wake(&stream.subscribers);
            round.wake(&stream.settled);
        }
    }
}
