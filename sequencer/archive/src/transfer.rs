//! Pages on their way to the store and back: several chunks at once, and never more than a few in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use holdfast_engine::StoreError;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinError;

use crate::chunk::Filled;
use crate::keys::{self, Place};
use crate::manifest::{Chunk, Hash, Manifest};

/// Chunks that are sent or fetched at once.
const UNDER_WAY: usize = 4;
/// Chunks that wait for the one who packs or unpacks.
pub(crate) const WAITING: usize = 1;

pub(crate) type Store = Arc<dyn ObjectStore>;

/// Sends chunks as they come, and describes them in their order.
pub(crate) async fn send(
    store: Store,
    place: Place,
    filled: Receiver<Filled>,
) -> Result<Vec<Chunk>, StoreError> {
    let chunks =
        stream::unfold(filled, |mut filled| async { filled.recv().await.map(|chunk| (chunk, filled)) });
    chunks
        .enumerate()
        .map(|(number, chunk)| {
            // On a task of its own it is hashed and written beside the others.
            let task = tokio::spawn(send_one(Arc::clone(&store), place, number, chunk));
            async { task.await.map_err(ended)? }
        })
        .buffered(UNDER_WAY)
        .try_collect()
        .await
}

async fn send_one(store: Store, place: Place, number: usize, filled: Filled) -> Result<Chunk, StoreError> {
    let hash = Hash::of(&filled.bytes);
    let chunk = Chunk {
        name: keys::chunk_name(number, &hash),
        hash,
        bytes: filled.bytes.len() as u64,
        pages: filled.pages,
    };
    let sent = store.put(&place.object(&chunk.name), filled.bytes.into()).await;
    sent.map_err(|error| failed("writing pages", error))?;
    Ok(chunk)
}

/// Fetches the chunks of a checkpoint in their order, makes sure that they are what was shipped, and hands them on until
/// nobody wants more.
pub(crate) async fn fetch(store: Store, manifest: Manifest, wanted: Sender<Result<Bytes, StoreError>>) {
    let place = manifest.place();
    let chunks = stream::iter(manifest.chunks).map(|chunk| {
        let task = tokio::spawn(fetch_one(Arc::clone(&store), place, chunk));
        async { task.await.map_err(ended)? }
    });
    let mut chunks = std::pin::pin!(chunks.buffered(UNDER_WAY));
    while let Some(chunk) = chunks.next().await {
        let failed = chunk.is_err();
        if wanted.send(chunk).await.is_err() || failed {
            return;
        }
    }
}

async fn fetch_one(store: Store, place: Place, chunk: Chunk) -> Result<Bytes, StoreError> {
    let Some(bytes) = get(&store, &place.object(&chunk.name), "reading pages").await? else {
        return Err(StoreError::Damaged(format!("its chunk {} is missing", chunk.name)));
    };
    if bytes.len() as u64 != chunk.bytes || Hash::of(&bytes) != chunk.hash {
        return Err(StoreError::Damaged(format!(
            "its chunk {} has other bytes than were shipped",
            chunk.name
        )));
    }
    Ok(bytes)
}

/// The bytes of an object. `None` if it is not there.
pub(crate) async fn get(
    store: &Store,
    key: &object_store::path::Path,
    doing: &'static str,
) -> Result<Option<Bytes>, StoreError> {
    let found = match store.get(key).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(failed(doing, error)),
    }
}

pub(crate) fn failed(doing: &'static str, error: Error) -> StoreError {
    StoreError::Archive { doing, source: Arc::new(error) }
}

/// A task panicked.
pub(crate) fn ended(error: JoinError) -> StoreError {
    StoreError::Archive { doing: "running its tasks", source: Arc::new(error) }
}
