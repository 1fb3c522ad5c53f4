//! The thread that writes checkpoints, and what it does while the disk is full.
//!
//! A full disk is no reason to stop a partition: its log holds everything a checkpoint would. So a checkpoint for which there
//! is no room waits, and nothing is written that the log might need the room for.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use holdfast_contracts::PartitionId;
use rocksdb::{DB, WriteBatch, WriteOptions};

use super::chunk::{Chunk, Spares};
use super::{ANCHOR, database, page_key, prefix};
use crate::anchor::Anchor;
use crate::store::StoreError;

/// How long a checkpoint that found no room waits before it is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(200);
/// Room left to the log beside what a checkpoint takes.
const ROOM_LEFT: u64 = 16 << 20;

/// Tells apart the stores that checkpoints come from; a partition may have had several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreId(pub(super) u64);

/// What the writer is asked for, in this order.
pub(super) enum Job {
    /// The store's next checkpoint shares nothing with those before.
    Whole(StoreId, PartitionId),
    /// These changes belong to the store's next checkpoint.
    Pages(StoreId, PartitionId, Chunk),
    /// The store's next checkpoint is complete.
    Write(StoreId, Box<Commit>),
    /// The store is gone, and what it began is void.
    Forget(StoreId),
    /// Says when everything that was asked for this partition has been done or has failed.
    Barrier(PartitionId, Sender<()>),
    /// Nothing more comes.
    End,
}

/// A checkpoint to be written.
pub(super) struct Commit {
    pub(super) partition: PartitionId,
    pub(super) anchor: Anchor,
    pub(super) done: Sender<Result<Anchor, StoreError>>,
    /// Its changes, which the writer has collected.
    batch: WriteBatch,
}

impl Commit {
    pub(super) fn new(
        partition: PartitionId,
        anchor: Anchor,
        done: Sender<Result<Anchor, StoreError>>,
    ) -> Self {
        Self { partition, anchor, done, batch: WriteBatch::default() }
    }

    /// Whoever waits may have gone.
    fn tell(self, result: Result<(), StoreError>) {
        self.done.send(result.map(|()| self.anchor)).ok();
    }
}

/// Where checkpoints go.
pub(super) trait Target {
    /// Bytes that can be written, as far as anybody knows.
    fn room(&self) -> u64;
    /// Whether it takes anything just now.
    fn ready(&self) -> Result<(), Trouble>;
    /// Writes to memory.
    fn write(&self, batch: WriteBatch) -> Result<(), Trouble>;
    /// Makes everything written durable.
    fn flush(&self) -> Result<(), Trouble>;
}

/// The database itself.
pub(super) struct Database {
    pub(super) db: Arc<DB>,
    pub(super) directory: PathBuf,
}

impl Target for Database {
    fn room(&self) -> u64 {
        // Whoever cannot ask finds out by trying.
        rustix::fs::statvfs(&self.directory).map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize))
    }

    fn ready(&self) -> Result<(), Trouble> {
        // A database that stands still says so before it takes even nothing.
        self.write(WriteBatch::default())
    }

    fn write(&self, batch: WriteBatch) -> Result<(), Trouble> {
        let mut without_log = WriteOptions::default();
        without_log.disable_wal(true);
        self.db.write_opt(batch, &without_log).map_err(|error| Trouble::new("writing a checkpoint", error))
    }

    fn flush(&self) -> Result<(), Trouble> {
        self.db.flush().map_err(|error| Trouble::new("flushing a checkpoint", error))
    }
}

/// Why nothing more can be written now.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no room; there may be later.
    Full,
    /// Waiting does not help.
    Broken(StoreError),
}

impl Trouble {
    fn new(doing: &'static str, error: rocksdb::Error) -> Self {
        // The database has no code of its own for it, only the words of the system.
        let text = error.as_ref();
        if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
            Self::Full
        } else {
            Self::Broken(database(doing, error))
        }
    }
}

/// Writes checkpoints; one flush covers all that wait.
pub(super) struct Writer<T> {
    target: T,
    inbox: Receiver<Job>,
    retry: Duration,
    waits_for_room: Arc<AtomicBool>,
    spares: Spares,
    /// What has come of checkpoints that are not complete.
    begun: BTreeMap<StoreId, WriteBatch>,
    /// Bytes of each store's last checkpoint, to make room for the next at once: growing would copy and clear it all again.
    sizes: BTreeMap<StoreId, usize>,
    /// Waiting to be written.
    unwritten: VecDeque<Commit>,
    /// Written and not flushed.
    unflushed: Vec<Commit>,
}

impl<T: Target> Writer<T> {
    pub(super) fn new(
        target: T,
        inbox: Receiver<Job>,
        retry: Duration,
        waits_for_room: Arc<AtomicBool>,
        spares: Spares,
    ) -> Self {
        Self {
            target,
            inbox,
            retry,
            waits_for_room,
            spares,
            begun: BTreeMap::new(),
            sizes: BTreeMap::new(),
            unwritten: VecDeque::new(),
            unflushed: Vec::new(),
        }
    }

