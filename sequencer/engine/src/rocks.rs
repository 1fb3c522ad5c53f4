//! Checkpoints in RocksDB.
//!
//! The command log is this database's write-ahead log: a checkpoint is one write batch without one, followed by a
//! flush. A batch reaches the disk whole or not at all, so after any crash the database holds the last checkpoint that was
//! flushed, and the log brings the rest. Pages are large and never looked up one by one, so they go to blob files that
//! compaction leaves alone.

mod chunk;
mod verified;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_core::PageSink;
use rocksdb::{DB, Direction, ErrorKind, IteratorMode, Options, ReadOptions};
use rustix::fs::OFlags;

use crate::anchor::Anchor;
use crate::archive::{Page, Pages};
use crate::store::{CheckpointStore, PageVisitor, StoreError};

use chunk::{Chunk, Spares};
pub(crate) use verified::Candidate;
use writer::{Commit, Job, StoreId, Writer};

/// The RocksDB that is built and tested against. `scripts/setup` puts it in place.
pub const ROCKSDB_VERSION: &str = "11.8.1";

/// The key of a partition's anchor sorts after all its pages.
const ANCHOR: u8 = u8::MAX;

/// The database of all partitions of a process, and the thread that writes to it.
///
/// Dropping it ends the thread, and writes what was committed before. Stores that outlive it cannot write.
#[derive(Debug)]
pub struct CheckpointDb {
    directory: PathBuf,
    db: Arc<DB>,
    jobs: Sender<Job>,
    writer: Option<JoinHandle<()>>,
    waits_for_room: Arc<AtomicBool>,
    spares: Spares,
    stores: AtomicU64,
}

