//! Crashes between any two steps of a worker: whoever comes after, from whatever was kept, says the same.

mod kit;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::{CustomerId, Digest, IntakeId, Offset, RequestTag, SaleTerms};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{CheckpointStore, Role, WorkerConfig};
use holdfast_log::simulated::{Pace, Reading, Survivors};
use holdfast_log::{OrderedLog, SimulatedLog};
use kit::steps::{
    Driven, START, db_at, end, open_as, out_seq_of, outputs, quiet, records, run, save, settle, simulated,
};
use kit::{COMMANDS, DECISIONS, ONLY, PATIENCE, id, opening, requests};

/// More steps than any of the runs here takes.
const STEPS_MAX: u32 = 2_000;

/// Small bites, so that there are many steps: one record at a time, one checkpoint after the other, each in pieces.
fn nibbling() -> WorkerConfig {
    WorkerConfig { read_bytes_max: 1, copy_bytes_per_step: 100, checkpoint_after_bytes: 1, ..quiet() }
}

/// A sale in which holds are granted, refused, confirmed, released and expired, and a second one is sold of what came back.
fn a_sale() -> Arc<SimulatedLog> {
    let terms = SaleTerms { hold_ttl_ms: 3_000, offer_ttl_ms: 3_000, waitlist: true, ..SaleTerms::default() };
    let mut commands = vec![opening(60, terms)];
    for round in 0..10 {
        commands.push(requests(20 * round, 20));
        commands.push(endings(20 * round));
    }
    let log = simulated(1, &[]);
    let mut now = START;
    for command in commands {
        now = now.plus_ms(400);
        log.set_clocks(now);
        log.append(COMMANDS, command).expect("the log takes it");
    }
    log.set_pace(Pace::Stepwise);
    log
}

fn endings(first: u64) -> Bytes {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(1), RequestTag(first));
    let customer = CustomerId(0);
    builder.push(&Command::Confirm { reservation_id: id(first), customer, reacquire: false });
    builder.push(&Command::Release { reservation_id: id(first + 1), customer });
    Bytes::copy_from_slice(builder.bytes())
}

/// What an uninterrupted run comes to.
struct Truth {
    outputs: Vec<Bytes>,
    digest: Digest,
}

fn truth() -> Truth {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, db) = (a_sale(), db_at(directory.path()));
    let worker = run(&log, &db).expect("nothing is wrong");
    let outputs = outputs(log.as_ref());
    assert!(outputs.len() > 15, "the sale has something to say: {}", outputs.len());
    Truth { outputs, digest: worker.machine().digest() }
}

impl Truth {
    /// Steps to the end, and makes sure that it is the right one, also for somebody who starts from the checkpoint.
    fn finish(&self, what: &str, mut worker: Driven, log: &Arc<SimulatedLog>, db: &CheckpointDb) {
        log.set_pace(Pace::Automatic);
        log.flush_all();
        save(&mut worker).unwrap_or_else(|reason| panic!("{what}: {reason}"));
        assert_eq!(worker.machine().digest(), self.digest, "{what}");
        assert_eq!(outputs(log.as_ref()), self.outputs, "{what}");
        drop(worker);
        let said = end(log.as_ref(), DECISIONS);
        let worker = run(log, db).unwrap_or_else(|reason| panic!("{what}: {reason}"));
        assert_eq!(worker.machine().digest(), self.digest, "{what}: from the checkpoint");
        assert_eq!(worker.records_applied(), 0, "{what}: the checkpoint has everything");
        assert_eq!(end(log.as_ref(), DECISIONS), said, "{what}: nothing is said again");
    }
}

/// A checkpoint must never stand for an output that could still be lost, nor hide one from whoever starts from it.
fn checkpoint_is_behind_the_durable_mark(log: &SimulatedLog, db: &CheckpointDb) {
    let anchor = db.partition(ONLY).load(&mut |_, _, _| Ok(())).expect("it can be read");
    let Some(anchor) = anchor else { return };
    let durable = log.watermarks(DECISIONS).durable;
    assert!(anchor.out_offset <= durable, "{anchor:?} is beyond {durable}");
    let said = records(log, DECISIONS);
    let said: Vec<_> = said.iter().map(|it| (it.offset, out_seq_of(&it.payload))).collect();
    for number in 1..=anchor.out_seq.0 {
        let is_safe = said.iter().any(|(offset, out_seq)| out_seq.0 == number && *offset < durable);
        assert!(is_safe, "{anchor:?} stands for output {number}, which is not durable: {said:?}");
    }
    for (_, later) in said.iter().filter(|(_, out_seq)| *out_seq > anchor.out_seq) {
        let is_seen = said.iter().any(|(offset, out_seq)| out_seq == later && *offset >= anchor.out_offset);
        assert!(is_seen, "{anchor:?} hides output {later}: {said:?}");
    }
}

/// Takes the steps with these numbers, not counting those that find nothing to do; the log flushes at every third. False
/// if the worker came to its end before.
fn step(worker: &mut Driven, log: &SimulatedLog, db: &CheckpointDb, numbers: Range<u32>) -> bool {
    let deadline = Instant::now() + PATIENCE;
    for nr in numbers {
        while !worker.step(START).expect("nothing is wrong").progressed {
            let done = worker.is_checkpoint_current() && worker.outputs_unacknowledged() == 0;
            if done && worker.next_offset() == end(log, COMMANDS) {
                return false;
            }
            assert!(Instant::now() < deadline, "nothing goes on");
            // It waits for the log, or for RocksDB, which writes on a thread of its own.
            log.flush(DECISIONS);
            std::thread::yield_now();
        }
        checkpoint_is_behind_the_durable_mark(log, db);
        if nr % 3 == 2 {
            log.flush(DECISIONS);
        }
    }
    true
}

