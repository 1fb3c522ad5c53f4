//! Opening a log for writing: finds out what is there, refuses what cannot be explained, and makes the tail good.
//!
//! What is cut off is what a crash explains: bytes after the last flush, which nobody was promised. Everything
//! else that does not add up is damage, and damage is refused, because going on would answer differently from before.

use std::sync::Arc;

use holdfast_contracts::{LogId, Offset};

use super::{
    config::EmbeddedConfig,
    create::{create, remove_segments},
    disk::{Disk, DiskFile},
    error::{Doing, OpenError},
    frame::{Place, Seed},
    header::{HeaderFound, SegmentHeader, header_bytes},
    index::Index,
    manifest::{self, FORMAT, Manifest, ManifestFile, Stage},
    prepare::UNFINISHED,
    scan::{CheckError, Checked, Rest, Scan, check},
    segment::{PAGE_BYTES, Segment, StreamPoint, file_name, file_number, genesis},
    shared::Prepared,
};
use crate::{layout::Layout, port::Corruption};

/// A log directory whose history adds up.
pub(super) struct Recovered {
    pub(super) manifest: ManifestFile,
    /// Begun segments, oldest first; the last one goes on.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) prepared: Vec<Prepared>,
    /// How far every stream has come.
    pub(super) points: Vec<StreamPoint>,
    /// Where the last segment's frames end. Everything before is durable.
    pub(super) end: u32,
    /// The bytes from the last page boundary to `end`.
    pub(super) page: Vec<u8>,
}

/// Opens the log in a directory for writing, or creates one in an empty directory.
pub(super) fn open(
    disk: &dyn Disk,
    directory: &str,
    config: &EmbeddedConfig,
) -> Result<Recovered, OpenError> {
    let names = disk.list().doing("listing the log directory")?;
    let mut manifest = match (names.iter().any(|name| name == manifest::FILE), config.expected_log_id) {
        (true, _) => ManifestFile::open(disk)?,
        (false, _) if names.iter().any(|name| file_number(name).is_some()) => {
            return Err(OpenError::ManifestMissing { directory: directory.to_owned() });
        }
        (false, Some(_)) => return Err(OpenError::NoLog { directory: directory.to_owned() }),
        (false, None) => create(disk, config)?,
    };
    if manifest.get().stage == Stage::Creating {
        remove_segments(disk, &names)?;
        manifest = create(disk, config)?;
    }
    let known = manifest.get();
    check_identity(&known, config.expected_log_id, Some(&config.layout))?;
    for name in disk.list().doing("listing the log directory")? {
        let is_trimmed = file_number(&name).is_some_and(|number| number < known.first_segment);
        if is_trimmed || name.ends_with(UNFINISHED) {
            disk.remove(&name).doing("removing what is left of an old segment")?;
        }
    }
    let found = find_segments(disk, &known)?;
    recover(manifest, found, config.verify_bytes_max)
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
    for topic in crate::port::Topic::ALL {
        let was = found.layout.partitions(topic);
        let asked = layout.map_or(was, |layout| layout.partitions(topic));
        if was != asked {
            return Err(OpenError::PartitionsChanged { topic: topic.name(), was, asked });
        }
    }
    Ok(())
}

/// The segment files of a directory.
pub(super) struct Found {
    /// Segments with a header, oldest first. At least one.
    pub(super) begun: Vec<(Arc<dyn DiskFile>, SegmentHeader)>,
    /// Segments after them, in order.
    pub(super) prepared: Vec<Prepared>,
    /// The first of those holds what is left of a header that was being written.
    pub(super) torn_header: bool,
}

pub(super) fn corrupt(number: u32, position: u32, what: impl Into<String>) -> OpenError {
    OpenError::Corrupt(damage(number, position, what))
}

pub(super) fn damage(number: u32, position: u32, what: impl Into<String>) -> Corruption {
    Corruption { file: file_name(number), position: u64::from(position), what: what.into() }
}

