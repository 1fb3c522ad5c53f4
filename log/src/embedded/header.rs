//! The header of a segment file: which log and segment it is, and how far every stream had come when it was begun.

use std::io;

use holdfast_contracts::{Chain, LogId, LogTime, Offset};

use super::{
    disk::DiskFile,
    manifest,
    segment::{PAGE_BYTES, StreamPoint},
};
use crate::layout::Layout;

const MAGIC: [u8; 8] = *b"HFLOGSEG";
const FIXED_BYTES: usize = 48;
const POINT_BYTES: usize = 32;
const CRC_BYTES: usize = 4;

/// What a segment says about itself and about everything before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) log_id: LogId,
    pub(super) number: u32,
    /// Where the frames of the segment before end; 0 in the first segment.
    pub(super) previous_end: u32,
    /// How far every stream had come when the segment was begun.
    pub(super) points: Vec<StreamPoint>,
}

/// What stands where a segment's header should be.
#[derive(Debug)]
pub(super) enum HeaderFound {
    /// Zeros: the segment was prepared and not begun.
    Blank,
    /// A header.
    Header(SegmentHeader),
    /// A header of a format this program does not know.
    Format(u32),
    /// Something else.
    Damaged,
}

/// Bytes of the header, a whole number of pages. The first frame comes after it.
pub(super) fn header_bytes(layout: &Layout) -> u32 {
    let bytes = FIXED_BYTES + layout.stream_count() * POINT_BYTES + CRC_BYTES;
    u32::try_from(bytes).expect("a log has some thousand streams at most").next_multiple_of(PAGE_BYTES)
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let bytes = FIXED_BYTES + self.points.len() * POINT_BYTES + CRC_BYTES;
        let bytes = bytes.next_multiple_of(PAGE_BYTES as usize);
        let small =
            |n: usize| u32::try_from(n).expect("a log has some thousand streams at most").to_le_bytes();
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&manifest::FORMAT.to_le_bytes());
        out.extend_from_slice(&small(bytes));
        out.extend_from_slice(&self.log_id.0);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.previous_end.to_le_bytes());
        out.extend_from_slice(&small(self.points.len()));
        out.resize(FIXED_BYTES, 0);
        for point in &self.points {
            out.extend_from_slice(&point.next.0.to_le_bytes());
            out.extend_from_slice(&point.last_time.0.to_le_bytes());
            out.extend_from_slice(&point.chain.0);
        }
        out.resize(bytes - CRC_BYTES, 0);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads what is at the start of a segment file. The CRC does not depend on the log, so that a segment of
    /// another log is recognised as one.
    pub(super) fn read(file: &dyn DiskFile, layout: &Layout) -> io::Result<HeaderFound> {
        let expected = header_bytes(layout) as usize;
        let mut bytes = Vec::with_capacity(expected);
        file.read_at(0, &mut bytes)?;
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(HeaderFound::Blank);
        }
        if bytes.len() < FIXED_BYTES || bytes[..8] != MAGIC {
            return Ok(HeaderFound::Damaged);
        }
        let number = |bytes: &[u8], at: usize| {
            u32::from_le_bytes(*bytes[at..].first_chunk().expect("the fixed fields are there"))
        };
        let stored = number(&bytes, 12) as usize;
        // Another log may have more streams and so a longer header; it is read as long as it says it is.
        if stored != bytes.len() && stored <= 1 << 20 {
            bytes = Vec::with_capacity(stored);
            file.read_at(0, &mut bytes)?;
            bytes.truncate(stored);
        }
        Ok(Self::decode(&bytes, number))
    }

    fn decode(bytes: &[u8], number: impl Fn(&[u8], usize) -> u32) -> HeaderFound {
        let Some((covered, crc)) = bytes.split_last_chunk::<CRC_BYTES>() else {
            return HeaderFound::Damaged;
        };
        let streams = if covered.len() < FIXED_BYTES { usize::MAX } else { number(covered, 40) as usize };
        let points_end = streams.saturating_mul(POINT_BYTES).saturating_add(FIXED_BYTES);
        if crc32c::crc32c(covered).to_le_bytes() != *crc || points_end > covered.len() {
            return HeaderFound::Damaged;
        }
        let format = number(covered, 8);
        if format != manifest::FORMAT {
            return HeaderFound::Format(format);
        }
        let long = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().expect("a point has 32 bytes"));
        let points = covered[FIXED_BYTES..points_end].chunks_exact(POINT_BYTES).map(|point| StreamPoint {
            next: Offset(long(point)),
            last_time: LogTime(long(&point[8..])),
            chain: Chain(*point[16..].first_chunk().expect("a point has 32 bytes")),
        });
        HeaderFound::Header(Self {
            log_id: LogId(*covered[16..].first_chunk().expect("the fixed fields are there")),
            number: number(covered, 32),
            previous_end: number(covered, 36),
            points: points.collect(),
        })
    }
}
