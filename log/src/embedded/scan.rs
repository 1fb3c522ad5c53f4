//! Going through the frames of a segment, and telling a torn tail from damage.

use std::io;

use bytes::Bytes;
use holdfast_contracts::LogId;

use super::{
    disk::DiskFile,
    frame::{self, FRAME_ALIGN, HEADER_BYTES, Header, Place, Seed, Subject},
    index::Index,
    segment::StreamPoint,
};
use crate::layout::Layout;

/// How much is read from a file at a time. Small enough to stay in the second-level cache while it is checked.
const CHUNK_BYTES: usize = 512 << 10;

/// Reads the frames of one segment in order, checking their CRCs.
pub(super) struct Scan<'a> {
    file: &'a dyn DiskFile,
    seed: Seed,
    /// Nothing from here on belongs to a frame.
    end: u32,
    /// Where the next frame begins.
    position: u32,
    chunk_bytes: usize,
    buffer: Bytes,
    buffer_at: u32,
}

/// A frame that is as it was written.
pub(super) struct Frame {
    pub(super) position: u32,
    pub(super) header: Header,
    /// All of it, padding included. It shares the memory that was read.
    pub(super) bytes: Bytes,
}

impl Frame {
    /// The payload, without a copy.
    pub(super) fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..HEADER_BYTES + self.header.payload_bytes as usize)
    }
}

impl<'a> Scan<'a> {
    /// A scan of the frames of segment `number` from `position` to `end`.
    pub(super) fn new(file: &'a dyn DiskFile, seed: Seed, position: u32, end: u32) -> Self {
        let buffer = Bytes::new();
        Self { file, seed, end, position, chunk_bytes: CHUNK_BYTES, buffer, buffer_at: position }
    }

    /// The same scan, but only up to `end`.
    pub(super) fn until(self, end: u32) -> Self {
        Self { end, ..self }
    }

    /// Reads less at a time, for a reader who wants little.
    pub(super) fn with_chunks_of(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes.clamp(HEADER_BYTES, CHUNK_BYTES);
        self
    }

    /// Where the next frame begins.
    pub(super) fn position(&self) -> u32 {
        self.position
    }

    /// The next frame; `None` if what stands there is not a whole frame.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        let Some(header) = frame::peek(self.ahead(HEADER_BYTES)?) else {
            return Ok(None);
        };
        let (bytes, seed) = (header.frame_bytes(), self.seed);
        let frame = self.ahead(bytes)?;
        if frame.len() < bytes || !frame::is_whole(frame, &header, seed) {
            return Ok(None);
        }
        let start = (self.position - self.buffer_at) as usize;
        let frame = Frame { position: self.position, header, bytes: self.buffer.slice(start..start + bytes) };
        self.position += u32::try_from(bytes).expect("a frame is at most some megabytes");
        Ok(Some(frame))
    }

    /// At least `bytes` bytes from the position on; less only at the end.
    fn ahead(&mut self, bytes: usize) -> io::Result<&[u8]> {
        let start = (self.position - self.buffer_at) as usize;
        let left = (self.end - self.position) as usize;
        if self.buffer.len().saturating_sub(start) < bytes.min(left) {
            self.refill(bytes.max(self.chunk_bytes).min(left))?;
        }
        Ok(&self.buffer[(self.position - self.buffer_at) as usize..])
    }

    fn refill(&mut self, bytes: usize) -> io::Result<()> {
        let old = std::mem::take(&mut self.buffer);
        // The memory is used again unless somebody kept a record in it.
        let mut buffer = if old.is_unique() { Vec::from(old) } else { Vec::new() };
        buffer.clear();
        buffer.reserve_exact(bytes);
        self.file.read_at(u64::from(self.position), &mut buffer)?;
        // The capacity may be larger than asked for.
        buffer.truncate((self.end - self.position) as usize);
        self.buffer = buffer.into();
        self.buffer_at = self.position;
        Ok(())
    }
}

/// What does not add up in a frame that is whole.
pub(super) type Discontinuity = &'static str;

impl StreamPoint {
    /// Checks that a whole record frame continues its stream here, and moves past it.
    pub(super) fn pass(&mut self, frame: &Frame) -> Result<(), Discontinuity> {
        let Subject { offset, append_time, .. } = frame.header.subject;
        if offset != self.next {
            return Err("the record's offset does not continue its stream");
        }
        if append_time < self.last_time {
            return Err("the record's append time lies before that of the record before it");
        }
        if frame::expected_chain(&frame.bytes, &frame.header, self.chain) != frame.header.chain {
            return Err("the record does not continue the hash chain of its stream");
        }
        *self = Self { next: offset.next(), last_time: append_time, chain: frame.header.chain };
        Ok(())
    }
}

/// What was found in a segment, read from its start to its end or to the first thing that is not a whole frame.
pub(super) struct Checked {
    /// How far the streams have come.
    pub(super) points: Vec<StreamPoint>,
    /// Where the whole frames end.
    pub(super) end: u32,
    /// The highest claim among them.
    pub(super) claim: Option<Place>,
    pub(super) index: Index,
}

/// Why a segment could not be checked.
pub(super) enum CheckError {
    /// A whole frame that cannot have been written there.
    Discontinuous {
        position: u32,
        what: Discontinuity,
    },
    Io(io::Error),
}

impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a segment and checks everything: CRCs, offsets, times and chains.
pub(super) fn check(
    mut scan: Scan<'_>,
    layout: &Layout,
    start: &[StreamPoint],
) -> Result<Checked, CheckError> {
    let mut points = start.to_vec();
    let mut claim = None;
    let mut index = Index::growing(points.len());
    while let Some(frame) = scan.next()? {
        let position = frame.position;
        let discontinuous = |what| CheckError::Discontinuous { position, what };
        claim = claim.max(Some(frame.header.claim));
        let Subject { stream, offset, .. } = frame.header.subject;
        let nr = layout.index(stream).ok_or_else(|| discontinuous("the record's stream does not exist"))?;
        index.note(nr, offset, position, points[nr].chain);
        points[nr].pass(&frame).map_err(discontinuous)?;
    }
    Ok(Checked { points, end: scan.position(), claim, index })
}

/// What stands in a segment from its first hole on.
pub(super) struct Rest {
    hole: Place,
    /// Without the zeros at the end, but with as many as may belong to a frame.
    bytes: Vec<u8>,
    dirty_bytes: usize,
}

impl Rest {
    /// Reads what stands from `hole` to `end`.
    pub(super) fn read(file: &dyn DiskFile, hole: Place, end: u32) -> io::Result<Self> {
        let length = (end - hole.position) as usize;
        let mut bytes = Vec::new();
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut read = 0;
        while read < length {
            chunk.clear();
            file.read_at(u64::from(hole.position) + read as u64, &mut chunk)?;
            chunk.truncate(length - read);
            if chunk.is_empty() {
                break;
            }
            // Nearly all of it is zeros, which need not be kept.
            if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
                bytes.resize(read, 0);
                bytes.extend_from_slice(&chunk[..=last]);
            }
            read += chunk.len();
        }
        let dirty_bytes = bytes.len();
        if dirty_bytes > 0 {
            bytes.resize(length.min(dirty_bytes + frame::frame_bytes(frame::PAYLOAD_BYTES_MAX)), 0);
        }
        Ok(Self { hole, bytes, dirty_bytes })
    }

    /// Looks for a whole frame that claims the hole was flushed before the frame was written.
    ///
    /// Frames of the group that was under way when the machine stopped may well be whole after a hole, for a disk
    /// writes in any order. Such frames claim no more than the flush before that group, which is before the hole.
    pub(super) fn proof_of_damage(&self, log_id: LogId) -> Option<u32> {
        let seed = Seed::new(log_id, self.hole.segment);
        let is_proof = |rest: &[u8]| {
            // The claim is looked at first, because zeros are by far the most frequent thing to find.
            frame::claim_of(rest).is_some_and(|claim| claim > self.hole)
                && frame::peek(rest).is_some_and(|header| {
                    header.frame_bytes() <= rest.len() && frame::is_whole(rest, &header, seed)
                })
        };
        let start =
            (0..self.bytes.len()).step_by(FRAME_ALIGN).find(|&start| is_proof(&self.bytes[start..]))?;
        Some(self.hole.position + u32::try_from(start).expect("inside the segment"))
    }

    /// From here on everything is zero, counted from the hole.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }
}

#[cfg(test)]
mod tests {
    use holdfast_contracts::{Chain, LogTime, Offset, PartitionId};

    use super::*;
    use crate::{
        embedded::disk::{Access, Disk, simulated::SimDisk},
        port::StreamId,
    };

    const LOG: LogId = LogId([3; 16]);

    /// A file with a hole at 96, and a frame at `position` that claims everything before `claim` was flushed.
    fn rest(position: u32, claim: u32, payload: &[u8]) -> Rest {
        let subject = Subject {
            stream: StreamId::inventory_commands(PartitionId(0)),
            offset: Offset(0),
            append_time: LogTime(0),
        };
        let claim = Place { segment: 1, position: claim };
        let mut frame = Vec::new();
        frame::encode(&mut frame, Seed::new(LOG, 1), claim, subject, payload, &mut Chain::default());
        let mut bytes = vec![0; 3 << 20];
        bytes[position as usize..][..frame.len()].copy_from_slice(&frame);
        let disk = SimDisk::default();
        disk.set_bytes("a", bytes);
        let file = disk.open("a", Access::Read).unwrap();
        Rest::read(&*file, Place { segment: 1, position: 96 }, 3 << 20).unwrap()
    }

    #[test]
    fn a_later_frame_proves_damage_only_if_it_claims_the_hole() {
        for position in [104, 4096, (2 << 20) + 8, (3 << 20) - 72] {
            // Whatever ends in zeros is easily taken for shorter than it is.
            for payload in [&b"payload"[..], &[0; 20]] {
                let found = rest(position, 97, payload).proof_of_damage(LOG);
                assert_eq!(found, Some(position));
                assert_eq!(rest(position, 96, payload).proof_of_damage(LOG), None);
                assert_eq!(rest(position, 97, payload).proof_of_damage(LogId([4; 16])), None);
            }
        }
    }

    #[test]
    fn everything_after_the_dirty_bytes_is_zero() {
        assert_eq!(rest(4096, 97, b"12345678").dirty_bytes(), 4096 + 48 + 8 - 96);
    }
}
