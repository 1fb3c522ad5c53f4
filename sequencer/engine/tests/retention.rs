//! The log forgets what a verified checkpoint has, and nothing else.

mod kit;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_contracts::{Digest, Offset, SaleTerms};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{Keeper, ReaderMarks, Retention, RetentionError, Role, StopReason, retain};
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, SimulatedLog};
use kit::steps::{db_at, machine_for, open_as, outputs, quiet, records, run, save, settle, simulated};
use kit::{COMMANDS, DECISIONS, ONLY, PATIENCE, append, opening, requests, start, wait_for};

fn commands() -> Vec<Bytes> {
    let rounds = (0..6).map(|n| requests(100 * n, 100));
    std::iter::once(opening(350, SaleTerms::default())).chain(rounds).collect()
}

fn low(log: &dyn OrderedLog) -> (u64, u64) {
    (log.watermarks(COMMANDS).low.0, log.watermarks(DECISIONS).low.0)
}

fn round(keeper: &mut Keeper<holdfast_core::Machine>) -> Result<(), RetentionError> {
    retain(std::slice::from_mut(keeper))
}

struct Kept {
    log: Arc<SimulatedLog>,
    db: Arc<CheckpointDb>,
    readers: Arc<ReaderMarks>,
    keeper: Keeper<holdfast_core::Machine>,
}

/// A log with its first commands, and a keeper for it.
fn kept(directory: &Path, first: usize) -> Kept {
    let log = simulated(1, &commands()[..first]);
    let (db, readers) = (Arc::new(db_at(directory)), Arc::new(ReaderMarks::default()));
    let keeper = keeper(log.clone(), &db, &readers);
    Kept { log, db, readers, keeper }
}

fn keeper(
    log: Arc<dyn OrderedLog>,
    db: &Arc<CheckpointDb>,
    readers: &Arc<ReaderMarks>,
) -> Keeper<holdfast_core::Machine> {
    let machine = machine_for(log.as_ref());
    Keeper::new(ONLY, machine, log, Arc::clone(db), Arc::clone(readers))
}

#[test]
fn without_a_checkpoint_nothing_is_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let Kept { log, db, mut keeper, .. } = kept(directory.path(), 7);
    run(&log, &db).expect("nothing is wrong");
    round(&mut keeper).expect("nothing is wrong");
    assert_eq!((&keeper.status().verified, low(log.as_ref())), (&None, (0, 0)));
}

#[test]
fn a_worker_goes_on_from_its_checkpoint_when_all_before_it_is_gone() {
    let whole = tempfile::tempdir().expect("a directory");
    let reference = simulated(1, &commands());
    let truth = run(&reference, &db_at(whole.path())).expect("nothing is wrong");

    let directory = tempfile::tempdir().expect("a directory");
    let Kept { log, db, mut keeper, .. } = kept(directory.path(), 4);
    let mut worker = run(&log, &db).expect("nothing is wrong");
    save(&mut worker).expect("nothing is wrong");
    round(&mut keeper).expect("nothing is wrong");
    let status = keeper.status();
    assert_eq!(status.verified.as_ref(), Some(worker.checkpoint()));
    // The record before the checkpoint stays, to tell the log from another.
    assert_eq!(
        (low(log.as_ref()), status.commands_below, status.decisions_below),
        ((3, 4), Offset(3), Offset(4))
    );
    drop(worker);

    for command in &commands()[4..] {
        log.append(COMMANDS, command.clone()).expect("the log takes it");
    }
    let worker = run(&log, &db).expect("the checkpoint is enough");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (3, truth.machine().digest()));
    let (said, rest) = (outputs(reference.as_ref()), records(log.as_ref(), DECISIONS));
    assert_eq!(said[4..], rest.into_iter().map(|record| record.payload).collect::<Vec<_>>());
}

#[test]
fn a_checkpoint_that_cannot_be_read_back_is_no_reason_to_forget() {
    let directory = tempfile::tempdir().expect("a directory");
    let Kept { log, db, mut keeper, .. } = kept(directory.path(), 7);
    save(&mut run(&log, &db).expect("nothing is wrong")).expect("nothing is wrong");
    for entry in std::fs::read_dir(directory.path().join("checkpoints")).expect("the database") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|it| it == "blob") {
            let mut bytes = std::fs::read(&path).expect("it can be read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).expect("it can be written");
        }
    }
    let refused = round(&mut keeper).expect_err("a damaged page");
    assert!(matches!(refused, RetentionError::Unverified { .. }), "{refused:?}");
    assert_eq!(low(log.as_ref()), (0, 0));
    assert!(keeper.status().verified.is_none() && keeper.status().failed.is_some());
}