impl CheckpointDb {
    /// Opens the database in this directory, or creates it.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be used or what is in it is damaged.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut options = options();
        // A checkpoint is written once and read after a crash. Around the page cache a flush costs a quarter of the processor
        // time, for the machine it runs beside.
        options.set_use_direct_io_for_flush_and_compaction(takes_direct_io(directory));
        let is_there = directory.read_dir().is_ok_and(|mut files| files.next().is_some());
        let db = DB::open(&options, directory).map_err(|error| match error {
            error if is_there && misses_a_file(&error) => StoreError::Damaged(error.into_string()),
            error if is_locked(&error) => StoreError::InUse { directory: directory.to_owned() },
            error => database("opening it", error),
        })?;
        let db = Arc::new(db);
        // A store has one checkpoint under way, so there is never more in it than the state of all partitions.
        let (jobs, inbox) = unbounded();
        let spares = Spares::new();
        let waits_for_room = Arc::new(AtomicBool::new(false));
        let target = writer::Database { db: Arc::clone(&db), directory: directory.to_owned() };
        let writer = Writer::new(target, inbox, writer::RETRY, Arc::clone(&waits_for_room), spares.clone());
        let writer =
            std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || writer.run()).map_err(
                |error| StoreError::Database { doing: "starting its thread", source: Arc::new(error) },
            )?;
        Ok(Self {
            directory: directory.to_owned(),
            db,
            jobs,
            writer: Some(writer),
            waits_for_room,
            spares,
            stores: AtomicU64::new(0),
        })
    }

    /// Opens the database, setting aside what is in the directory if that is damaged: the log makes up for it. Says where it
    /// was put.
    ///
    /// # Errors
    /// [`StoreError`] if the directory cannot be used.
    pub fn open_or_set_aside(directory: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        match Self::open(directory) {
            Ok(db) => Ok((db, None)),
            Err(error) if error.is_damage() => {
                let aside = free_name(directory);
                std::fs::rename(directory, &aside).map_err(|error| StoreError::Database {
                    doing: "setting aside a damaged one",
                    source: Arc::new(error),
                })?;
                Self::open(directory).map(|db| (db, Some(aside)))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the database for reading only, beside a server that may be using it.
    ///
    /// # Errors
    /// As [`CheckpointDb::open`].
    pub fn open_read_only(directory: &Path) -> Result<ReadOnlyDb, StoreError> {
        let db = DB::open_for_read_only(&options(), directory, false)
            .map_err(|error| database("opening it for reading", error))?;
        Ok(ReadOnlyDb { db })
    }

    /// The anchor of the last checkpoint of a partition; it may not be durable yet.
    pub(crate) fn anchor(&self, partition: PartitionId) -> Result<Option<Anchor>, StoreError> {
        anchor(self.db.get(page_key(partition, ANCHOR, 0)))
    }

    /// Hands the last checkpoint of a partition to `reader`, as of one moment; it may not be durable yet. `None` if there is
    /// none.
    pub(crate) fn read<T>(
        &self,
        partition: PartitionId,
        reader: impl FnOnce(&Anchor, &mut Pages<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        read(&self.db, partition, reader)
    }

    /// Whether checkpoints wait because the disk is full. They are written as soon as there is room; until then partitions go on,
    /// and a start would have to replay more of the log.
    #[must_use]
    pub fn waits_for_room(&self) -> bool {
        self.waits_for_room.load(Ordering::Acquire)
    }

    /// The checkpoints of one partition.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> RocksStore {
        let (done, written) = bounded(8);
        RocksStore {
            directory: self.directory.clone(),
            db: Arc::clone(&self.db),
            partition,
            id: StoreId(self.stores.fetch_add(1, Ordering::Relaxed)),
            jobs: self.jobs.clone(),
            spares: self.spares.clone(),
            chunk: Chunk::default(),
            done,
            written,
        }
    }
}

impl Drop for CheckpointDb {
    fn drop(&mut self) {
        // If the thread has ended already there is nothing to end.
        self.jobs.send(Job::End).ok();
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

/// The database, opened for reading only.
#[derive(Debug)]
pub struct ReadOnlyDb {
    db: DB,
}

impl ReadOnlyDb {
    /// Reads the last checkpoint of a partition.
    ///
    /// # Errors
    /// As [`CheckpointStore::load`].
    pub fn load(
        &self,
        partition: PartitionId,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        load(&self.db, partition, visit)
    }

    /// The anchor of the last checkpoint of a partition.
    pub(crate) fn anchor(&self, partition: PartitionId) -> Result<Option<Anchor>, StoreError> {
        anchor(self.db.get(page_key(partition, ANCHOR, 0)))
    }
}

/// The RocksDB that this process runs with, which a shared library may have made another one than it was built with.
///
/// The database only says so in the options it writes, so one is made in `scratch`, an empty directory, and stays there.
///
/// # Errors
/// [`StoreError`] if no database can be made there.
pub fn linked_version(scratch: &Path) -> Result<String, StoreError> {
    drop(CheckpointDb::open(scratch)?);
    let read = |error: std::io::Error| StoreError::Database {
        doing: "reading its options",
        source: Arc::new(error),
    };
    for entry in std::fs::read_dir(scratch).map_err(read)? {
        let entry = entry.map_err(read)?;
        if entry.file_name().to_string_lossy().starts_with("OPTIONS-") {
            let options = std::fs::read_to_string(entry.path()).map_err(read)?;
            let version = options.lines().find_map(|line| line.trim().strip_prefix("rocksdb_version="));
            return Ok(version.unwrap_or("unknown").to_owned());
        }
    }
    Ok("unknown".to_owned())
}

/// The checkpoints of one partition.
pub struct RocksStore {
    directory: PathBuf,
    db: Arc<DB>,
    partition: PartitionId,
    id: StoreId,
    jobs: Sender<Job>,
    spares: Spares,
    chunk: Chunk,
    done: Sender<Result<Anchor, StoreError>>,
    written: Receiver<Result<Anchor, StoreError>>,
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl RocksStore {
    /// Sends what has gathered. Without a writer nothing counts, which `commit` finds out.
    fn send_chunk(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, self.spares.take());
        self.jobs.send(Job::Pages(self.id, self.partition, chunk)).ok();
    }
}

impl PageSink for RocksStore {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.chunk.put(kind, page, bytes);
        if self.chunk.is_full() {
            self.send_chunk();
        }
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.chunk.delete(kind, page);
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        self.jobs.send(Job::Forget(self.id)).ok();
    }
}

impl CheckpointStore for RocksStore {
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        let (done, written) = bounded(1);
        if self.jobs.send(Job::Barrier(self.partition, done)).is_ok() {
            // An error is the end of the writer: nothing more will be written.
            written.recv().ok();
        }
        load(&self.db, self.partition, visit)
    }

    fn anchor(&mut self) -> Result<Option<Anchor>, StoreError> {
        anchor(self.db.get(page_key(self.partition, ANCHOR, 0)))
    }

    fn stand_ins(&mut self, newer_than: Option<Offset>) -> Result<Vec<Anchor>, StoreError> {
        // The copy that was verified is one of an earlier checkpoint.
        if newer_than.is_some() {
            return Ok(Vec::new());
        }
        Ok(verified::anchor(&self.directory, self.partition)?.into_iter().collect())
    }

    fn load_stand_in(
        &mut self,
        _anchor: &Anchor,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        verified::load(&self.directory, self.partition, visit)
    }

    fn begin_whole(&mut self) {
        self.chunk.clear();
        self.jobs.send(Job::Whole(self.id, self.partition)).ok();
    }

    fn commit(&mut self, anchor: &Anchor) {
        if !self.chunk.is_empty() {
            self.send_chunk();
        }
        let commit = Commit::new(self.partition, anchor.clone(), self.done.clone());
        // Without a writer there is nobody to tell; `poll` finds out.
        if self.jobs.send(Job::Write(self.id, Box::new(commit))).is_err() {
            let source = Arc::new(std::io::Error::other("the thread that writes checkpoints has ended"));
            self.done.send(Err(StoreError::Database { doing: "writing a checkpoint", source })).ok();
        }
    }

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        match self.written.try_recv() {
            Ok(written) => written.map(Some),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(None),
        }
    }
}

/// The anchor in what was read under its key.
fn anchor(stored: Result<Option<Vec<u8>>, rocksdb::Error>) -> Result<Option<Anchor>, StoreError> {
    let Some(stored) = stored.map_err(unreadable)? else { return Ok(None) };
    let anchor = Anchor::from_bytes(&stored);
    anchor.map(Some).ok_or_else(|| StoreError::Damaged("its anchor cannot be read".to_owned()))
}

fn load(db: &DB, partition: PartitionId, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
    let visited = read(db, partition, |anchor, pages| {
        for page in pages {
            let page = page?;
            visit(page.kind, page.number, &page.bytes)?;
        }
        Ok(anchor.clone())
    })?;
    visited.transpose()
}

fn read<T>(
    db: &DB,
    partition: PartitionId,
    reader: impl FnOnce(&Anchor, &mut Pages<'_>) -> T,
) -> Result<Option<T>, StoreError> {
    // Another worker of the partition may write meanwhile: anchor and pages are read as of one moment.
    let moment = db.snapshot();
    let Some(anchor) = anchor(moment.get(page_key(partition, ANCHOR, 0)))? else { return Ok(None) };
    let mut options = ReadOptions::default();
    options.set_readahead_size(4 << 20);
    options.fill_cache(false);
    options.set_iterate_upper_bound(page_key(partition, ANCHOR, 0));
    let from = prefix(partition);
    let stored = moment.iterator_opt(IteratorMode::From(&from, Direction::Forward), options);
    let mut pages = stored.map(|stored| {
        let (key, bytes) = stored.map_err(unreadable)?;
        let (kind, number) = page_of(&key)
            .ok_or_else(|| StoreError::Damaged("it has a key that is not a page's".to_owned()))?;
        Ok(Page { kind, number, bytes })
    });
    Ok(Some(reader(&anchor, &mut pages)))
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    options.set_atomic_flush(true);
    options.set_write_buffer_size(64 << 20);
    options.set_max_write_buffer_number(3);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(1 << 10);
    options.set_blob_file_size(256 << 20);
    options.set_enable_blob_gc(true);
    options.set_blob_gc_age_cutoff(0.5);
    options.set_blob_gc_force_threshold(0.5);
    options
}

/// Whether the file system lets files be written around the page cache; a few do not. RocksDB would only find out when it
/// writes its first checkpoint.
fn takes_direct_io(directory: &Path) -> bool {
    let probe = directory.join("direct-io-probe");
    let direct = OFlags::DIRECT.bits().cast_signed();
    // If the directory cannot be made or written, opening the database says so in its own words.
    std::fs::create_dir_all(directory).ok();
    let opened = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(direct).open(&probe);
    std::fs::remove_file(&probe).ok();
    opened.is_ok()
}

fn prefix(partition: PartitionId) -> [u8; 4] {
    partition.0.to_be_bytes()
}

fn page_key(partition: PartitionId, kind: u8, page: u64) -> [u8; 13] {
    let mut key = [0; 13];
    key[..4].copy_from_slice(&prefix(partition));
    key[4] = kind;
    key[5..].copy_from_slice(&page.to_be_bytes());
    key
}

fn page_of(key: &[u8]) -> Option<(u8, u64)> {
    let key: &[u8; 13] = key.try_into().ok()?;
    Some((key[4], u64::from_be_bytes(key[5..].try_into().ok()?)))
}

fn database(doing: &'static str, error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::Incomplete => StoreError::Damaged(error.into_string()),
        _ => StoreError::Database { doing, source: Arc::new(error) },
    }
}

/// What was written cannot be read. A file that is missing is damage like any other.
fn unreadable(error: rocksdb::Error) -> StoreError {
    if misses_a_file(&error) {
        StoreError::Damaged(error.into_string())
    } else {
        database("reading it", error)
    }
}

/// The database has no code of its own for it, only the words of the system.
fn misses_a_file(error: &rocksdb::Error) -> bool {
    error.as_ref().contains("No such file or directory")
}

/// The database has no code of its own for it, only words: its own for this process, those of the system for another. A lock
/// that cannot be had for another reason, as on a file system without locks, is not somebody else's.
fn is_locked(error: &rocksdb::Error) -> bool {
    let text = error.as_ref();
    let by_another = text.contains("While lock file") && text.contains("Resource temporarily unavailable");
    by_another || text.contains("lock hold by current process")
}

/// A name beside the directory that nothing has yet.
fn free_name(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut candidates = (1u32..).map(|n| directory.with_file_name(format!("{name}.damaged-{n}")));
    candidates.find(|path| !path.exists()).expect("one of four billion names is free")
}
