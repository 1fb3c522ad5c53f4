//! A store with an archive behind it.

use std::sync::Arc;

use holdfast_contracts::{LogId, Offset, PartitionId};
use holdfast_core::PageSink;

use super::CheckpointArchive;
use crate::anchor::Anchor;
use crate::store::{CheckpointStore, PageVisitor, StoreError};

/// The checkpoints of one partition: written to a store on this host, and looked for in an archive where that has none that
/// is as good.
///
/// A checkpoint of its own is used if it is the newest and can be loaded. Otherwise the newest of the archive that can be
/// is, and the next checkpoint is written to the store as a whole.
pub struct ArchivedStore<S> {
    local: S,
    archive: Option<Arc<dyn CheckpointArchive>>,
    log: LogId,
    partition: PartitionId,
    /// Stand-ins of this host that were named and not yet loaded. The archive may have the same.
    here: Vec<Anchor>,
}

impl<S> std::fmt::Debug for ArchivedStore<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchivedStore")
            .field("log", &self.log)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl<S> ArchivedStore<S> {
    /// A store with this archive behind it, if there is one.
    #[must_use]
    pub fn new(
        local: S,
        archive: impl Into<Option<Arc<dyn CheckpointArchive>>>,
        log: LogId,
        partition: PartitionId,
    ) -> Self {
        Self { local, archive: archive.into(), log, partition, here: Vec::new() }
    }
}

impl ArchivedStore<NoStore> {
    /// For a worker that only follows: it begins with a checkpoint of the archive, if there is one, and writes none.
    #[must_use]
    pub fn reading_only(
        archive: impl Into<Option<Arc<dyn CheckpointArchive>>>,
        log: LogId,
        partition: PartitionId,
    ) -> Self {
        Self::new(NoStore::default(), archive, log, partition)
    }
}

impl<S: PageSink> PageSink for ArchivedStore<S> {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.local.put(kind, page, bytes);
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.local.delete(kind, page);
    }
}

impl<S: CheckpointStore> CheckpointStore for ArchivedStore<S> {
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        self.local.load(visit)
    }

    fn anchor(&mut self) -> Result<Option<Anchor>, StoreError> {
        self.local.anchor()
    }

    fn stand_ins(&mut self, newer_than: Option<Offset>) -> Result<Vec<Anchor>, StoreError> {
        let Some(archive) = &self.archive else { return self.local.stand_ins(newer_than) };
        let listing = archive.list(self.log, self.partition);
        let mut found = self.local.stand_ins(newer_than).unwrap_or_default();
        self.here.clone_from(&found);
        let listing = match listing {
            // Better one of this host than none.
            Err(_) if !found.is_empty() => return Ok(found),
            listing => listing?,
        };
        let anchors = listing.whole.into_iter().map(|archived| archived.anchor);
        found.extend(anchors.filter(|anchor| newer_than.is_none_or(|than| anchor.next_offset > than)));
        // Those of this host come first where they are as new.
        found.sort_by_key(|anchor| std::cmp::Reverse(anchor.next_offset));
        Ok(found)
    }

    fn load_stand_in(
        &mut self,
        anchor: &Anchor,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        match (&self.archive, self.here.iter().position(|here| here == anchor)) {
            (Some(archive), None) => archive.load(self.log, self.partition, anchor.next_offset, visit),
            (_, at) => {
                at.map(|at| self.here.swap_remove(at));
                self.local.load_stand_in(anchor, visit)
            }
        }
    }

    fn looks_elsewhere(&self) -> bool {
        self.archive.is_some()
    }

    fn begin_whole(&mut self) {
        self.local.begin_whole();
    }

    fn commit(&mut self, anchor: &Anchor) {
        self.local.commit(anchor);
    }

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        self.local.poll()
    }
}

/// No checkpoints, and no place for any: for workers that never emit.
#[derive(Debug, Default)]
pub struct NoStore {
    refused: bool,
}

impl PageSink for NoStore {
    fn put(&mut self, _: u8, _: u64, _: &[u8]) {}

    fn delete(&mut self, _: u8, _: u64) {}
}

impl CheckpointStore for NoStore {
    fn load(&mut self, _: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        Ok(None)
    }

    fn begin_whole(&mut self) {}

    fn commit(&mut self, _: &Anchor) {
        self.refused = true;
    }

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        if std::mem::take(&mut self.refused) {
            let source = Arc::new(std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem));
            return Err(StoreError::Database { doing: "writing a checkpoint where none is kept", source });
        }
        Ok(None)
    }
}
