//! One bin of the id table: entries in the order they came, in chunks, and the groups that find them.

use crate::groups::{BIN_ENTRIES_MAX, Groups, TableHash};
use crate::ids::LOCAL_MASK;

/// Entries of one chunk of a bin's memory.
pub(crate) const CHUNK: usize = 32;
const CHUNK_SHIFT: u32 = CHUNK.trailing_zeros();

#[derive(Debug, Clone, Default)]
pub(crate) struct Bin {
    pub(super) groups: Groups,
    /// Numbers of the chunks that hold the entries.
    chunks: Vec<u32>,
    /// Place of the first entry kept; places count on for the life of the table.
    start: u32,
    len: u32,
}

impl Bin {
    #[inline]
    pub(super) fn must_grow(&self) -> bool {
        self.groups.must_grow(self.len as usize)
    }

    #[cold]
    pub(super) fn grow(&mut self, hash_of: impl Fn(u32, usize) -> TableHash) {
        let chunks = &self.chunks;
        let hashes = (0..self.len as usize).map(|at| hash_of(chunks[at >> CHUNK_SHIFT], at % CHUNK));
        self.groups.grow(hashes);
    }

    #[inline]
    pub(super) const fn needs_chunk(&self) -> bool {
        self.len as usize == self.chunks.len() * CHUNK
    }

    pub(super) fn add_chunk(&mut self, chunk: u32) {
        if self.chunks.len() == self.chunks.capacity() {
            self.chunks.reserve_exact(self.chunks.len() / 8 + 4);
        }
        self.chunks.push(chunk);
    }

    /// Makes room for one more entry: its place, and the chunk and slot to store it in.
    #[inline]
    pub(super) fn add(&mut self, hash: TableHash) -> (u32, u32, usize) {
        let at = self.len as usize;
        self.groups.enter(hash, at);
        self.len += 1;
        (self.start + self.len - 1, self.chunks[at >> CHUNK_SHIFT], at % CHUNK)
    }

    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len as usize >= BIN_ENTRIES_MAX
    }

    /// Chunk and slot of the entry that is so far behind the first.
    #[inline]
    pub(super) fn stored_behind(&self, at: usize) -> (u32, usize) {
        (self.chunks[at >> CHUNK_SHIFT], at % CHUNK)
    }

    #[inline]
    pub(super) fn stored_at(&self, place: u32) -> (u32, usize) {
        self.stored_behind((place - self.start) as usize)
    }

    /// The full place behind the bits that a reference keeps.
    #[inline]
    pub(super) const fn full_place(&self, bits: u32) -> u32 {
        self.start + (bits.wrapping_sub(self.start) & LOCAL_MASK)
    }

    pub(super) const fn start(&self) -> u32 {
        self.start
    }

    pub(super) const fn end(&self) -> u32 {
        self.start + self.len
    }

    /// Empties the bin, which will begin at `start`, and gives back its chunks.
    pub(super) fn restart(&mut self, start: u32) -> Vec<u32> {
        self.groups.clear();
        self.start = start;
        self.len = 0;
        std::mem::take(&mut self.chunks)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.groups.memory_bytes() + self.chunks.capacity() * size_of::<u32>()
    }
}
