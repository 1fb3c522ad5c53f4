//! Opening a log for writing: finds out what is there, refuses what cannot be explained, and makes the tail good.
//!
//! What is cut off is what a crash explains: bytes after the last flush, which nobody was promised. Everything
//! else that does not add up is damage, and damage is refused, because going on would answer differently from before.

use std::{io, sync::Arc};

use holdfast_contracts::Offset;

use super::{
    config::EmbeddedConfig,
    create::{create, remove_segments},
    disk::{Access, Disk, DiskFile},
    error::{Doing, OpenError},
    frame::Place,
    header::header_bytes,
    manifest::{self, ManifestFile, Stage},
    prepare::UNFINISHED,
    scan::{Checked, Rest},
    segment::{PAGE_BYTES, Segment, StreamPoint, file_name, file_number},
    shared::Prepared,
    survey::{Survey, check_identity, check_sealed, check_segment, refuse_damage, survey},
};

/// A log directory whose history adds up.
pub(super) struct Recovered {
    /// Begun segments, oldest first; the last one goes on.
    pub(super) segments: Vec<Arc<Segment>>,
    /// The file of the last one.
    pub(super) file: Arc<dyn DiskFile>,
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
) -> Result<(ManifestFile, Recovered), OpenError> {
    let names = disk.list().doing("listing the log directory")?;
    let has_manifest = names.iter().any(|name| name == manifest::FILE);
    let mut manifest = match config.expected_log_id {
        _ if has_manifest => ManifestFile::open(disk, Access::Write)?,
        _ if names.iter().any(|name| file_number(name).is_some()) => {
            return Err(OpenError::ManifestMissing { directory: directory.to_owned() });
        }
        Some(_) => return Err(OpenError::NoLog { directory: directory.to_owned() }),
        None => create(disk, config)?,
    };
    if manifest.get().stage == Stage::Creating {
        remove_segments(disk, &names)?;
        manifest = create(disk, config)?;
    }
    let known = manifest.get();
    check_identity(&known, config.expected_log_id, Some(&config.layout))?;
    let found = survey(disk, &known)?;
    let recovered = recover(disk, &mut manifest, &found, config.verify_bytes_max)?;
    // Only when everything adds up: what is refused is left as it was found.
    for name in disk.list().doing("listing the log directory")? {
        let is_trimmed = file_number(&name).is_some_and(|number| number < known.first_segment);
        if is_trimmed || name.ends_with(UNFINISHED) {
            disk.remove(&name).doing("removing what is left of an old segment")?;
        }
    }
    Ok((manifest, recovered))
}

fn recover(
    disk: &dyn Disk,
    manifest: &mut ManifestFile,
    found: &Survey,
    verify_bytes_max: u64,
) -> Result<Recovered, OpenError> {
    let known = &manifest.get();
    let last = found.begun.last().expect("a log has a segment that was begun");
    let file = disk.open(&file_name(last.number), Access::Write).doing("opening a log segment")?;
    let checked = check_segment(known, &*file, last, known.segment_bytes)?;
    let hole = Place { segment: last.number, position: checked.end };
    let rest = Rest::read(&*file, hole, known.segment_bytes).doing("reading the end of the log")?;
    refuse_damage(known, hole, &rest)?;
    let sealed = check_sealed(disk, known, &found.begun, verify_bytes_max)?;
    // Nothing has been written up to here. What was read, also the names of files, may exist in memory only: the machine
    // did not stop, the program did.
    manifest.make_durable().doing("writing the manifest")?;
    disk.sync_names().doing("synchronising the log directory")?;
    let vouched = checked.claim.max(Some(known.flushed)).filter(|claim| claim.segment == last.number);
    let vouched = vouched.map_or(0, |claim| claim.position);
    make_tail_good(&*file, &checked, vouched, rest.dirty_bytes())
        .doing("making the end of the log durable")?;
    let open = |&number: &u32| {
        let file = disk.open(&file_name(number), Access::Write)?;
        Ok(Prepared { number, file })
    };
    let prepared: Vec<_> =
        found.prepared.iter().map(open).collect::<io::Result<_>>().doing("opening a log segment")?;
    if found.torn_header {
        let zeros = vec![0; header_bytes(&known.layout) as usize];
        let torn = &prepared.first().expect("a torn header belongs to a segment").file;
        torn.write_at(0, &zeros)
            .and_then(|()| torn.sync())
            .doing("clearing a header that was not finished")?;
    }
    let number = last.number;
    let page_at = checked.end - checked.end % PAGE_BYTES;
    let mut page = Vec::with_capacity(PAGE_BYTES as usize);
    file.read_at(u64::from(page_at), &mut page).doing("reading the end of the log")?;
    page.truncate((checked.end - page_at) as usize);
    let last = Segment::verified(last.clone(), checked.end, checked.index);
    let segments = sealed.into_iter().chain([last]).map(Arc::new).collect();
    let (points, end) = (checked.points, checked.end);
    let flushed = Place { segment: number, position: end };
    manifest.update(|manifest| manifest.flushed = flushed).doing("writing the manifest")?;
    Ok(Recovered { segments, file, prepared, points, end, page })
}

/// Clears what is left of a group that was under way, and makes what will be offered as durable really durable.
///
/// Flushing is not enough for that: after a flush that failed the system holds pages that it no longer counts as
/// unwritten. So everything that no claim vouches for is written again.
fn make_tail_good(file: &dyn DiskFile, checked: &Checked, vouched: u32, dirty: usize) -> io::Result<()> {
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
