//! The archive itself: blocking calls outside, a few tasks inside.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use holdfast_contracts::{LogId, Offset, PartitionId};
use holdfast_engine::{Anchor, Archived, CheckpointArchive, Listing, PageVisitor, Pages, StoreError};
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::keys::{self, Place};
use crate::manifest::Manifest;
use crate::open::{OpenError, folder};
use crate::transfer::{self, Store, WAITING, ended, failed};
use crate::{chunk, listing};

/// Threads that send, fetch and hash, beside the one that packs or builds.
const THREADS: usize = 2;

/// Checkpoints in an object store.
///
/// Calls block and must not come from an asynchronous task. Any number of threads and processes may use one place at once.
/// A transfer holds about 64 MiB at most.
pub struct ObjectArchive {
    folder: PathBuf,
    /// Made when the folder is seen for the first time.
    store: OnceLock<Store>,
    /// Always there until it is dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for ObjectArchive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectArchive").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl ObjectArchive {
    /// The archive in a folder, given as a path or as `file://` and an absolute path. What is written to it is on the disk when
    /// the call that wrote it returns.
    ///
    /// A folder that is not there is not made, here or later: made where a disk should be mounted, it would be taken for the
    /// archive. Whatever is asked fails until it is there.
    ///
    /// # Errors
    /// [`OpenError`] if that is the name of no folder, or there are no threads.
    pub fn open(place: &str) -> Result<Self, OpenError> {
        let folder = folder(place)?;
        let folder = std::path::absolute(&folder).map_err(|source| OpenError::Folder { folder, source })?;
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("archive").build();
        let runtime = runtime.map_err(OpenError::Threads)?;
        Ok(Self { folder, store: OnceLock::new(), runtime: Some(runtime) })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The logs that it has checkpoints of.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be asked.
    pub fn logs(&self) -> Result<Vec<LogId>, StoreError> {
        let store = self.store()?;
        let found = self.wait(listing::below(store.as_ref(), None))?;
        Ok(found.iter().filter_map(keys::log_of).collect())
    }

    /// The partitions of a log that it has checkpoints of.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be asked.
    pub fn partitions(&self, log: LogId) -> Result<Vec<PartitionId>, StoreError> {
        let store = self.store()?;
        let found = self.wait(listing::below(store.as_ref(), Some(&keys::of_log(log))))?;
        Ok(found.iter().filter_map(keys::partition_of).collect())
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken when the archive is dropped")
    }

    fn wait<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime().handle().block_on(task)
    }

    /// Whether it can be asked now.
    ///
    /// # Errors
    /// [`StoreError`] if its folder is not there.
    pub fn reach(&self) -> Result<(), StoreError> {
        self.store().map(drop)
    }

    /// A folder that went away is not one without checkpoints.
    fn store(&self) -> Result<&Store, StoreError> {
        let away = |error| StoreError::Archive { doing: "looking into its folder", source: Arc::new(error) };
        std::fs::read_dir(&self.folder).map_err(away)?;
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = LocalFileSystem::new_with_prefix(&self.folder)
            .map_err(|error| failed("opening it", error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(self.store.get_or_init(|| Arc::new(store)))
    }
}

impl Drop for ObjectArchive {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // No call is under way, so nobody waits for what may be left; a task may drop it too.
            runtime.shutdown_background();
        }
    }
}

impl CheckpointArchive for ObjectArchive {
    fn list(&self, log: LogId, partition: PartitionId) -> Result<Listing, StoreError> {
        let store = self.store()?;
        self.wait(listing::list(store, log, partition))
    }

    fn ship(
        &self,
        partition: PartitionId,
        anchor: &Anchor,
        pages: &mut Pages<'_>,
    ) -> Result<Archived, StoreError> {
        let store = self.store()?;
        let place = Place { log: anchor.log_id, partition, at: anchor.next_offset };
        let (to_send, packed) = mpsc::channel(WAITING);
        let sending = self.runtime().spawn(transfer::send(Arc::clone(store), place, packed));
        let bytes = chunk::pack(pages, |chunk| to_send.blocking_send(chunk).is_ok());
        drop(to_send);
        // Also when a page could not be had, so that nothing goes on behind the caller's back.
        let sent = self.wait(sending).map_err(ended)?;
        let (bytes, chunks) = (bytes?, sent?);
        let shipped_at = SystemTime::now();
        let manifest = Manifest { partition, anchor: anchor.clone(), shipped_at, bytes, chunks };
        let written = self.wait(store.put(&place.manifest(), manifest.write().into()));
        written.map_err(|error| failed("writing a description", error))?;
        Ok(manifest.archived(false))
    }

