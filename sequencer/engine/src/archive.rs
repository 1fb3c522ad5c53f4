//! Checkpoints off this host: what the engine asks of whoever keeps them, and what it does with them.
//!
//! A process ships the checkpoints it writes ([`Shipping`]), and reads each back before it counts. One that begins without a
//! checkpoint of its own, or with one that is of no use, begins with one from there ([`ArchivedStore`]).

mod shipper;
mod shipping;
mod store;

use std::time::{Duration, SystemTime};

use holdfast_contracts::{LogId, Offset, PartitionId};

use crate::anchor::Anchor;
use crate::machine::Machine;
use crate::store::{PageVisitor, StoreError};
use crate::worker::begin;

pub use shipper::{ShipConfig, ShipError, ShipStatus, Shipped, Shipper, Trim};
pub use shipping::Shipping;
pub use store::{ArchivedStore, NoStore};

/// A page of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its kind.
    pub kind: u8,
    /// Its number.
    pub number: u64,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

/// The pages of a checkpoint, in order of kind and number.
pub type Pages<'a> = dyn Iterator<Item = Result<Page, StoreError>> + 'a;

/// A whole checkpoint in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Where it stands in its log. The archive has made sure that it lies where this belongs.
    pub anchor: Anchor,
    /// Bytes of its pages.
    pub bytes: u64,
    /// When it was shipped, by the clock of whoever did.
    pub shipped_at: SystemTime,
    /// Somebody read it back and built its machine.
    pub verified: bool,
}

/// What an archive has of one partition of a log.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Whole checkpoints, the newest first.
    pub whole: Vec<Archived>,
    /// Where checkpoints lie whose description cannot be used, and why.
    pub damaged: Vec<(Offset, StoreError)>,
    /// Where something lies that nobody has finished, or that is on its way out.
    pub torn: Vec<Offset>,
}

/// Keeps checkpoints of any number of logs, apart from each other by log, partition and offset. Calls block.
///
/// A checkpoint is there whole or not at all. Two processes may ship one with the same offset at the same time: what is
/// there afterwards is the whole of one of them.
///
/// Errors are damage ([`StoreError::is_damage`]) where another checkpoint would do, otherwise the archive is away and the
/// same call may work later.
pub trait CheckpointArchive: Send + Sync {
    /// What there is of a partition.
    ///
    /// # Errors
    /// [`StoreError`] if the archive cannot be asked. A checkpoint that cannot be used is in the listing.
    fn list(&self, log: LogId, partition: PartitionId) -> Result<Listing, StoreError>;

    /// Keeps a checkpoint. It is there, durably, when this returns without error. `pages` is read to its end, unless
    /// something fails.
    ///
    /// # Errors
    /// [`StoreError`] if a page cannot be had, or the checkpoint not be kept.
    fn ship(
        &self,
        partition: PartitionId,
        anchor: &Anchor,
        pages: &mut Pages<'_>,
    ) -> Result<Archived, StoreError>;

    /// Reads a checkpoint: its pages go to `visit`, each only after its bytes were found to be those that were shipped.
    /// `None` if there is none at this offset.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or if `visit` did not want a page.
    fn load(
        &self,
        log: LogId,
        partition: PartitionId,
        at: Offset,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError>;

    /// Remembers that a checkpoint was read back and its machine built.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be kept.
    fn mark_verified(&self, archived: &Archived, partition: PartitionId) -> Result<(), StoreError>;

    /// Drops the checkpoint at this offset, whole or not. Does nothing if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if the archive refuses.
    fn forget(&self, log: LogId, partition: PartitionId, at: Offset) -> Result<(), StoreError>;

    /// Drops what nobody has finished for this long, and says how many.
    ///
    /// # Errors
    /// [`StoreError`] if the archive refuses.
    fn sweep(&self, log: LogId, partition: PartitionId, untouched: Duration) -> Result<u32, StoreError>;
}

/// Reads a checkpoint back from an archive, builds its machine and compares the digest. `None` if there is none at this
/// offset.
///
/// # Errors
/// [`StoreError`] if a start could not use it.
pub fn read_back<M: Machine>(
    archive: &dyn CheckpointArchive,
    config: &M::Config,
    log: LogId,
    partition: PartitionId,
    at: Offset,
) -> Result<Option<(M, Anchor)>, StoreError> {
    begin::load::<M>(config, |visit| archive.load(log, partition, at, visit))
}
