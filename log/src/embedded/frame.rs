//! A record as bytes in a segment: what surrounds the payload, and how damage to any of it is noticed.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | CRC-32C of the log id, the segment number, and everything from byte 4 to the end of the padding |
//! | 4..8 | payload length |
//! | 8..16 | the claim: up to where the log was flushed when this frame was written (segment, position) |
//! | 16..32 | the chain: a hash over the stream up to and including this record |
//! | 32..40 | stream (16 bits) and append time (48 bits) |
//! | 40..48 | offset |
//! | 48.. | payload, padded with zeros to a multiple of 8 |
//!
//! The CRC starts from the log id and the segment number, so a frame from elsewhere never passes, even when
//! somebody chose its bytes and copied it into a payload. The claim is what tells a damaged log from a torn tail: a
//! frame that says "byte 5000 was flushed before I was written" proves that a hole at byte 5000 is damage. The
//! chain notices what a CRC per frame cannot: frames that are whole but lost, doubled or from another history.

use holdfast_contracts::{Chain, LogId, LogTime, Offset, PartitionId, limits};
use twox_hash::XxHash3_128;

use crate::port::{StreamId, Topic};

/// Bytes of a frame in front of its payload.
pub(super) const HEADER_BYTES: usize = 48;
/// Largest payload of any topic.
pub(super) const PAYLOAD_BYTES_MAX: usize = {
    let (mut max, mut nr) = (0, 0);
    while nr < Topic::ALL.len() {
        let bytes = Topic::ALL[nr].payload_bytes_max();
        max = if bytes > max { bytes } else { max };
        nr += 1;
    }
    max
};
/// Frames begin at multiples of this.
pub(super) const FRAME_ALIGN: usize = 8;

const PARTITION_BITS: u32 = 10;
const _: () = assert!(limits::PARTITIONS_MAX <= 1 << PARTITION_BITS, "the stream number has 10 bits for it");
const TIME_BITS: u32 = 48;

/// A byte of the log: which segment, and where in it. Later bytes compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) position: u32,
}

impl Place {
    pub(super) const START: Self = Self { segment: 0, position: 0 };

    fn pack(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.position)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    fn unpack(packed: u64) -> Self {
        Self { segment: (packed >> 32) as u32, position: packed as u32 }
    }
}

/// The start value of the CRC of every frame in one segment of one log.
#[derive(Clone, Copy)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(log_id: LogId, segment: u32) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(&log_id.0), &segment.to_le_bytes()))
    }

    pub(super) fn crc(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, bytes)
    }
}

/// Which record a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) stream: StreamId,
    pub(super) offset: Offset,
    pub(super) append_time: LogTime,
}

impl Subject {
    fn pack(self) -> (u64, u64) {
        let code = u64::from(self.stream.topic.code()) << PARTITION_BITS | u64::from(self.stream.partition.0);
        let time = self.append_time.0.min((1 << TIME_BITS) - 1);
        (time << 16 | code, self.offset.0)
    }

    fn unpack(stream_and_time: u64, offset: u64) -> Option<Self> {
        let code = stream_and_time & u64::from(u16::MAX);
        let topic = Topic::from_code(u8::try_from(code >> PARTITION_BITS).ok()?)?;
        let partition = PartitionId(u32::try_from(code & ((1 << PARTITION_BITS) - 1)).ok()?);
        let stream = StreamId { topic, partition };
        Some(Self { stream, offset: Offset(offset), append_time: LogTime(stream_and_time >> 16) })
    }
}

/// The fields in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_bytes: u32,
    pub(super) claim: Place,
    pub(super) chain: Chain,
    pub(super) subject: Subject,
}

impl Header {
    /// Bytes of the whole frame, padding included.
    pub(super) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }
}

/// Bytes of a frame around a payload of this size.
pub(super) fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(FRAME_ALIGN)
}

/// The chain of a stream before its first record. It holds the log's id, so no two logs share a history.
pub(super) fn genesis(log_id: LogId, stream: StreamId) -> Chain {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&log_id.0);
    let first = Subject { stream, offset: Offset(0), append_time: LogTime(0) };
    bytes[16..].copy_from_slice(&first.pack().0.to_le_bytes());
    Chain(XxHash3_128::oneshot(&bytes).to_le_bytes())
}

/// The chain after a frame: over the chain before it, and over stream, time, offset and payload.
fn chain_after(before: Chain, subject_and_payload: &[u8]) -> Chain {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&before.0);
    bytes[16..].copy_from_slice(&XxHash3_128::oneshot(subject_and_payload).to_le_bytes());
    Chain(XxHash3_128::oneshot(&bytes).to_le_bytes())
}