    fn load(
        &self,
        log: LogId,
        partition: PartitionId,
        at: Offset,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        let store = self.store()?;
        let place = Place { log, partition, at };
        let Some((manifest, _)) = self.wait(listing::read_manifest(store, &place))? else {
            return Ok(None);
        };
        let (anchor, promised) = (manifest.anchor.clone(), manifest.bytes);
        let counts: Vec<u64> = manifest.chunks.iter().map(|chunk| chunk.pages).collect();
        let (fetched, mut chunks) = mpsc::channel(WAITING);
        self.runtime().spawn(transfer::fetch(Arc::clone(store), manifest, fetched));
        let mut bytes = 0;
        for count in counts {
            let missing = || StoreError::Damaged("it ends before its last chunk".to_owned());
            // While this one is built into a machine the next ones are read and hashed.
            let chunk = chunks.blocking_recv().ok_or_else(missing)??;
            let unpacked = chunk::unpack(&chunk, visit)?;
            if unpacked.0 != count {
                return Err(StoreError::Damaged("a chunk has another number of pages".to_owned()));
            }
            bytes += unpacked.1;
        }
        if bytes != promised {
            return Err(StoreError::Damaged("its pages have another length".to_owned()));
        }
        Ok(Some(anchor))
    }

    fn mark_verified(&self, archived: &Archived, partition: PartitionId) -> Result<(), StoreError> {
        let store = self.store()?;
        let anchor = &archived.anchor;
        let place = Place { log: anchor.log_id, partition, at: anchor.next_offset };
        let found = self.wait(listing::read_manifest(store, &place))?;
        // What somebody else has put in its place since was not read back.
        let (_, hash) =
            found.filter(|(manifest, _)| is_same(manifest, archived)).ok_or(StoreError::Replaced)?;
        let mark = anchor.digest.to_string().into_bytes();
        let written = self.wait(store.put(&place.verified(&hash), mark.into()));
        written.map(drop).map_err(|error| failed("marking a checkpoint", error))
    }

    fn forget(&self, log: LogId, partition: PartitionId, at: Offset) -> Result<(), StoreError> {
        let store = self.store()?;
        self.wait(listing::drop_all(store, &Place { log, partition, at }))
    }

    fn sweep(&self, log: LogId, partition: PartitionId, untouched: Duration) -> Result<u32, StoreError> {
        let store = self.store()?;
        let torn = self.wait(listing::torn(store, log, partition, untouched))?;
        for place in &torn {
            self.wait(listing::drop_all(store, place))?;
        }
        let partition = self.folder.join(keys::of_partition(log, partition).as_ref());
        sweep_unfinished(&partition, untouched).map_err(|error| StoreError::Archive {
            doing: "dropping what was never finished",
            source: Arc::new(error),
        })?;
        Ok(u32::try_from(torn.len()).unwrap_or(u32::MAX))
    }
}

/// Whether a description is of this upload. Times are kept in milliseconds.
fn is_same(manifest: &Manifest, archived: &Archived) -> bool {
    let millis =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    manifest.anchor == archived.anchor
        && manifest.bytes == archived.bytes
        && millis(manifest.shipped_at) == millis(archived.shipped_at)
}

/// Drops files of objects that were being written when their process died. The store does not list them; their names end in
/// `#` and a number.
fn sweep_unfinished(partition: &Path, untouched: Duration) -> io::Result<()> {
    let entries = |folder: &Path| match folder.read_dir() {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    for checkpoint in entries(partition)? {
        if !checkpoint.file_type()?.is_dir() {
            continue;
        }
        for file in entries(&checkpoint.path())? {
            let name = file.file_name();
            let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
            let unfinished =
                number.is_some_and(|it| !it.is_empty() && it.bytes().all(|c| c.is_ascii_digit()));
            let written = file.metadata().and_then(|it| it.modified());
            let age = written.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            // One that is gone has been finished.
            if unfinished && age.is_ok_and(|age| age >= untouched) {
                std::fs::remove_file(file.path()).ok();
            }
        }
    }
    Ok(())
}
