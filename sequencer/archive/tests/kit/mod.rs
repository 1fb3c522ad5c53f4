//! What the archive's tests share: a sale on a simulated log, workers driven step by step, and a look into an archive.
#![allow(dead_code, reason = "each test file uses its part")]

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_archive::ObjectArchive;
use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::{
    CustomerId, IntakeId, LogId, LogTime, Offset, PartitionId, RequestTag, ReservationId, SaleTerms,
};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{
    ArchivedStore, CheckpointArchive, CheckpointStore, ReaderMarks, Role, ShipConfig, Shipper, StopReason,
    Trim, Worker, WorkerConfig,
};
use holdfast_log::{Layout, OrderedLog, Record, SimulatedConfig, SimulatedLog, StreamId};

pub(crate) type Driven<S> = Worker<Machine, S>;

/// Long enough for a slow machine; nothing waits that long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const LOG_ID: LogId = LogId([7; 16]);
pub(crate) const ONLY: PartitionId = PartitionId(0);
pub(crate) const COMMANDS: StreamId = StreamId::inventory_commands(ONLY);
pub(crate) const DECISIONS: StreamId = StreamId::inventory_decisions(ONLY);
/// Append times of simulated logs begin here, and so does the wall clock.
pub(crate) const START: LogTime = LogTime(1_704_067_200_000);

pub(crate) fn id(n: u64) -> ReservationId {
    ReservationId(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes())
}

/// A record that opens a sale of one SKU.
pub(crate) fn opening(units: u64) -> Bytes {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(1), RequestTag(0));
    let sku = builder.sku("A1");
    builder.push(&Command::SetStock(SetStock {
        command_id: ReservationId([1; 16]),
        sku,
        on_hand: units,
        expected: None,
        force: false,
        reason: "opening",
        reference: "",
    }));
    builder.push(&Command::DefineSale(DefineSale {
        command_id: ReservationId([2; 16]),
        sale_id: "sale",
        terms: SaleTerms::default(),
        skus: SkuList::of(&[sku]),
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

pub(crate) fn log_of(log_id: LogId, partitions: u32, commands: &[Bytes]) -> Arc<SimulatedLog> {
    let layout = Layout::inventory(partitions).expect("a layout");
    let log = SimulatedLog::new(SimulatedConfig::new(log_id, layout));
    append(&log, commands);
    Arc::new(log)
}

pub(crate) fn append(log: &SimulatedLog, commands: &[Bytes]) {
    for command in commands {
        log.append(COMMANDS, command.clone()).expect("the log takes it");
    }
}

pub(crate) fn records(log: &dyn OrderedLog, stream: StreamId) -> Vec<Record> {
    let marks = log.watermarks(stream);
    let (mut records, mut next): (Vec<Record>, Offset) = (Vec::new(), marks.low);
    while next < marks.end {
        log.read(stream, next, 1 << 20, &mut records).expect("it can be read");
        next = records.last().expect("there is at least one").offset.next();
    }
    records
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

pub(crate) fn open<S: CheckpointStore>(
    role: Role,
    log: &Arc<SimulatedLog>,
    store: S,
) -> Result<Driven<S>, StopReason> {
    let machine = machine_for(log.as_ref());
    Worker::open(quiet(), &machine, Arc::clone(log) as Arc<dyn OrderedLog>, store, role)
}

/// Steps until there is nothing left to do.
pub(crate) fn settle<S: CheckpointStore>(worker: &mut Driven<S>) -> Result<(), StopReason> {
    while worker.step(START)?.progressed || !worker.is_ready() {}
    Ok(())
}

/// Opens an active worker and steps it until it has nothing left to do.
pub(crate) fn run<S: CheckpointStore>(log: &Arc<SimulatedLog>, store: S) -> Result<Driven<S>, StopReason> {
    let mut worker = open(Role::Active, log, store)?;
    settle(&mut worker)?;
    Ok(worker)
}

/// Steps until everything applied is in a checkpoint that counts.
pub(crate) fn save<S: CheckpointStore>(worker: &mut Driven<S>) {
    settle(worker).expect("nothing is wrong");
    let deadline = Instant::now() + PATIENCE;
    worker.request_checkpoint();
    while !worker.is_checkpoint_current() {
        assert!(Instant::now() < deadline, "no checkpoint came");
        if !worker.step(START).expect("nothing is wrong").progressed {
            // RocksDB writes on a thread of its own.
            std::thread::yield_now();
        }
    }
}

/// Three kept, nothing torn is dropped, and the log forgets commands.
pub(crate) fn ship_config(keep: u32) -> ShipConfig {
    ShipConfig { keep: NonZeroU32::new(keep).expect("some"), trim: Trim::Commands, ..ShipConfig::default() }
}

/// A host: a directory for its checkpoints, and an archive that all hosts share.
pub(crate) struct Host {
    pub(crate) log: Arc<SimulatedLog>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) db: Arc<CheckpointDb>,
    pub(crate) archive: Arc<ObjectArchive>,
}

impl Host {
    /// A host with an empty disk.
    pub(crate) fn new(log: &Arc<SimulatedLog>, archive: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let db = CheckpointDb::open(&directory.path().join("checkpoints")).expect("the database opens");
        std::fs::create_dir_all(archive).expect("it can be made");
        let archive = ObjectArchive::open(archive.to_str().expect("plain")).expect("the archive opens");
        Self { log: Arc::clone(log), directory, db: Arc::new(db), archive: Arc::new(archive) }
    }

    pub(crate) fn archive(&self) -> Arc<dyn CheckpointArchive> {
        Arc::clone(&self.archive) as Arc<dyn CheckpointArchive>
    }

    pub(crate) fn store(&self) -> impl CheckpointStore + use<> {
        ArchivedStore::new(self.db.partition(ONLY), self.archive(), self.log.log_id(), ONLY)
    }

    pub(crate) fn run(&self) -> Result<Driven<impl CheckpointStore + use<>>, StopReason> {
        run(&self.log, self.store())
    }

    pub(crate) fn shipper(&self, config: ShipConfig) -> Shipper<Machine> {
        let machine = machine_for(self.log.as_ref());
        let readers = Arc::new(ReaderMarks::default());
        let log = Arc::clone(&self.log) as Arc<dyn OrderedLog>;
        Shipper::new(ONLY, machine, log, Arc::clone(&self.db), self.archive(), readers, config)
    }

    /// Adds a record of requests, decides it and writes a checkpoint.
    pub(crate) fn go_on<S: CheckpointStore>(&self, worker: &mut Driven<S>, first: u64, count: u64) {
        append(&self.log, &[requests(first, count)]);
        save(worker);
    }

    /// Where whole checkpoints lie, the newest first.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        let listing = self.archive.list(self.log.log_id(), ONLY).expect("it can be listed");
        listing.whole.iter().map(|archived| archived.anchor.next_offset.0).collect()
    }
}

/// The files of a checkpoint in an archive whose names end like this.
pub(crate) fn files(archive: &Path, at: u64, ending: &str) -> Vec<PathBuf> {
    let folder = archive.join(LOG_ID.to_string()).join("00000").join(format!("{at:020}"));
    let entries = std::fs::read_dir(&folder).expect("the checkpoint's folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(ending)));
    paths.sort();
    paths
}

pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("it can be read");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("it can be written");
}
