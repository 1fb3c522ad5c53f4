//! A sequencer on the embedded log with its checkpoints in RocksDB: it answers, ends, crashes, and goes on.

mod kit;

use std::time::Duration;

use holdfast_contracts::SaleTerms;
use holdfast_engine::{PartitionState, Sequencer, WorkerConfig};
use kit::{
    COMMANDS, DECISIONS, ONLY, PATIENCE, answers, append, decisions, open_db, open_log, opening, requests,
    start, start_with, wait_for,
};

fn live(log: &dyn holdfast_log::OrderedLog, sequencer: &Sequencer<holdfast_core::Machine>) {
    wait_for(log, DECISIONS, || sequencer.statuses()[0].is_live().then_some(()));
}

#[test]
fn every_request_is_answered_once_and_no_unit_is_sold_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open_log(directory.path());
    let db = open_db(directory.path());
    let sequencer = start(&log, &db, false);
    append(log.as_ref(), opening(1_000, SaleTerms::default()));
    for batch in 0..50 {
        append(log.as_ref(), requests(batch * 100, 100));
    }
    assert_eq!(answers(log.as_ref(), 5_000), (1_000, 4_000));
    sequencer.stop(PATIENCE);
}

#[test]
fn after_an_orderly_end_nothing_is_replayed_or_said_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let digest = {
        let log = open_log(directory.path());
        let db = open_db(directory.path());
        let sequencer = start(&log, &db, false);
        append(log.as_ref(), opening(1_000, SaleTerms::default()));
        append(log.as_ref(), requests(0, 2_000));
        answers(log.as_ref(), 2_000);
        let digest = sequencer.ask(ONLY, |machine, _| machine.digest()).expect("it answers");
        sequencer.stop(PATIENCE);
        log.close();
        digest.expect("it is live")
    };
    let log = open_log(directory.path());
    let outputs = log.watermarks(DECISIONS).end;
    let db = open_db(directory.path());
    let sequencer = start(&log, &db, false);
    live(log.as_ref(), &sequencer);
    let (again, status) = sequencer
        .ask(ONLY, |machine, status| (machine.digest(), status.clone()))
        .expect("it answers")
        .expect("it is live");
    // A tick may have come in between; apart from it the state is what it was.
    let ticks = log.watermarks(COMMANDS).end.0 - status.checkpoint_offset.0;
    assert!(ticks <= 2, "an orderly end leaves nothing to replay: {status:?}");
    assert_eq!(log.watermarks(DECISIONS).end, outputs);
    if ticks == 0 {
        assert_eq!(again, digest);
    }
    append(log.as_ref(), requests(0, 10));
    assert_eq!(answers(log.as_ref(), 2_010), (1_010, 1_000));
}

#[test]
fn an_orderly_end_waits_for_the_checkpoint_and_not_for_quiet() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open_log(directory.path());
    let db = open_db(directory.path());
    // A tick every millisecond: no checkpoint ever contains everything, for one is applied while it is written.
    let worker = WorkerConfig { idle_tick_ms: 1, ..WorkerConfig::new(ONLY) };
    let sequencer = start_with(&log, &db, worker, false);
    append(log.as_ref(), opening(1_000, SaleTerms::default()));
    append(log.as_ref(), requests(0, 2_000));
    answers(log.as_ref(), 2_000);
    assert!(sequencer.stop(PATIENCE), "the last checkpoint is written");
}

#[test]
fn after_a_crash_the_log_brings_back_what_no_checkpoint_had() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let log = open_log(directory.path());
        let db = open_db(directory.path());
        let sequencer = start(&log, &db, false);
        append(log.as_ref(), opening(10_000, SaleTerms::default()));
        for batch in 0..20 {
            append(log.as_ref(), requests(batch * 1_000, 1_000));
        }
        answers(log.as_ref(), 20_000);
        // Dropped without a word: no last checkpoint.
        drop(sequencer);
    }
    let log = open_log(directory.path());
    let db = open_db(directory.path());
    let sequencer = start(&log, &db, false);
    live(log.as_ref(), &sequencer);
    append(log.as_ref(), requests(19_990, 20));
    assert_eq!(answers(log.as_ref(), 20_020), (10_000, 10_020));
}

#[test]
fn a_standby_takes_over_and_says_nothing_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open_log(directory.path());
    let db = open_db(directory.path());
    let sequencer = start(&log, &db, true);
    append(log.as_ref(), opening(10_000, SaleTerms::default()));
    append(log.as_ref(), requests(0, 1_000));
    answers(log.as_ref(), 1_000);
    wait_for(log.as_ref(), DECISIONS, || {
        sequencer.standby_status(ONLY).filter(|s| s.next_offset.0 >= 2).map(drop)
    });
    for round in 1..4 {
        sequencer.fail_over(ONLY).expect("it is run here");
        append(log.as_ref(), requests(round * 1_000, 1_000));
        let total = usize::try_from((round + 1) * 1_000).expect("small");
        assert_eq!(answers(log.as_ref(), total), (total, 0));
        wait_for(log.as_ref(), DECISIONS, || {
            let standby = sequencer.standby_status(ONLY)?;
            let active = &sequencer.statuses()[0];
            (active.is_live() && standby.is_live() && standby.next_offset == active.next_offset).then_some(())
        });
    }
    sequencer.stop(PATIENCE);
}

#[test]
fn two_live_writers_say_the_same_and_readers_drop_the_second() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open_log(directory.path());
    let (first, second) = (open_db(&directory.path().join("a")), open_db(&directory.path().join("b")));
    let one = start(&log, &first, false);
    let two = start(&log, &second, false);
    append(log.as_ref(), opening(1_000, SaleTerms::default()));
    for batch in 0..20 {
        append(log.as_ref(), requests(batch * 100, 100));
    }
    assert_eq!(answers(log.as_ref(), 2_000), (1_000, 1_000));
    for sequencer in [&one, &two] {
        wait_for(log.as_ref(), DECISIONS, || {
            let status = sequencer.statuses().remove(0);
            assert!(!matches!(status.state, PartitionState::Stopped(_)), "{status:?}");
            (status.next_offset == log.watermarks(COMMANDS).end).then_some(())
        });
    }
    let by_number = decisions(log.as_ref());
    let mut seen = std::collections::BTreeMap::new();
    for record in &by_number {
        let batch =
            holdfast_contracts::decision::decode_decisions(&record.payload).expect("a decision record");
        let before = seen.insert(batch.envelope.out_seq, record.payload.clone());
        assert!(before.is_none_or(|before| before == record.payload), "the same number, the same bytes");
    }
    assert!(seen.len() < by_number.len(), "both writers wrote");
    one.stop(PATIENCE);
    two.stop(PATIENCE);
}

#[test]
fn holds_expire_in_a_quiet_partition() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open_log(directory.path());
    let db = open_db(directory.path());
    let sequencer = start(&log, &db, false);
    let terms = SaleTerms { hold_ttl_ms: 200, offer_ttl_ms: 200, ..SaleTerms::default() };
    append(log.as_ref(), opening(10, terms));
    append(log.as_ref(), requests(0, 20));
    answers(log.as_ref(), 20);
    wait_for(log.as_ref(), DECISIONS, || {
        let sku = sequencer.ask(ONLY, |machine, _| machine.view_sku("A1")).expect("it answers")??;
        (sku.figures.available == 10).then_some(())
    });
    append(log.as_ref(), requests(100, 10));
    assert_eq!(answers(log.as_ref(), 30), (20, 10));
    sequencer.stop(Duration::from_secs(10));
}
