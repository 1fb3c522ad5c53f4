//! The manifest: what a log directory is, and which segments it must have.
//!
//! A small text file with two slots that are written in turn. A crash while one is written leaves the other, and no
//! new disk block is ever needed, so a full disk can still be trimmed. An older slot says less, never something wrong: it
//! may ask for segments that were trimmed since, which is refused, and it vouches for less of the tail.

use std::{fmt::Write as _, io, str::FromStr, sync::Arc};

use holdfast_contracts::LogId;

use super::{
    disk::{Access, Disk, DiskFile},
    error::{Doing, OpenError},
    frame::Place,
};
use crate::{layout::Layout, port::Topic};

/// The file's name.
pub(super) const FILE: &str = "manifest";
const NEW_FILE: &str = "manifest.new";
/// The format of manifest, segments and frames. Any change of theirs is a change of this.
pub const FORMAT: u32 = 1;
const SLOT_BYTES: u32 = 4096;
const FIRST_WORDS: &str = "holdfast-log format ";

/// What a manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) log_id: LogId,
    pub(super) layout: Layout,
    /// Size of every segment file. Fixed when the log is created, so that a place means the same for ever.
    pub(super) segment_bytes: u32,
    /// Segments below this one were trimmed.
    pub(super) first_segment: u32,
    /// Segments up to this one exist.
    pub(super) last_segment: u32,
    /// Everything before was flushed. Written when the log comes to rest.
    pub(super) flushed: Place,
    pub(super) stage: Stage,
}

/// Whether the log was ever handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being created. Nobody has used it, so creation may start over.
    Creating,
    /// It was handed out, and whatever is missing is lost.
    Ready,
}

/// The open manifest of a directory.
pub(super) struct ManifestFile {
    file: Arc<dyn DiskFile>,
    generation: u64,
    manifest: Manifest,
}

impl ManifestFile {
    /// Writes the first manifest of a directory.
    pub(super) fn create(disk: &dyn Disk, manifest: Manifest) -> io::Result<Self> {
        let file = disk.create(NEW_FILE, 2 * SLOT_BYTES)?;
        let mut created = Self { file, generation: 0, manifest };
        created.write()?;
        disk.rename(NEW_FILE, FILE)?;
        disk.sync_names()?;
        Ok(created)
    }

    /// Reads the manifest of a directory.
    pub(super) fn open(disk: &dyn Disk, access: Access) -> Result<Self, OpenError> {
        let file = disk.open(FILE, access).doing("opening the manifest")?;
        let mut bytes = Vec::with_capacity(2 * SLOT_BYTES as usize);
        file.read_at(0, &mut bytes).doing("reading the manifest")?;
        let slots: Vec<_> = bytes.chunks(SLOT_BYTES as usize).map(parse).collect();
        let newest =
            slots.iter().filter_map(|slot| slot.as_ref().ok()).max_by_key(|(generation, _)| *generation);
        if let Some(&(generation, manifest)) = newest {
            return Ok(Self { file, generation, manifest });
        }
        let format = slots.iter().find_map(|slot| match slot {
            Err(Unreadable::Format(found)) => Some(*found),
            _ => None,
        });
        Err(format
            .map_or(OpenError::ManifestDamaged, |found| OpenError::UnknownFormat { found, known: FORMAT }))
    }

    pub(super) fn get(&self) -> Manifest {
        self.manifest
    }

    /// Makes durable what was read: whoever wrote it may have been killed before it was.
    ///
    /// It is written in place. If that is torn, the other slot stands.
    pub(super) fn make_durable(&mut self) -> io::Result<()> {
        self.generation -= 1;
        self.write()
    }

    /// Makes another manifest durable.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut Manifest)) -> io::Result<()> {
        change(&mut self.manifest);
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.generation += 1;
        let slot = self.generation % 2 * u64::from(SLOT_BYTES);
        self.file.write_at(slot, &print(self.generation, &self.manifest))?;
        self.file.sync()
    }
}

fn print(generation: u64, manifest: &Manifest) -> Vec<u8> {
    let stage = match manifest.stage {
        Stage::Creating => "creating",
        Stage::Ready => "ready",
    };
    let mut text = format!(
        "{FIRST_WORDS}{FORMAT}\ngeneration {generation}\nlog_id {}\nsegment_bytes {}\nsegments {} {}\nflushed {} {}\nstage {stage}\n",
        manifest.log_id,
        manifest.segment_bytes,
        manifest.first_segment,
        manifest.last_segment,
        manifest.flushed.segment,
        manifest.flushed.position
    );
    for topic in Topic::ALL {
        let written = writeln!(text, "partitions {topic} {}", manifest.layout.partitions(topic));
        written.expect("writing to a string cannot fail");
    }
    let crc = crc32c::crc32c(text.as_bytes());
    let written = writeln!(text, "crc32c {crc:08x}");
    written.expect("writing to a string cannot fail");
    let mut slot = text.into_bytes();
    slot.resize(SLOT_BYTES as usize, b' ');
    slot
}

enum Unreadable {
    Format(u32),
    Damaged,
}

fn parse(slot: &[u8]) -> Result<(u64, Manifest), Unreadable> {
    let damaged = || Unreadable::Damaged;
    let text = std::str::from_utf8(slot).map_err(|_| Unreadable::Damaged)?;
    let first = text.strip_prefix(FIRST_WORDS).and_then(|rest| rest.lines().next()).ok_or_else(damaged)?;
    let format: u32 = first.parse().map_err(|_| Unreadable::Damaged)?;
    if format != FORMAT {
        return Err(Unreadable::Format(format));
    }
    parse_known(text)
        .filter(|(generation, manifest)| print(*generation, manifest) == slot)
        .ok_or_else(damaged)
}

/// Reads the fields; that they are all, in order and undamaged is checked by printing them again.
fn parse_known(text: &str) -> Option<(u64, Manifest)> {
    fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    }
    fn number<T: FromStr>(text: &str) -> Option<T> {
        text.parse().ok()
    }
    fn pair(text: &str) -> Option<(u32, u32)> {
        let (first, second) = text.split_once(' ')?;
        Some((number(first)?, number(second)?))
    }
    let (first_segment, last_segment) = pair(field(text, "segments")?)?;
    let (segment, position) = pair(field(text, "flushed")?)?;
    let mut partitions = [0; Topic::ALL.len()];
    for topic in Topic::ALL {
        partitions[usize::from(topic.code())] = number(field(text, &format!("partitions {topic}"))?)?;
    }
    let manifest = Manifest {
        log_id: number(field(text, "log_id")?)?,
        layout: Layout::from_counts(partitions)?,
        segment_bytes: number(field(text, "segment_bytes")?)?,
        first_segment,
        last_segment,
        flushed: Place { segment, position },
        stage: match field(text, "stage")? {
            "creating" => Stage::Creating,
            "ready" => Stage::Ready,
            _ => return None,
        },
    };
    Some((number(field(text, "generation")?)?, manifest))
}
