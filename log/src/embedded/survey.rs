//! Looking at the segments of a directory: which there are, what their headers say, and whether that adds up.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use holdfast_contracts::LogId;

use super::{
    disk::{Access, Disk, DiskFile},
    error::{Doing, OpenError},
    frame::{Place, Seed},
    header::{HeaderFound, SegmentHeader, header_bytes},
    index::Index,
    manifest::{FORMAT, Manifest},
    scan::{CheckError, Checked, Rest, Scan, check},
    segment::{Segment, StreamPoint, file_name, file_number, genesis},
};
use crate::{
    layout::Layout,
    port::{Corruption, Topic},
};

/// The segments of a directory.
pub(super) struct Survey {
    /// Headers of the segments that were begun, oldest first. At least one.
    pub(super) begun: Vec<SegmentHeader>,
    /// Numbers of the segments after them, rising.
    pub(super) prepared: Vec<u32>,
    /// The first of those holds what is left of a header that was being written.
    pub(super) torn_header: bool,
}

/// Says where the log is damaged.
pub(super) fn damage(number: u32, position: u32, what: impl Into<String>) -> Corruption {
    Corruption { file: file_name(number), position: u64::from(position), what: what.into() }
}

pub(super) fn corrupt(number: u32, position: u32, what: impl Into<String>) -> OpenError {
    OpenError::Corrupt(damage(number, position, what))
}

/// Checks that this is the log that was asked for.
pub(super) fn check_identity(
    found: &Manifest,
    expected: Option<LogId>,
    layout: Option<&Layout>,
) -> Result<(), OpenError> {
    if let Some(expected) = expected.filter(|&expected| expected != found.log_id) {
        return Err(OpenError::OtherLog { expected, found: found.log_id });
    }
    for topic in Topic::ALL {
        let was = found.layout.partitions(topic);
        let asked = layout.map_or(was, |layout| layout.partitions(topic));
        if was != asked {
            return Err(OpenError::PartitionsChanged { topic: topic.name(), was, asked });
        }
    }
    Ok(())
}

/// Looks at every segment that must be there.
pub(super) fn survey(disk: &dyn Disk, known: &Manifest) -> Result<Survey, OpenError> {
    let names = disk.list().doing("listing the log directory")?;
    let highest = names.iter().filter_map(|name| file_number(name)).max().unwrap_or(0);
    let mut survey = Survey { begun: Vec::new(), prepared: Vec::new(), torn_header: false };
    for number in known.first_segment..=highest.max(known.last_segment) {
        let name = file_name(number);
        let file = match disk.open(&name, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::MissingSegment { file: name });
            }
            opened => opened.doing("opening a log segment")?,
        };
        let bytes = file.bytes().doing("asking for the size of a log segment")?;
        if bytes != u64::from(known.segment_bytes) {
            let what = format!("the file has {bytes} bytes and should have {}", known.segment_bytes);
            return Err(corrupt(number, u32::try_from(bytes).unwrap_or(u32::MAX), what));
        }
        survey.add(known, number, &*file)?;
    }
    if survey.begun.is_empty() {
        return Err(corrupt(known.first_segment, 0, "the first segment has no header"));
    }
    Ok(survey)
}

impl Survey {
    fn add(&mut self, known: &Manifest, number: u32, file: &dyn DiskFile) -> Result<(), OpenError> {
        let found = SegmentHeader::read(file, &known.layout).doing("reading a segment header")?;
        match found {
            HeaderFound::Format(found) => Err(OpenError::UnknownFormat { found, known: FORMAT }),
            HeaderFound::Header(header) if self.prepared.is_empty() => {
                check_header(known, number, &header)?;
                self.begun.push(header);
                Ok(())
            }
            HeaderFound::Header(_) => {
                Err(corrupt(number - 1, 0, "the segment has no header, but the one after it has"))
            }
            HeaderFound::Blank | HeaderFound::Damaged => {
                let is_torn = matches!(found, HeaderFound::Damaged);
                // A header is flushed before the first frame is written. So a header can only be torn when no frame is
                // there, and only in the segment that was to be begun next.
                let first_frame = frames_of(known, file, number).next().doing("reading a log segment")?;
                if first_frame.is_some() || (is_torn && !self.prepared.is_empty()) {
                    return Err(corrupt(number, 0, "the segment's header is not what was written"));
                }
                self.torn_header |= is_torn;
                self.prepared.push(number);
                Ok(())
            }
        }
    }
}

