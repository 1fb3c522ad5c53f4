//! A worker that takes over or hands over, step by step.

mod kit;

use std::sync::Arc;

use bytes::Bytes;
use holdfast_contracts::{Offset, SaleTerms};
use holdfast_core::PageSink;
use holdfast_engine::rocks::{CheckpointDb, RocksStore};
use holdfast_engine::{
    Anchor, CheckpointStore, PageVisitor, Role, StopReason, StoreError, Worker, WorkerConfig,
};
use holdfast_log::simulated::{Pace, Profile, View};
use holdfast_log::{Layout, OrderedLog, SimulatedConfig, SimulatedLog};
use kit::steps::{
    Driven, LOG_ID, START, db_at, machine_for, open_as, out_seq_of, outputs, quiet, records, run, save,
    settle, simulated,
};
use kit::{COMMANDS, DECISIONS, ONLY, opening, requests};

fn commands(count: u64) -> Vec<Bytes> {
    std::iter::once(opening(1_000, SaleTerms::default()))
        .chain((1..count).map(|round| requests(10 * round, 10)))
        .collect()
}

fn as_standby() -> WorkerConfig {
    WorkerConfig { standby_checkpoints: true, ..quiet() }
}

/// A log of these commands that does with appends what the test says.
fn stepwise(commands: &[Bytes]) -> Arc<SimulatedLog> {
    let config = SimulatedConfig::new(LOG_ID, Layout::inventory(1).expect("a layout"));
    let log = SimulatedLog::new(SimulatedConfig { profile: Profile::Kafka, pace: Pace::Stepwise, ..config });
    for command in commands {
        log.append(COMMANDS, command.clone()).expect("the log takes it");
    }
    log.land_all(COMMANDS);
    log.flush(COMMANDS);
    Arc::new(log)
}

fn deliver(log: &SimulatedLog) {
    log.land_all(DECISIONS);
    log.flush(DECISIONS);
}

fn what_these_give(commands: &[Bytes]) -> Vec<Bytes> {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, commands);
    run(&log, &db_at(directory.path())).expect("nothing is wrong");
    outputs(log.as_ref())
}

/// An active worker whose first output is acknowledged, whose second and third got lost, and which was demoted then.
fn demoted(log: &Arc<SimulatedLog>, db: &CheckpointDb) -> Driven {
    let mut worker = open_as(Role::Active, as_standby(), log, db).expect("it begins");
    settle(&mut worker).expect("nothing is wrong");
    log.land_nth(DECISIONS, 0);
    log.flush(DECISIONS);
    settle(&mut worker).expect("nothing is wrong");
    assert_eq!((worker.outputs_unacknowledged(), worker.acknowledged_offset()), (2, Offset(1)));
    assert!(worker.demote());
    log.lose(DECISIONS, 0);
    log.lose(DECISIONS, 0);
    settle(&mut worker).expect("what is lost is not its business");
    assert_eq!((worker.role(), worker.outputs_unacknowledged()), (Role::Standby, 2));
    worker
}

#[test]
fn a_demoted_worker_waits_for_somebody_else_to_say_what_got_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(3);
    let log = stepwise(&commands);
    let mut worker = demoted(&log, &db_at(&directory.path().join("one")));
    let _next = run(&log, &db_at(&directory.path().join("two"))).expect("nothing is wrong");
    deliver(&log);
    settle(&mut worker).expect("the same bytes");
    assert_eq!((worker.outputs_unacknowledged(), worker.acknowledged_offset()), (0, Offset(3)));
    assert_eq!(outputs(log.as_ref()), what_these_give(&commands));
    // Back in office it has nothing to say.
    assert!(worker.promote().expect("nothing is wrong"));
    settle(&mut worker).expect("nothing is wrong");
    assert_eq!(log.in_flight(DECISIONS), 0);
}

#[test]
fn a_demoted_worker_that_takes_over_again_says_what_got_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(3);
    let log = stepwise(&commands);
    let db = db_at(directory.path());
    let mut worker = demoted(&log, &db);
    assert!(worker.promote().expect("nothing is wrong"));
    assert_eq!(log.in_flight(DECISIONS), 2, "the first is there");
    deliver(&log);
    settle(&mut worker).expect("nothing is wrong");
    assert_eq!(outputs(log.as_ref()), what_these_give(&commands));
    save(&mut worker).expect("it can be saved");
}

