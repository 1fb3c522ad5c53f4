//! A partition that cannot go on says why: one way to each reason.

mod kit;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::{Digest, IntakeId, LogId, LogTime, Offset, RequestTag, SaleTerms};
use holdfast_core::{Halt, PageSink, Restore};
use holdfast_engine::{
    Input, Machine, PartitionState, Role, Sequencer, SequencerConfig, StopReason, StoreError, Worker,
    WorkerConfig,
};
use holdfast_log::simulated::{Pace, Profile};
use holdfast_log::{Layout, OrderedLog, SimulatedConfig, SimulatedLog, Topic};
use kit::steps::{
    LOG_ID, START, db_at, machine_for, open, open_as, quiet, records, run, said_only, save, simulated,
};
use kit::{COMMANDS, DECISIONS, ONLY, machine_config, open_db, open_log, opening, requests, wait_for};

/// The name of a reason. A new one finds its place here and a case below.
const fn name(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::OtherLog { .. } => "other log",
        StopReason::PartitionCount { .. } => "partition count",
        StopReason::LogLost { .. } => "log lost",
        StopReason::OutputsLost { .. } => "outputs lost",
        StopReason::OtherHistory(_) => "other history",
        StopReason::TrimGap { .. } => "trim gap",
        StopReason::CheckpointLost { .. } => "checkpoint lost",
        StopReason::OutputDiffers(_) => "output differs",
        StopReason::OutputTwice(_) => "output twice",
        StopReason::OutputAhead { .. } => "output ahead",
        StopReason::ForeignOutput(_) => "foreign output",
        StopReason::Halt(Halt::UnknownRules(_)) => "unknown rules",
        StopReason::Halt(Halt::OtherLog { .. }) => "foreign tick",
        StopReason::Invariant { .. } => "invariant",
        StopReason::Read(_) => "read",
        StopReason::LogFailed(_) => "log failed",
        StopReason::OutputLost(_) => "output lost",
        StopReason::Store(_) => "store",
        StopReason::ThreadEnded => "thread ended",
    }
}