#[test]
fn a_checkpoint_of_another_log_is_no_reason_to_forget() {
    let directory = tempfile::tempdir().expect("a directory");
    let Kept { log, db, readers, .. } = kept(directory.path(), 7);
    save(&mut run(&log, &db).expect("nothing is wrong")).expect("nothing is wrong");
    let shorter = simulated(1, &commands()[..3]);
    let refused = round(&mut keeper(shorter.clone(), &db, &readers)).expect_err("it ends too early");
    let RetentionError::Foreign { source, .. } = refused else { panic!("{refused:?}") };
    assert!(matches!(*source, StopReason::LogLost { .. }));
    assert_eq!(low(shorter.as_ref()), (0, 0));
}

#[test]
fn what_a_reader_still_needs_is_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let Kept { log, db, readers, mut keeper } = kept(directory.path(), 7);
    let (slow, fast) = (readers.enter(DECISIONS, Offset(2)), readers.enter(DECISIONS, Offset(6)));
    let of_commands = readers.enter(COMMANDS, Offset(1));
    save(&mut run(&log, &db).expect("nothing is wrong")).expect("nothing is wrong");
    round(&mut keeper).expect("nothing is wrong");
    assert_eq!(low(log.as_ref()), (1, 2));
    slow.advance(Offset(5));
    drop(of_commands);
    round(&mut keeper).expect("nothing is wrong");
    assert_eq!(low(log.as_ref()), (6, 5));
    drop((slow, fast));
    round(&mut keeper).expect("nothing is wrong");
    assert_eq!(low(log.as_ref()), (6, 7), "a checkpoint stands for all of them");
}

/// A log trimmed for the sake of a verified checkpoint, and a later checkpoint that nobody has read back.
fn trimmed(directory: &Path) -> Arc<SimulatedLog> {
    let Kept { log, db, mut keeper, .. } = kept(directory, 4);
    save(&mut run(&log, &db).expect("nothing is wrong")).expect("nothing is wrong");
    round(&mut keeper).expect("nothing is wrong");
    for command in &commands()[4..] {
        log.append(COMMANDS, command.clone()).expect("the log takes it");
    }
    save(&mut run(&log, &db).expect("nothing is wrong")).expect("nothing is wrong");
    assert_eq!(low(log.as_ref()), (3, 4));
    log
}

fn truth() -> Digest {
    let directory = tempfile::tempdir().expect("a directory");
    let worker = run(&simulated(1, &commands()), &db_at(directory.path())).expect("nothing is wrong");
    worker.machine().digest()
}

/// Files of the last checkpoint that the verified one does not share.
fn later_blobs(directory: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(directory.join("checkpoints")).expect("the database");
    let paths = files.map(|entry| entry.expect("an entry").path());
    let verified = directory.join("checkpoints.verified");
    let is_later = |path: &std::path::PathBuf| {
        let shared = path.file_name().is_some_and(|name| verified.join(name).exists());
        path.extension().is_some_and(|it| it == "blob") && !shared
    };
    paths.filter(is_later).collect()
}

#[test]
fn a_start_falls_back_on_the_verified_checkpoint() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = trimmed(directory.path());
    let later = later_blobs(directory.path());
    assert!(!later.is_empty(), "the last checkpoint has pages of its own");
    for path in later {
        let mut bytes = std::fs::read(&path).expect("it can be read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("it can be written");
    }
    goes_on_from_the_verified_checkpoint(&log, directory.path());
}

#[test]
fn a_start_without_its_database_falls_back_on_the_verified_checkpoint() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = trimmed(directory.path());
    std::fs::remove_dir_all(directory.path().join("checkpoints")).expect("it can be removed");
    goes_on_from_the_verified_checkpoint(&log, directory.path());
}

fn goes_on_from_the_verified_checkpoint(log: &Arc<SimulatedLog>, directory: &Path) {
    let said = log.watermarks(DECISIONS).end;
    let db = db_at(directory);
    let mut worker = run(log, &db).expect("the verified checkpoint and the log are enough");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (3, truth()));
    save(&mut worker).expect("nothing is wrong");
    drop(worker);
    let worker = run(log, &db).expect("its own checkpoint is whole");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (0, truth()));
    assert_eq!(log.watermarks(DECISIONS).end, said, "nothing was said again");
}

#[test]
fn a_standby_that_lags_begins_again_from_the_later_checkpoint() {
    let directory = tempfile::tempdir().expect("a directory");
    let Kept { log, db, mut keeper, .. } = kept(directory.path(), 7);
    let mut standby = open_as(Role::Standby, quiet(), &log, &db).expect("it begins");
    let mut active = run(&log, &db).expect("nothing is wrong");
    save(&mut active).expect("nothing is wrong");
    round(&mut keeper).expect("nothing is wrong");
    let stopped = settle(&mut standby).expect_err("its next command is gone");
    assert!(matches!(stopped, StopReason::TrimGap { needed: Offset(0), low: Offset(6) }), "{stopped:?}");
    assert!(stopped.may_be_rebuilt());
    let mut standby = open_as(Role::Standby, quiet(), &log, &db).expect("it begins again");
    settle(&mut standby).expect("nothing is wrong");
    assert_eq!(standby.machine().digest(), active.machine().digest());
}

