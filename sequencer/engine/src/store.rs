//! Where checkpoints are kept.

use std::path::PathBuf;
use std::sync::Arc;

use holdfast_contracts::Offset;
use holdfast_core::{PageSink, RestoreError};

use crate::anchor::Anchor;

/// Takes the pages of a checkpoint, in order of kind and number.
pub type PageVisitor<'a> = dyn FnMut(u8, u64, &[u8]) -> Result<(), RestoreError> + 'a;

/// Keeps the checkpoints of one partition: pages and their anchor, which change together or not at all.
///
/// A checkpoint is built with the [`PageSink`] methods and then committed. Committing returns at once; the checkpoint counts when
/// [`CheckpointStore::poll`] says so.
pub trait CheckpointStore: PageSink + Send {
    /// Reads the last checkpoint that counts: its pages go to `visit`, its anchor is returned. `None` if there is none.
    ///
    /// Whatever was committed for this partition before, by whomever, is written first or has failed. A worker builds on
    /// the pages it loads; an older commit that arrived later would mix two checkpoints.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or if `visit` did not want a page.
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError>;

    /// The anchor alone of the last checkpoint that counts, so that a foreign one is noticed before it is loaded.
    ///
    /// # Errors
    /// As [`CheckpointStore::load`].
    fn anchor(&mut self) -> Result<Option<Anchor>, StoreError> {
        self.load(&mut |_, _, _| Ok(()))
    }

    /// Checkpoints kept apart from the last one that can stand in for it, the newest first. With `newer_than` only those that
    /// stand beyond that offset: they are preferred to the last one.
    ///
    /// # Errors
    /// [`StoreError`] if there is no telling.
    fn stand_ins(&mut self, _newer_than: Option<Offset>) -> Result<Vec<Anchor>, StoreError> {
        Ok(Vec::new())
    }

    /// Reads one of those that [`CheckpointStore::stand_ins`] named last. `None` if it is gone. Whoever builds on it calls
    /// [`CheckpointStore::begin_whole`].
    ///
    /// # Errors
    /// As [`CheckpointStore::load`].
    fn load_stand_in(
        &mut self,
        _anchor: &Anchor,
        _visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        Ok(None)
    }

    /// Whether checkpoints are also looked for where somebody may yet put one, or which may yet be within reach.
    fn looks_elsewhere(&self) -> bool {
        false
    }

    /// Begins a checkpoint that shares nothing with those before: their pages are dropped with it.
    fn begin_whole(&mut self);

    /// Ends the checkpoint being built. It replaces the one before once it is durable.
    fn commit(&mut self, anchor: &Anchor);

    /// The anchor of a committed checkpoint that has become durable since the last call.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written. The store is of no use afterwards.
    fn poll(&mut self) -> Result<Option<Anchor>, StoreError>;
}

/// Why checkpoints cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The stored bytes are damaged or contradict each other.
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
    /// The pages are not the state that was saved.
    #[error("the checkpoint cannot be loaded: {0}")]
    Restore(#[from] RestoreError),
    /// The database said no.
    #[error("the checkpoint database failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The archive said no. It may say yes later.
    #[error("the archive of checkpoints failed while {doing}")]
    Archive {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has the database open.
    #[error("another process uses the checkpoint database in {}", directory.display())]
    InUse {
        /// Where it is.
        directory: PathBuf,
    },
    /// Somebody else's checkpoint of the same offset has taken the place of this one. That is another owner's, as good as
    /// this; the next look finds it.
    #[error("another owner's checkpoint of the same offset has taken its place in the archive")]
    Replaced,
}

impl StoreError {
    /// Whether the log could make up for it: the checkpoint is unusable, not the place where it is kept.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            // It is whole, and somebody's: not to be replaced because it lies in the wrong place.
            Self::Restore(RestoreError::OtherPartition | RestoreError::OtherControlKey)
            | Self::Database { .. }
            | Self::Archive { .. }
            | Self::InUse { .. }
            | Self::Replaced => false,
            Self::Damaged(_) | Self::Restore(_) => true,
        }
    }
}
