//! What is in an archive, by what its objects are called and what descriptions say.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use holdfast_contracts::{LogId, Offset, PartitionId};
use holdfast_engine::{Archived, Listing, StoreError};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::keys::{self, Place};
use crate::manifest::{Chunk, Hash, Manifest};
use crate::transfer::{Store, failed, get};

/// Descriptions that are read at once.
const READ_AT_ONCE: usize = 8;

/// The objects of one checkpoint: their bytes and when they were written, by name.
#[derive(Debug, Default)]
struct Objects(BTreeMap<String, (u64, SystemTime)>);

impl Objects {
    fn has_manifest(&self) -> bool {
        self.0.keys().any(|name| keys::is_manifest(name))
    }

    fn has(&self, chunk: &Chunk) -> bool {
        self.0.get(&chunk.name).is_some_and(|(bytes, _)| *bytes == chunk.bytes)
    }
}

async fn objects(store: &Store, under: &Path) -> Result<BTreeMap<Offset, Objects>, StoreError> {
    let listed = store.list(Some(under)).try_collect::<Vec<ObjectMeta>>().await;
    let mut found: BTreeMap<Offset, Objects> = BTreeMap::new();
    for meta in listed.map_err(|error| failed("listing checkpoints", error))? {
        if let Some((at, name)) = keys::offset_and_name(under, &meta.location) {
            let seconds = u64::try_from(meta.last_modified.timestamp()).unwrap_or(0);
            let written = UNIX_EPOCH + Duration::from_secs(seconds);
            found.entry(at).or_default().0.insert(name.to_owned(), (meta.size, written));
        }
    }
    Ok(found)
}

/// The checkpoints of a partition.
pub(crate) async fn list(store: &Store, log: LogId, partition: PartitionId) -> Result<Listing, StoreError> {
    let found = objects(store, &keys::of_partition(log, partition)).await?;
    let mut listing = Listing::default();
    let looked = stream::iter(found.iter().rev()).map(|(at, objects)| async move {
        let place = Place { log, partition, at: *at };
        let looked = if objects.has_manifest() { look(store, &place, objects).await } else { Ok(None) };
        (*at, looked)
    });
    let mut looked = std::pin::pin!(looked.buffered(READ_AT_ONCE));
    while let Some((at, looked)) = looked.next().await {
        match looked {
            Ok(Some(archived)) => listing.whole.push(archived),
            Ok(None) => listing.torn.push(at),
            Err(error) if error.is_damage() => listing.damaged.push((at, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(listing)
}

async fn look(store: &Store, place: &Place, objects: &Objects) -> Result<Option<Archived>, StoreError> {
    let Some((manifest, hash)) = read_manifest(store, place).await? else { return Ok(None) };
    for chunk in manifest.chunks.iter().filter(|chunk| !objects.has(chunk)) {
        // The description may be younger than the listing.
        let found = store.head(&place.object(&chunk.name)).await;
        if !found.is_ok_and(|meta| meta.size == chunk.bytes) {
            let what = format!("its chunk {} is missing or has another length", chunk.name);
            return Err(StoreError::Damaged(what));
        }
    }
    Ok(Some(manifest.archived(objects.0.contains_key(&keys::verified_name(&hash)))))
}

/// The description of a checkpoint, and its hash. `None` if there is none.
pub(crate) async fn read_manifest(
    store: &Store,
    place: &Place,
) -> Result<Option<(Manifest, Hash)>, StoreError> {
    let bytes = get(store, &place.manifest(), "reading a description").await?;
    bytes.map(|bytes| Manifest::read(&bytes, place)).transpose()
}

/// Drops all objects of a checkpoint, the description first: without it the rest is nothing.
pub(crate) async fn drop_all(store: &Store, place: &Place) -> Result<(), StoreError> {
    let listed =
        store.list(Some(&place.path())).map_ok(|meta| meta.location).try_collect::<Vec<Path>>().await;
    let mut keys = listed.map_err(|error| failed("listing a checkpoint", error))?;
    keys.sort_by_key(|key| !key.filename().is_some_and(keys::is_manifest));
    for key in &keys {
        match store.delete(key).await {
            // Somebody else drops it too.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed("dropping a checkpoint", error)),
        }
    }
    Ok(())
}

/// Where something without a description has not been written to for so long.
pub(crate) async fn torn(
    store: &Store,
    log: LogId,
    partition: PartitionId,
    untouched: Duration,
) -> Result<Vec<Place>, StoreError> {
    let found = objects(store, &keys::of_partition(log, partition)).await?;
    let before = SystemTime::now().checked_sub(untouched).unwrap_or(UNIX_EPOCH);
    let is_old = |objects: &Objects| objects.0.values().all(|(_, written)| *written <= before);
    let torn = found.into_iter().filter(|(_, objects)| !objects.has_manifest() && is_old(objects));
    Ok(torn.map(|(at, _)| Place { log, partition, at }).collect())
}

/// What comes next in keys that begin with this.
pub(crate) async fn below(store: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Vec<Path>, StoreError> {
    let listed = store.list_with_delimiter(prefix).await;
    Ok(listed.map_err(|error| failed("listing an archive", error))?.common_prefixes)
}