/// Checks that a header belongs where it was found.
pub(super) fn check_header(known: &Manifest, number: u32, header: &SegmentHeader) -> Result<(), OpenError> {
    if header.log_id != known.log_id {
        let (found, expected) = (header.log_id, known.log_id);
        return Err(OpenError::ForeignSegment { file: file_name(number), found, expected });
    }
    if header.number != number {
        return Err(corrupt(number, 0, format!("the header is that of segment {}", header.number)));
    }
    if header.points.len() != known.layout.stream_count() {
        return Err(corrupt(number, 0, "the header counts other streams than the manifest"));
    }
    if number == 1 && header.points != genesis(known.log_id, &known.layout) {
        return Err(corrupt(number, 0, "the first segment does not begin at the beginning"));
    }
    Ok(())
}

/// A scan over the whole of a segment.
fn frames_of<'a>(known: &Manifest, file: &'a dyn DiskFile, number: u32) -> Scan<'a> {
    let seed = Seed::new(known.log_id, number);
    Scan::new(file, seed, header_bytes(&known.layout), known.segment_bytes)
}

/// Checks the frames of a segment up to `end`.
pub(super) fn check_segment(
    known: &Manifest,
    file: &dyn DiskFile,
    header: &SegmentHeader,
    end: u32,
) -> Result<Checked, OpenError> {
    let scan = frames_of(known, file, header.number).until(end);
    check(scan, &known.layout, &header.points).map_err(|error| match error {
        CheckError::Discontinuous { position, what } => corrupt(header.number, position, what),
        CheckError::Io(source) => OpenError::Io { doing: "reading a log segment", source },
    })
}

/// Refuses a hole that cannot be a torn tail.
pub(super) fn refuse_damage(known: &Manifest, hole: Place, rest: &Rest) -> Result<(), OpenError> {
    if hole < known.flushed {
        let Place { segment, position } = known.flushed;
        let what =
            format!("no whole record, though the log was flushed up to byte {position} of segment {segment}");
        return Err(corrupt(hole.segment, hole.position, what));
    }
    match rest.proof_of_damage(known.log_id) {
        None => Ok(()),
        Some(proof) => {
            let what =
                format!("no whole record, though it was flushed before the one at byte {proof} was written");
            Err(corrupt(hole.segment, hole.position, what))
        }
    }
}

/// Checks the segments before the last one, newest first, as far as the budget goes.
pub(super) fn check_sealed(
    disk: &dyn Disk,
    known: &Manifest,
    begun: &[SegmentHeader],
    verify_bytes_max: u64,
) -> Result<Vec<Segment>, OpenError> {
    for next in begun.iter().skip(1) {
        if next.previous_end < header_bytes(&known.layout) || next.previous_end > known.segment_bytes {
            let what = "the header places the end of the segment before it outside of it";
            return Err(corrupt(next.number, 0, what));
        }
    }
    let mut budget = verify_bytes_max;
    let to_verify = begun.iter().skip(1).rev().map_while(|next| {
        budget = budget.checked_sub(u64::from(next.previous_end))?;
        Some(next)
    });
    let unverified = begun.len().saturating_sub(1) - to_verify.count();
    let check = |pair: &&[SegmentHeader]| {
        let (header, next) = (&pair[0], &pair[1]);
        let end = next.previous_end;
        let file = disk.open(&file_name(header.number), Access::Read).doing("opening a log segment")?;
        let checked = check_segment(known, &*file, header, end)?;
        let index = sealed_index(checked, header.number, end, &next.points).map_err(OpenError::Corrupt)?;
        Ok(Segment::verified(header.clone(), end, index))
    };
    let pairs: Vec<_> = begun.windows(2).collect();
    let (unverified, to_verify) = pairs.split_at(unverified);
    let unverified =
        unverified.iter().map(|pair| Ok(Segment::unverified(pair[0].clone(), pair[1].previous_end)));
    unverified.chain(side_by_side(to_verify, check)).collect()
}

/// Maps every item, several at a time, for checking waits for the disk as much as for the processor.
fn side_by_side<I: Sync, T: Send>(items: &[I], map: impl Fn(&I) -> T + Sync) -> Vec<T> {
    const WORKERS: usize = 4;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        // Relaxed: the number is all that is shared.
        loop {
            let nr = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(nr) else { return };
            let mapped = map(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((nr, mapped));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..WORKERS.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(nr, _)| *nr);
    done.into_iter().map(|(_, mapped)| mapped).collect()
}

/// The index of a sealed segment, if the segment ends where and how the one after it says.
pub(super) fn sealed_index(
    mut checked: Checked,
    number: u32,
    end: u32,
    next: &[StreamPoint],
) -> Result<Index, Corruption> {
    if checked.end != end {
        let what = format!("no whole record, though the segment was whole up to byte {end}");
        return Err(damage(number, checked.end, what));
    }
    if checked.points != next {
        return Err(damage(number, end, "the segment after this one continues another history"));
    }
    checked.index.finish();
    Ok(checked.index)
}