#[test]
fn outputs_that_were_forgotten_are_not_said_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &commands());
    let digest =
        run(&log, &db_at(&directory.path().join("lost"))).expect("nothing is wrong").machine().digest();
    log.trim(DECISIONS, Offset(5)).expect("they are durable");
    // Its checkpoints are lost, but the commands are all there.
    let worker = run(&log, &db_at(directory.path())).expect("the commands are enough");
    assert_eq!((worker.machine().digest(), low(log.as_ref())), (digest, (0, 5)));
    assert_eq!(log.watermarks(DECISIONS).end, Offset(7));
}

/// As many requests as the small machine of these tests can remember, in batches of 2,000.
const BATCHES: u64 = 400;
/// Two that are needed or wanted, the one being written, and two that are prepared.
const SEGMENTS_MAX: usize = 5;

fn segments(directory: &Path) -> usize {
    let files = std::fs::read_dir(directory.join("log"))
        .expect("the log")
        .map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|it| it == "segment")).count()
}

#[test]
fn the_embedded_log_of_a_running_sequencer_stays_small_and_a_crash_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let open_log = || -> Arc<dyn OrderedLog> {
        let layout = Layout::inventory(1).expect("one partition is fine");
        let config = EmbeddedConfig {
            segment_bytes: 12 << 20,
            keep_bytes: 12 << 20,
            tail_bytes_max: 1 << 20,
            ..EmbeddedConfig::new(layout)
        };
        Arc::new(EmbeddedLog::open(&directory.path().join("log"), &config).expect("the log opens"))
    };
    let most = {
        let (log, db) = (open_log(), kit::open_db(directory.path()));
        let readers = Arc::new(ReaderMarks::default());
        let retention = Retention::start(vec![keeper(log.clone(), &db, &readers)], Duration::from_millis(20));
        let sequencer = start(&log, &db, false);
        append(log.as_ref(), opening(10_000, SaleTerms::default()));
        let mut most = 0;
        // About 30 bytes of commands and 20 of decisions for each: several times what is kept.
        for batch in 0..BATCHES {
            let ticket = log.append(COMMANDS, requests(batch * 2_000, 2_000)).expect("the log takes it");
            if batch % 4 == 0 {
                ticket.wait(PATIENCE).expect("in time").expect("durable");
                most = segments(directory.path()).max(most);
            }
        }
        // The log may want to forget a last segment that it cannot: where one ends exactly with the last command, the
        // record that the checkpoint is checked against is in it.
        wait_for(log.as_ref(), DECISIONS, || {
            let decided = sequencer.statuses()[0].next_offset.0 > BATCHES;
            (decided && segments(directory.path()) <= SEGMENTS_MAX).then_some(())
        });
        assert!(log.watermarks(COMMANDS).low > Offset(0) && log.watermarks(DECISIONS).low > Offset(0));
        let (_, status) = retention.statuses().remove(0);
        assert!(status.verified.is_some() && status.failed.is_none(), "{status:?}");
        most
        // Everything is dropped without a word.
    };
    let (log, db) = (open_log(), kit::open_db(directory.path()));
    let now = segments(directory.path());
    assert!(now <= SEGMENTS_MAX, "{now} segments, {most} at most");
    let sequencer = start(&log, &db, false);
    // Retries of the first and of the last requests, and new ones: the first answers are still known.
    let last = BATCHES * 2_000;
    append(log.as_ref(), requests(9_995, 10));
    append(log.as_ref(), requests(last - 5, 10));
    let end = log.watermarks(COMMANDS).end;
    wait_for(log.as_ref(), DECISIONS, || (sequencer.statuses()[0].next_offset >= end).then_some(()));
    let kept = log.watermarks(DECISIONS);
    let mut tail = Vec::new();
    log.read(DECISIONS, Offset(kept.end.0 - 2), 1 << 20, &mut tail).expect("it can be read");
    let outcomes: Vec<(bool, bool)> = tail
        .iter()
        .flat_map(|record| {
            let batch = holdfast_contracts::decision::decode_decisions(&record.payload).expect("a decision");
            let reserved =
                |outcome| matches!(outcome, Some(holdfast_contracts::decision::Outcome::Reserved { .. }));
            batch.decisions().map(|it| (reserved(it.outcome), it.replay)).collect::<Vec<_>>()
        })
        .collect();
    let expected = [vec![(true, true); 5], vec![(false, true); 10], vec![(false, false); 5]].concat();
    assert_eq!(outcomes, expected);
    sequencer.stop(PATIENCE);
}
