//! Pages on their way from a partition's thread to the thread that writes checkpoints.
//!
//! A checkpoint can be as large as the state. Copying it into memory that the system has to hand out and to clear first
//! costs the partition's thread more than deciding does, so pages travel in chunks that are used again, and the batch
//! for the database is made by the thread that writes it.

use crossbeam_channel::{Receiver, Sender, bounded};
use holdfast_contracts::PartitionId;
use rocksdb::WriteBatch;

use super::page_key;

/// A chunk is sent when it has this many bytes of pages.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks kept for later, all partitions together.
const SPARES_MAX: usize = 32;

/// A page that changes: to so many of the chunk's bytes, or to nothing.
#[derive(Debug, Clone, Copy)]
struct Change {
    kind: u8,
    page: u64,
    bytes: Option<usize>,
}

/// Some changes, in order.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    changes: Vec<Change>,
    bytes: Vec<u8>,
}

impl Chunk {
    pub(super) fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.changes.push(Change { kind, page, bytes: Some(bytes.len()) });
    }

    pub(super) fn delete(&mut self, kind: u8, page: u64) {
        self.changes.push(Change { kind, page, bytes: None });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether it should be on its way.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.changes.clear();
        self.bytes.clear();
    }

    /// Adds all changes to a batch.
    pub(super) fn write_to(&self, partition: PartitionId, batch: &mut WriteBatch) {
        let mut rest = self.bytes.as_slice();
        for Change { kind, page, bytes } in &self.changes {
            let key = page_key(partition, *kind, *page);
            match bytes {
                Some(bytes) => {
                    let (page, after) = rest.split_at(*bytes);
                    batch.put(key, page);
                    rest = after;
                }
                None => batch.delete(key),
            }
        }
    }
}

/// Chunks that nobody needs just now.
#[derive(Debug, Clone)]
pub(super) struct Spares {
    back: Sender<Chunk>,
    out: Receiver<Chunk>,
}

impl Spares {
    pub(super) fn new() -> Self {
        let (back, out) = bounded(SPARES_MAX);
        Self { back, out }
    }

    pub(super) fn take(&self) -> Chunk {
        self.out.try_recv().unwrap_or_else(|_| Chunk {
            changes: Vec::new(),
            // Room for the page that makes it full.
            bytes: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4),
        })
    }

    /// Where there are enough of them already it is dropped.
    pub(super) fn give_back(&self, mut chunk: Chunk) {
        chunk.clear();
        self.back.try_send(chunk).ok();
    }
}
