//! Retention: letting the log forget what a verified checkpoint has.
//!
//! A checkpoint that was only written may still be one that cannot be read. So before anything is forgotten for its sake
//! all checkpoints are copied, the copy is read back from the disk and built into machines, their digests are compared,
//! and the copy is kept: a start falls back on it. Then the commands before it may go, except the last one, which ties the
//! checkpoint to its log; and of the decisions those that it stands for, except what a reader in this process still has to
//! see. What is young stays in any case. How much disk the log takes beyond that is its own business.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use holdfast_contracts::{LogTime, Offset, PartitionId};
use holdfast_log::{OrderedLog, ReadError, StreamId, TrimError};

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
    /// The log could not be read.
    #[error("the log could not be looked at")]
    Read(#[from] ReadError),
    /// The log refused.
    #[error("the log could not be trimmed")]
    Trim(#[from] TrimError),
}

/// What retention has come to in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// The last checkpoint that was read back and is kept.
    pub verified: Option<Anchor>,
    /// Commands before this one may be forgotten.
    pub commands_below: Offset,
    /// Decisions before this one may be forgotten.
    pub decisions_below: Offset,
}

/// What is kept beside what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Records younger than this are kept, in ms by their append time. Default a week.
    pub keep_ms: u64,
    /// How often the log is asked whether it wants to forget something. Default 10 s.
    pub every: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { keep_ms: 7 * 24 * 3_600_000, every: Duration::from_secs(10) }
    }
}

/// Lets a log forget what the checkpoints in one database have. Has no thread of its own.
pub struct Keeper<M: Machine> {
    config: RetentionConfig,
    log: Arc<dyn OrderedLog>,
    db: Arc<CheckpointDb>,
    readers: Arc<ReaderMarks>,
    partitions: Vec<Partition<M>>,
}

struct Partition<M: Machine> {
    id: PartitionId,
    machine: M::Config,
    retained: Retained,
}

impl<M: Machine> std::fmt::Debug for Keeper<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<M: Machine> Partition<M> {
    fn commands(&self) -> StreamId {
        StreamId { topic: M::COMMANDS, partition: self.id }
    }

    fn decisions(&self) -> StreamId {
        StreamId { topic: M::DECISIONS, partition: self.id }
    }

    /// The record before the checkpoint stays: it shows that the checkpoint is of this log.
    fn covered(&self) -> Offset {
        let next = self.retained.verified.as_ref().map_or(0, |anchor| anchor.next_offset.0);
        Offset(next.saturating_sub(1))
    }
}

impl<M: Machine> Keeper<M> {
    /// A keeper that has not looked yet. `partitions` are those whose checkpoints `db` has.
    #[must_use]
    pub fn new(
        config: RetentionConfig,
        partitions: Vec<(PartitionId, M::Config)>,
        log: Arc<dyn OrderedLog>,
        db: Arc<CheckpointDb>,
        readers: Arc<ReaderMarks>,
    ) -> Self {
        let partitions = partitions.into_iter();
        let partitions = partitions
            .map(|(id, machine)| Partition { id, machine, retained: Retained::default() })
            .collect();
        Self { config, log, db, readers, partitions }
    }

    /// Lets the log forget what it may, if it wants to; `wall` is the time now. Blocks while checkpoints are read back,
    /// one after the other: that takes as long as a start, and as much memory as one machine.
    ///
    /// # Errors
    /// [`RetentionError`]; then nothing is forgotten that was not covered before.
    pub fn round(&mut self, wall: LogTime) -> Result<(), RetentionError> {
        if !self.log.wants_trim() {
            return Ok(());
        }
        let before = LogTime(wall.0.saturating_sub(self.config.keep_ms));
        let mut young = Vec::new();
        for partition in &self.partitions {
            let commands = first_since(self.log.as_ref(), partition.commands(), before)?;
            young.push((commands, first_since(self.log.as_ref(), partition.decisions(), before)?));
        }
        let old_enough = |(partition, (commands, _)): (&Partition<M>, &(Offset, Offset))| {
            *commands > partition.covered().max(self.log.watermarks(partition.commands()).low)
        };
        if self.partitions.iter().zip(&young).any(old_enough) {
            self.verify()?;
        }
        for (partition, young) in self.partitions.iter_mut().zip(young) {
            trim(self.log.as_ref(), &self.readers, partition, young)?;
        }
        Ok(())
    }