    /// Works until it is told to end or nobody can ask any more.
    pub(super) fn run(mut self) {
        let inbox = self.inbox.clone();
        let mut goes_on = true;
        while goes_on {
            let idle = self.unwritten.is_empty() && self.unflushed.is_empty();
            let first = if idle {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(self.retry)
            };
            let mut barriers = Vec::new();
            goes_on = !matches!(first, Err(RecvTimeoutError::Disconnected));
            for job in first.into_iter().chain(inbox.try_iter()) {
                match job {
                    Job::Whole(store, partition) => {
                        self.begun.insert(store, all_pages_gone(partition));
                    }
                    Job::Pages(store, partition, chunk) => {
                        let last = self.sizes.get(&store).copied().unwrap_or_default();
                        let begun = self.begun.entry(store);
                        let batch = begun.or_insert_with(|| WriteBatch::with_capacity_bytes(last + last / 4));
                        chunk.write_to(partition, batch);
                        self.spares.give_back(chunk);
                    }
                    Job::Write(store, commit) => self.complete(store, *commit),
                    Job::Forget(store) => {
                        self.begun.remove(&store);
                        self.sizes.remove(&store);
                    }
                    Job::Barrier(partition, done) => barriers.push((partition, done)),
                    Job::End => {
                        goes_on = false;
                        break;
                    }
                }
            }
            let outcome = self.write_and_flush();
            self.waits_for_room.store(matches!(outcome, Err(Trouble::Full)), Ordering::Release);
            match outcome {
                Ok(()) => self.unflushed.drain(..).for_each(|commit| commit.tell(Ok(()))),
                Err(Trouble::Broken(error)) => self.give_up(|_| true, &error),
                Err(Trouble::Full) => {}
            }
            for (partition, done) in barriers {
                self.give_up(|commit| commit.partition == partition, &no_room());
                done.send(()).ok();
            }
        }
        self.give_up(|_| true, &no_room());
    }

    fn complete(&mut self, store: StoreId, mut commit: Commit) {
        commit.batch = self.begun.remove(&store).unwrap_or_default();
        commit.batch.put(page_key(commit.partition, ANCHOR, 0), commit.anchor.to_bytes());
        self.sizes.insert(store, commit.batch.size_in_bytes());
        self.unwritten.push_back(commit);
    }

    fn write_and_flush(&mut self) -> Result<(), Trouble> {
        while let Some(commit) = self.unwritten.front() {
            let bytes = commit.batch.size_in_bytes() as u64;
            // Once for the checkpoint and once for what a compaction may need beside it.
            if self.target.room() < ROOM_LEFT + 2 * bytes {
                return Err(Trouble::Full);
            }
            self.target.ready()?;
            let Some(mut commit) = self.unwritten.pop_front() else { break };
            let written = self.target.write(std::mem::take(&mut commit.batch));
            self.unflushed.push(commit);
            match written {
                // The batch is gone, so this cannot be tried again.
                Err(Trouble::Full) => return Err(Trouble::Broken(no_room())),
                written => written?,
            }
        }
        if self.unflushed.is_empty() {
            return Ok(());
        }
        self.target.flush()
    }

    /// Forgets checkpoints that wait. One that was written stays in the database's memory, where whoever loads finds it.
    fn give_up(&mut self, which: impl Fn(&Commit) -> bool, error: &StoreError) {
        let unwritten = std::mem::take(&mut self.unwritten).into_iter();
        let unflushed = std::mem::take(&mut self.unflushed).into_iter();
        let (given_up, unwritten): (Vec<_>, VecDeque<_>) = split(unwritten, &which);
        self.unwritten = unwritten;
        let (also_given_up, unflushed): (Vec<_>, Vec<_>) = split(unflushed, &which);
        self.unflushed = unflushed;
        for commit in given_up.into_iter().chain(also_given_up) {
            commit.tell(Err(error.clone()));
        }
    }
}

fn all_pages_gone(partition: PartitionId) -> WriteBatch {
    let mut batch = WriteBatch::default();
    batch.delete_range(prefix(partition), prefix(PartitionId(partition.0 + 1)));
    batch
}

fn split<K: Default + Extend<Commit>>(
    all: impl Iterator<Item = Commit>,
    which: impl Fn(&Commit) -> bool,
) -> (Vec<Commit>, K) {
    let (mut chosen, mut kept) = (Vec::new(), K::default());
    for commit in all {
        if which(&commit) {
            chosen.push(commit);
        } else {
            kept.extend([commit]);
        }
    }
    (chosen, kept)
}

fn no_room() -> StoreError {
    let source = Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
    StoreError::Database { doing: "writing a checkpoint", source }
}

#[cfg(test)]
mod tests;
