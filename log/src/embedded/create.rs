//! Making a new log.

use std::io;

use holdfast_contracts::LogId;

use super::{
    config::EmbeddedConfig,
    disk::Disk,
    error::{Doing, OpenError},
    frame::Place,
    header::{SegmentHeader, header_bytes},
    manifest::{Manifest, ManifestFile, Stage},
    prepare::create_segment,
    segment::{file_number, genesis},
};

/// Creates a log in a directory without segments.
///
/// The manifest comes first and says that the log is being created, so that a crash in between leaves something
/// that may be thrown away, and a log that was ever used can never look like that.
pub(super) fn create(disk: &dyn Disk, config: &EmbeddedConfig) -> Result<ManifestFile, OpenError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| OpenError::Io { doing: "minting a log id", source: io::Error::other(error) })?;
    let manifest = Manifest {
        log_id: LogId(id),
        layout: config.layout,
        segment_bytes: config.segment_bytes,
        first_segment: 1,
        last_segment: 0,
        flushed: Place::START,
        stage: Stage::Creating,
    };
    let mut file = ManifestFile::create(disk, manifest).doing("writing the manifest")?;
    let first = create_segment(disk, 1, config.segment_bytes).doing("creating the first segment")?;
    let header = SegmentHeader {
        log_id: manifest.log_id,
        number: 1,
        previous_end: 0,
        points: genesis(manifest.log_id, &config.layout),
    };
    first.write_at(0, &header.encode()).and_then(|()| first.sync()).doing("beginning the first segment")?;
    let ready = |manifest: &mut Manifest| {
        manifest.last_segment = 1;
        manifest.flushed = Place { segment: 1, position: header_bytes(&config.layout) };
        manifest.stage = Stage::Ready;
    };
    file.update(ready).doing("writing the manifest")?;
    Ok(file)
}

/// Removes the segments of a log that was never finished.
pub(super) fn remove_segments(disk: &dyn Disk, names: &[String]) -> Result<(), OpenError> {
    for name in names.iter().filter(|name| file_number(name).is_some()) {
        disk.remove(name).doing("removing a segment of a log that was never finished")?;
    }
    Ok(())
}