/// Opens every segment that must be there and looks at the headers.
pub(super) fn find_segments(disk: &dyn Disk, known: &Manifest) -> Result<Found, OpenError> {
    let names = disk.list().doing("listing the log directory")?;
    let highest = names.iter().filter_map(|name| file_number(name)).max().unwrap_or(0);
    let mut found = Found { begun: Vec::new(), prepared: Vec::new(), torn_header: false };
    for number in known.first_segment..=highest.max(known.last_segment) {
        let name = file_name(number);
        if !names.contains(&name) {
            return Err(OpenError::MissingSegment { file: name });
        }
        let file = disk.open(&name).doing("opening a log segment")?;
        let bytes = file.bytes().doing("asking for the size of a log segment")?;
        if bytes != u64::from(known.segment_bytes) {
            let what = format!("the file has {bytes} bytes and should have {}", known.segment_bytes);
            return Err(corrupt(number, u32::try_from(bytes).unwrap_or(u32::MAX), what));
        }
        let header = SegmentHeader::read(&*file, &known.layout).doing("reading a segment header")?;
        found.add(known, number, file, header)?;
    }
    if found.begun.is_empty() {
        return Err(corrupt(known.first_segment, 0, "the first segment has no header"));
    }
    Ok(found)
}

impl Found {
    fn add(
        &mut self,
        known: &Manifest,
        number: u32,
        file: Arc<dyn DiskFile>,
        header: HeaderFound,
    ) -> Result<(), OpenError> {
        match header {
            HeaderFound::Header(header) if header.log_id != known.log_id => Err(OpenError::ForeignSegment {
                file: file_name(number),
                found: header.log_id,
                expected: known.log_id,
            }),
            HeaderFound::Format(found) => Err(OpenError::UnknownFormat { found, known: FORMAT }),
            HeaderFound::Header(header) if self.prepared.is_empty() => {
                self.add_begun(known, number, file, header)
            }
            HeaderFound::Header(_) => {
                Err(corrupt(number - 1, 0, "the segment has no header, but the one after it has"))
            }
            HeaderFound::Blank | HeaderFound::Damaged => {
                let is_torn = matches!(header, HeaderFound::Damaged);
                let is_next = self.prepared.is_empty();
                // A header is flushed before the first frame is written. So a header can only be torn when no frame is
                // there, and only in the segment that was to be begun next.
                let first_frame = Scan::new(
                    &*file,
                    Seed::new(known.log_id, number),
                    header_bytes(&known.layout),
                    known.segment_bytes,
                )
                .next()
                .doing("reading a log segment")?;
                if first_frame.is_some() || (is_torn && !is_next) {
                    return Err(corrupt(number, 0, "the segment's header is not what was written"));
                }
                self.torn_header |= is_torn;
                self.prepared.push(Prepared { number, file });
                Ok(())
            }
        }
    }

    fn add_begun(
        &mut self,
        known: &Manifest,
        number: u32,
        file: Arc<dyn DiskFile>,
        header: SegmentHeader,
    ) -> Result<(), OpenError> {
        if header.number != number {
            return Err(corrupt(number, 0, format!("the header is that of segment {}", header.number)));
        }
        if header.points.len() != known.layout.stream_count() {
            return Err(corrupt(number, 0, "the header counts other streams than the manifest"));
        }
        if number == 1 && header.points != genesis(known.log_id, &known.layout) {
            return Err(corrupt(number, 0, "the first segment does not begin at the beginning"));
        }
        self.begun.push((file, header));
        Ok(())
    }
}

fn recover(manifest: ManifestFile, found: Found, verify_bytes_max: u64) -> Result<Recovered, OpenError> {
    let known = manifest.get();
    let (last, sealed) = found.begun.split_last().expect("a log has a segment that was begun");
    let number = last.1.number;
    let checked = check_segment(&known, last, known.segment_bytes)?;
    let hole = Place { segment: number, position: checked.end };
    let rest = Rest::read(&*last.0, hole, known.segment_bytes).doing("reading the end of the log")?;
    refuse_damage(&known, hole, &rest)?;
    make_tail_good(&*last.0, &checked, number, rest.dirty_bytes())
        .doing("making the end of the log durable")?;
    if found.torn_header {
        let zeros = vec![0; header_bytes(&known.layout) as usize];
        let torn = &found.prepared.first().expect("a torn header belongs to a segment").file;
        torn.write_at(0, &zeros)
            .and_then(|()| torn.sync())
            .doing("clearing a header that was not finished")?;
    }
    let mut segments = check_sealed(&known, sealed, &last.1, verify_bytes_max)?;
    let page_at = checked.end - checked.end % PAGE_BYTES;
    let mut page = Vec::with_capacity(PAGE_BYTES as usize);
    last.0.read_at(u64::from(page_at), &mut page).doing("reading the end of the log")?;
    page.truncate((checked.end - page_at) as usize);
    let (file, header) = last.clone();
    segments.push(Arc::new(Segment::verified(file, header, checked.end, checked.index)));
    let (points, end) = (checked.points, checked.end);
    Ok(Recovered { manifest, segments, prepared: found.prepared, points, end, page })
}

