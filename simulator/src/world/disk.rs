//! A checkpoint disk in memory that behaves as the checkpoint database does, faults included.
//!
//! Committed checkpoints wait in a queue that belongs to the process, not to the worker. Writing one changes what
//! readers of this process see; only flushing makes it survive the process. A batch is applied whole or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_contracts::Offset;
use holdfast_engine::{Anchor, CheckpointStore, PageSink, PageVisitor, StoreError};

/// Older checkpoints kept, as backups are.
const OLDER_MAX: usize = 3;

/// A checkpoint: pages and the anchor that came with them.
#[derive(Debug, Clone, Default)]
struct Checkpoint {
    pages: BTreeMap<(u8, u64), Arc<[u8]>>,
    anchor: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Change {
    DropAll,
    Put(u8, u64, Arc<[u8]>),
    Delete(u8, u64),
}

type Replies = Arc<Mutex<VecDeque<Result<Anchor, StoreError>>>>;

struct Job {
    changes: Vec<Change>,
    anchor: Anchor,
    replies: Replies,
}

#[derive(Default)]
struct State {
    /// What readers of the process see.
    current: Checkpoint,
    /// What survives the process.
    flushed: Checkpoint,
    /// The copy that was read back before the log was trimmed for its sake.
    verified: Option<Checkpoint>,
    older: Vec<Checkpoint>,
    queue: VecDeque<Job>,
    /// Writing fails.
    broken: bool,
    /// Stored bytes are not what was written; found when they are read.
    damaged: bool,
    /// A disk that says "flushed" and keeps the pages to itself: a run with it must fail.
    lies: bool,
}

/// The disk of one or more processes' worth of checkpoints of one partition.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Workers are stepped under `catch_unwind`; whoever panicked is reported as a failure.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// An empty disk; one that lies loses pages of what it says it has flushed.
    #[must_use]
    pub(super) fn new(lies: bool) -> Self {
        Self(Arc::new(Mutex::new(State { lies, ..State::default() })))
    }

    /// A store for a worker.
    #[must_use]
    pub(super) fn store(&self) -> SimStore {
        SimStore { disk: self.clone(), changes: Vec::new(), replies: Replies::default() }
    }

    /// Writes the checkpoints that wait and flushes once for all of them. Says how many that were.
    pub(super) fn write(&self) -> usize {
        let state = &mut *lock(&self.0);
        let jobs: Vec<Job> = state.queue.drain(..).collect();
        for job in &jobs {
            // What could not be flushed stays in memory and goes with the next flush that works.
            state.current.apply(&job.changes, &job.anchor);
            state.damaged &= !job.changes.iter().any(|change| matches!(change, Change::DropAll));
        }
        if !state.broken && !jobs.is_empty() {
            let next = if state.lies {
                Checkpoint { anchor: state.current.anchor.clone(), ..state.flushed.clone() }
            } else {
                state.current.clone()
            };
            let before = std::mem::replace(&mut state.flushed, next);
            if before.anchor.is_some() {
                state.older.push(before);
                let too_many = state.older.len().saturating_sub(OLDER_MAX);
                state.older.drain(..too_many);
            }
        }
        for job in &jobs {
            let result = if state.broken { Err(no_room()) } else { Ok(job.anchor.clone()) };
            lock(&job.replies).push_back(result);
        }
        jobs.len()
    }