#[test]
fn a_worker_demoted_while_it_replays_compares_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(20);
    let log = simulated(1, &commands);
    run(&log, &db_at(&directory.path().join("before"))).expect("nothing is wrong");
    let config = WorkerConfig { read_bytes_max: 1, ..as_standby() };
    for demoted_after in 0..20 {
        let db = db_at(&directory.path().join(format!("demoted-{demoted_after}")));
        let mut worker = open_as(Role::Active, config.clone(), &log, &db).expect("it begins");
        for _ in 0..demoted_after {
            worker.step(START).expect("nothing is wrong");
        }
        assert!(worker.demote());
        settle(&mut worker).expect("the same bytes");
        assert_eq!((worker.outputs_unacknowledged(), worker.role()), (0, Role::Standby));
        assert!(worker.promote().expect("nothing is wrong"));
    }
    assert_eq!(records(log.as_ref(), DECISIONS).len(), 20, "nothing is said twice");
}

#[test]
fn a_paused_worker_says_what_it_has_decided_and_decides_nothing_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = stepwise(&commands(3));
    let mut worker = open_as(Role::Active, as_standby(), &log, &db_at(directory.path())).expect("it begins");
    settle(&mut worker).expect("nothing is wrong");
    worker.pause();
    log.append(COMMANDS, requests(500, 10)).expect("the log takes it");
    log.land_all(COMMANDS);
    log.flush(COMMANDS);
    deliver(&log);
    while worker.step(START).expect("nothing is wrong").progressed {}
    assert_eq!((worker.next_offset(), worker.outputs_unacknowledged()), (Offset(3), 0));
    worker.go_on();
    settle(&mut worker).expect("nothing is wrong");
    assert_eq!(worker.next_offset(), Offset(4));
}

#[test]
fn a_standby_need_not_be_ready_to_take_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(20);
    let expected = what_these_give(&commands);
    let config = WorkerConfig { read_bytes_max: 1, ..as_standby() };
    for promoted_after in 0..20 {
        let log = simulated(1, &commands);
        for output in &expected[..promoted_after / 2] {
            log.append(DECISIONS, output.clone()).expect("the log takes it");
        }
        let db = db_at(&directory.path().join(format!("{promoted_after}")));
        let mut worker = open_as(Role::Standby, config.clone(), &log, &db).expect("it begins");
        for _ in 0..promoted_after {
            worker.step(START).expect("nothing is wrong");
        }
        assert!(worker.promote().expect("nothing is wrong"));
        settle(&mut worker).expect("nothing is wrong");
        assert_eq!(records(log.as_ref(), DECISIONS).len(), 20, "each is said once");
        assert_eq!(outputs(log.as_ref()), expected);
    }
}

#[test]
fn a_standby_keeps_so_many_outputs_and_no_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(200);
    let log = simulated(1, &commands);
    let config = WorkerConfig { standby_outputs_bytes_max: 4_096, ..as_standby() };
    let mut worker = open_as(Role::Standby, config, &log, &db_at(directory.path())).expect("it begins");
    for _ in 0..1_000 {
        worker.step(START).expect("nothing is wrong");
    }
    assert!(worker.is_full_of_outputs());
    assert!(worker.outputs_unacknowledged() < 40, "{}", worker.outputs_unacknowledged());
    assert!(worker.next_offset() < Offset(200) && worker.acknowledged_offset() == Offset(0));
    // Somebody says some of it: it goes on.
    let expected = what_these_give(&commands);
    let before = worker.next_offset();
    for output in &expected[..10] {
        log.append(DECISIONS, output.clone()).expect("the log takes it");
    }
    while worker.step(START).expect("nothing is wrong").progressed {}
    assert!(worker.next_offset() > before && worker.next_offset() < Offset(200));
    // It takes over.
    assert!(worker.promote().expect("nothing is wrong"));
    settle(&mut worker).expect("nothing is wrong");
    assert_eq!((worker.next_offset(), outputs(log.as_ref())), (Offset(200), expected));
}

fn late_view(log: &Arc<SimulatedLog>) -> Arc<View> {
    let view = Arc::new(log.view());
    view.lag();
    view
}

#[test]
fn a_process_that_knows_the_log_of_yesterday_finds_its_checkpoint_in_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &[]);
    let view = late_view(&log);
    for command in commands(5) {
        log.append(COMMANDS, command).expect("the log takes it");
    }
    let db = db_at(directory.path());
    save(&mut run(&log, &db).expect("nothing is wrong")).expect("it is saved");
    log.append(COMMANDS, requests(500, 10)).expect("the log takes it");
    assert_eq!(view.watermarks(COMMANDS).end, Offset(0));
    let mut worker = run(&view, &db).expect("nothing is lost");
    assert_eq!((worker.target(), worker.records_applied()), (Offset(6), 1));
    save(&mut worker).expect("nothing is wrong");
}

