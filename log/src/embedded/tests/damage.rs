//! Every byte of a small log is damaged in turn. What comes back is right, or refused, or a tail nobody was promised.

use super::*;
use crate::embedded::{
    disk::{Disk, simulated::SECTOR_BYTES},
    segment::file_name,
};

/// A small log, and what is known about it.
struct Written {
    disk: SimDisk,
    config: EmbeddedConfig,
    /// What was acknowledged, per stream.
    streams: Vec<Vec<Record>>,
    /// Where in the last segment the last group of records begins, and where the frames end.
    last_group: std::ops::Range<usize>,
    last_segment: String,
    /// How many records of each stream were acknowledged before the last group.
    before_last: Vec<usize>,
}

/// How the life of the log ended.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Stopped right after the last group was flushed.
    Crash,
    /// Closed, so the manifest vouches for everything.
    Close,
}

fn write(segments: usize, end: End) -> Written {
    // Decisions wait for the command that flushes them, so the test knows what a group is.
    let config = EmbeddedConfig { derived_delay: Duration::from_secs(3600), ..config(2) };
    let disk = SimDisk::default();
    let log = open(&disk, &config).unwrap();
    let ids: Vec<_> = config.layout.streams().collect();
    let mut streams = vec![Vec::new(); ids.len()];
    let mut before_last = Vec::new();
    let mut last_start = 0;
    for group in 0.. {
        let begun = log.shared.segments.snapshot();
        let position = begun.last().unwrap().end();
        // Some three kilobytes into the last segment is enough.
        let is_last = begun.len() == segments && position > 4096 + 3_000;
        if is_last {
            before_last = streams.iter().map(Vec::len).collect();
            last_start = position as usize;
        }
        let decisions = if is_last { 3 } else { group % 2 };
        let members = (0..decisions).map(|nr| 2 + (group + nr) % 2).chain([group % 2]);
        let tickets: Vec<_> = members
            .map(|stream| {
                let seed = group * 10 + stream;
                let payload = noise(seed as u64, 20 + seed * 37 % 300);
                let ticket = append(&log, ids[stream], &payload).unwrap();
                (stream, payload, ticket)
            })
            .collect();
        for (stream, payload, ticket) in tickets {
            streams[stream].push(Record { payload, ..settle(&ticket) });
        }
        if is_last {
            break;
        }
    }
    let segment = log.shared.segments.snapshot().last().cloned().unwrap();
    let frames_end = segment.end() as usize;
    let disk = match end {
        End::Crash => disk.after_kill(),
        End::Close => {
            log.close();
            disk
        }
    };
    let last_segment = file_name(segment.number);
    Written { disk, config, streams, last_group: last_start..frames_end, last_segment, before_last }
}

impl Written {
    /// The log with one file changed.
    fn with(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
        let disk = self.disk.after_kill();
        let mut bytes = disk.bytes_of(file);
        change(&mut bytes);
        disk.set_bytes(file, bytes);
        disk
    }

    /// Reads the changed log: refused, or every stream is a beginning of what was written. Returns how many records are
    /// missing.
    fn missing(&self, disk: &SimDisk, config: &EmbeddedConfig, what: &str) -> Option<usize> {
        let found = read_all(disk, config).ok()?;
        let mut missing = 0;
        for (found, written) in found.iter().zip(&self.streams) {
            assert!(written.starts_with(found), "{what}: other records came back");
            missing += written.len() - found.len();
        }
        Some(missing)
    }

    fn last_group_records(&self) -> usize {
        self.streams.iter().zip(&self.before_last).map(|(records, before)| records.len() - before).sum()
    }
}

