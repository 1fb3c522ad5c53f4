//! Retention: letting the log forget what a verified checkpoint has.
//!
//! A checkpoint that was only written may still be one that cannot be read. So before anything is forgotten for its sake
//! all checkpoints are copied, the copy is read back from the disk and built into machines, their digests are compared,
//! and the copy is kept: a start falls back on it. Then the commands before it may go, except the last one, which ties the
//! checkpoint to its log; and of the decisions those that it stands for, except what a reader in this process still has to
//! see. How much is kept beyond that is the log's own business.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{OrderedLog, StreamId, TrimError};

use crate::anchor::Anchor;
use crate::machine::Machine;
use crate::rocks::{Candidate, CheckpointDb};
use crate::stop::StopReason;
use crate::store::StoreError;
use crate::worker::open::check_anchor;

/// How far the readers of this process have come, so that nothing is forgotten before they saw it.
#[derive(Debug, Default)]
pub struct ReaderMarks(Mutex<BTreeMap<StreamId, Vec<Weak<AtomicU64>>>>);

/// The place of one reader in one stream. Dropping it lets the reader's records go.
#[derive(Debug)]
pub struct ReaderMark(Arc<AtomicU64>);

impl ReaderMarks {
    /// Enters a reader that will read the stream from `next` on.
    #[must_use = "the mark holds only as long as it lives"]
    pub fn enter(&self, stream: StreamId, next: Offset) -> ReaderMark {
        let mark = Arc::new(AtomicU64::new(next.0));
        self.marks().entry(stream).or_default().push(Arc::downgrade(&mark));
        ReaderMark(mark)
    }

