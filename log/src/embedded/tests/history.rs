//! Bytes that are whole but belong to another history: only the hash chain can tell.
//!
//! A log is copied, and the two copies go on differently, at the same times and with records of the same sizes. Then a
//! piece of the one is put into the other, as a stale mirror, a lost write or a careless restore would.

use super::*;
use crate::embedded::segment::file_name;

/// Records of exactly one sector with their frame.
const PAYLOAD_BYTES: usize = 512 - 48;

fn frozen_clock() -> LogTime {
    LogTime(1_700_000_000_000)
}

fn open_frozen(disk: &SimDisk, config: &EmbeddedConfig) -> EmbeddedLog {
    EmbeddedLog::open_on(Arc::new(disk.clone()), "the disk", config, None, frozen_clock).unwrap()
}

/// Two logs that share a beginning and differ from the middle of the second segment on.
fn forked() -> (SimDisk, SimDisk, EmbeddedConfig) {
    let config = EmbeddedConfig { tail_bytes_max: 0, ..config(1) };
    let write = |disk: &SimDisk, records: std::ops::Range<u64>| {
        let log = open_frozen(disk, &config);
        for nr in records {
            append_group(&log, COMMANDS, noise(nr, PAYLOAD_BYTES));
        }
        log.close();
    };
    let ours = SimDisk::default();
    write(&ours, 0..30);
    let theirs = ours.after_kill();
    write(&ours, 30..90);
    write(&theirs, 1030..1090);
    (ours, theirs, config)
}

#[test]
fn a_segment_of_another_history_is_refused() {
    let (ours, theirs, config) = forked();
    let lazily = EmbeddedConfig { verify_bytes_max: 0, ..config.clone() };
    assert!(read_all(&ours, &config).is_ok() && read_all(&theirs, &config).is_ok());
    for number in 2..=4 {
        let disk = ours.after_kill();
        assert!(disk.bytes_of(&file_name(number)) != theirs.bytes_of(&file_name(number)));
        disk.set_bytes(&file_name(number), theirs.bytes_of(&file_name(number)));
        assert!(read_all(&disk.after_kill(), &config).is_err(), "segment {number}");
        assert!(read_all(&disk, &lazily).is_err(), "segment {number}, checked when read");
    }
}

#[test]
fn a_record_of_another_history_is_refused_when_opened_and_when_read() {
    let (ours, theirs, config) = forked();
    for sector in [20, 25, 30] {
        let at = sector * 512..(sector + 1) * 512;
        let swap = |disk: &SimDisk| {
            let mut bytes = disk.bytes_of(&file_name(2));
            assert!(bytes[at.clone()] != theirs.bytes_of(&file_name(2))[at.clone()]);
            bytes[at.clone()].copy_from_slice(&theirs.bytes_of(&file_name(2))[at.clone()]);
            disk.set_bytes(&file_name(2), bytes);
        };
        let disk = ours.after_kill();
        swap(&disk);
        let error = open(&disk, &config).err().expect("the log is refused").to_string();
        assert!(error.contains("does not continue the hash chain"), "{error}");

        // After the log was opened and everything was checked.
        let disk = ours.after_kill();
        let log = open_frozen(&disk, &config);
        swap(&disk);
        let mut records = Vec::new();
        let mut next = Offset(0);
        let error = loop {
            records.clear();
            match log.read(COMMANDS, next, 2_000, &mut records) {
                Ok(()) => next = end_of(&records),
                Err(error) => break error,
            }
            assert!(next < Offset(90), "the foreign record was read");
        };
        assert!(
            matches!(&error, ReadError::Corrupt(damage) if damage.what.contains("hash chain")),
            "{error}"
        );
    }
}

#[test]
fn a_segment_is_checked_as_a_whole_before_its_first_record_is_used() {
    let (disk, _, config) = forked();
    let mut bytes = disk.bytes_of(&file_name(2));
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    disk.set_bytes(&file_name(2), bytes);
    let lazily = EmbeddedConfig { verify_bytes_max: 0, ..config };
    let log = open_frozen(&disk, &lazily);
    let second = log.shared.segments.snapshot()[1].start[0].next;
    let read = |from| log.read(COMMANDS, from, 0, &mut Vec::new());
    read(Offset(0)).unwrap();
    assert!(matches!(read(second), Err(ReadError::Corrupt(_))));
}

/// A group of two records is torn: the first is gone, the second is whole. The log goes on with a record of the same
/// size, which ends with its page; what is left of the second must not stand right behind it.
#[test]
fn a_record_that_was_cut_off_does_not_come_back_behind_a_new_one() {
    let config = EmbeddedConfig { derived_delay: Duration::from_secs(3600), ..config(1) };
    let disk = SimDisk::default();
    let log = open_frozen(&disk, &config);
    append_group(&log, COMMANDS, noise(1, PAYLOAD_BYTES));
    let to_page_end = 4096 - 512 - 48;
    append(&log, DECISIONS, &noise(2, to_page_end)).unwrap();
    append_group(&log, COMMANDS, noise(3, PAYLOAD_BYTES));
    let disk = disk.after_kill();
    drop(log);
    let mut bytes = disk.bytes_of(&file_name(1));
    assert!(bytes[8192..8192 + 512].iter().any(|&byte| byte != 0), "the second record is elsewhere");
    bytes[4096 + 512..8192].fill(0);
    disk.set_bytes(&file_name(1), bytes);

    let log = open_frozen(&disk, &config);
    assert_eq!((log.watermarks(COMMANDS).end, log.watermarks(DECISIONS).end), (Offset(1), Offset(0)));
    let new = append_group(&log, COMMANDS, noise(4, to_page_end));
    let disk = disk.after_kill();
    let found = read_all(&disk, &config).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(found[0].last(), Some(&new));
    assert_eq!((found[0].len(), found[1].len()), (2, 0));
}