type Case = (&'static str, fn(&Path) -> StopReason);

const CASES: &[Case] = &[
    ("other log", a_checkpoint_of_another_log),
    ("partition count", a_changed_partition_count),
    ("log lost", a_log_that_ends_before_its_checkpoint),
    ("outputs lost", decisions_that_end_before_the_checkpoint),
    ("other history", another_record_at_the_anchor),
    ("trim gap", commands_trimmed_below_the_checkpoint),
    ("checkpoint lost", a_damaged_checkpoint_of_a_trimmed_log),
    ("output differs", an_output_that_these_commands_do_not_give),
    ("output twice", two_outputs_with_one_number),
    ("output ahead", an_output_of_a_command_that_is_not_there),
    ("foreign output", something_else_in_the_decisions_log),
    ("unknown rules", rules_of_the_future),
    ("foreign tick", a_tick_of_another_log),
    ("invariant", a_machine_that_fails_at_the_same_record_twice),
    ("read", a_damaged_command),
    ("log failed", a_log_that_failed),
    ("output lost", an_output_that_was_not_acknowledged),
    ("store", a_checkpoint_directory_that_is_gone),
    ("thread ended", a_thread_that_dies),
];

#[test]
fn each_reason_to_stop_has_a_way_to_it_and_advice() {
    let mut met = BTreeSet::new();
    for (expected, case) in CASES {
        let directory = tempfile::tempdir().expect("a directory");
        let reason = case(directory.path());
        assert_eq!(name(&reason), *expected, "{reason:?}");
        assert!(!reason.advice().is_empty() && !reason.to_string().is_empty());
        met.insert(*expected);
    }
    assert_eq!(met.len(), CASES.len(), "each reason once");
}

fn three_commands() -> [Bytes; 3] {
    [opening(100, SaleTerms::default()), requests(0, 100), requests(100, 100)]
}

fn refusal<T>(result: Result<T, StopReason>) -> StopReason {
    result.err().expect("the partition must not go on")
}

/// A checkpoint of three commands, made on a log of one partition.
fn saved(directory: &Path) -> Arc<SimulatedLog> {
    let log = simulated(1, &three_commands());
    let db = db_at(directory);
    let mut worker = run(&log, &db).expect("nothing is wrong");
    save(&mut worker).expect("nothing is wrong");
    assert_eq!(worker.checkpoint().next_offset, Offset(3));
    log
}

fn a_checkpoint_of_another_log(directory: &Path) -> StopReason {
    let (one, two) = (directory.join("one"), directory.join("two"));
    let db = db_at(directory);
    for (place, is_own) in [(one, true), (two, false)] {
        let log = open_log(&place);
        kit::append(log.as_ref(), opening(10, SaleTerms::default()));
        let machine = machine_for(log.as_ref());
        let opened = Worker::<holdfast_core::Machine, _>::open(
            quiet(),
            &machine,
            Arc::clone(&log),
            db.partition(ONLY),
            Role::Active,
        );
        if is_own {
            let mut worker = opened.expect("its own log");
            save(&mut worker).expect("nothing is wrong");
        } else {
            return refusal(opened);
        }
    }
    unreachable!("the second log is another")
}

fn a_changed_partition_count(directory: &Path) -> StopReason {
    saved(directory);
    // The commands are all there, so building the state anew would work, and would decide for other SKUs.
    let log = simulated(2, &three_commands());
    refusal(open(&log, &db_at(directory)))
}

fn a_log_that_ends_before_its_checkpoint(directory: &Path) -> StopReason {
    let log = saved(directory);
    log.truncate(COMMANDS, Offset(2));
    refusal(open(&log, &db_at(directory)))
}

fn decisions_that_end_before_the_checkpoint(directory: &Path) -> StopReason {
    let log = saved(directory);
    log.truncate(DECISIONS, Offset(2));
    refusal(open(&log, &db_at(directory)))
}

fn another_record_at_the_anchor(directory: &Path) -> StopReason {
    let log = saved(directory);
    log.truncate(COMMANDS, Offset(2));
    log.append(COMMANDS, requests(77, 10)).expect("the log takes it");
    refusal(run(&log, &db_at(directory)))
}

fn commands_trimmed_below_the_checkpoint(directory: &Path) -> StopReason {
    let log = saved(directory);
    log.append(COMMANDS, requests(20, 10)).expect("the log takes it");
    log.append(COMMANDS, requests(30, 10)).expect("the log takes it");
    // The checkpoint ends before offset 3, and the log begins at 4.
    log.trim(COMMANDS, Offset(4)).expect("it is durable");
    refusal(open(&log, &db_at(directory)))
}

/// Flips a byte in the middle of the largest file of the checkpoint database.
fn damage(directory: &Path, extension: &str) {
    let files = std::fs::read_dir(directory.join("checkpoints")).expect("the database");
    let paths = files.map(|entry| entry.expect("an entry").path());
    let matching = paths.filter(|path| path.extension().is_some_and(|it| it == extension));
    let largest = matching.max_by_key(|path| path.metadata().map_or(0, |meta| meta.len()));
    let path = largest.unwrap_or_else(|| panic!("a file *.{extension}"));
    let mut bytes = std::fs::read(&path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).expect("it can be written");
}

fn a_damaged_checkpoint_of_a_trimmed_log(directory: &Path) -> StopReason {
    let log = saved(directory);
    damage(directory, "blob");
    log.trim(COMMANDS, Offset(1)).expect("it is durable");
    refusal(open(&log, &db_at(directory)))
}

#[test]
fn a_damaged_checkpoint_of_a_whole_log_is_replaced_by_the_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = saved(directory.path());
    let outputs = records(log.as_ref(), DECISIONS);
    damage(directory.path(), "blob");
    let db = db_at(directory.path());
    let mut worker = run(&log, &db).expect("the log makes up for it");
    assert_eq!((worker.records_applied(), worker.next_offset()), (3, Offset(3)));
    assert!(worker.checkpoint_damage().is_some(), "and it is not kept quiet");
    assert_eq!(records(log.as_ref(), DECISIONS), outputs, "and nothing is said again");
    // The next checkpoint stands on its own.
    let digest = worker.machine().digest();
    save(&mut worker).expect("nothing is wrong");
    drop(worker);
    let worker = run(&log, &db).expect("the new checkpoint is whole");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (0, digest));
    assert_eq!(worker.checkpoint_damage(), None);
}

