//! A copy of all checkpoints that was read back, kept beside the database until a later one takes its place.
//!
//! A checkpoint replaces the one before in the same pages. Once the log has forgotten what the one before covered, a bad
//! successor would leave nothing to start from. So what is verified is a copy, and the copy is kept. It costs little: the
//! files of both are the same as long as both need them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_contracts::PartitionId;
use rocksdb::checkpoint::Checkpoint;

use super::{CheckpointDb, ReadOnlyDb, database};
use crate::anchor::Anchor;
use crate::machine::Machine;
use crate::store::{PageVisitor, StoreError};
use crate::worker::begin;

/// Being made; of no use to anybody else.
const CANDIDATE: &str = "candidate";
/// Counts, and is preferred to the replaced one.
const VERIFIED: &str = "verified";
/// The one before, on its way out.
const REPLACED: &str = "replaced";

/// The place beside the database that ends in this word.
fn place(database: &Path, word: &str) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(word);
    database.with_file_name(name)
}

/// A copy of the checkpoints that nobody has read back yet.
#[derive(Debug)]
pub(crate) struct Candidate {
    database: PathBuf,
    copy: ReadOnlyDb,
}

impl CheckpointDb {
    /// Copies the last checkpoint of every partition, to be read back.
    ///
    /// # Errors
    /// [`StoreError`] if the disk says no.
    pub(crate) fn candidate(&self) -> Result<Candidate, StoreError> {
        let at = place(&self.directory, CANDIDATE);
        remove(&at)?;
        Checkpoint::new(&self.db)
            .and_then(|source| source.create_checkpoint(&at))
            .map_err(|error| database("copying the checkpoints", error))?;
        Ok(Candidate { database: self.directory.clone(), copy: Self::open_read_only(&at)? })
    }
}

impl Candidate {
    /// Reads the checkpoint of a partition back and builds the machine from it, as a start would. `None` if there is
    /// none.
    ///
    /// # Errors
    /// [`StoreError`] if a start could not use it.
    pub(crate) fn verify<M: Machine>(
        &self,
        partition: PartitionId,
        config: &M::Config,
    ) -> Result<Option<Anchor>, StoreError> {
        let loaded = begin::load::<M>(config, |visit| self.copy.load(partition, visit))?;
        Ok(loaded.map(|(_, anchor)| anchor))
    }

    /// Makes it the copy that counts. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`] if the disk says no; then the copy before still counts.
    pub(crate) fn keep(self) -> Result<(), StoreError> {
        let Self { database, copy } = self;
        drop(copy);
        let (verified, replaced) = (place(&database, VERIFIED), place(&database, REPLACED));
        // After every step one of the two is there and whole.
        if verified.exists() {
            remove(&replaced)?;
            rename(&verified, &replaced)?;
        }
        rename(&place(&database, CANDIDATE), &verified)?;
        let folder = database.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|it| it.sync_all()).map_err(|error| failed("keeping a copy", error))?;
        remove(&replaced)
    }
}

/// The anchor of the verified checkpoint of a partition. `None` if there is none.
pub(super) fn anchor(database: &Path, partition: PartitionId) -> Result<Option<Anchor>, StoreError> {
    match find(database) {
        Some(place) => CheckpointDb::open_read_only(&place)?.anchor(partition),
        None => Ok(None),
    }
}

/// Reads the verified checkpoint of a partition. `None` if there is none.
pub(super) fn load(
    database: &Path,
    partition: PartitionId,
    visit: &mut PageVisitor<'_>,
) -> Result<Option<Anchor>, StoreError> {
    match find(database) {
        Some(place) => CheckpointDb::open_read_only(&place)?.load(partition, visit),
        None => Ok(None),
    }
}

/// The copy that counts.
fn find(database: &Path) -> Option<PathBuf> {
    [VERIFIED, REPLACED].map(|word| place(database, word)).into_iter().find(|place| place.exists())
}

fn remove(place: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing an old copy", error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|error| failed("keeping a copy", error))
}

fn failed(doing: &'static str, error: io::Error) -> StoreError {
    StoreError::Database { doing, source: Arc::new(error) }
}
