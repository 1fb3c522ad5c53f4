//! What a worker gets over without stopping, each found by the simulated world.

mod kit;

use bytes::Bytes;
use holdfast_contracts::{Offset, SaleTerms};
use holdfast_engine::{Role, WorkerConfig};
use holdfast_log::OrderedLog;
use kit::steps::{START, db_at, open, open_as, out_seq_of, quiet, records, run, save, settle, simulated};
use kit::{COMMANDS, DECISIONS, PATIENCE, opening, requests};

fn three_commands() -> [Bytes; 3] {
    [opening(100, SaleTerms::default()), requests(0, 100), requests(100, 100)]
}

#[test]
fn an_output_that_came_late_is_followed_by_those_that_readers_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands: Vec<Bytes> = std::iter::once(opening(100, SaleTerms::default()))
        .chain((0..3).map(|n| requests(10 * n, 10)))
        .collect();
    let whole = simulated(1, &commands);
    run(&whole, &db_at(&directory.path().join("whole"))).expect("nothing is wrong");
    let said: Vec<Bytes> = records(whole.as_ref(), DECISIONS).into_iter().map(|it| it.payload).collect();
    let log = simulated(1, &commands);
    for nr in [0, 2, 1] {
        log.append(DECISIONS, said[nr].clone()).expect("the log takes it");
    }
    run(&log, &db_at(directory.path())).expect("nothing is missing");
    let numbers: Vec<u64> =
        records(log.as_ref(), DECISIONS).iter().map(|record| out_seq_of(&record.payload).0).collect();
    assert_eq!(numbers, [1, 3, 2, 3, 4], "a reader that dropped the third gets it again");
}

#[test]
fn a_standby_promoted_before_its_first_command_reads_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &[]);
    let config = WorkerConfig { read_bytes_max: 1, ..quiet() };
    let standby = open_as(Role::Standby, config, &log, &db_at(&directory.path().join("standby")));
    let mut standby = standby.expect("it begins");
    standby.step(START).expect("it has read the outputs");
    for command in three_commands() {
        log.append(COMMANDS, command).expect("the log takes it");
    }
    run(&log, &db_at(&directory.path().join("active"))).expect("nothing is wrong");
    let before = records(log.as_ref(), DECISIONS).len();
    assert!(standby.promote().expect("it takes over"));
    settle(&mut standby).expect("it has no reason to stop");
    assert_eq!(standby.next_offset(), Offset(3));
    assert_eq!(records(log.as_ref(), DECISIONS).len(), before, "nothing is said twice");
}

#[test]
fn an_anchor_forgotten_after_opening_is_no_reason_to_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &three_commands());
    save(&mut run(&log, &db_at(directory.path())).expect("nothing is wrong")).expect("it is saved");
    let mut worker = open(&log, &db_at(directory.path())).expect("the anchor is there");
    log.trim(COMMANDS, Offset(3)).expect("everything is durable");
    settle(&mut worker).expect("what it needs is there");
    assert_eq!(worker.next_offset(), Offset(3));
}

#[test]
fn a_wall_clock_set_back_does_not_stop_the_ticks() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &three_commands());
    let config = WorkerConfig { idle_tick_ms: 100, ..quiet() };
    let mut worker = open_as(Role::Active, config, &log, &db_at(directory.path())).expect("it begins");
    let ahead = START.plus_ms(150_000);
    for wall in [ahead, START] {
        let deadline = std::time::Instant::now() + PATIENCE;
        let before = log.watermarks(COMMANDS).end;
        while log.watermarks(COMMANDS).end == before {
            assert!(std::time::Instant::now() < deadline, "no tick came");
            worker.step(wall).expect("nothing is wrong");
        }
        while worker.step(wall).expect("nothing is wrong").progressed {}
    }
}
