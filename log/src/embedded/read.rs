//! Reading records that have left memory.

use std::{io, sync::Arc};

use holdfast_contracts::{LogId, LogTime, Offset};

use super::{
    disk::{Access, Disk, DiskFile},
    frame::{Seed, Subject},
    header::header_bytes,
    index::IndexPoint,
    scan::{CheckError, Scan, check},
    segment::{Segment, Segments, StreamPoint, file_name},
    stream::Cursor,
    survey::{damage, sealed_index},
};
use crate::{
    layout::Layout,
    port::{Corruption, ReadError, Record, StreamId},
};

/// What a reader of segment files has to know about the log.
pub(super) struct Reader<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) log_id: LogId,
    pub(super) layout: &'a Layout,
    pub(super) segments: &'a Segments,
}

/// A request for records of one stream.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) stream: StreamId,
    pub(super) index: usize,
    pub(super) from: Offset,
    /// Records from here on are not asked for.
    pub(super) end: Offset,
    pub(super) bytes_max: usize,
}

impl Reader<'_> {
    /// Adds the wanted records that lie in one segment. Returns where to go on, if something was added.
    pub(super) fn read(
        &self,
        wanted: Wanted,
        cursor: Option<Cursor>,
        out: &mut Vec<Record>,
    ) -> Result<Option<Cursor>, ReadError> {
        let Some((segment, next)) = self.segments.holding(wanted.index, wanted.from) else {
            // It was trimmed since the caller looked.
            return Ok(None);
        };
        let file = match self.disk.open(&file_name(segment.number), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(io_error)?,
        };
        self.verify(&*file, &segment, next.as_deref())?;
        let point = match cursor {
            Some(cursor) if cursor.segment == segment.number => cursor.point,
            _ => self.seek(&segment, wanted),
        };
        let before = out.len();
        // Up to where this segment holds the stream.
        let end = next.map_or(wanted.end, |next| next.start[wanted.index].next.min(wanted.end));
        let result = self.read_segment(&*file, &segment, Wanted { end, ..wanted }, point, out);
        if result.is_err() {
            out.truncate(before);
        }
        result.map(Some)
    }

    fn seek(&self, segment: &Segment, wanted: Wanted) -> IndexPoint {
        let start = segment.start[wanted.index];
        segment.index().find(wanted.index, wanted.from).unwrap_or(IndexPoint {
            offset: start.next,
            position: header_bytes(self.layout),
            before: start.chain,
        })
    }

    fn read_segment(
        &self,
        file: &dyn DiskFile,
        segment: &Segment,
        wanted: Wanted,
        from: IndexPoint,
        out: &mut Vec<Record>,
    ) -> Result<Cursor, ReadError> {
        let seed = Seed::new(self.log_id, segment.number);
        let mut scan = Scan::new(file, seed, from.position, segment.end())
            .with_chunks_of(wanted.bytes_max.saturating_add(wanted.bytes_max / 4).max(64 << 10));
        // The last time is not known here; it was checked when the segment was verified.
        let mut point = StreamPoint { next: from.offset, last_time: LogTime(0), chain: from.before };
        let mut bytes = 0;
        let mut stopped_at = from.position;
        while point.next < wanted.end {
            let Some(frame) = scan.next().map_err(io_error)? else {
                let what =
                    format!("no whole record where offset {} of {} was written", point.next, wanted.stream);
                return Err(corrupt(damage(segment.number, scan.position(), what)));
            };
            let Subject { stream, offset, append_time } = frame.header.subject;
            if stream != wanted.stream {
                continue;
            }
            bytes += if offset < wanted.from { 0 } else { frame.header.payload_bytes as usize };
            if bytes > wanted.bytes_max && offset > wanted.from {
                stopped_at = frame.position;
                break;
            }
            point.pass(&frame).map_err(|what| corrupt(damage(segment.number, frame.position, what)))?;
            stopped_at = scan.position();
            if offset >= wanted.from {
                out.push(Record { offset, append_time, payload: frame.payload() });
            }
        }
        let point = IndexPoint { offset: point.next, position: stopped_at, before: point.chain };
        Ok(Cursor { segment: segment.number, point })
    }

    /// Checks a segment that was not checked when the log was opened.
    fn verify(
        &self,
        file: &dyn DiskFile,
        segment: &Segment,
        next: Option<&Segment>,
    ) -> Result<(), ReadError> {
        if segment.is_verified() {
            return Ok(());
        }
        let next = next.expect("the last segment is checked when the log is opened");
        let (seed, end) = (Seed::new(self.log_id, segment.number), segment.end());
        let scan = Scan::new(file, seed, header_bytes(self.layout), end);
        let checked = check(scan, self.layout, &segment.start).map_err(|error| match error {
            CheckError::Io(error) => io_error(error),
            CheckError::Discontinuous { position, what } => corrupt(damage(segment.number, position, what)),
        })?;
        let index = sealed_index(checked, segment.number, end, &next.start).map_err(corrupt)?;
        segment.set_verified(index);
        Ok(())
    }
}

fn corrupt(corruption: Corruption) -> ReadError {
    ReadError::Corrupt(corruption)
}

fn io_error(error: io::Error) -> ReadError {
    ReadError::Io(Arc::new(error))
}
