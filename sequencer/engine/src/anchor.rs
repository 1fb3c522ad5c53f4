//! What ties a checkpoint to the log it was made from.

use holdfast_contracts::{Chain, Digest, LogId, LogTime, Offset, OutSeq};
use holdfast_log::Record;
use serde::{Deserialize, Serialize};

/// Where in which log a checkpoint stands. Written in the same batch as the state itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The log.
    pub log_id: LogId,
    /// Partitions of the log.
    pub partitions: u32,
    /// The first command record that is not in the state.
    pub next_offset: Offset,
    /// Hash of the last command record that is, if there is one. The log must still have the same record there.
    pub last_record: Option<[u8; 16]>,
    /// Number of the last output record.
    pub out_seq: OutSeq,
    /// Whoever reads the decisions log from this offset on sees every output after that one. All up to it are durable.
    pub out_offset: Offset,
    /// Chain of the last output record.
    pub chain: Chain,
    /// Log time.
    pub log_time: LogTime,
    /// Digest of the state.
    pub digest: Digest,
}

/// Layout of a written anchor.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    log_id: [u8; 16],
    partitions: u32,
    next_offset: u64,
    last_record: Option<[u8; 16]>,
    out_seq: u64,
    out_offset: u64,
    chain: [u8; 16],
    log_time: u64,
    digest: u128,
}

impl Anchor {
    /// The anchor of a state that has seen nothing of a log.
    #[must_use]
    pub fn beginning(log_id: LogId, partitions: u32) -> Self {
        Self {
            log_id,
            partitions,
            next_offset: Offset(0),
            last_record: None,
            out_seq: OutSeq(0),
            out_offset: Offset(0),
            chain: Chain::default(),
            log_time: LogTime(0),
            digest: Digest::default(),
        }
    }

    /// Its bytes, to be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let written = Written {
            format: FORMAT,
            log_id: self.log_id.0,
            partitions: self.partitions,
            next_offset: self.next_offset.0,
            last_record: self.last_record,
            out_seq: self.out_seq.0,
            out_offset: self.out_offset.0,
            chain: self.chain.0,
            log_time: self.log_time.0,
            digest: self.digest.0,
        };
        postcard::to_stdvec(&written).expect("writing to a vector does not fail")
    }

    /// The anchor in stored bytes; `None` if they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written = postcard::from_bytes(bytes).ok()?;
        (written.format == FORMAT).then_some(Self {
            log_id: LogId(written.log_id),
            partitions: written.partitions,
            next_offset: Offset(written.next_offset),
            last_record: written.last_record,
            out_seq: OutSeq(written.out_seq),
            out_offset: Offset(written.out_offset),
            chain: Chain(written.chain),
            log_time: LogTime(written.log_time),
            digest: Digest(written.digest),
        })
    }
}

/// Hash over a record as it is in the log: its place, its time and its bytes.
#[must_use]
pub fn record_hash(record: &Record) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record.offset.0.to_le_bytes());
    hasher.update(&record.append_time.0.to_le_bytes());
    hasher.update(&record.payload);
    first_half(&hasher)
}

/// The chain after a record whose bytes, as far as the chain covers them, are `body`.
pub(crate) fn next_chain(before: Chain, body: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0);
    hasher.update(body);
    Chain(first_half(&hasher))
}

/// Hash over the bytes of an output record.
pub(crate) fn payload_hash(payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(payload);
    first_half(&hasher)
}

fn first_half(hasher: &blake3::Hasher) -> [u8; 16] {
    let (half, _) = hasher.finalize().as_bytes().split_first_chunk().map_or(([0; 16], ()), |(h, _)| (*h, ()));
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_back_what_was_written() {
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
        assert_eq!(Anchor::from_bytes(&anchor.to_bytes()), Some(anchor));
        assert_eq!(Anchor::from_bytes(&[1, 2, 3]), None);
    }
}
