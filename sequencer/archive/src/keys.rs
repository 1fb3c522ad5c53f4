//! Names of objects.

use holdfast_contracts::{LogId, Offset, PartitionId};
use object_store::path::Path;

use crate::manifest::Hash;

/// What describes a checkpoint.
const MANIFEST: &str = "checkpoint.json";
/// Who begins a name with this has read the checkpoint back.
const VERIFIED: &str = "verified-";
/// Digits of a hash in a name: enough to tell objects apart, the description has all of it.
const HASH_DIGITS: usize = 16;

/// Where all checkpoints of a log are.
pub(crate) fn of_log(log: LogId) -> Path {
    Path::from(log.to_string())
}

/// Where all checkpoints of a partition are.
pub(crate) fn of_partition(log: LogId, partition: PartitionId) -> Path {
    of_log(log).join(format!("{:05}", partition.0))
}

/// The place of one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) log: LogId,
    pub(crate) partition: PartitionId,
    pub(crate) at: Offset,
}

impl Place {
    pub(crate) fn path(&self) -> Path {
        of_partition(self.log, self.partition).join(format!("{:020}", self.at.0))
    }

    pub(crate) fn manifest(&self) -> Path {
        self.path().join(MANIFEST)
    }

    /// The mark that pages were read back as the description with this hash has them.
    pub(crate) fn verified(&self, manifest: &Hash) -> Path {
        self.path().join(verified_name(manifest))
    }

    pub(crate) fn object(&self, name: &str) -> Path {
        self.path().join(name)
    }
}

/// The name of a chunk. Two processes that ship the same offset do not write over each other's chunks unless these are the
/// same.
pub(crate) fn chunk_name(number: usize, hash: &Hash) -> String {
    format!("{number:05}-{}.pages", &hash.to_string()[..HASH_DIGITS])
}

pub(crate) fn verified_name(manifest: &Hash) -> String {
    format!("{VERIFIED}{}", &manifest.to_string()[..HASH_DIGITS])
}

pub(crate) fn is_manifest(name: &str) -> bool {
    name == MANIFEST
}

/// The offset and the name in the key of an object of a partition; `None` if it is none of ours.
pub(crate) fn offset_and_name<'a>(partition: &Path, key: &'a Path) -> Option<(Offset, &'a str)> {
    let rest = key.as_ref().strip_prefix(partition.as_ref())?.strip_prefix('/')?;
    let (at, name) = rest.split_once('/')?;
    let at = (at.len() == 20).then(|| at.parse().ok())??;
    Some((Offset(at), name))
}

/// The partition in the last part of a key; `None` if it is none of ours.
pub(crate) fn partition_of(key: &Path) -> Option<PartitionId> {
    let name = key.filename()?;
    (name.len() == 5).then(|| name.parse().ok())?.map(PartitionId)
}

/// The log in the last part of a key; `None` if it is none of ours.
pub(crate) fn log_of(key: &Path) -> Option<LogId> {
    key.filename()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_where_its_checkpoint_stands() {
        let place = Place { log: LogId([0xab; 16]), partition: PartitionId(7), at: Offset(12_345) };
        let of_partition = of_partition(place.log, place.partition);
        assert_eq!(
            place.manifest().as_ref(),
            "abababababababababababababababab/00007/00000000000000012345/checkpoint.json"
        );
        assert_eq!(
            offset_and_name(&of_partition, &place.manifest()),
            Some((Offset(12_345), "checkpoint.json"))
        );
        assert_eq!(
            (log_of(&of_log(place.log)), partition_of(&of_partition)),
            (Some(place.log), Some(place.partition))
        );
        for foreign in
            ["abababababababababababababababab/00007/notes.txt", "abababababababababababababababab/00070/1/x"]
        {
            assert_eq!(offset_and_name(&of_partition, &Path::from(foreign)), None);
        }
    }
}
