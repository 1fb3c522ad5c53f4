//! Workers driven step by step on a simulated log, their checkpoints in RocksDB.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use holdfast_contracts::decision::{decode_decisions, split_chain};
use holdfast_contracts::{LogId, LogTime, Offset, OutSeq, SaleTerms};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::{CheckpointDb, RocksStore};
use holdfast_engine::{Role, StopReason, Worker, WorkerConfig};
use holdfast_log::{Layout, OrderedLog, Record, SimulatedConfig, SimulatedLog, StreamId};

use super::{COMMANDS, DECISIONS, ONLY, PATIENCE, opening, requests};

pub(crate) type Driven = Worker<Machine, RocksStore>;

pub(crate) const LOG_ID: LogId = LogId([7; 16]);
/// Append times of simulated logs begin here, and so does the wall clock.
pub(crate) const START: LogTime = LogTime(1_704_067_200_000);

pub(crate) fn simulated(partitions: u32, commands: &[Bytes]) -> Arc<SimulatedLog> {
    let layout = Layout::inventory(partitions).expect("a layout");
    let log = SimulatedLog::new(SimulatedConfig::new(LOG_ID, layout));
    for command in commands {
        log.append(COMMANDS, command.clone()).expect("the log takes it");
    }
    Arc::new(log)
}

/// A log with an opening and so many records of requests, and of what they are answered only the outputs of these numbers, from
/// 0, in this order. Beside it all of them.
pub(crate) fn said_only(
    directory: &Path,
    requests_records: u64,
    numbers: &[usize],
) -> (Arc<SimulatedLog>, Vec<Bytes>) {
    let commands: Vec<Bytes> = std::iter::once(opening(100, SaleTerms::default()))
        .chain((0..requests_records).map(|n| requests(10 * n, 10)))
        .collect();
    let whole = simulated(1, &commands);
    run(&whole, &db_at(&directory.join("whole"))).expect("nothing is wrong");
    let said: Vec<Bytes> = records(whole.as_ref(), DECISIONS).into_iter().map(|it| it.payload).collect();
    let log = simulated(1, &commands);
    for number in numbers {
        log.append(DECISIONS, said[*number].clone()).expect("the log takes it");
    }
    (log, said)
}

/// Settings under which nothing is written that no test asked for: no tick of a quiet partition, no checkpoint by itself.
pub(crate) fn quiet() -> WorkerConfig {
    WorkerConfig {
        checkpoint_after_bytes: u64::MAX,
        checkpoint_after_ms: u64::MAX,
        checkpoint_idle_ms: u64::MAX,
        idle_tick_ms: 1 << 40,
        ..WorkerConfig::new(ONLY)
    }
}

pub(crate) fn machine_for(log: &dyn OrderedLog) -> MachineConfig {
    let partitions = log.partitions(COMMANDS.topic);
    MachineConfig { id_bins: 16, wheel_slots: 64, ..MachineConfig::new(ONLY, partitions, log.log_id()) }
}

pub(crate) fn open_as(
    role: Role,
    config: WorkerConfig,
    log: &Arc<impl OrderedLog + 'static>,
    db: &CheckpointDb,
) -> Result<Driven, StopReason> {
    let machine = machine_for(log.as_ref());
    Worker::open(config, &machine, Arc::clone(log) as Arc<dyn OrderedLog>, db.partition(ONLY), role)
}

pub(crate) fn open(log: &Arc<impl OrderedLog + 'static>, db: &CheckpointDb) -> Result<Driven, StopReason> {
    open_as(Role::Active, quiet(), log, db)
}

/// Steps until there is nothing left to do.
pub(crate) fn settle(worker: &mut Driven) -> Result<(), StopReason> {
    while worker.step(START)?.progressed || !worker.is_ready() {}
    Ok(())
}

/// Opens a worker and steps it until it has nothing left to do.
pub(crate) fn run(log: &Arc<impl OrderedLog + 'static>, db: &CheckpointDb) -> Result<Driven, StopReason> {
    let mut worker = open(log, db)?;
    settle(&mut worker)?;
    Ok(worker)
}

/// Steps until everything applied is in a checkpoint that counts.
pub(crate) fn save(worker: &mut Driven) -> Result<(), StopReason> {
    settle(worker)?;
    let deadline = Instant::now() + PATIENCE;
    worker.request_checkpoint();
    while !worker.is_checkpoint_current() {
        assert!(Instant::now() < deadline, "no checkpoint came");
        if !worker.step(START)?.progressed {
            // RocksDB writes on a thread of its own.
            std::thread::yield_now();
        }
    }
    Ok(())
}

pub(crate) fn db_at(directory: &Path) -> CheckpointDb {
    CheckpointDb::open(&directory.join("checkpoints")).expect("the database opens")
}

pub(crate) fn records(log: &dyn OrderedLog, stream: StreamId) -> Vec<Record> {
    let marks = log.watermarks(stream);
    let mut records = Vec::new();
    while records.last().map_or(marks.low, |last: &Record| last.offset.next()) < marks.end {
        let next = records.last().map_or(marks.low, |last: &Record| last.offset.next());
        log.read(stream, next, 1 << 20, &mut records).expect("it can be read");
    }
    records
}

pub(crate) fn out_seq_of(payload: &[u8]) -> OutSeq {
    assert!(split_chain(payload).is_some(), "a decision record ends with its chain");
    decode_decisions(payload).expect("a decision record").envelope.out_seq
}

/// The outputs as a reader takes them: each number once, in order. Checks that copies of a number are the same bytes and that
/// nothing is missing.
pub(crate) fn outputs(log: &dyn OrderedLog) -> Vec<Bytes> {
    let mut taken: Vec<Bytes> = Vec::new();
    for record in records(log, DECISIONS) {
        let number = usize::try_from(out_seq_of(&record.payload).0).expect("small");
        match number.checked_sub(taken.len() + 1) {
            Some(0) => taken.push(record.payload),
            // Beyond a gap that somebody fills later, and then sends these again.
            Some(_) => {}
            None => assert_eq!(taken[number - 1], record.payload, "output {number} twice with other bytes"),
        }
    }
    taken
}

pub(crate) fn end(log: &dyn OrderedLog, stream: StreamId) -> Offset {
    log.watermarks(stream).end
}
