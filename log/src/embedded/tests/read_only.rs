//! Reading a log that somebody else is writing.

use super::*;
use crate::{
    ReadOnlyConfig, ReadOnlyLog,
    embedded::{disk::Disk, manifest, segment::file_name},
    port::TrimError,
};

fn look(disk: &SimDisk) -> Result<ReadOnlyLog, OpenError> {
    ReadOnlyLog::open_on(&(Arc::new(disk.clone()) as Arc<dyn Disk>), "the disk", &ReadOnlyConfig::default())
}

fn read_from(log: &dyn OrderedLog, stream: StreamId, from: Offset) -> Vec<Record> {
    let (mut next, mut out) = (from, Vec::new());
    while next < log.watermarks(stream).end {
        log.read(stream, next, 3_000, &mut out).unwrap();
        next = end_of(&out);
    }
    out
}

#[test]
fn what_is_written_meanwhile_shows_after_a_refresh() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    let mut written = vec![append_group(&log, COMMANDS, noise(0, 300))];
    let seen = look(&disk).unwrap();
    assert_eq!(seen.log_id(), log.log_id());
    assert_eq!(read_from(&seen, COMMANDS, Offset(0)), written);
    // Over several segments.
    for nr in 1..150 {
        written.push(append_group(&log, COMMANDS, noise(nr, 300)));
        assert_eq!(seen.watermarks(COMMANDS).end, Offset(nr), "it moved by itself");
        let (bell, mut listener) = crate::doorbell();
        let _more = seen.subscribe(COMMANDS, bell.waker());
        assert!(seen.refresh().unwrap());
        assert!(listener.take(), "a refresh that found something wakes");
        assert!(!seen.refresh().unwrap());
        assert_eq!(seen.watermarks(COMMANDS).end, Offset(nr + 1));
    }
    assert_eq!(read_from(&seen, COMMANDS, Offset(0)), written);
    assert!(log.shared.segments.snapshot().len() > 3);
}

#[test]
fn durable_is_what_is_known_to_be_flushed() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    append_group(&log, COMMANDS, noise(0, 300));
    append_group(&log, COMMANDS, noise(1, 300));
    let seen = look(&disk).unwrap();
    // The second record vouches for the first; nothing yet for the second.
    let marks = seen.watermarks(COMMANDS);
    assert_eq!((marks.durable, marks.end), (Offset(1), Offset(2)));
    log.close();
    assert!(!seen.refresh().unwrap());
    assert_eq!(seen.watermarks(COMMANDS).durable, Offset(2));
}

#[test]
fn a_reader_follows_a_busy_writer() {
    const RECORDS: u64 = 2_000;
    let config = config(1);
    let disk = SimDisk::default();
    let log = open(&disk, &config).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for nr in 0..RECORDS {
                append(&log, COMMANDS, &noise(nr, 250)).unwrap();
                append(&log, DECISIONS, &noise(nr, 50)).unwrap();
            }
        });
        let mut opened = 0;
        let mut next = [Offset(0); 2];
        while next.iter().any(|&next| next < Offset(RECORDS)) {
            // A new look every now and then, which must find everything the last one found.
            let seen = look(&disk).unwrap();
            opened += 1;
            for _ in 0..20 {
                seen.refresh().unwrap();
                for (stream, next) in [COMMANDS, DECISIONS].into_iter().zip(&mut next) {
                    let bytes = if stream == COMMANDS { 250 } else { 50 };
                    for record in read_from(&seen, stream, *next) {
                        assert_eq!((record.offset, record.payload), (*next, noise(next.0, bytes)));
                        *next = next.next();
                    }
                }
            }
        }
        assert!(opened > 1, "the writer was done before anybody looked");
    });
}

#[test]
fn trimming_by_the_writer_is_noticed() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    for nr in 0..150 {
        append_group(&log, COMMANDS, noise(nr, 300));
    }
    let seen = look(&disk).unwrap();
    log.trim(COMMANDS, Offset(150)).unwrap();
    let low = log.shared.segments.snapshot().last().unwrap().start[0].next;
    let deadline = std::time::Instant::now() + PATIENCE;
    while disk.list().unwrap().contains(&file_name(1)) || log.watermarks(COMMANDS).low < low {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    let gone = seen.read(COMMANDS, Offset(0), 1, &mut Vec::new());
    assert!(matches!(gone, Err(ReadError::Trimmed { low: l }) if l == low), "{gone:?}");
    assert_eq!(seen.watermarks(COMMANDS).low, low);
    assert_eq!(read_from(&seen, COMMANDS, low).len() as u64, 150 - low.0);
    let again = look(&disk).unwrap();
    assert_eq!(again.watermarks(COMMANDS).low, low);
}

#[test]
fn a_reader_changes_nothing_and_refuses_to() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    append_group(&log, COMMANDS, noise(0, 300));
    rest(&log);
    let operations = disk.operations();
    let seen = look(&disk).unwrap();
    seen.refresh().unwrap();
    assert_eq!(seen.append(COMMANDS, Bytes::new()).unwrap_err(), AppendError::ReadOnly);
    assert!(matches!(seen.trim(COMMANDS, Offset(1)), Err(TrimError::ReadOnly)));
    seen.close();
    assert_eq!(disk.operations(), operations);
}

#[test]
fn a_torn_tail_is_the_end_and_damage_is_refused() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    for nr in 0..5 {
        append_group(&log, COMMANDS, noise(nr, 300));
    }
    let disk = disk.after_kill();
    let damaged = |position: usize| {
        let disk = disk.after_kill();
        let mut bytes = disk.bytes_of(&file_name(1));
        bytes[position] ^= 1;
        disk.set_bytes(&file_name(1), bytes);
        look(&disk)
    };
    let frame = 352;
    let seen = damaged(4096 + 4 * frame + 100).unwrap();
    assert_eq!(seen.watermarks(COMMANDS).end, Offset(4));
    for record in 0..4 {
        let refused = damaged(4096 + record * frame + 100);
        assert!(matches!(refused, Err(OpenError::Corrupt(_))), "record {record}");
    }
}

#[test]
fn a_directory_without_a_log_is_refused() {
    let disk = SimDisk::default();
    assert!(matches!(look(&disk), Err(OpenError::NoLog { .. })));
    disk.set_bytes(manifest::FILE, vec![b' '; 8192]);
    assert!(matches!(look(&disk), Err(OpenError::ManifestDamaged)));
}
