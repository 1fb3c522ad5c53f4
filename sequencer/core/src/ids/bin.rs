//! One bin of the id table: entries in the order they came, and the groups that find them.

use super::{Entry, LOCAL_MASK};
use crate::groups::{BIN_ENTRIES_MAX, Groups};
use crate::pool::List;

/// Within one cache line.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct Bin {
    pub(super) groups: Groups,
    pub(super) entries: List,
    /// Place of the first entry kept; places count on for the life of the table.
    start: u32,
}

impl Bin {
    pub(super) fn new(number: usize) -> Self {
        Self { groups: Groups::new(number), entries: List::default(), start: 0 }
    }

    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= BIN_ENTRIES_MAX
    }

    /// How far an entry is behind the first.
    #[inline(always)]
    pub(super) const fn behind(&self, place: u32) -> usize {
        (place - self.start) as usize
    }

    /// The place of the entry that is so far behind the first.
    #[inline(always)]
    pub(super) fn place(&self, behind: usize) -> u32 {
        self.start + super::to_u32(behind)
    }

    /// The full place behind the bits that a reference keeps.
    #[inline]
    pub(super) const fn full_place(&self, bits: u32) -> u32 {
        self.start + (bits.wrapping_sub(self.start) & LOCAL_MASK)
    }

    pub(super) const fn start(&self) -> u32 {
        self.start
    }

    /// Makes an empty bin begin here.
    pub(super) fn start_at(&mut self, start: u32) {
        assert!(self.entries.len() == 0, "only an empty bin begins anew");
        self.start = start;
    }

    pub(super) fn end(&self) -> u32 {
        self.place(self.entries.len())
    }
}

const _: () = assert!(size_of::<Bin>() == 64 && size_of::<Entry>() == 24);