#[test]
fn the_undamaged_log_comes_back_whole() {
    for end in [End::Crash, End::Close] {
        let written = write(3, end);
        assert_eq!(written.missing(&written.disk, &written.config, "undamaged"), Some(0));
        assert_eq!(written.last_group_records(), 4);
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_closed_log_is_refused_or_costs_nothing() {
    let written = write(3, End::Close);
    let lazily = EmbeddedConfig { verify_bytes_max: 0, ..written.config.clone() };
    let mut refused = 0;
    for file in written.disk.list().unwrap() {
        let bytes = written.disk.bytes_of(&file);
        for position in 0..bytes.len() {
            let disk = written.with(&file, |bytes| bytes[position] ^= 1 << (position % 8));
            let what = format!("{file} byte {position}");
            for config in [&written.config, &lazily] {
                match written.missing(&disk.after_kill(), config, &what) {
                    Some(missing) => assert_eq!(missing, 0, "{what}: acknowledged records are gone"),
                    None => refused += 1,
                }
            }
        }
    }
    assert!(refused > 40_000, "only {refused} flips were noticed; is anything checked at all?");
}

#[test]
fn a_flipped_byte_after_a_crash_costs_at_most_the_group_that_has_no_witness() {
    let written = write(2, End::Crash);
    let group = &written.last_group;
    for position in 0..group.end {
        let disk = written.with(&written.last_segment, |bytes| bytes[position] ^= 0x40);
        let what = format!("byte {position}");
        match written.missing(&disk, &written.config, &what) {
            None => {}
            // Nothing was written after the last group, so nothing says that it was ever flushed.
            Some(missing) => assert!(missing == 0 || group.contains(&position), "{what}: {missing} are gone"),
        }
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_whole_records() {
    let written = write(2, End::Crash);
    let group = &written.last_group;
    let mut outcomes = std::collections::BTreeSet::new();
    for cut in group.clone() {
        type Tear = fn(&mut Vec<u8>, usize, &std::ops::Range<usize>);
        let tears: [(&str, Tear); 4] = [
            ("zeros from here", |bytes, cut, _| bytes[cut..].fill(0)),
            ("zeros up to here", |bytes, cut, group| bytes[group.start..cut].fill(0)),
            ("noise from here", |bytes, cut, group| {
                bytes[cut..group.end].copy_from_slice(&noise(cut as u64, group.end - cut));
            }),
            ("noise far beyond", |bytes, cut, _| {
                let length = bytes.len() - cut;
                bytes[cut..].copy_from_slice(&noise(cut as u64, length));
            }),
        ];
        for (name, tear) in tears {
            let disk = written.with(&written.last_segment, |bytes| tear(bytes, cut, group));
            let what = format!("{name}, byte {cut}");
            let missing = written.missing(&disk, &written.config, &what);
            let missing = missing.unwrap_or_else(|| panic!("{what}: a torn tail was refused"));
            assert!(missing <= written.last_group_records(), "{what}: {missing} records are gone");
            outcomes.insert(missing);
            goes_on(&disk, &written.config, &what);
        }
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4], "some tears were never tried");
}

#[test]
fn any_sectors_of_the_last_group_may_be_missing() {
    let written = write(2, End::Crash);
    let group = &written.last_group;
    let sectors = group.start / SECTOR_BYTES..group.end.div_ceil(SECTOR_BYTES);
    for mask in 0..1_u32 << sectors.len() {
        let disk = written.with(&written.last_segment, |bytes| {
            for (_, sector) in sectors.clone().enumerate().filter(|(nr, _)| mask >> nr & 1 == 1) {
                // Before the group was written there were zeros after what the last page held already.
                let start = (sector * SECTOR_BYTES).max(group.start);
                bytes[start..(sector + 1) * SECTOR_BYTES].fill(0);
            }
        });
        let what = format!("sectors {mask:b}");
        let missing =
            written.missing(&disk, &written.config, &what).unwrap_or_else(|| panic!("{what}: refused"));
        assert!(missing <= written.last_group_records() && (mask != 0 || missing == 0), "{what}");
        goes_on(&disk, &written.config, &what);
    }
}

/// A log that was cut takes records again, and is whole when it is opened after that.
fn goes_on(disk: &SimDisk, config: &EmbeddedConfig, what: &str) {
    let before = read_all(disk, config).unwrap();
    let log = open(disk, config).unwrap();
    let record = append_group(&log, COMMANDS, noise(1, 700));
    drop(log);
    let after = read_all(disk, config).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let index = config.layout.index(COMMANDS).unwrap();
    for (nr, (before, after)) in before.iter().zip(&after).enumerate() {
        let expected: Vec<_> = before.iter().chain((nr == index).then_some(&record)).cloned().collect();
        assert_eq!(after, &expected, "{what}");
    }
}

#[test]
fn a_segment_file_of_another_size_is_refused() {
    let written = write(2, End::Close);
    let length = written.disk.bytes_of(&written.last_segment).len();
    for bytes in (0..length).step_by(61).chain([length - 1, length + 1]) {
        for number in 1..=3 {
            let disk = written.with(&file_name(number), |content| content.resize(bytes, 0));
            assert!(written.missing(&disk, &written.config, "size").is_none(), "{bytes} bytes");
        }
    }
}

#[test]
fn a_page_that_went_missing_is_refused_wherever_it_was_flushed() {
    let written = write(3, End::Close);
    for number in 1..=3 {
        for page in 0..4 {
            let file = file_name(number);
            let disk = written.with(&file, |bytes| bytes[page * 4096..(page + 1) * 4096].fill(0));
            let changed = disk.bytes_of(&file) != written.disk.bytes_of(&file);
            let missing = written.missing(&disk, &written.config, "page");
            assert_eq!(missing, (!changed).then_some(0), "page {page} of {file}");
        }
    }
}

#[test]
fn swapped_or_repeated_segments_are_refused() {
    let written = write(4, End::Close);
    for (from, to) in [(1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (1, 4), (1, 5)] {
        let bytes = written.disk.bytes_of(&file_name(from));
        let disk = written.with(&file_name(to), |content| *content = bytes);
        let error = open(&disk, &written.config).err().expect("the log is refused").to_string();
        assert!(error.contains(&format!("the header is that of segment {from}")), "{from} for {to}: {error}");
    }
}