/// Refuses a hole that cannot be a torn tail.
pub(super) fn refuse_damage(known: &Manifest, hole: Place, rest: &Rest) -> Result<(), OpenError> {
    match rest.proof_of_damage(known.log_id) {
        None => Ok(()),
        Some(proof) => {
            let what =
                format!("no whole record, though it was flushed before the one at byte {proof} was written");
            Err(corrupt(hole.segment, hole.position, what))
        }
    }
}

pub(super) fn check_segment(
    known: &Manifest,
    (file, header): &(Arc<dyn DiskFile>, SegmentHeader),
    end: u32,
) -> Result<Checked, OpenError> {
    let seed = Seed::new(known.log_id, header.number);
    let scan = Scan::new(&**file, seed, header_bytes(&known.layout), end);
    check(scan, &known.layout, &header.points).map_err(|error| match error {
        CheckError::Discontinuous { position, what } => corrupt(header.number, position, what),
        CheckError::Io(source) => OpenError::Io { doing: "reading a log segment", source },
    })
}

/// Checks the sealed segments, newest first, as far as the budget goes.
fn check_sealed(
    known: &Manifest,
    sealed: &[(Arc<dyn DiskFile>, SegmentHeader)],
    last: &SegmentHeader,
    verify_bytes_max: u64,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    let mut budget = verify_bytes_max;
    let mut segments = Vec::with_capacity(sealed.len() + 1);
    for (nr, segment) in sealed.iter().enumerate().rev() {
        let next = sealed.get(nr + 1).map_or(last, |(_, header)| header);
        let end = next.previous_end;
        if end < header_bytes(&known.layout) || end > known.segment_bytes {
            return Err(corrupt(
                next.number,
                0,
                "the header places the end of the segment before it outside of it",
            ));
        }
        let (file, header) = segment.clone();
        if budget < u64::from(end) {
            budget = 0;
            segments.push(Arc::new(Segment::unverified(file, header, end)));
            continue;
        }
        budget -= u64::from(end);
        let checked = check_segment(known, segment, end)?;
        let index = sealed_index(checked, header.number, end, &next.points).map_err(OpenError::Corrupt)?;
        segments.push(Arc::new(Segment::verified(file, header, end, index)));
    }
    segments.reverse();
    Ok(segments)
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

/// Clears what is left of a group that was under way, and makes what will be offered as durable really durable.
///
/// What was read may exist in the page cache only: the machine did not stop, the program did. Flushing is not enough
/// either, for after a flush that failed the cache holds pages that are no longer counted as unwritten. So
/// everything that no claim vouches for is written again.
fn make_tail_good(file: &dyn DiskFile, checked: &Checked, number: u32, dirty: usize) -> std::io::Result<()> {
    let vouched = checked.claim.filter(|claim| claim.segment == number).map_or(0, |claim| claim.position);
    let start = vouched - vouched % PAGE_BYTES;
    let dirty_end = (checked.end as usize + dirty).next_multiple_of(PAGE_BYTES as usize);
    let length = dirty_end - start as usize;
    let mut bytes = Vec::with_capacity(length);
    file.read_at(u64::from(start), &mut bytes)?;
    bytes.truncate(length);
    bytes[(checked.end - start) as usize..].fill(0);
    if !bytes.is_empty() {
        file.write_at(u64::from(start), &bytes)?;
    }
    file.sync()
}

/// The first offset of every stream that is still there.
pub(super) fn lows(segments: &[Arc<Segment>]) -> Vec<Offset> {
    segments.first().map(|first| first.start.iter().map(|point| point.next).collect()).unwrap_or_default()
}