    /// The first record that a reader of the stream still needs, if there is a reader.
    #[must_use]
    pub fn lowest(&self, stream: StreamId) -> Option<Offset> {
        let mut marks = self.marks();
        let readers = marks.get_mut(&stream)?;
        readers.retain(|mark| mark.strong_count() > 0);
        let places = readers.iter().filter_map(Weak::upgrade).map(|mark| mark.load(Ordering::Acquire));
        places.min().map(Offset)
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, BTreeMap<StreamId, Vec<Weak<AtomicU64>>>> {
        // Nothing under this lock is ever half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReaderMark {
    /// The reader is done with all records before `next`.
    pub fn advance(&self, next: Offset) {
        self.0.fetch_max(next.0, Ordering::AcqRel);
    }
}

/// Why nothing more could be forgotten.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RetentionError {
    /// A checkpoint cannot be read back. The log is kept: it is all there is.
    #[error("the checkpoint of partition {partition} was read back and is of no use; nothing is trimmed")]
    Unverified {
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// A checkpoint is not one of this log.
    #[error("the checkpoint of partition {partition} does not belong to this log; nothing is trimmed")]
    Foreign {
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        #[source]
        source: Box<StopReason>,
    },
    /// The checkpoints could not be copied, or the copy not kept.
    #[error("the verified checkpoints could not be kept; nothing is trimmed")]
    Copy(#[source] StoreError),
    /// The log refused.
    #[error("the log could not be trimmed")]
    Trim(#[from] TrimError),
}

impl RetentionError {
    /// Whether it is about this partition, or about all.
    fn concerns(&self, other: PartitionId) -> bool {
        match self {
            Self::Unverified { partition, .. } | Self::Foreign { partition, .. } => *partition == other,
            Self::Copy(_) | Self::Trim(_) => true,
        }
    }
}

/// What retention has come to in one partition.
#[derive(Debug, Clone, Default)]
pub struct RetentionStatus {
    /// The last checkpoint that was read back and is kept.
    pub verified: Option<Anchor>,
    /// Commands before this one may be forgotten.
    pub commands_below: Offset,
    /// Decisions before this one may be forgotten.
    pub decisions_below: Offset,
    /// Why the last round failed, if it did because of this partition.
    pub failed: Option<RetentionError>,
}

/// Retention of one partition.
pub struct Keeper<M: Machine> {
    partition: PartitionId,
    machine: M::Config,
    log: Arc<dyn OrderedLog>,
    db: Arc<CheckpointDb>,
    readers: Arc<ReaderMarks>,
    status: RetentionStatus,
}

impl<M: Machine> std::fmt::Debug for Keeper<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl<M: Machine> Keeper<M> {
    /// A keeper that has not looked yet.
    #[must_use]
    pub fn new(
        partition: PartitionId,
        machine: M::Config,
        log: Arc<dyn OrderedLog>,
        db: Arc<CheckpointDb>,
        readers: Arc<ReaderMarks>,
    ) -> Self {
        Self { partition, machine, log, db, readers, status: RetentionStatus::default() }
    }

    /// What the rounds have come to.
    #[must_use]
    pub const fn status(&self) -> &RetentionStatus {
        &self.status
    }

    /// Whether a checkpoint was written since the last that was read back.
    fn has_news(&self) -> bool {
        match self.db.anchor(self.partition) {
            Ok(anchor) => anchor != self.status.verified,
            // Whatever is wrong with it is found out when it is read back.
            Err(_) => true,
        }
    }

    /// Reads the copy of this partition's checkpoint back.
    fn verify(&self, candidate: &Candidate) -> Result<Option<Anchor>, RetentionError> {
        let partition = self.partition;
        let anchor = candidate
            .verify::<M>(partition, &self.machine)
            .map_err(|source| RetentionError::Unverified { partition, source })?;
        if let Some(anchor) = &anchor {
            let marks = self.log.watermarks(self.commands());
            let log = Anchor::beginning(self.log.log_id(), self.log.partitions(M::COMMANDS));
            check_anchor(anchor, &log, marks.low, marks.end)
                .map_err(|reason| RetentionError::Foreign { partition, source: Box::new(reason) })?;
        }
        Ok(anchor)
    }

    fn trim(&mut self) -> Result<(), RetentionError> {
        let Some(anchor) = &self.status.verified else { return Ok(()) };
        let (commands, decisions) = (self.commands(), self.decisions());
        let needed = |stream| self.readers.lowest(stream).unwrap_or(Offset(u64::MAX));
        // The record before the checkpoint stays: it shows that the checkpoint is of this log.
        let commands_below = Offset(anchor.next_offset.0.saturating_sub(1)).min(needed(commands));
        let decisions_below = anchor.out_offset.min(needed(decisions));
        self.log.trim(commands, commands_below)?;
        self.log.trim(decisions, decisions_below)?;
        self.status.commands_below = self.status.commands_below.max(commands_below);
        self.status.decisions_below = self.status.decisions_below.max(decisions_below);
        Ok(())
    }

    fn commands(&self) -> StreamId {
        StreamId { topic: M::COMMANDS, partition: self.partition }
    }

    fn decisions(&self) -> StreamId {
        StreamId { topic: M::DECISIONS, partition: self.partition }
    }
}

/// Lets a log forget what it may, if it wants to. `keepers` are those of all partitions of one log, their checkpoints in
/// one database; their statuses tell what came of it. Blocks while checkpoints are read back, one after the other: that
/// takes as long as a start, and as much memory as one machine.
///
/// A checkpoint that cannot be read back stops retention of all, because the copy that is kept is one of all.
///
/// # Errors
/// [`RetentionError`]; then nothing is forgotten that was not covered before.
pub fn retain<M: Machine>(keepers: &mut [Keeper<M>]) -> Result<(), RetentionError> {
    if !keepers.first().is_some_and(|keeper| keeper.log.wants_trim()) {
        return Ok(());
    }
    let result = verify(keepers).and_then(|()| keepers.iter_mut().try_for_each(Keeper::trim));
    let failed = result.as_ref().err();
    for keeper in keepers {
        keeper.status.failed = failed.filter(|error| error.concerns(keeper.partition)).cloned();
    }
    result
}

/// Copies the checkpoints, reads the copy back and keeps it, unless they are those that were read back before.
fn verify<M: Machine>(keepers: &mut [Keeper<M>]) -> Result<(), RetentionError> {
    let Some(first) = keepers.iter().find(|keeper| keeper.has_news()) else { return Ok(()) };
    let candidate = first.db.candidate().map_err(RetentionError::Copy)?;
    let verified = keepers.iter().map(|keeper| keeper.verify(&candidate));
    let verified = verified.collect::<Result<Vec<_>, _>>()?;
    candidate.keep().map_err(RetentionError::Copy)?;
    for (keeper, anchor) in keepers.iter_mut().zip(verified) {
        keeper.status.verified = anchor;
    }
    Ok(())
}

/// Keepers on a thread of their own. Dropping it ends the thread, after the round under way.
#[derive(Debug)]
pub struct Retention {
    statuses: Arc<Mutex<Vec<(PartitionId, RetentionStatus)>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Retention {
    /// Starts the thread, which calls [`retain`] every so often, the first time after `every`.
    ///
    /// # Panics
    /// If a thread cannot be started.
    #[must_use = "dropping it ends the thread"]
    pub fn start<M: Machine>(mut keepers: Vec<Keeper<M>>, every: Duration) -> Self {
        let statuses = Arc::new(Mutex::new(statuses_of(&keepers)));
        let (stop, stopped) = bounded::<()>(0);
        let shared = Arc::clone(&statuses);
        let work = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // A failure is in the statuses, and the next round tries again.
                retain(&mut keepers).ok();
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = statuses_of(&keepers);
            }
        };
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(work)
            .expect("the system starts a thread");
        Self { statuses, stop: Some(stop), thread: Some(thread) }
    }

    /// What retention has come to in every partition.
    #[must_use]
    pub fn statuses(&self) -> Vec<(PartitionId, RetentionStatus)> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn statuses_of<M: Machine>(keepers: &[Keeper<M>]) -> Vec<(PartitionId, RetentionStatus)> {
    keepers.iter().map(|keeper| (keeper.partition, keeper.status.clone())).collect()
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and there is nothing left to do for it.
            thread.join().ok();
        }
    }
}
