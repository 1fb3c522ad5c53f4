//! Retention: letting the log forget what a verified checkpoint has.
//!
//! A checkpoint that was only written may still be one that cannot be read. So before anything is forgotten for its sake it
//! is read back from the disk, built into a machine, and its digest compared. Then the commands before it may go, except
//! the last one, which ties the checkpoint to its log; and of the decisions those that it stands for, except what a reader
//! in this process still has to see. How much is kept beyond that is the log's own business.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{OrderedLog, StreamId, TrimError};

use crate::anchor::Anchor;
use crate::machine::Machine;
use crate::rocks::CheckpointDb;
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
    fn lowest(&self, stream: StreamId) -> Option<Offset> {
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

/// Why nothing could be forgotten.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RetentionError {
    /// The checkpoint cannot be read back. The log is kept: it is all there is.
    #[error("the checkpoint of partition {partition} was read back and is of no use; nothing is trimmed")]
    Unverified {
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// The checkpoint is not one of this log.
    #[error("the checkpoint of partition {partition} does not belong to this log; nothing is trimmed")]
    Foreign {
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        #[source]
        source: Box<StopReason>,
    },
    /// The log refused.
    #[error("the log could not be trimmed")]
    Trim(#[from] TrimError),
}

/// What retention has come to in one partition.
#[derive(Debug, Clone, Default)]
pub struct RetentionStatus {
    /// The last checkpoint that was read back.
    pub verified: Option<Anchor>,
    /// Commands before this one may be forgotten.
    pub commands_below: Offset,
    /// Decisions before this one may be forgotten.
    pub decisions_below: Offset,
    /// Why the last round failed, if it did.
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

    /// Lets the log forget what it may, if it wants to. Blocks while a checkpoint is read back.
    ///
    /// # Errors
    /// [`RetentionError`]; then nothing was forgotten.
    pub fn round(&mut self) -> Result<&RetentionStatus, RetentionError> {
        if self.log.wants_trim() {
            let result = self.verify().and_then(|()| self.trim());
            self.status.failed = result.as_ref().err().cloned();
            result?;
        }
        Ok(&self.status)
    }

    /// What the rounds have come to.
    #[must_use]
    pub const fn status(&self) -> &RetentionStatus {
        &self.status
    }

    /// Reads the checkpoint back, unless it is the one that was read back before.
    fn verify(&mut self) -> Result<(), RetentionError> {
        let partition = self.partition;
        let unverified = |source| RetentionError::Unverified { partition, source };
        let written = self.db.anchor(partition).map_err(unverified)?;
        if written.is_none() || written == self.status.verified {
            return Ok(());
        }
        let verified = self.db.verify::<M>(partition, &self.machine).map_err(unverified)?;
        if let Some(anchor) = &verified {
            let commands = self.log.watermarks(self.commands());
            let log = Anchor::beginning(self.log.log_id(), self.log.partitions(M::COMMANDS));
            check_anchor(anchor, &log, commands.low, commands.end)
                .map_err(|reason| RetentionError::Foreign { partition, source: Box::new(reason) })?;
        }
        self.status.verified = verified;
        Ok(())
    }

    fn trim(&mut self) -> Result<(), RetentionError> {
        let Some(anchor) = &self.status.verified else { return Ok(()) };
        let (commands, decisions) = (self.commands(), self.decisions());
        let readers = |stream| self.readers.lowest(stream).unwrap_or(Offset(u64::MAX));
        // The record before the checkpoint stays: it shows that the checkpoint is of this log.
        let commands_below = Offset(anchor.next_offset.0.saturating_sub(1)).min(readers(commands));
        let decisions_below = anchor.out_offset.min(readers(decisions));
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

/// How often the log is asked whether it wants to forget something, unless somebody says otherwise.
pub const RETENTION_EVERY: Duration = Duration::from_secs(10);

/// Keepers of several partitions on a thread of their own, one after the other, so that never more than one machine is
/// built beside those that run. Dropping it ends the thread.
#[derive(Debug)]
pub struct Retention {
    statuses: Arc<Mutex<Vec<(PartitionId, RetentionStatus)>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Retention {
    /// Starts the thread. Its first round comes after `every`.
    ///
    /// # Panics
    /// If a thread cannot be started.
    #[must_use = "dropping it ends the thread"]
    pub fn start<M: Machine>(keepers: Vec<Keeper<M>>, every: Duration) -> Self {
        let statuses = keepers.iter().map(|keeper| (keeper.partition, keeper.status.clone())).collect();
        let statuses = Arc::new(Mutex::new(statuses));
        let shared = Arc::clone(&statuses);
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(move || run(keepers, every, &stopped, &shared))
            .expect("the system starts a thread");
        Self { statuses, stop: Some(stop), thread: Some(thread) }
    }

    /// What retention has come to in every partition.
    #[must_use]
    pub fn statuses(&self) -> Vec<(PartitionId, RetentionStatus)> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn run<M: Machine>(
    mut keepers: Vec<Keeper<M>>,
    every: Duration,
    stopped: &Receiver<()>,
    statuses: &Mutex<Vec<(PartitionId, RetentionStatus)>>,
) {
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        for (at, keeper) in keepers.iter_mut().enumerate() {
            // A failure is in the status, and the next round tries again.
            keeper.round().ok();
            let mut statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner);
            statuses[at].1.clone_from(keeper.status());
        }
    }
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
