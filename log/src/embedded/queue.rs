//! What was accepted and is not written yet, and the rules of acceptance.
//!
//! A record gets its offset, its time and its place in a segment here, under one lock. So the order of the queue is
//! the order of every stream and of the disk, and whatever is accepted has its room on the disk already.

use std::{mem, sync::Arc};

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset};

use super::frame::{self, Place};
use crate::port::{AppendError, Appended, Durability, StreamId};

/// Segments prepared ahead that only derived records may move into. Commands stop before it, so that the decisions of
/// commands that were accepted can still be written when the disk is full.
const RESERVED_SEGMENTS: u32 = 1;

/// Segments kept prepared ahead of the one being written: one to go on with, and the reserve.
pub(super) const PREPARED_SEGMENTS: u32 = 1 + RESERVED_SEGMENTS;

/// An accepted record on its way to the disk.
pub(super) struct Entry {
    pub(super) stream: usize,
    pub(super) id: StreamId,
    pub(super) appended: Appended,
    pub(super) payload: Bytes,
    /// Where its frame goes.
    pub(super) place: Place,
}

/// Whether records are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Closed,
    Failed(Arc<str>),
}

/// What the writer does while nobody wants a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriterRest {
    /// It works, or looks at the queue again soon by itself.
    Light,
    /// It sleeps until it is rung for.
    Deep,
}

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    /// Bytes of frames that may be accepted and not yet durable.
    pub(super) unsettled_bytes_max: usize,
    /// Derived bytes that may wait without a flush being wanted for them.
    pub(super) derived_bytes_max: usize,
    pub(super) segment_bytes: u32,
    pub(super) header_bytes: u32,
}

/// The next record of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    pub(super) offset: Offset,
    pub(super) last_time: LogTime,
}

/// What came of offering a record.
pub(super) struct Accepted {
    pub(super) appended: Appended,
    /// Somebody has to ring for the writer.
    pub(super) ring: bool,
}

pub(super) struct Queue {
    limits: QueueLimits,
    pub(super) gate: Gate,
    entries: Vec<Entry>,
    /// Bytes of frames accepted and not yet durable.
    unsettled_bytes: usize,
    /// Bytes of frames accepted since the writer last looked.
    waiting_bytes: usize,
    flush_wanted: bool,
    pub(super) writer_rest: WriterRest,
    /// Where the next frame goes.
    cursor: Place,
    /// Segments that are prepared after the cursor's.
    prepared: u32,
    /// The last attempt to prepare a segment found no room.
    pub(super) disk_full: bool,
    /// A record was refused for lack of room, so somebody may wait for it.
    refused: bool,
    streams: Vec<Next>,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits, cursor: Place, prepared: u32, streams: Vec<Next>) -> Self {
        Self {
            limits,
            gate: Gate::Open,
            entries: Vec::new(),
            unsettled_bytes: 0,
            waiting_bytes: 0,
            flush_wanted: false,
            writer_rest: WriterRest::Light,
            cursor,
            prepared,
            disk_full: false,
            refused: false,
            streams,
        }
    }

    /// Accepts a record, or says why not. `then` runs before anybody else can append.
    pub(super) fn accept(
        &mut self,
        stream: usize,
        id: StreamId,
        payload: &Bytes,
        now: LogTime,
    ) -> Result<Accepted, AppendError> {
        let durability = id.topic.durability();
        let bytes = frame::frame_bytes(payload.len());
        let place = self.admit(durability, bytes).inspect_err(|error| {
            self.refused |= matches!(error, AppendError::Full | AppendError::DiskFull);
        })?;
        let next = &mut self.streams[stream];
        let appended = Appended { offset: next.offset, append_time: now.max(next.last_time) };
        *next = Next { offset: appended.offset.next(), last_time: appended.append_time };
        self.unsettled_bytes += bytes;
        self.waiting_bytes += bytes;
        self.entries.push(Entry { stream, id, appended, payload: payload.clone(), place });
        let wants_flush =
            durability == Durability::Flushed || self.waiting_bytes >= self.limits.derived_bytes_max;
        let ring = wants_flush && !self.flush_wanted || self.writer_rest == WriterRest::Deep;
        self.flush_wanted |= wants_flush;
        self.writer_rest = WriterRest::Light;
        Ok(Accepted { appended, ring })
    }

    /// Finds the place for a frame and takes it.
    fn admit(&mut self, durability: Durability, bytes: usize) -> Result<Place, AppendError> {
        match &self.gate {
            Gate::Open => {}
            Gate::Closed => return Err(AppendError::Closed),
            Gate::Failed(reason) => return Err(AppendError::Failed { reason: reason.to_string() }),
        }
        let (no_room, reserved) = match durability {
            Durability::Flushed if self.disk_full => return Err(AppendError::DiskFull),
            Durability::Flushed => (AppendError::Full, RESERVED_SEGMENTS),
            Durability::Derived if self.disk_full => (AppendError::DiskFull, 0),
            Durability::Derived => (AppendError::Full, 0),
        };
        if self.unsettled_bytes + bytes > self.limits.unsettled_bytes_max {
            return Err(AppendError::Full);
        }
        if !self.fits(bytes) {
            if self.prepared <= reserved {
                return Err(no_room);
            }
            self.prepared -= 1;
            self.cursor = Place { segment: self.cursor.segment + 1, position: self.limits.header_bytes };
        }
        Ok(self.advance(bytes))
    }

    fn fits(&self, bytes: usize) -> bool {
        bytes <= self.limits.segment_bytes.saturating_sub(self.cursor.position) as usize
    }

    fn advance(&mut self, bytes: usize) -> Place {
        let place = self.cursor;
        self.cursor.position += u32::try_from(bytes).expect("a frame fits into a segment");
        place
    }

    /// Hands over everything that waits.
    pub(super) fn take(&mut self, into: &mut Vec<Entry>) {
        debug_assert!(into.is_empty(), "the writer comes back when it has written everything");
        mem::swap(&mut self.entries, into);
        self.waiting_bytes = 0;
        self.flush_wanted = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_flush_wanted(&self) -> bool {
        self.flush_wanted
    }

    /// Tells that so many bytes of frames are durable. True if somebody may wait for that.
    pub(super) fn settle(&mut self, bytes: usize) -> bool {
        self.unsettled_bytes -= bytes;
        mem::take(&mut self.refused)
    }

    /// The number of the segment to prepare next, if one is missing.
    pub(super) fn segment_to_prepare(&self) -> Option<u32> {
        (self.prepared < PREPARED_SEGMENTS).then(|| self.cursor.segment + self.prepared + 1)
    }

    /// Tells that one more segment is prepared. True if somebody may wait for that.
    pub(super) fn add_prepared(&mut self) -> bool {
        self.prepared += 1;
        self.disk_full = false;
        mem::take(&mut self.refused)
    }

    /// Stops accepting, for good. Returns whether it was still open.
    pub(super) fn shut(&mut self, gate: Gate) -> bool {
        let was_open = self.gate == Gate::Open;
        if was_open || matches!(gate, Gate::Failed(_)) {
            self.gate = gate;
        }
        was_open
    }
}