    /// Checkpoints waiting to be written.
    #[must_use]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.0).queue.len()
    }

    /// The process ends: what waits and what is not flushed is gone.
    pub(super) fn lose_process(&self) {
        let state = &mut *lock(&self.0);
        state.queue.clear();
        state.current = state.flushed.clone();
    }

    /// Lets writing fail, or work again.
    pub(super) fn set_broken(&self, broken: bool) {
        lock(&self.0).broken = broken;
    }

    /// Changes stored bytes. Nothing happens to an empty disk.
    pub(super) fn damage(&self) {
        let state = &mut *lock(&self.0);
        state.damaged = state.flushed.anchor.is_some();
    }

    /// Whether stored bytes were changed and not written anew since.
    #[must_use]
    pub(super) fn is_damaged(&self) -> bool {
        lock(&self.0).damaged
    }

    /// Puts an empty disk in its place.
    pub(super) fn wipe(&self) {
        let state = &mut *lock(&self.0);
        *state = State { lies: state.lies, ..State::default() };
    }

    /// Puts an older checkpoint back, as from a backup. Says whether there was one.
    pub(super) fn put_back_older(&self) -> bool {
        let state = &mut *lock(&self.0);
        let Some(older) = state.older.pop() else { return false };
        state.current = older.clone();
        state.flushed = older;
        state.verified = None;
        state.damaged = false;
        true
    }

    /// Takes over what another disk has: its last checkpoint, or the verified copy if that is damaged.
    pub(super) fn copy_from(&self, other: &Self) {
        let checkpoint = {
            let state = lock(&other.0);
            let copy = if state.damaged { state.verified.clone() } else { None };
            copy.unwrap_or_else(|| state.flushed.clone())
        };
        let state = &mut *lock(&self.0);
        state.current = checkpoint.clone();
        state.flushed = checkpoint;
        state.verified = None;
        state.damaged = false;
        state.older.clear();
    }

    /// The anchor a worker that begins here would load.
    #[must_use]
    pub(super) fn anchor(&self) -> Option<Anchor> {
        Anchor::from_bytes(lock(&self.0).current.anchor.as_ref()?)
    }

    /// The anchor that survives the process.
    #[must_use]
    pub(super) fn flushed_anchor(&self) -> Option<Anchor> {
        Anchor::from_bytes(lock(&self.0).flushed.anchor.as_ref()?)
    }

    /// The anchor that another disk would get from here.
    #[must_use]
    pub(super) fn anchor_to_ship(&self) -> Option<Anchor> {
        if self.is_damaged() { self.verified_anchor() } else { self.flushed_anchor() }
    }

    /// Keeps a copy of what is flushed, as retention does once it has read it back. A damaged one is not copied.
    pub(super) fn verify(&self) {
        let state = &mut *lock(&self.0);
        if !state.damaged && state.flushed.anchor.is_some() {
            state.verified = Some(state.flushed.clone());
        }
    }

    /// The anchor of the verified copy.
    #[must_use]
    pub(super) fn verified_anchor(&self) -> Option<Anchor> {
        Anchor::from_bytes(lock(&self.0).verified.as_ref()?.anchor.as_ref()?)
    }

    /// The anchors of everything durable that may be loaded from here, now or after a fault.
    #[must_use]
    pub(super) fn anchors(&self) -> Vec<Anchor> {
        let state = lock(&self.0);
        let all = state.older.iter().chain([&state.flushed]);
        all.filter_map(|checkpoint| Anchor::from_bytes(checkpoint.anchor.as_ref()?)).collect()
    }
}

fn no_room() -> StoreError {
    let source = std::io::Error::new(std::io::ErrorKind::StorageFull, "no room for a checkpoint");
    StoreError::Database { doing: "flushing a checkpoint", source: Arc::new(source) }
}

impl Checkpoint {
    fn read(&self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        let Some(anchor) = &self.anchor else { return Ok(None) };
        let anchor = Anchor::from_bytes(anchor).ok_or_else(|| StoreError::Damaged("no anchor".to_owned()))?;
        for ((kind, page), bytes) in &self.pages {
            visit(*kind, *page, bytes)?;
        }
        Ok(Some(anchor))
    }

    fn apply(&mut self, changes: &[Change], anchor: &Anchor) {
        for change in changes {
            match change {
                Change::DropAll => self.pages.clear(),
                Change::Put(kind, page, bytes) => drop(self.pages.insert((*kind, *page), Arc::clone(bytes))),
                Change::Delete(kind, page) => drop(self.pages.remove(&(*kind, *page))),
            }
        }
        self.anchor = Some(anchor.to_bytes());
    }
}

/// A worker's handle on its disk.
pub(super) struct SimStore {
    disk: Disk,
    changes: Vec<Change>,
    replies: Replies,
}

impl PageSink for SimStore {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.changes.push(Change::Put(kind, page, bytes.into()));
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.changes.push(Change::Delete(kind, page));
    }
}

impl CheckpointStore for SimStore {
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        // As the real store: first everything that waits is written.
        self.disk.write();
        let state = lock(&self.disk.0);
        if state.damaged {
            return Err(StoreError::Damaged("a checksum does not match".to_owned()));
        }
        state.current.read(visit)
    }

    fn stand_ins(&mut self, newer_than: Option<Offset>) -> Result<Vec<Anchor>, StoreError> {
        let anchor = if newer_than.is_none() { self.disk.verified_anchor() } else { None };
        Ok(anchor.into_iter().collect())
    }

    fn load_stand_in(
        &mut self,
        _anchor: &Anchor,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        let state = lock(&self.disk.0);
        state.verified.as_ref().map_or(Ok(None), |verified| verified.read(visit))
    }

    fn begin_whole(&mut self) {
        self.changes.clear();
        self.changes.push(Change::DropAll);
    }

    fn commit(&mut self, anchor: &Anchor) {
        let changes = std::mem::take(&mut self.changes);
        let job = Job { changes, anchor: anchor.clone(), replies: Arc::clone(&self.replies) };
        lock(&self.disk.0).queue.push_back(job);
    }

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        lock(&self.replies).pop_front().transpose()
    }
}