    /// What the rounds have come to.
    pub fn retained(&self) -> impl Iterator<Item = (PartitionId, &Retained)> {
        self.partitions.iter().map(|partition| (partition.id, &partition.retained))
    }

    /// Copies the checkpoints, reads the copy back and keeps it, unless they are those that were read back before.
    fn verify(&mut self) -> Result<(), RetentionError> {
        let written = |partition: &Partition<M>| match self.db.anchor(partition.id) {
            Ok(anchor) => anchor != partition.retained.verified,
            // Whatever is wrong with it is found out below.
            Err(_) => true,
        };
        if !self.partitions.iter().any(written) {
            return Ok(());
        }
        let candidate = self.db.candidate().map_err(RetentionError::Copy)?;
        let mut verified = Vec::new();
        for partition in &self.partitions {
            let anchor = candidate
                .verify::<M>(partition.id, &partition.machine)
                .map_err(|source| RetentionError::Unverified { partition: partition.id, source })?;
            if let Some(anchor) = &anchor {
                let marks = self.log.watermarks(partition.commands());
                let log = Anchor::beginning(self.log.log_id(), self.log.partitions(M::COMMANDS));
                check_anchor(anchor, &log, marks.low, marks.end).map_err(|reason| {
                    RetentionError::Foreign { partition: partition.id, source: Box::new(reason) }
                })?;
            }
            verified.push(anchor);
        }
        candidate.keep().map_err(RetentionError::Copy)?;
        for (partition, anchor) in self.partitions.iter_mut().zip(verified) {
            partition.retained.verified = anchor;
        }
        Ok(())
    }
}

fn trim<M: Machine>(
    log: &dyn OrderedLog,
    readers: &ReaderMarks,
    partition: &mut Partition<M>,
    young: (Offset, Offset),
) -> Result<(), RetentionError> {
    let Some(anchor) = &partition.retained.verified else { return Ok(()) };
    let (commands, decisions) = (partition.commands(), partition.decisions());
    let needed = |stream| readers.lowest(stream).unwrap_or(Offset(u64::MAX));
    let commands_below = partition.covered().min(young.0).min(needed(commands));
    let decisions_below = anchor.out_offset.min(young.1).min(needed(decisions));
    log.trim(commands, commands_below)?;
    log.trim(decisions, decisions_below)?;
    let retained = &mut partition.retained;
    retained.commands_below = retained.commands_below.max(commands_below);
    retained.decisions_below = retained.decisions_below.max(decisions_below);
    Ok(())
}

/// About the first record that is not older than `before`, found by halving. Append times rise, but for a leader's clock
/// that is behind another's.
fn first_since(log: &dyn OrderedLog, stream: StreamId, before: LogTime) -> Result<Offset, ReadError> {
    let marks = log.watermarks(stream);
    let (mut low, mut high) = (marks.low.0, marks.durable.min(marks.end).0);
    let mut records = Vec::new();
    while low < high {
        let middle = low + (high - low) / 2;
        records.clear();
        log.read(stream, Offset(middle), 1, &mut records)?;
        match records.first() {
            Some(record) if record.append_time < before => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Offset(low))
}

/// A keeper on a thread of its own. Dropping it ends the thread, after the round under way.
#[derive(Debug)]
pub struct Retention {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Retention {
    /// Starts the thread. `report` hears of every round, on that thread.
    ///
    /// # Panics
    /// If a thread cannot be started.
    #[must_use = "dropping it ends the thread"]
    pub fn start<M, R>(mut keeper: Keeper<M>, mut report: R) -> Self
    where
        M: Machine,
        R: FnMut(&Keeper<M>, Result<(), RetentionError>) + Send + 'static,
    {
        let (stop, stopped) = bounded(0);
        let work = move || {
            while stopped.recv_timeout(keeper.config.every) == Err(RecvTimeoutError::Timeout) {
                let result = keeper.round(wall_clock());
                report(&keeper, result);
            }
        };
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(work)
            .expect("the system starts a thread");
        Self { stop: Some(stop), thread: Some(thread) }
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

fn wall_clock() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
