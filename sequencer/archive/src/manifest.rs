//! The description of a checkpoint: a line with its hash, then JSON for people and programs.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_contracts::{Chain, Digest, LogId, LogTime, Offset, OutSeq, PartitionId};
use holdfast_engine::{Anchor, Archived, StoreError};
use serde::{Deserialize, Serialize};

use crate::keys::Place;

/// Layout of description and chunks.
const FORMAT: u32 = 1;
/// What the first line begins with.
const TITLE: &str = "holdfast-checkpoint ";

/// A BLAKE3 hash, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_str(&text).map(|hash| Self(*hash.as_bytes()))
    }
}

/// One object with pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) name: String,
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
    pub(crate) pages: u64,
}

/// All there is to know about a checkpoint beside its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) partition: PartitionId,
    pub(crate) anchor: Anchor,
    pub(crate) shipped_at: SystemTime,
    /// Bytes of all pages.
    pub(crate) bytes: u64,
    pub(crate) chunks: Vec<Chunk>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    log_id: String,
    partition: u32,
    partitions: u32,
    next_offset: u64,
    last_record: Option<String>,
    out_seq: u64,
    out_offset: u64,
    chain: String,
    log_time_ms: u64,
    digest: String,
    shipped_at_ms: u64,
    bytes: u64,
    chunks: Vec<Chunk>,
}

/// What is looked at first: a later format may have changed everything else.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    pub(crate) fn place(&self) -> Place {
        Place { log: self.anchor.log_id, partition: self.partition, at: self.anchor.next_offset }
    }

    pub(crate) fn archived(&self, verified: bool) -> Archived {
        Archived { anchor: self.anchor.clone(), bytes: self.bytes, shipped_at: self.shipped_at, verified }
    }

    /// Its bytes.
    pub(crate) fn write(&self) -> Vec<u8> {
        let anchor = &self.anchor;
        let since = self.shipped_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = Written {
            format: FORMAT,
            log_id: anchor.log_id.to_string(),
            partition: self.partition.0,
            partitions: anchor.partitions,
            next_offset: anchor.next_offset.0,
            last_record: anchor.last_record.map(|hash| Chain(hash).to_string()),
            out_seq: anchor.out_seq.0,
            out_offset: anchor.out_offset.0,
            chain: anchor.chain.to_string(),
            log_time_ms: anchor.log_time.0,
            digest: anchor.digest.to_string(),
            shipped_at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            bytes: self.bytes,
            chunks: self.chunks.clone(),
        };
        let json = serde_json::to_vec_pretty(&written).expect("strings and numbers can always be written");
        let mut bytes = format!("{TITLE}{}\n", Hash::of(&json)).into_bytes();
        bytes.extend_from_slice(&json);
        bytes
    }

    /// Reads it, and makes sure that it is what was written and lies where it belongs. Also gives its hash.
    pub(crate) fn read(bytes: &[u8], place: &Place) -> Result<(Self, Hash), StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("its description {what}"));
        let line = bytes.iter().position(|it| *it == b'\n').ok_or_else(|| damaged("has no first line"))?;
        let (line, json) = (&bytes[..line], &bytes[line + 1..]);
        let hash = Hash::of(json);
        if line != format!("{TITLE}{hash}").as_bytes() {
            return Err(damaged("has other bytes than were written"));
        }
        let format: Format = serde_json::from_slice(json).map_err(|_| damaged("names no format"))?;
        if format.format != FORMAT {
            return Err(damaged(&format!(
                "has format {}, this version reads format {FORMAT}",
                format.format
            )));
        }
        let written = serde_json::from_slice(json).map_err(|error| damaged(&format!("says {error}")))?;
        let manifest = Self::of(written).ok_or_else(|| damaged("has a field that is no number"))?;
        let found = manifest.place();
        if found != *place {
            return Err(damaged(&format!(
                "is of log {}, partition {}, offset {}, and lies where log {}, partition {}, offset {} belongs",
                found.log, found.partition, found.at, place.log, place.partition, place.at
            )));
        }
        Ok((manifest, hash))
    }

    fn of(written: Written) -> Option<Self> {
        let last_record = match written.last_record {
            Some(hash) => Some(hash.parse::<Chain>().ok()?.0),
            None => None,
        };
        let anchor = Anchor {
            log_id: written.log_id.parse::<LogId>().ok()?,
            partitions: written.partitions,
            next_offset: Offset(written.next_offset),
            last_record,
            out_seq: OutSeq(written.out_seq),
            out_offset: Offset(written.out_offset),
            chain: written.chain.parse().ok()?,
            log_time: LogTime(written.log_time_ms),
            digest: Digest(u128::from_str_radix(&written.digest, 16).ok()?),
        };
        Some(Self {
            partition: PartitionId(written.partition),
            anchor,
            shipped_at: UNIX_EPOCH.checked_add(Duration::from_millis(written.shipped_at_ms))?,
            bytes: written.bytes,
            chunks: written.chunks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let anchor = Anchor {
            log_id: LogId([1; 16]),
            partitions: 4,
            next_offset: Offset(77),
            last_record: Some([2; 16]),
            out_seq: OutSeq(70),
            out_offset: Offset(71),
            chain: Chain([3; 16]),
            log_time: LogTime(1_700_000_000_000),
            digest: Digest(u128::MAX - 5),
        };
        let chunk = Chunk { name: "00000-ab.pages".to_owned(), hash: Hash::of(b"x"), bytes: 1, pages: 1 };
        Manifest {
            partition: PartitionId(3),
            anchor,
            shipped_at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            bytes: 1 << 60,
            chunks: vec![chunk],
        }
    }

    #[test]
    fn a_description_reads_back_what_was_written() {
        let manifest = manifest();
        let read = Manifest::read(&manifest.write(), &manifest.place()).expect("our own");
        assert_eq!(read.0, manifest);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let manifest = manifest();
        let bytes = manifest.write();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let read = Manifest::read(&changed, &manifest.place());
            assert!(matches!(read, Err(StoreError::Damaged(_))), "byte {at}: {read:?}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::read(&bytes[..len], &manifest.place()).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_description_in_another_place_is_refused_with_the_reason() {
        let manifest = manifest();
        let place = Place { partition: PartitionId(2), ..manifest.place() };
        let refused = Manifest::read(&manifest.write(), &place).expect_err("it is another partition's");
        assert!(refused.to_string().contains("partition 3"), "{refused}");
    }

    #[test]
    fn a_later_format_is_named() {
        let json = br#"{"format": 2, "everything": "else"}"#;
        let mut bytes = format!("{TITLE}{}\n", Hash::of(json)).into_bytes();
        bytes.extend_from_slice(json);
        let refused = Manifest::read(&bytes, &manifest().place()).expect_err("it is of a later format");
        assert!(refused.to_string().contains("format 2"), "{refused}");
    }
}