#[test]
fn a_missing_file_of_a_checkpoint_is_damage_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = saved(directory.path());
    let place = directory.path().join("checkpoints");
    let blobs = |place: &Path| -> Vec<_> {
        let files = std::fs::read_dir(place).expect("it can be read").map(|it| it.expect("a file").path());
        files.filter(|path| path.extension().is_some_and(|it| it == "blob")).collect()
    };
    let missing = blobs(&place);
    assert!(!missing.is_empty());
    missing.iter().for_each(|blob| std::fs::remove_file(blob).expect("it can be removed"));
    let db = db_at(directory.path());
    let mut worker = run(&log, &db).expect("the log makes up for it");
    assert_eq!(worker.records_applied(), 3);
    assert!(worker.checkpoint_damage().is_some());
    let digest = worker.machine().digest();
    save(&mut worker).expect("the next checkpoint stands on its own");
    drop((worker, db));
    let db = db_at(directory.path());
    let worker = run(&log, &db).expect("the new checkpoint is whole");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (0, digest));
}

#[test]
fn a_database_without_its_manifest_is_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = saved(directory.path());
    let place = directory.path().join("checkpoints");
    let current = std::fs::read_to_string(place.join("CURRENT")).expect("it names the manifest");
    std::fs::remove_file(place.join(current.trim())).expect("it can be removed");
    let (db, aside) = holdfast_engine::rocks::CheckpointDb::open_or_set_aside(&place).expect("a new one");
    assert!(aside.is_some_and(|aside| aside.join("CURRENT").exists()));
    assert_eq!(run(&log, &db).expect("the log makes up for it").records_applied(), 3);
}

#[test]
fn a_database_that_cannot_be_opened_is_set_aside_and_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = saved(directory.path());
    let place = directory.path().join("checkpoints");
    let current = std::fs::read_to_string(place.join("CURRENT")).expect("it names the manifest");
    let manifest = place.join(current.trim());
    let mut bytes = std::fs::read(&manifest).expect("it can be read");
    bytes[10] ^= 1;
    std::fs::write(&manifest, bytes).expect("it can be written");
    let (db, aside) = holdfast_engine::rocks::CheckpointDb::open_or_set_aside(&place).expect("a new one");
    let aside = aside.expect("the damaged one was kept");
    assert!(aside.join("CURRENT").exists() && aside != place);
    let worker = run(&log, &db).expect("the log makes up for it");
    assert_eq!(worker.records_applied(), 3);
}

#[test]
fn a_database_that_another_has_open_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let _log = saved(directory.path());
    let place = directory.path().join("checkpoints");
    let _other = db_at(directory.path());
    let refused = holdfast_engine::rocks::CheckpointDb::open_or_set_aside(&place).expect_err("it is in use");
    assert!(matches!(&refused, StoreError::InUse { directory } if *directory == place), "{refused:?}");
}

/// What the decisions log would be with another stock.
fn decisions_of_another_stock(directory: &Path) -> Vec<Bytes> {
    let [_, first, second] = three_commands();
    let log = simulated(1, &[opening(99, SaleTerms::default()), first, second]);
    run(&log, &db_at(&directory.join("other"))).expect("nothing is wrong");
    records(log.as_ref(), DECISIONS).into_iter().map(|record| record.payload).collect()
}

fn an_output_that_these_commands_do_not_give(directory: &Path) -> StopReason {
    let log = simulated(1, &three_commands());
    let other = decisions_of_another_stock(directory);
    log.append(DECISIONS, other[0].clone()).expect("the log takes it");
    refusal(run(&log, &db_at(directory)))
}

fn two_outputs_with_one_number(directory: &Path) -> StopReason {
    let log = saved(directory);
    let other = decisions_of_another_stock(directory);
    log.append(DECISIONS, other[1].clone()).expect("the log takes it");
    // Without the checkpoint everything is compared.
    refusal(run(&log, &db_at(&directory.join("fresh"))))
}

fn an_output_of_a_command_that_is_not_there(directory: &Path) -> StopReason {
    let log = saved(directory);
    log.truncate(COMMANDS, Offset(2));
    refusal(run(&log, &db_at(&directory.join("fresh"))))
}

fn something_else_in_the_decisions_log(directory: &Path) -> StopReason {
    let log = simulated(1, &three_commands());
    log.append(DECISIONS, Bytes::from_static(b"hello")).expect("the log takes it");
    refusal(run(&log, &db_at(directory)))
}

