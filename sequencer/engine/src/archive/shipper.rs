//! Shipping the checkpoints of one partition, one round at a time.
//!
//! What was shipped counts once it was read back from the archive and built into a machine with the digest it names. The log
//! may forget what the oldest of the kept verified ones covers, so that a start has as many of them to choose from.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{OrderedLog, ReadError, StreamId, TrimError};

use super::{Archived, CheckpointArchive, Listing, read_back};
use crate::anchor::Anchor;
use crate::machine::Machine;
use crate::retention::ReaderMarks;
use crate::rocks::CheckpointDb;
use crate::stop::StopReason;
use crate::store::StoreError;
use crate::worker::open::check_anchor;

/// What the log is told to forget for the sake of archived checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// Nothing.
    Nothing,
    /// Commands. Whoever else reads the decisions keeps their own place in them.
    Commands,
    /// Commands, and the decisions that the checkpoint stands for, as far as no reader of this process needs them.
    CommandsAndDecisions,
}

/// Settings of shipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShipConfig {
    /// How often a checkpoint is shipped, if there is a later one.
    pub every: Duration,
    /// Verified checkpoints that are kept in the archive. Nothing is trimmed before there are so many.
    pub keep: NonZeroU32,
    /// What the log is told to forget.
    pub trim: Trim,
    /// What nobody has finished for so long is dropped from the archive. Much longer than shipping takes.
    pub torn_after: Duration,
}