/// Writes a frame to the end of `out` and moves `chain` past it.
pub(super) fn encode(
    out: &mut Vec<u8>,
    seed: Seed,
    claim: Place,
    subject: Subject,
    payload: &[u8],
    chain: &mut Chain,
) {
    let start = out.len();
    let (stream_and_time, offset) = subject.pack();
    let length = u32::try_from(payload.len()).expect("a payload is at most some megabytes");
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&claim.pack().to_le_bytes());
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&stream_and_time.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(payload);
    *chain = chain_after(*chain, &out[start + 32..]);
    out[start + 16..start + 32].copy_from_slice(&chain.0);
    out.resize(start + frame_bytes(payload.len()), 0);
    let crc = seed.crc(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the fields at the start of `bytes` without checking the CRC. `None` if they cannot be those of a frame.
pub(super) fn peek(bytes: &[u8]) -> Option<Header> {
    let fields: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let number = |at: usize| u64::from_le_bytes(*fields[at..].first_chunk().expect("inside the header"));
    let payload_bytes = u32::from_le_bytes(*fields[4..].first_chunk().expect("inside the header"));
    let subject = Subject::unpack(number(32), number(40))?;
    if payload_bytes as usize > subject.stream.topic.payload_bytes_max() {
        return None;
    }
    let chain = Chain(*fields[16..].first_chunk().expect("inside the header"));
    Some(Header { payload_bytes, claim: Place::unpack(number(8)), chain, subject })
}

/// Only the claim of what may be a frame.
pub(super) fn claim_of(bytes: &[u8]) -> Option<Place> {
    Some(Place::unpack(u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?)))
}

/// True if `frame`, which begins with a frame of that header and holds all of it, is as it was written.
pub(super) fn is_whole(frame: &[u8], header: &Header, seed: Seed) -> bool {
    let stored = u32::from_le_bytes(*frame.first_chunk().expect("longer than a header"));
    stored == seed.crc(&frame[4..header.frame_bytes()])
}

/// The chain that a whole frame must carry when `before` came before it.
pub(super) fn expected_chain(frame: &[u8], header: &Header, before: Chain) -> Chain {
    chain_after(before, &frame[32..HEADER_BYTES + header.payload_bytes as usize])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: Seed = Seed(7);

    fn subject() -> impl Strategy<Value = Subject> {
        let record = (any::<bool>(), 0..limits::PARTITIONS_MAX, any::<u64>(), 0_u64..1 << TIME_BITS);
        record.prop_map(|(commands, partition, offset, time)| Subject {
            stream: StreamId {
                topic: if commands { Topic::InventoryCommands } else { Topic::InventoryDecisions },
                partition: PartitionId(partition),
            },
            offset: Offset(offset),
            append_time: LogTime(time),
        })
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_what_was_written(
            subject in subject(),
            payload in prop::collection::vec(any::<u8>(), 0..200),
            claim: (u32, u32),
            before: [u8; 16],
        ) {
            let claim = Place { segment: claim.0, position: claim.1 };
            let mut chain = Chain(before);
            let mut frame = Vec::new();
            encode(&mut frame, SEED, claim, subject, &payload, &mut chain);
            let header = peek(&frame).unwrap();
            prop_assert_eq!((header.subject, header.claim, header.chain), (subject, claim, chain));
            prop_assert_eq!(header.frame_bytes(), frame.len());
            prop_assert_eq!(&frame[HEADER_BYTES..HEADER_BYTES + payload.len()], &payload[..]);
            prop_assert!(is_whole(&frame, &header, SEED));
            prop_assert_eq!(expected_chain(&frame, &header, Chain(before)), chain);
            prop_assert!(!is_whole(&frame, &header, Seed(8)), "a frame of another segment passed");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let stream = StreamId::inventory_commands(PartitionId(3));
        let subject = Subject { stream, offset: Offset(9), append_time: LogTime(1_700_000_000_000) };
        let mut frame = Vec::new();
        let claim = Place { segment: 1, position: 4096 };
        encode(&mut frame, SEED, claim, subject, b"thirteen byte", &mut Chain([5; 16]));
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let passes = peek(&damaged).is_some_and(|header| {
                header.frame_bytes() <= damaged.len() && is_whole(&damaged, &header, SEED)
            });
            assert!(!passes, "bit {bit}");
        }
    }

    #[test]
    fn frames_of_other_logs_and_segments_do_not_pass() {
        let seed = |log, segment| Seed::new(LogId([log; 16]), segment).crc(b"the same bytes");
        assert_ne!(seed(1, 1), seed(1, 2));
        assert_ne!(seed(1, 1), seed(2, 1));
        assert_eq!(seed(1, 1), seed(1, 1));
    }

    #[test]
    fn later_bytes_of_the_log_compare_greater() {
        let place = |segment, position| Place { segment, position };
        assert!(place(1, 900) < place(2, 100));
        assert!(place(2, 100) < place(2, 101));
        assert_eq!(Place::unpack(place(3, 4).pack()), place(3, 4));
    }
}
