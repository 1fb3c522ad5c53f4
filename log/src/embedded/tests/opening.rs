//! What is refused when a log is opened, and how; and what is not.

use holdfast_contracts::LogId;

use super::*;
use crate::embedded::{disk::Disk, manifest, segment::file_name};

/// A closed log of several segments.
fn closed_log() -> (SimDisk, EmbeddedConfig) {
    let (disk, config) = (SimDisk::default(), config(2));
    let log = open(&disk, &config).unwrap();
    for nr in 0..120 {
        append_group(&log, COMMANDS, noise(nr, 300));
    }
    log.close();
    (disk, config)
}

fn refusal(disk: &SimDisk, config: &EmbeddedConfig) -> OpenError {
    open(disk, config).err().expect("the log is refused")
}

#[test]
fn another_log_than_expected_is_refused() {
    let (disk, config) = closed_log();
    let found = open(&disk, &config).unwrap().log_id();
    let expected = LogId([9; 16]);
    let asking = EmbeddedConfig { expected_log_id: Some(expected), ..config.clone() };
    let error = refusal(&disk, &asking);
    assert!(matches!(error, OpenError::OtherLog { expected: e, found: f } if (e, f) == (expected, found)));
    open(&disk, &EmbeddedConfig { expected_log_id: Some(found), ..config }).unwrap();
}

#[test]
fn an_expected_log_is_never_created() {
    let config = EmbeddedConfig { expected_log_id: Some(LogId([9; 16])), ..config(1) };
    let disk = SimDisk::default();
    assert!(matches!(refusal(&disk, &config), OpenError::NoLog { .. }));
    assert!(disk.list().unwrap().is_empty());
}

#[test]
fn another_number_of_partitions_is_refused() {
    let (disk, _) = closed_log();
    for asked in [1, 3] {
        let error = refusal(&disk, &config(asked));
        assert!(
            matches!(error, OpenError::PartitionsChanged { was: 2, asked: a, .. } if a == asked),
            "{error}"
        );
        assert!(error.to_string().contains("has 2 partitions"), "{error}");
    }
}

#[test]
fn a_missing_segment_is_refused_wherever_it_was() {
    let (disk, config) = closed_log();
    let segments = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment"));
    let segments: Vec<_> = segments.collect();
    assert!(segments.len() > 4);
    for name in segments {
        let disk = disk.after_kill();
        disk.remove(&name).unwrap();
        let error = refusal(&disk, &config);
        assert!(matches!(&error, OpenError::MissingSegment { file } if *file == name), "{error}");
    }
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let ((disk, config), (other, _)) = (closed_log(), closed_log());
    for number in 1..=3 {
        let mixed = disk.after_kill();
        mixed.set_bytes(&file_name(number), other.bytes_of(&file_name(number)));
        let error = refusal(&mixed, &config);
        assert!(
            matches!(&error, OpenError::ForeignSegment { file, .. } if *file == file_name(number)),
            "{error}"
        );
    }
}

#[test]
fn a_missing_or_damaged_manifest_is_refused() {
    let (disk, config) = closed_log();
    let missing = disk.after_kill();
    missing.remove(manifest::FILE).unwrap();
    assert!(matches!(refusal(&missing, &config), OpenError::ManifestMissing { .. }));
    let damaged = disk.after_kill();
    let mut bytes = damaged.bytes_of(manifest::FILE);
    bytes[50] ^= 1;
    bytes[4096 + 50] ^= 1;
    damaged.set_bytes(manifest::FILE, bytes);
    assert!(matches!(refusal(&damaged, &config), OpenError::ManifestDamaged));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (disk, config) = closed_log();
    let newer = disk.after_kill();
    let text = String::from_utf8(newer.bytes_of(manifest::FILE)).unwrap();
    newer.set_bytes(manifest::FILE, text.replace("format 1", "format 2").into_bytes());
    let error = refusal(&newer, &config);
    assert!(matches!(error, OpenError::UnknownFormat { found: 2, known: 1 }), "{error}");

    // A segment whose header is whole and of another format.
    let mut bytes = disk.bytes_of(&file_name(2));
    bytes[8] = 7;
    let crc = crc32c::crc32c(&bytes[..4092]).to_le_bytes();
    bytes[4092..4096].copy_from_slice(&crc);
    disk.set_bytes(&file_name(2), bytes);
    let error = refusal(&disk, &config);
    assert!(matches!(error, OpenError::UnknownFormat { found: 7, known: 1 }), "{error}");
}