impl Default for ShipConfig {
    /// Every minute, three are kept, commands are trimmed, and what is torn for a day is dropped.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            keep: NonZeroU32::MIN.saturating_add(2),
            trim: Trim::Commands,
            torn_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Why a checkpoint is not off this host.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShipError {
    /// It could not be read here, or the archive did not take it.
    #[error("the checkpoint could not be shipped")]
    Ship(#[source] StoreError),
    /// What came back from the archive is of no use. It does not count, and it is shipped again.
    #[error("the shipped checkpoint was read back and is of no use")]
    Unverified(#[source] StoreError),
    /// It is not one of this log.
    #[error("the checkpoint does not belong to this log")]
    Foreign(#[source] Box<StopReason>),
    /// Where the log ends could not be asked.
    #[error("the log could not be asked where it ends")]
    Log(#[source] ReadError),
    /// The log refused to forget what it covers.
    #[error("the log could not be trimmed")]
    Trim(#[from] TrimError),
    /// It counts, but older ones could not be dropped.
    #[error("older checkpoints could not be dropped from the archive")]
    Tidy(#[source] StoreError),
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shipped {
    /// There is nothing that the archive does not have.
    NothingNew,
    /// A checkpoint was shipped, or found there, and read back.
    Verified,
}

/// What shipping has come to in one partition.
#[derive(Debug, Clone, Default)]
pub struct ShipStatus {
    /// The last checkpoint that this process has shipped and read back.
    pub verified: Option<Anchor>,
    /// When that was.
    pub verified_at: Option<SystemTime>,
    /// Bytes of its pages.
    pub bytes: u64,
    /// How long shipping it took; zero if it was there already.
    pub ship_took: Duration,
    /// How long reading it back took, and so what a start from it would take.
    pub read_back_took: Duration,
    /// Where the verified checkpoints stand that the archive had when it was last looked at, the newest first.
    pub kept: Vec<Offset>,
    /// Where it had checkpoints that cannot be used.
    pub damaged: Vec<Offset>,
    /// Commands before this one may be forgotten.
    pub commands_below: Offset,
    /// Decisions before this one may be forgotten.
    pub decisions_below: Offset,
    /// Why the last round failed, if it did.
    pub failed: Option<ShipError>,
    /// Rounds that failed since the last that did not.
    pub failures: u32,
}

/// Ships the checkpoints of one partition. It stands in the place of a [`Keeper`](crate::Keeper): a process runs the one or
/// the other.
///
/// Only the process that runs a partition writes checkpoints of it, so one that does not has nothing to ship: a checkpoint
/// older than what somebody else has shipped stays here.
pub struct Shipper<M: Machine> {
    partition: PartitionId,
    machine: M::Config,
    log: Arc<dyn OrderedLog>,
    db: Arc<CheckpointDb>,
    archive: Arc<dyn CheckpointArchive>,
    readers: Arc<ReaderMarks>,
    config: ShipConfig,
    status: ShipStatus,
    /// The last verified checkpoint has been followed by trimming and dropping.
    tidy: bool,
}

impl<M: Machine> std::fmt::Debug for Shipper<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipper").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl<M: Machine> Shipper<M> {
    /// A shipper that has not looked yet. `machine` is what checkpoints that are read back are built with; they need no room
    /// to grow.
    #[must_use]
    pub fn new(
        partition: PartitionId,
        machine: M::Config,
        log: Arc<dyn OrderedLog>,
        db: Arc<CheckpointDb>,
        archive: Arc<dyn CheckpointArchive>,
        readers: Arc<ReaderMarks>,
        config: ShipConfig,
    ) -> Self {
        let status = ShipStatus::default();
        Self { partition, machine, log, db, archive, readers, config, status, tidy: true }
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &ShipConfig {
        &self.config
    }

    /// What the rounds have come to.
    #[must_use]
    pub const fn status(&self) -> &ShipStatus {
        &self.status
    }

    /// Ships the last checkpoint of this process if the archive has none as late, reads it back, and then lets go what is
    /// not needed any more: of the log and of the archive. Blocks for as long as that takes, and needs as much memory
    /// as one machine.
    ///
    /// # Errors
    /// [`ShipError`]; the next round tries again. Nothing was let go that a verified checkpoint does not cover.
    pub fn round(&mut self) -> Result<Shipped, ShipError> {
        let result = self.ship_and_verify().and_then(|shipped| self.let_go().map(|()| shipped));
        match &result {
            Ok(_) => (self.status.failed, self.status.failures) = (None, 0),
            Err(error) => {
                self.status.failed = Some(error.clone());
                self.status.failures = self.status.failures.saturating_add(1);
            }
        }
        result
    }

    fn ship_and_verify(&mut self) -> Result<Shipped, ShipError> {
        let Some(last) = self.db.anchor(self.partition).map_err(ShipError::Ship)? else {
            return Ok(Shipped::NothingNew);
        };
        if self.status.verified.as_ref().is_some_and(|verified| verified.next_offset >= last.next_offset) {
            return Ok(Shipped::NothingNew);
        }
        let listing = self.list(&last).map_err(ShipError::Ship)?;
        let is_behind = |it: &Archived| it.verified && it.anchor.next_offset > last.next_offset;
        if listing.whole.iter().any(is_behind) {
            return Ok(Shipped::NothingNew);
        }
        // What must not be in the archive is not sent there.
        self.check(&last)?;
        let start = Instant::now();
        let there = listing.whole.into_iter().find(|it| it.anchor == last);
        let (archived, ship_took) = match there {
            Some(archived) => (archived, Duration::ZERO),
            None => match self.ship().map_err(ShipError::Ship)? {
                Some(archived) => (archived, start.elapsed()),
                None => return Ok(Shipped::NothingNew),
            },
        };
        let start = Instant::now();
        self.verify(&archived)?;
        self.status.read_back_took = start.elapsed();
        self.status.ship_took = ship_took;
        self.status.bytes = archived.bytes;
        self.status.verified = Some(archived.anchor);
        self.status.verified_at = Some(SystemTime::now());
        self.tidy = false;
        Ok(Shipped::Verified)
    }

    fn ship(&self) -> Result<Option<Archived>, StoreError> {
        let (archive, partition) = (&self.archive, self.partition);
        self.db.read(partition, |anchor, pages| archive.ship(partition, anchor, pages))?.transpose()
    }

    /// Reads back what was shipped.
    fn verify(&self, archived: &Archived) -> Result<(), ShipError> {
        let (shipped, archive) = (&archived.anchor, self.archive.as_ref());
        let loaded =
            read_back::<M>(archive, &self.machine, shipped.log_id, self.partition, shipped.next_offset);
        let found = loaded.and_then(|found| {
            let gone = || StoreError::Damaged("it is not there any more".to_owned());
            found.map(|(_, anchor)| anchor).ok_or_else(gone)
        });
        // Somebody else's of the same offset may have taken its place. It has the same state, and may have seen its outputs
        // become durable at another moment.
        let found = found.and_then(|found| {
            let same = Anchor { out_offset: shipped.out_offset, ..found.clone() } == *shipped;
            if same { Ok(found) } else { Err(StoreError::Damaged("another lies in its place".to_owned())) }
        });
        match found {
            Ok(found) => {
                self.check(&found)?;
                self.archive.mark_verified(archived, self.partition).map_err(ShipError::Ship)
            }
            Err(error) => {
                if error.is_damage() {
                    // The next round would take it for shipped. Where this fails, it fails again.
                    self.archive.forget(shipped.log_id, self.partition, shipped.next_offset).ok();
                }
                Err(ShipError::Unverified(error))
            }
        }
    }

    fn check(&self, anchor: &Anchor) -> Result<(), ShipError> {
        // An end that is stale would make the last checkpoint one of another log.
        let marks = self.log.refresh(self.commands()).map_err(ShipError::Log)?;
        let log = Anchor::beginning(self.log.log_id(), self.log.partitions(M::COMMANDS));
        check_anchor(anchor, &log, marks.low, marks.end)
            .map_err(|reason| ShipError::Foreign(Box::new(reason)))
    }

    fn list(&self, of: &Anchor) -> Result<Listing, StoreError> {
        self.archive.list(of.log_id, self.partition)
    }

    /// Trims the log below the oldest verified checkpoint that is kept, and drops older ones from the archive.
    fn let_go(&mut self) -> Result<(), ShipError> {
        if self.tidy {
            return Ok(());
        }
        let Some(last) = self.status.verified.clone() else { return Ok(()) };
        let listing = self.list(&last).map_err(ShipError::Tidy)?;
        let verified: Vec<&Anchor> =
            listing.whole.iter().filter(|it| it.verified).map(|it| &it.anchor).collect();
        self.status.kept = verified.iter().map(|it| it.next_offset).collect();
        self.status.damaged = listing.damaged.iter().map(|(at, _)| *at).collect();
        if let Some(oldest) = verified.get(self.config.keep.get() as usize - 1) {
            // First the log: what it still depends on is dropped after that.
            self.trim(oldest)?;
            self.forget_before(oldest.next_offset, &listing)?;
        }
        if !listing.torn.is_empty() {
            let untouched = self.config.torn_after;
            self.archive.sweep(last.log_id, self.partition, untouched).map_err(ShipError::Tidy)?;
        }
        self.tidy = true;
        Ok(())
    }

    /// Drops checkpoints that stand before this offset, whatever they are.
    fn forget_before(&mut self, oldest: Offset, listing: &Listing) -> Result<(), ShipError> {
        let whole = listing.whole.iter().map(|it| it.anchor.next_offset);
        let all = whole.chain(listing.damaged.iter().map(|(at, _)| *at));
        for at in all.filter(|at| *at < oldest) {
            self.archive.forget(self.log.log_id(), self.partition, at).map_err(ShipError::Tidy)?;
            self.status.kept.retain(|kept| *kept != at);
            self.status.damaged.retain(|damaged| *damaged != at);
        }
        Ok(())
    }

    fn trim(&mut self, oldest: &Anchor) -> Result<(), ShipError> {
        if self.config.trim == Trim::Nothing || !self.log.wants_trim() {
            return Ok(());
        }
        let needed = |stream| self.readers.lowest(stream).unwrap_or(Offset(u64::MAX));
        // The record before the checkpoint stays: it shows that the checkpoint is of this log.
        let below = Offset(oldest.next_offset.0.saturating_sub(1)).min(needed(self.commands()));
        self.log.trim(self.commands(), below)?;
        self.status.commands_below = self.status.commands_below.max(below);
        if self.config.trim == Trim::CommandsAndDecisions {
            let below = oldest.out_offset.min(needed(self.decisions()));
            self.log.trim(self.decisions(), below)?;
            self.status.decisions_below = self.status.decisions_below.max(below);
        }
        Ok(())
    }

    fn commands(&self) -> StreamId {
        StreamId { topic: M::COMMANDS, partition: self.partition }
    }

    fn decisions(&self) -> StreamId {
        StreamId { topic: M::DECISIONS, partition: self.partition }
    }
}
