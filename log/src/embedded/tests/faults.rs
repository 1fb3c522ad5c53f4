//! One operation of the disk fails, any one: the log stops for good, and says unknown of what it cannot know.

use std::io::ErrorKind;

use super::*;
use crate::{
    embedded::disk::simulated::Fault,
    port::{AppendFailure, Status},
};

/// Fails every operation in turn, from the creation of the log on.
#[test]
fn any_failing_operation_is_refused_at_open_or_ends_the_log() {
    let config = config(1);
    let mut ended = 0;
    for operation in 0..150 {
        let disk = SimDisk::default();
        disk.set_fault(Some(Fault { operation, kind: ErrorKind::Other }));
        let Ok(log) = open(&disk, &config) else {
            // Nothing was promised yet; a second attempt finds nothing that stands in its way.
            open(&disk, &config).unwrap_or_else(|error| panic!("operation {operation}: {error}"));
            continue;
        };
        let mut tickets = Vec::new();
        for nr in 0..80 {
            match append(&log, if nr % 2 == 0 { COMMANDS } else { DECISIONS }, &noise(nr, 400)) {
                Ok(ticket) => {
                    // Every other record is waited for, so that there are many groups.
                    let _outcome = (nr % 2 == 0).then(|| ticket.wait(PATIENCE));
                    tickets.push(ticket);
                }
                Err(AppendError::Failed { .. }) => break,
                Err(error) => panic!("operation {operation}: {error}"),
            }
        }
        log.close();
        let failed = matches!(log.status(), Status::Failed { .. });
        ended += usize::from(failed);
        for ticket in &tickets {
            match ticket.result() {
                Some(Ok(_)) => {}
                Some(Err(AppendFailure::Unknown { .. })) => assert!(failed, "unknown without a failure"),
                other => panic!("operation {operation}: a closed log leaves {other:?}"),
            }
        }
        let durable = tickets.iter().filter(|ticket| matches!(ticket.result(), Some(Ok(_)))).count();
        let found = read_all(&disk.after_kill(), &config).unwrap();
        assert!(found.iter().map(Vec::len).sum::<usize>() >= durable, "operation {operation}");
    }
    assert!(ended > 50, "only {ended} logs failed");
}

#[test]
fn after_a_failure_nothing_is_tried_again() {
    let disk = SimDisk::default();
    let config = EmbeddedConfig { derived_delay: Duration::from_secs(3600), ..config(1) };
    let log = open(&disk, &config).unwrap();
    append_group(&log, COMMANDS, noise(1, 10));
    rest(&log);
    let waiting = append(&log, DECISIONS, &noise(2, 10)).unwrap();
    disk.set_fault(Some(Fault { operation: disk.operations(), kind: ErrorKind::Other }));
    let failing = append(&log, COMMANDS, &noise(3, 10)).unwrap();
    let failure = failing.wait(PATIENCE).unwrap().unwrap_err();
    assert!(
        matches!(&failure, AppendFailure::Unknown { reason } if reason.contains("writing the log failed"))
    );
    assert_eq!(waiting.result(), Some(Err(failure)));
    let operations = disk.operations();
    assert!(matches!(log.append(DECISIONS, Bytes::new()), Err(AppendError::Failed { .. })));
    log.resume(DECISIONS);
    assert!(matches!(log.append(DECISIONS, Bytes::new()), Err(AppendError::Failed { .. })));
    log.close();
    assert!(matches!(log.status(), Status::Failed { .. }), "closing hid the failure");
    assert_eq!(disk.operations(), operations, "the disk was touched after it had failed");
    // What was readable stays readable.
    let mut records = Vec::new();
    log.read(COMMANDS, Offset(0), 1000, &mut records).unwrap();
    assert_eq!(records.len(), 1);
}

#[test]
fn a_failure_wakes_everyone_who_waits() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    append_group(&log, COMMANDS, noise(1, 10));
    rest(&log);
    let (bell, mut listener) = crate::doorbell();
    let _subscription = log.subscribe(DECISIONS, bell.waker());
    disk.set_fault(Some(Fault { operation: disk.operations(), kind: ErrorKind::Other }));
    log.append(COMMANDS, noise(2, 10)).unwrap();
    while !matches!(log.status(), Status::Failed { .. }) {
        assert!(listener.wait_until(std::time::Instant::now() + PATIENCE), "nobody told of the failure");
    }
}

#[test]
fn a_write_that_finds_no_room_where_room_was_promised_is_a_failure_like_any_other() {
    let disk = SimDisk::default();
    let log = open(&disk, &config(1)).unwrap();
    append_group(&log, COMMANDS, noise(1, 10));
    rest(&log);
    disk.set_fault(Some(Fault { operation: disk.operations(), kind: ErrorKind::StorageFull }));
    let ticket = log.append(COMMANDS, noise(2, 10)).unwrap();
    assert!(matches!(ticket.wait(PATIENCE), Some(Err(AppendFailure::Unknown { .. }))));
}
