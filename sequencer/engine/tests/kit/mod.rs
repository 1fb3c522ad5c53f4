//! What the engine's tests share: a small sale, and a look at what came out of it.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod owners;
pub(crate) mod steps;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::decision::{Outcome, decode_decisions};
use holdfast_contracts::{CustomerId, IntakeId, LogId, PartitionId, RequestTag, ReservationId, SaleTerms};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{Sequencer, SequencerConfig, WorkerConfig, rocks::CheckpointDb};
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, Record, StreamId, doorbell};

/// Long enough for a slow machine; nothing waits that long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ONLY: PartitionId = PartitionId(0);
pub(crate) const COMMANDS: StreamId = StreamId::inventory_commands(ONLY);
pub(crate) const DECISIONS: StreamId = StreamId::inventory_decisions(ONLY);

pub(crate) fn open_log(directory: &Path) -> Arc<dyn OrderedLog> {
    let layout = Layout::inventory(1).expect("one partition is fine");
    let mut config = EmbeddedConfig::new(layout);
    config.segment_bytes = 16 << 20;
    Arc::new(EmbeddedLog::open(&directory.join("log"), &config).expect("the log opens"))
}

pub(crate) fn machine_config(log_id: LogId) -> MachineConfig {
    MachineConfig { id_bins: 16, wheel_slots: 64, ..MachineConfig::new(ONLY, 1, log_id) }
}

pub(crate) fn start(log: &Arc<dyn OrderedLog>, db: &Arc<CheckpointDb>, standby: bool) -> Sequencer<Machine> {
    let worker = WorkerConfig { checkpoint_after_bytes: 256 << 10, ..WorkerConfig::new(ONLY) };
    start_with(log, db, worker, standby)
}

pub(crate) fn start_with(
    log: &Arc<dyn OrderedLog>,
    db: &Arc<CheckpointDb>,
    worker: WorkerConfig,
    standby: bool,
) -> Sequencer<Machine> {
    let config =
        SequencerConfig { partitions: vec![(worker, machine_config(log.log_id()))], threads: 1, standby };
    let db = Arc::clone(db);
    Sequencer::start(log, &config, move |partition| db.partition(partition))
}

pub(crate) fn open_db(directory: &Path) -> Arc<CheckpointDb> {
    Arc::new(CheckpointDb::open(&directory.join("checkpoints")).expect("the database opens"))
}

pub(crate) fn id(n: u64) -> ReservationId {
    ReservationId(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes())
}

/// A record that opens a sale of one SKU.
pub(crate) fn opening(units: u64, terms: SaleTerms) -> Bytes {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(1), RequestTag(0));
    let sku = builder.sku("A1");
    let stock = SetStock {
        command_id: ReservationId([1; 16]),
        sku,
        on_hand: units,
        expected: None,
        force: false,
        reason: "opening",
        reference: "",
    };
    builder.push(&Command::SetStock(stock));
    let skus = [sku];
    builder.push(&Command::DefineSale(DefineSale {
        command_id: ReservationId([2; 16]),
        sale_id: "sale",
        terms,
        skus: SkuList::of(&skus),
    }));
    builder.push(&Command::OpenSale { sale_id: "sale" });
    Bytes::copy_from_slice(builder.bytes())
}

/// A record of reservations of one unit each, with ids and customers counting from `first`.
pub(crate) fn requests(first: u64, count: u64) -> Bytes {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(1), RequestTag(first));
    for n in first..first + count {
        let sku = builder.sku("A1");
        builder.reserve_one(id(n), CustomerId(n + 1), Line { sku, quantity: 1 });
    }
    Bytes::copy_from_slice(builder.bytes())
}

pub(crate) fn append(log: &dyn OrderedLog, payload: Bytes) {
    let ticket = log.append(COMMANDS, payload).expect("the log takes it");
    ticket.wait(PATIENCE).expect("it is settled in time").expect("it is durable");
}

/// Waits until something is so, looking again whenever the stream moves.
pub(crate) fn wait_for<T>(log: &dyn OrderedLog, stream: StreamId, mut look: impl FnMut() -> Option<T>) -> T {
    let (bell, mut listener) = doorbell();
    let _subscription = log.subscribe(stream, bell.waker());
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        let again = std::time::Instant::now() + Duration::from_millis(5);
        assert!(std::time::Instant::now() < deadline, "waited in vain");
        listener.wait_until(again);
    }
}

/// All decision records.
pub(crate) fn decisions(log: &dyn OrderedLog) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let next = records.last().map_or_else(Default::default, |last: &Record| last.offset.next());
        if next >= log.watermarks(DECISIONS).end {
            return records;
        }
        log.read(DECISIONS, next, 1 << 20, &mut records).expect("decisions can be read");
    }
}

/// Waits until `count` requests were answered, and says how many were granted and refused. Checks that the numbers are dense.
pub(crate) fn answers(log: &dyn OrderedLog, count: usize) -> (usize, usize) {
    wait_for(log, DECISIONS, || {
        let (mut granted, mut refused, mut last) = (0, 0, 0);
        for record in decisions(log) {
            let batch = decode_decisions(&record.payload).expect("a decision record");
            if batch.envelope.out_seq.0 <= last {
                continue;
            }
            assert_eq!(batch.envelope.out_seq.0, last + 1, "outputs are numbered without holes");
            last = batch.envelope.out_seq.0;
            for decision in batch.decisions() {
                match decision.outcome {
                    Some(Outcome::Reserved { .. }) => granted += 1,
                    Some(Outcome::Refused { .. }) => refused += 1,
                    _ => {}
                }
            }
        }
        (granted + refused >= count).then_some((granted, refused))
    })
}
