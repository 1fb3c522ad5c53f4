//! Room: the disk fills up and is emptied, segments are trimmed, the queue is bounded.

use super::*;
use crate::port::{ReadError, Status};

/// Bytes of manifest and of `segments` segments.
fn room_for(segments: usize) -> usize {
    2 * 4096 + segments * (16 << 10)
}

/// Appends to a stream until it is refused with this error; returns how many were accepted.
fn fill(log: &EmbeddedLog, stream: StreamId, until: &AppendError) -> u64 {
    let (bell, mut listener) = crate::doorbell();
    let _room = log.subscribe(stream, bell.waker());
    let mut accepted = 0;
    loop {
        match log.append(stream, noise(accepted, 500)) {
            Ok(_) => accepted += 1,
            Err(error) if error == *until => return accepted,
            // A segment is being prepared, or turns out not to fit.
            Err(AppendError::Full) => {
                listener.wait_until(std::time::Instant::now() + Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn wait_for_status(log: &EmbeddedLog, status: &Status) {
    let (bell, mut listener) = crate::doorbell();
    let _subscription = log.subscribe(COMMANDS, bell.waker());
    let deadline = std::time::Instant::now() + PATIENCE;
    while log.status() != *status {
        assert!(std::time::Instant::now() < deadline, "the status stayed {:?}", log.status());
        listener.wait_until(std::time::Instant::now() + Duration::from_millis(1));
    }
}

#[test]
fn a_full_disk_stops_commands_before_decisions_and_loses_nothing() {
    let config = config(1);
    let disk = SimDisk::default();
    disk.set_capacity(Some(room_for(5)));
    let log = open(&disk, &config).unwrap();
    let commands = fill(&log, COMMANDS, &AppendError::DiskFull);
    assert_eq!(log.status(), Status::DiskFull);
    let decisions = fill(&log, DECISIONS, &AppendError::DiskFull);
    assert!(commands > 40, "{commands}");
    // The reserve is a whole segment of three pages of records.
    assert!(decisions >= 3 * 4096 / 560, "{decisions}");
    assert!(disk.used() <= room_for(5));

    disk.set_capacity(Some(room_for(9)));
    wait_for_status(&log, &Status::Healthy);
    append_group(&log, COMMANDS, noise(0, 10));
    log.close();
    let found = read_all(&disk, &config).unwrap();
    assert_eq!(end_of(&found[0]), Offset(commands + 1));
    assert_eq!(end_of(&found[1]), Offset(decisions));
}

#[test]
fn a_refused_appender_is_woken_when_there_is_room_again() {
    let disk = SimDisk::default();
    disk.set_capacity(Some(room_for(3)));
    let log = open(&disk, &config(1)).unwrap();
    fill(&log, COMMANDS, &AppendError::DiskFull);
    let (bell, mut listener) = crate::doorbell();
    let _room = log.subscribe(COMMANDS, bell.waker());
    listener.take();
    assert_eq!(log.append(COMMANDS, Bytes::new()).unwrap_err(), AppendError::DiskFull);
    disk.set_capacity(None);
    while log.append(COMMANDS, Bytes::new()).is_err() {
        assert!(listener.wait_until(std::time::Instant::now() + PATIENCE), "nobody told that there is room");
    }
}

#[test]
fn a_log_on_a_full_disk_opens_and_can_be_trimmed() {
    let config = config(1);
    let disk = SimDisk::default();
    disk.set_capacity(Some(room_for(6)));
    let log = open(&disk, &config).unwrap();
    fill(&log, COMMANDS, &AppendError::DiskFull);
    log.close();
    disk.set_capacity(Some(disk.used()));
    let log = open(&disk, &config).unwrap();
    wait_for_status(&log, &Status::DiskFull);
    log.trim(COMMANDS, log.watermarks(COMMANDS).durable).unwrap();
    wait_for_status(&log, &Status::Healthy);
    append_group(&log, COMMANDS, noise(0, 10));
    assert!(log.watermarks(COMMANDS).low > Offset(0));
}

#[test]
fn what_may_be_forgotten_is_kept_as_long_as_there_is_room_for_it() {
    let config = EmbeddedConfig { keep_bytes: 3 * u64::from(config(1).segment_bytes), ..config(1) };
    let disk = SimDisk::default();
    let log = open(&disk, &config).unwrap();
    assert!(!log.wants_trim());
    while log.shared.segments.snapshot().len() < 8 {
        append_group(&log, COMMANDS, noise(1, 300));
    }
    assert!(log.wants_trim());
    let begun = log.shared.segments.snapshot();
    log.trim(COMMANDS, log.watermarks(COMMANDS).durable).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while log.wants_trim() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    let kept = log.shared.segments.snapshot();
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0].number, begun[begun.len() - 3].number);
    // A full disk is another matter: then everything goes that may.
    disk.set_capacity(Some(disk.used()));
    while log.watermarks(COMMANDS).low <= kept[1].start[0].next {
        assert!(std::time::Instant::now() < deadline);
        let _refused = log.append(COMMANDS, noise(2, 300));
        log.trim(COMMANDS, log.watermarks(COMMANDS).durable).unwrap();
    }
}

#[test]
fn only_segments_that_no_stream_needs_are_dropped() {
    let config = config(2);
    let disk = SimDisk::default();
    let log = open(&disk, &config).unwrap();
    let ids: Vec<_> = config.layout.streams().collect();
    for nr in 0..200 {
        append_group(&log, ids[nr % 2], noise(nr as u64, 300));
        if nr % 5 == 0 {
            append(&log, DECISIONS, &noise(nr as u64, 300)).unwrap();
        }
    }
    append_group(&log, COMMANDS, Bytes::new());
    let segments = log.shared.segments.snapshot();
    assert!(segments.len() > 5);
    // Of three streams all may go but the first decisions.
    for &id in &ids {
        log.trim(id, log.watermarks(id).durable).unwrap();
    }
    let (last, _) = segments.split_last().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while log.watermarks(COMMANDS).low != last.start[0].next {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    for (nr, &id) in ids.iter().enumerate() {
        let marks = log.watermarks(id);
        assert_eq!(marks.low, last.start[nr].next);
        if marks.low > Offset(0) {
            let before = log.read(id, Offset(marks.low.0 - 1), 1, &mut Vec::new());
            assert!(matches!(before, Err(ReadError::Trimmed { low }) if low == marks.low));
        }
        let mut records = Vec::new();
        log.read(id, marks.low, usize::MAX, &mut records).unwrap();
        assert_eq!(records.first().map(|record| record.offset), (marks.low < marks.end).then_some(marks.low));
    }
    log.close();
    let reopened = open(&disk, &config).unwrap();
    assert_eq!(reopened.watermarks(COMMANDS).low, last.start[0].next);
}

#[test]
fn one_stream_that_is_not_trimmed_keeps_every_segment_with_its_records() {
    let config = config(1);
    let disk = SimDisk::default();
    let log = open(&disk, &config).unwrap();
    for nr in 0..200 {
        append_group(&log, COMMANDS, noise(nr, 300));
        append(&log, DECISIONS, &noise(nr, 20)).unwrap();
    }
    let commands = log.watermarks(COMMANDS).durable;
    log.trim(COMMANDS, commands).unwrap();
    log.trim(DECISIONS, Offset(50)).unwrap();
    let holds_50 = log.shared.segments.holding(1, Offset(50)).unwrap().0;
    let deadline = std::time::Instant::now() + PATIENCE;
    while log.shared.segments.snapshot()[0].number != holds_50.number {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(log.watermarks(DECISIONS).low <= Offset(50));
    let mut records = Vec::new();
    log.read(DECISIONS, Offset(50), 1, &mut records).unwrap();
    assert_eq!(records[0].payload, noise(50, 20));
}

#[test]
fn the_queue_is_bounded() {
    let config =
        EmbeddedConfig { unsettled_bytes_max: 4_000, derived_delay: Duration::from_secs(3600), ..config(1) };
    let log = open(&SimDisk::default(), &config).unwrap();
    // Otherwise the news that a segment was prepared could be taken for the news that the queue has room.
    rest(&log);
    // Decisions wait for a command, so nothing leaves the queue.
    let accepted = fill(&log, DECISIONS, &AppendError::Full);
    assert_eq!(accepted, 4_000 / 552);
    let (bell, mut listener) = crate::doorbell();
    let _room = log.subscribe(DECISIONS, bell.waker());
    assert_eq!(log.append(DECISIONS, noise(1, 500)).unwrap_err(), AppendError::Full);
    assert!(!listener.take(), "told of room that is not there");
    // A small command still fits; its flush makes room, and tells.
    settle(&log.append(COMMANDS, Bytes::new()).unwrap());
    assert!(listener.wait_until(std::time::Instant::now() + PATIENCE), "nobody told that there is room");
    log.append(DECISIONS, noise(1, 500)).unwrap();
}

#[test]
fn readers_and_trimming_do_not_disturb_each_other() {
    let config = EmbeddedConfig { tail_bytes_max: 0, ..config(1) };
    let log = open(&SimDisk::default(), &config).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut next, mut read, mut skipped) = (Offset(0), 0, 0);
            let (bell, mut listener) = crate::doorbell();
            let _records = log.subscribe(COMMANDS, bell.waker());
            while next < Offset(3_000) {
                let mut records = Vec::new();
                match log.read(COMMANDS, next, 2_000, &mut records) {
                    Ok(()) if records.is_empty() => listener.wait(),
                    Ok(()) => {}
                    Err(ReadError::Trimmed { low }) => {
                        skipped += low.0 - next.0;
                        next = low;
                    }
                    Err(error) => panic!("{error}"),
                }
                for record in records {
                    assert_eq!((record.offset, record.payload), (next, noise(next.0, 200)));
                    next = next.next();
                    read += 1;
                }
            }
            (read, skipped)
        });
        for nr in 0..3_000 {
            append(&log, COMMANDS, &noise(nr, 200)).unwrap();
            if nr % 100 == 0 {
                log.trim(COMMANDS, log.watermarks(COMMANDS).durable).unwrap();
            }
        }
        let (read, skipped) = reader.join().unwrap();
        assert_eq!(read + skipped, 3_000);
    });
}