#[test]
fn damage_is_refused_with_file_and_place() {
    let (disk, config) = closed_log();
    let mut bytes = disk.bytes_of(&file_name(2));
    bytes[4096 + 600] ^= 1;
    disk.set_bytes(&file_name(2), bytes);
    let error = refusal(&disk, &config);
    let OpenError::Corrupt(damage) = &error else { panic!("{error}") };
    assert_eq!(damage.file, file_name(2));
    // The record of 352 bytes that the byte belongs to.
    assert_eq!(damage.position, 4096 + 352);
    assert!(error.to_string().contains("restore the directory from a backup"), "{error}");
}

#[test]
fn what_is_refused_is_left_as_it_was_found() {
    let (disk, config) = closed_log();
    disk.set_bytes("0000000009.segment.new", vec![1; 100]);
    let mut bytes = disk.bytes_of(&file_name(2));
    bytes[5000] ^= 1;
    disk.set_bytes(&file_name(2), bytes);
    let before: Vec<_> =
        disk.list().unwrap().iter().map(|name| (name.clone(), disk.bytes_of(name))).collect();
    let operations = disk.operations();
    refusal(&disk, &config);
    let after: Vec<_> = disk.list().unwrap().iter().map(|name| (name.clone(), disk.bytes_of(name))).collect();
    assert!(before == after && disk.operations() == operations);
}

#[test]
fn leftovers_are_removed_and_prepared_segments_are_used() {
    let (disk, config) = closed_log();
    disk.set_bytes("0000000099.segment.new", vec![1; 100]);
    let segments = |disk: &SimDisk| {
        disk.list().unwrap().into_iter().filter(|name| name.contains(".segment")).collect::<Vec<_>>()
    };
    let before = segments(&disk);
    let log = open(&disk, &config).unwrap();
    append_group(&log, COMMANDS, noise(1, 10));
    log.close();
    let expected: Vec<_> = before.into_iter().filter(|name| name.ends_with(".segment")).collect();
    assert_eq!(segments(&disk), expected);
}

#[test]
fn a_log_of_which_only_the_creation_was_begun_is_created_anew() {
    let config = config(1);
    let total = {
        let disk = SimDisk::default();
        recover::open(&disk, "the disk", &config).map(drop).unwrap();
        disk.operations()
    };
    for operation in 0..total {
        for seed in 0..8 {
            let disk = SimDisk::default();
            let copy: Arc<std::sync::Mutex<Option<SimDisk>>> = Arc::default();
            disk.set_hook({
                let copy = Arc::clone(&copy);
                move |disk, number| {
                    if number == operation {
                        *copy.lock().unwrap() = Some(disk.after_power_loss(&mut chooser(seed)));
                    }
                }
            });
            recover::open(&disk, "the disk", &config).map(drop).unwrap();
            let disk = copy.lock().unwrap().take().unwrap();
            let log = open(&disk, &config)
                .unwrap_or_else(|error| panic!("operation {operation}, seed {seed}: {error}"));
            append_group(&log, COMMANDS, noise(1, 10));
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let layout = Layout::inventory(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for config in [
        EmbeddedConfig { segment_bytes: 1 << 20, ..EmbeddedConfig::new(layout) },
        EmbeddedConfig { segment_bytes: (64 << 20) + 1, ..EmbeddedConfig::new(layout) },
        EmbeddedConfig { unsettled_bytes_max: 1000, ..EmbeddedConfig::new(layout) },
    ] {
        let refused = EmbeddedLog::open(directory.path(), &config);
        assert!(matches!(refused.err(), Some(OpenError::Config(_))));
    }
}

#[test]
fn append_times_never_fall_also_over_a_restart() {
    let (disk, config) = closed_log();
    for _ in 0..3 {
        let log = open(&disk, &config).unwrap();
        for nr in 0..20 {
            append_group(&log, COMMANDS, noise(nr, 10));
        }
        log.close();
    }
    let times: Vec<_> =
        read_all(&disk, &config).unwrap()[0].iter().map(|record| record.append_time).collect();
    assert!(times.is_sorted());
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]), "the clock never ran backwards");
}