/// What a crash leaves of the outputs that were not durable: all, none, some.
fn crash(log: &SimulatedLog, nr: u32) {
    let kept = [0, usize::MAX, 1, 2][nr as usize % 4];
    log.crash(Survivors::FirstLanded(kept));
}

#[test]
fn a_crash_between_any_two_steps_changes_nothing() {
    let truth = truth();
    let (mut at, mut unsaid, mut behind) = (0, 0, 0);
    loop {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, db) = (a_sale(), db_at(directory.path()));
        let open = || open_as(Role::Active, nibbling(), &log, &db).expect("it begins");
        let mut worker = open();
        let more = step(&mut worker, &log, &db, 0..at);
        unsaid += u32::from(worker.outputs_unacknowledged() > 0);
        behind += u32::from((Offset(1)..worker.next_offset()).contains(&worker.checkpoint().next_offset));
        drop(worker);
        crash(&log, at);
        // And once more, on the way back.
        let mut worker = open();
        step(&mut worker, &log, &db, 0..at * 7 % 13);
        drop(worker);
        crash(&log, at / 4);
        truth.finish(&format!("a crash after step {at}"), open(), &log, &db);
        if !more {
            break;
        }
        at += 1;
        assert!(at < STEPS_MAX, "it never ends");
    }
    assert!(
        at > 25 && unsaid > 5 && behind > 5,
        "{at} steps, {unsaid} with lost outputs, {behind} with old checkpoints"
    );
}

#[test]
fn a_crash_that_takes_the_checkpoints_along_changes_nothing() {
    let truth = truth();
    for at in (0..60).step_by(7) {
        let directory = tempfile::tempdir().expect("a directory");
        let log = a_sale();
        let lost = db_at(&directory.path().join("lost"));
        let mut worker = open_as(Role::Active, nibbling(), &log, &lost).expect("it begins");
        step(&mut worker, &log, &lost, 0..at);
        drop(worker);
        crash(&log, at);
        let db = db_at(directory.path());
        let worker = open_as(Role::Active, nibbling(), &log, &db).expect("it begins");
        assert_eq!(worker.next_offset(), Offset(0));
        truth.finish(&format!("after step {at}"), worker, &log, &db);
    }
}

#[test]
fn a_standby_takes_over_after_any_step_and_a_zombie_does_no_harm() {
    let truth = truth();
    let mut at = 0;
    loop {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, db) = (a_sale(), db_at(directory.path()));
        let mut active = open_as(Role::Active, nibbling(), &log, &db).expect("it begins");
        let mut standby = open_as(Role::Standby, nibbling(), &log, &db).expect("it begins");
        let mut more = true;
        for nr in 0..at {
            more &= step(&mut active, &log, &db, nr..nr + 1);
            standby.step(START).expect("nothing is wrong");
        }
        assert_eq!(
            standby.outputs_unacknowledged().min(1),
            usize::from(standby.out_seq() > active.out_seq())
        );
        // It takes over as soon as it has applied what was there when it began.
        settle(&mut standby).expect("nothing is wrong");
        assert!(standby.promote().expect("nothing is wrong"), "it is ready");
        assert_eq!(standby.role(), Role::Active);
        if at % 2 == 0 {
            // The deposed owner has not heard of it.
            step(&mut active, &log, &db, 0..5);
        }
        drop(active);
        truth.finish(&format!("a takeover after step {at}"), standby, &log, &db);
        if !more {
            break;
        }
        at += 1;
        assert!(at < STEPS_MAX, "it never ends");
    }
}

/// Of two owners one says everything, the other repeats a part and makes a checkpoint of it: the rest stands in the log only
/// before that checkpoint's place.
#[test]
fn a_standby_finds_what_was_said_before_its_checkpoints_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, db) = (a_sale(), db_at(directory.path()));
    log.set_pace(Pace::Automatic);
    let mut late = open_as(Role::Active, nibbling(), &log, &db).expect("it begins");
    // It has read to the end of the decisions, and does not hear of what comes then.
    while late.records_applied() < 1 {
        late.step(START).expect("nothing is wrong");
    }
    let all = run(&log, &db_at(&directory.path().join("other"))).expect("nothing is wrong");
    while late.records_applied() < 4 {
        late.step(START).expect("nothing is wrong");
    }
    log.set_reading(COMMANDS, Reading::Stalls);
    let deadline = Instant::now() + PATIENCE;
    while !late.is_checkpoint_current() {
        assert!(Instant::now() < deadline, "no checkpoint came");
        late.step(START).expect("nothing is wrong");
    }
    log.set_reading(COMMANDS, Reading::Works);
    let place = late.checkpoint().clone();
    drop(late);
    let mut standby = open_as(Role::Standby, nibbling(), &log, &db).expect("it begins");
    settle(&mut standby).expect("nothing is wrong");
    assert_eq!(standby.machine().digest(), all.machine().digest());
    assert!(standby.outputs_unacknowledged() > 0, "nothing is hidden by {place:?}");
    let mut now = START;
    while standby.outputs_unacknowledged() > 0 {
        now = now.plus_ms(1_000);
        assert!(now < START.plus_ms(60_000), "it waits for what nobody will say");
        standby.step(now).expect("nothing is wrong");
    }
}