fn command(command: &Command<'_>) -> Bytes {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(1), RequestTag(0));
    builder.push(command);
    Bytes::copy_from_slice(builder.bytes())
}

fn rules_of_the_future(directory: &Path) -> StopReason {
    let rules = Command::ActivateRules { version: 9, dedupe_window_ms: 0, work_per_record_max: 0 };
    refusal(run(&simulated(1, &[command(&rules)]), &db_at(directory)))
}

fn a_tick_of_another_log(directory: &Path) -> StopReason {
    let tick = Command::Tick { wall: START, log_id: Some(LogId([8; 16])) };
    refusal(run(&simulated(1, &[command(&tick)]), &db_at(directory)))
}

fn a_damaged_command(directory: &Path) -> StopReason {
    let log = simulated(1, &three_commands());
    log.set_damaged(COMMANDS, Some(Offset(1)));
    refusal(run(&log, &db_at(directory)))
}

fn a_log_that_failed(directory: &Path) -> StopReason {
    let log = simulated(1, &three_commands());
    log.fail("a write failed");
    refusal(run(&log, &db_at(directory)))
}

/// A log whose appends do what the test says.
fn stepwise() -> Arc<SimulatedLog> {
    let layout = Layout::inventory(1).expect("a layout");
    let config = SimulatedConfig::new(LOG_ID, layout);
    let log = SimulatedLog::new(SimulatedConfig { profile: Profile::Kafka, pace: Pace::Stepwise, ..config });
    for command in three_commands() {
        log.append(COMMANDS, command).expect("the log takes it");
    }
    log.land_all(COMMANDS);
    log.flush(COMMANDS);
    Arc::new(log)
}

fn an_output_that_was_not_acknowledged(directory: &Path) -> StopReason {
    let log = stepwise();
    let db = db_at(directory);
    let mut worker = run(&log, &db).expect("nothing is wrong yet");
    assert_eq!(log.in_flight(DECISIONS), 3);
    log.lose(DECISIONS, 0);
    let reason = refusal(worker.step(START).and_then(|_| worker.step(START)));
    assert!(reason.may_be_rebuilt());
    // The other two land beyond a gap, so a worker built anew says all three.
    log.land_all(DECISIONS);
    log.flush(DECISIONS);
    drop(worker);
    run(&log, &db).expect("it goes on");
    log.land_all(DECISIONS);
    log.flush(DECISIONS);
    assert_eq!(kit::steps::outputs(log.as_ref()).len(), 3);
    reason
}

fn a_checkpoint_directory_that_is_gone(directory: &Path) -> StopReason {
    let log = simulated(1, &three_commands());
    let db = db_at(directory);
    let mut worker = run(&log, &db).expect("nothing is wrong");
    std::fs::remove_dir_all(directory.join("checkpoints")).expect("it can be removed");
    let reason = refusal(save(&mut worker));
    assert!(matches!(&reason, StopReason::Store(StoreError::Database { .. })), "{reason:?}");
    reason
}

fn a_thread_that_dies(directory: &Path) -> StopReason {
    let (log, db) = (open_log(directory), open_db(directory));
    let sequencer = kit::start(&log, &db, false);
    let dies = |_: Option<&holdfast_core::Machine>, _: &_| panic!("a question that is a mistake");
    sequencer.query(ONLY, Box::new(dies)).expect("it is run here");
    stopped(log.as_ref(), &sequencer)
}

fn stopped<M: Machine>(log: &dyn OrderedLog, sequencer: &Sequencer<M>) -> StopReason {
    wait_for(log, DECISIONS, || match sequencer.statuses().remove(0).state {
        PartitionState::Stopped(reason) => Some(reason),
        _ => None,
    })
}

/// The real machine with a mistake: it cannot bear its third record.
struct Faulty(holdfast_core::Machine);

impl Machine for Faulty {
    type Config = holdfast_core::MachineConfig;
    type Restore = RestoreFaulty;

    const COMMANDS: Topic = Topic::InventoryCommands;
    const DECISIONS: Topic = Topic::InventoryDecisions;

    fn fresh(config: &Self::Config) -> Self {
        Self(holdfast_core::Machine::new(*config))
    }

    fn restore(config: &Self::Config) -> RestoreFaulty {
        RestoreFaulty(Restore::new(*config))
    }

