//! Where records of a stream are in a segment, sparsely.

use std::collections::BTreeMap;

use holdfast_contracts::{Chain, Offset};

/// Where to begin looking for a record, and what it must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexPoint {
    pub(super) offset: Offset,
    pub(super) position: u32,
    /// The chain of the stream before this record.
    pub(super) before: Chain,
}

/// A sparse index: for every stream one point per stretch of the segment in which it has records.
#[derive(Default)]
pub(super) struct Index {
    points: BTreeMap<(usize, Offset), (u32, Chain)>,
    /// Per stream the position of its newest point. Only as long as the index grows.
    newest: Vec<u32>,
}

impl Index {
    /// Bytes of segment between two points of one stream: what is read in vain at most, and a point costs about as
    /// much memory as a thousandth of that.
    const STRETCH_BYTES: u32 = 128 << 10;

    pub(super) fn growing(streams: usize) -> Self {
        Self { points: BTreeMap::new(), newest: vec![0; streams] }
    }

    /// Tells the index of the next record.
    pub(super) fn note(&mut self, stream: usize, offset: Offset, position: u32, before: Chain) {
        if position - self.newest[stream] >= Self::STRETCH_BYTES {
            self.newest[stream] = position;
            self.points.insert((stream, offset), (position, before));
        }
    }

    /// Gives back what only a growing index needs.
    pub(super) fn finish(&mut self) {
        self.newest = Vec::new();
    }

    /// The last point of the stream at or before `offset`.
    pub(super) fn find(&self, stream: usize, offset: Offset) -> Option<IndexPoint> {
        let (&(_, offset), &(position, before)) =
            self.points.range((stream, Offset(0))..=(stream, offset)).next_back()?;
        Some(IndexPoint { offset, position, before })
    }
}
