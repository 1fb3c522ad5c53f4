//! What a worker gets over without stopping, each found by the simulated world.

mod kit;

use bytes::Bytes;
use holdfast_contracts::{Offset, SaleTerms};
use holdfast_core::{Machine, PageSink};
use holdfast_engine::rocks::RocksStore;
use holdfast_engine::{Anchor, CheckpointStore, PageVisitor, Role, StoreError, Worker, WorkerConfig};
use holdfast_log::OrderedLog;
use kit::steps::{
    START, db_at, open, open_as, out_seq_of, quiet, records, run, said_only, save, settle, simulated,
};
use kit::{COMMANDS, DECISIONS, PATIENCE, opening, requests};

fn three_commands() -> [Bytes; 3] {
    [opening(100, SaleTerms::default()), requests(0, 100), requests(100, 100)]
}

#[test]
fn an_output_that_came_late_is_followed_by_those_that_readers_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, _) = said_only(directory.path(), 3, &[0, 2, 1]);
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

/// A store of a partition whose owner goes on while somebody else reads its checkpoint.
struct Meanwhile<F> {
    store: RocksStore,
    owner: F,
}

impl<F> PageSink for Meanwhile<F> {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.store.put(kind, page, bytes);
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.store.delete(kind, page);
    }
}

impl<F: FnMut() + Send> CheckpointStore for Meanwhile<F> {
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        (self.owner)();
        self.store.load(visit)
    }

    fn anchor(&mut self) -> Result<Option<Anchor>, StoreError> {
        (self.owner)();
        self.store.anchor()
    }

    fn begin_whole(&mut self) {
        self.store.begin_whole();
    }

    fn commit(&mut self, anchor: &Anchor) {
        self.store.commit(anchor);
    }

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        self.store.poll()
    }
}

#[test]
fn a_checkpoint_that_the_owner_writes_while_a_standby_begins_is_no_reason_to_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = simulated(1, &three_commands());
    let db = db_at(directory.path());
    let mut owner = run(&log, &db).expect("nothing is wrong");
    save(&mut owner).expect("nothing is wrong");
    let mut rounds = 0;
    let owner_goes_on = || {
        rounds += 1;
        log.append(COMMANDS, requests(1_000 * rounds, 10)).expect("the log takes it");
        save(&mut owner).expect("nothing is wrong");
    };
    let store = Meanwhile { store: db.partition(kit::ONLY), owner: owner_goes_on };
    let opened = Worker::<Machine, _>::open(
        quiet(),
        &kit::steps::machine_for(log.as_ref()),
        log.clone(),
        store,
        Role::Standby,
    );
    let mut standby = opened.expect("the checkpoint is of this log");
    while !standby.is_ready() {
        standby.step(START).expect("nothing is wrong");
    }
    drop(standby);
    assert!(rounds > 1, "the owner went on before and after");
}