    fn apply(&mut self, record: Input<'_>, out: &mut Vec<u8>) -> Result<bool, Halt> {
        assert!(record.offset != Offset(2), "units are conserved");
        self.0.apply(record, out)
    }

    fn digest(&self) -> Digest {
        self.0.digest()
    }

    fn freeze(&mut self) {
        self.0.freeze();
    }

    fn copy_frozen(&mut self, budget: usize, sink: &mut dyn PageSink) -> bool {
        self.0.copy_frozen(budget, sink)
    }

    fn write_whole_checkpoint_next(&mut self) {
        self.0.write_whole_checkpoint_next();
    }

    fn now(&self) -> LogTime {
        self.0.now()
    }

    fn has_backlog(&self) -> bool {
        self.0.has_backlog()
    }

    fn next_due(&self) -> Option<LogTime> {
        self.0.next_due()
    }

    fn clock_is_suspect(&self) -> bool {
        self.0.clock_is_suspect()
    }

    fn tick(&self, wall: LogTime, log_id: LogId) -> Vec<u8> {
        self.0.tick_record(wall, log_id)
    }
}

struct RestoreFaulty(Restore);

impl holdfast_engine::Restoring for RestoreFaulty {
    type Machine = Faulty;

    fn page(&mut self, kind: u8, number: u64, bytes: &[u8]) -> Result<(), holdfast_core::RestoreError> {
        self.0.page(kind, number, bytes)
    }

    fn finish(self) -> Result<Faulty, holdfast_core::RestoreError> {
        self.0.finish().map(Faulty)
    }
}

fn a_machine_that_fails_at_the_same_record_twice(directory: &Path) -> StopReason {
    let (log, db) = (open_log(directory), open_db(directory));
    let config = SequencerConfig {
        partitions: vec![(WorkerConfig::new(ONLY), machine_config(log.log_id()))],
        threads: 1,
        standby: false,
    };
    let sequencer = Sequencer::<Faulty>::start(&log, &config, move |partition| db.partition(partition));
    for command in three_commands() {
        kit::append(log.as_ref(), command);
    }
    let reason = stopped(log.as_ref(), &sequencer);
    assert!(sequencer.statuses()[0].rebuilds >= 1, "it was tried again");
    reason
}

#[test]
fn a_worker_goes_on_where_a_gap_in_the_decisions_begins() {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, said) = said_only(directory.path(), 4, &[0, 1, 3, 4]);
    run(&log, &db_at(directory.path())).expect("a gap is filled");
    let numbers: Vec<u64> = records(log.as_ref(), DECISIONS)
        .iter()
        .map(|record| kit::steps::out_seq_of(&record.payload).0)
        .collect();
    assert_eq!(numbers, [1, 2, 4, 5, 3, 4, 5], "a reader that waits at the gap gets all of them");
    assert_eq!(kit::steps::outputs(log.as_ref()), said);
}

#[test]
fn a_standby_stops_for_the_same_reasons() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = saved(directory.path());
    log.truncate(COMMANDS, Offset(2));
    let opened = open_as(Role::Standby, quiet(), &log, &db_at(directory.path()));
    assert_eq!(name(&refusal(opened)), "log lost");
}

#[test]
fn what_was_decided_before_a_record_to_stop_at_is_said_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let layout = Layout::inventory(1).expect("a layout");
    // The log takes one output at a time.
    let log = SimulatedLog::new(SimulatedConfig {
        pace: Pace::Stepwise,
        unsettled_records_max: 1,
        ..SimulatedConfig::new(LOG_ID, layout)
    });
    let log = Arc::new(log);
    let tick = Command::Tick { wall: START, log_id: Some(LogId([8; 16])) };
    for record in three_commands().into_iter().chain([command(&tick)]) {
        log.append(COMMANDS, record).expect("the log takes it");
        log.flush(COMMANDS);
    }
    let mut worker = open(&log, &db_at(directory.path())).expect("it begins");
    let mut steps = 0;
    let reason = loop {
        match worker.step(START) {
            Ok(_) => log.flush(DECISIONS),
            Err(reason) => break reason,
        }
        steps += 1;
        assert!(steps < 100, "it never stops");
    };
    assert_eq!(name(&reason), "foreign tick");
    assert_eq!(records(log.as_ref(), DECISIONS).len(), 3);
}
