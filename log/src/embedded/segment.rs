//! One segment file, and the list of all of them.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use holdfast_contracts::{Chain, LogId, LogTime, Offset};

use super::{frame, header::SegmentHeader, index::Index};
use crate::layout::Layout;

/// Files are written in whole pages: a part of a page that is not cached would have to be read first.
pub(super) const PAGE_BYTES: u32 = 4096;

/// How far a stream has come: what its next record must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamPoint {
    /// The offset of the next record.
    pub(super) next: Offset,
    /// The append time of the last record.
    pub(super) last_time: LogTime,
    /// The chain after the last record.
    pub(super) chain: Chain,
}

/// Where every stream of a log begins.
pub(super) fn genesis(log_id: LogId, layout: &Layout) -> Vec<StreamPoint> {
    let first = |stream| StreamPoint {
        next: Offset(0),
        last_time: LogTime(0),
        chain: frame::genesis(log_id, stream),
    };
    layout.streams().map(first).collect()
}

/// The name of a segment's file.
pub(super) fn file_name(number: u32) -> String {
    format!("{number:010}.segment")
}

/// The segment number in a file name, if it is the name of a segment.
pub(super) fn file_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".segment")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// A segment that was begun. Its file is opened by whoever reads it and closed again: a long history has more segments
/// than a process may have open files.
pub(super) struct Segment {
    pub(super) number: u32,
    /// How far every stream had come when it was begun.
    pub(super) start: Vec<StreamPoint>,
    /// Up to here its frames may be read.
    end: AtomicU32,
    /// Whether the index covers it, and so every byte was checked once.
    verified: AtomicBool,
    index: RwLock<Index>,
}

impl Segment {
    /// A segment of which nothing but the header was looked at.
    pub(super) fn unverified(header: SegmentHeader, end: u32) -> Self {
        Self {
            number: header.number,
            start: header.points,
            end: AtomicU32::new(end),
            verified: AtomicBool::new(false),
            index: RwLock::default(),
        }
    }

    /// A segment whose frames up to `end` are in the index.
    pub(super) fn verified(header: SegmentHeader, end: u32, index: Index) -> Self {
        let segment = Self::unverified(header, end);
        segment.set_verified(index);
        segment
    }

    pub(super) fn is_verified(&self) -> bool {
        // Acquire: whoever sees it also sees the index.
        self.verified.load(Ordering::Acquire)
    }

    pub(super) fn set_verified(&self, index: Index) {
        *self.index_mut() = index;
        self.verified.store(true, Ordering::Release);
    }

    pub(super) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    /// Lets readers go up to here.
    pub(super) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All segments that were begun and not trimmed, oldest first.
#[derive(Default)]
pub(super) struct Segments(RwLock<Vec<Arc<Segment>>>);

impl Segments {
    pub(super) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self(RwLock::new(segments))
    }

    pub(super) fn push(&self, segment: Arc<Segment>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    pub(super) fn snapshot(&self) -> Vec<Arc<Segment>> {
        self.read().clone()
    }

    /// Forgets the segments below a number.
    pub(super) fn forget_below(&self, number: u32) {
        let mut segments = self.0.write().unwrap_or_else(PoisonError::into_inner);
        segments.retain(|segment| segment.number >= number);
    }

    /// The segment that holds the stream's record at `offset`, and the one after it.
    pub(super) fn holding(
        &self,
        stream: usize,
        offset: Offset,
    ) -> Option<(Arc<Segment>, Option<Arc<Segment>>)> {
        let segments = self.read();
        let after = segments.partition_point(|segment| segment.start[stream].next <= offset);
        let holds = segments.get(after.checked_sub(1)?)?;
        Some((Arc::clone(holds), segments.get(after).cloned()))
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