#[test]
fn a_process_that_knows_the_log_of_yesterday_says_nothing_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &commands(5));
    let view = late_view(&log);
    run(&log, &db_at(&directory.path().join("owner"))).expect("nothing is wrong");
    let worker = run(&view, &db_at(&directory.path().join("late"))).expect("nothing is wrong");
    assert_eq!(worker.next_offset(), Offset(5));
    assert_eq!(records(log.as_ref(), DECISIONS).len(), 5);
}

#[test]
fn a_standby_that_knows_the_log_of_yesterday_takes_no_output_for_one_of_the_future() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &[]);
    let view = late_view(&log);
    let config = WorkerConfig { read_bytes_max: 1, ..quiet() };
    let standby = open_as(Role::Standby, config, &view, &db_at(&directory.path().join("standby")));
    let mut standby = standby.expect("it begins");
    standby.step(START).expect("it has read the outputs");
    for command in commands(5) {
        log.append(COMMANDS, command).expect("the log takes it");
    }
    run(&log, &db_at(&directory.path().join("active"))).expect("nothing is wrong");
    assert!(standby.promote().expect("it takes over"));
    settle(&mut standby).expect("it has no reason to stop");
    assert_eq!(records(log.as_ref(), DECISIONS).len(), 5, "nothing is said twice");
    let numbers = records(log.as_ref(), DECISIONS);
    assert!(numbers.iter().map(|it| out_seq_of(&it.payload).0).eq(1..=5));
}

#[test]
fn a_log_that_cannot_be_asked_is_an_outage_and_costs_no_worker() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &commands(3));
    let view = Arc::new(log.view());
    view.cut_off();
    let refused = open_as(Role::Active, quiet(), &view, &db_at(directory.path())).err();
    assert!(refused.is_some_and(|reason| reason.is_outage()));
    view.reconnect();
    let mut worker = run(&view, &db_at(directory.path())).expect("it is back");
    view.cut_off();
    for command in commands(5).split_off(3) {
        log.append(COMMANDS, command).expect("the log takes it");
    }
    for _ in 0..3 {
        assert!(worker.step(START).is_err_and(|reason| reason.is_outage()));
    }
    view.reconnect();
    settle(&mut worker).expect("it goes on");
    assert_eq!(outputs(log.as_ref()), what_these_give(&commands(5)));
}

/// A store whose last checkpoint is old, while a later one is kept elsewhere.
struct Overtaken {
    own: RocksStore,
    elsewhere: RocksStore,
}

impl PageSink for Overtaken {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.own.put(kind, page, bytes);
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.own.delete(kind, page);
    }
}

impl CheckpointStore for Overtaken {
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        self.own.load(visit)
    }

    fn stand_ins(&mut self, newer_than: Option<Offset>) -> Result<Vec<Anchor>, StoreError> {
        let there = self.elsewhere.anchor()?;
        Ok(there.into_iter().filter(|it| newer_than.is_none_or(|than| it.next_offset > than)).collect())
    }

    fn load_stand_in(
        &mut self,
        _: &Anchor,
        visit: &mut PageVisitor<'_>,
    ) -> Result<Option<Anchor>, StoreError> {
        self.elsewhere.load(visit)
    }

    fn begin_whole(&mut self) {
        self.own.begin_whole();
    }

    fn commit(&mut self, anchor: &Anchor) {
        self.own.commit(anchor);
    }

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        self.own.poll()
    }
}

#[test]
fn a_checkpoint_that_the_log_has_overtaken_is_replaced_by_a_later_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let commands = commands(9);
    let log = simulated(1, &commands[..3]);
    let (own, other) = (db_at(&directory.path().join("own")), db_at(&directory.path().join("other")));
    save(&mut run(&log, &own).expect("nothing is wrong")).expect("it is saved");
    for command in &commands[3..8] {
        log.append(COMMANDS, command.clone()).expect("the log takes it");
    }
    save(&mut run(&log, &other).expect("nothing is wrong")).expect("it is saved");
    log.trim(COMMANDS, Offset(7)).expect("it is durable");
    log.append(COMMANDS, commands[8].clone()).expect("the log takes it");
    let begin = |elsewhere| {
        let store = Overtaken { own: own.partition(ONLY), elsewhere };
        let machine = machine_for(log.as_ref());
        Worker::<holdfast_core::Machine, _>::open(quiet(), &machine, log.clone(), store, Role::Active)
    };
    let refused = begin(own.partition(ONLY)).err();
    assert!(matches!(refused, Some(StopReason::TrimGap { .. })), "{refused:?}");
    let mut worker = begin(other.partition(ONLY)).expect("the later one will do");
    while worker.step(START).expect("nothing is wrong").progressed || !worker.is_ready() {}
    assert_eq!((worker.next_offset(), worker.records_applied()), (Offset(9), 1));
    assert_eq!(outputs(log.as_ref()), what_these_give(&commands));
}
