//! How long it takes to ship the checkpoint of a large partition, and to begin from it on an empty disk.
//!
//! Usage: `ship_and_restore [DIRECTORY] [IDS]`. Prints one line of JSON for each of three rounds. Every tenth request takes a
//! hold, the others are refused; all are remembered. The archive's files are not in the page cache when they are read.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use holdfast_archive::ObjectArchive;
use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::{
    CustomerId, Digest, IntakeId, LogId, LogTime, PartitionId, RequestTag, ReservationId, SaleTerms,
};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{
    ArchivedStore, CheckpointArchive, CheckpointStore, ReaderMarks, Role, ShipConfig, ShipStatus, Shipper,
    Trim, Worker, WorkerConfig,
};
use holdfast_log::{Layout, OrderedLog, SimulatedConfig, SimulatedLog, StreamId};
use rustix::fs::{Advice, fadvise};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const LOG_ID: LogId = LogId([7; 16]);
const ONLY: PartitionId = PartitionId(0);
const PER_RECORD: u64 = 512;
const START: LogTime = LogTime(1_704_067_200_000);

fn id(n: u64) -> ReservationId {
    ReservationId(u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes())
}

/// Opens a sale of two SKUs, one of which is sold out at once.
fn opening(builder: &mut BatchBuilder, units: u64) {
    builder.start(IntakeId(1), RequestTag(0));
    let skus = [builder.sku("PLENTY"), builder.sku("GONE")];
    for (n, (sku, on_hand)) in (1..).zip([(skus[0], units), (skus[1], 0)]) {
        builder.push(&Command::SetStock(SetStock {
            command_id: ReservationId([n; 16]),
            sku,
            on_hand,
            expected: None,
            force: false,
            reason: "opening",
            reference: "",
        }));
    }
    let (command_id, terms) = (ReservationId([3; 16]), SaleTerms::default());
    builder.push(&Command::DefineSale(DefineSale {
        command_id,
        sale_id: "sale",
        terms,
        skus: SkuList::of(&skus),
    }));
    builder.push(&Command::OpenSale { sale_id: "sale" });
}

fn step_until<S: CheckpointStore>(
    worker: &mut Worker<Machine, S>,
    done: impl Fn(&Worker<Machine, S>) -> bool,
) -> Result<()> {
    while !done(worker) {
        if !worker.step(START)?.progressed {
            std::thread::yield_now();
        }
    }
    Ok(())
}

fn forget_pages(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget_pages(&path)?;
        } else {
            fadvise(&File::open(path)?, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// A partition with its first checkpoint written, as an owner leaves it.
struct Owner {
    log: Arc<SimulatedLog>,
    db: Arc<CheckpointDb>,
    digest: Digest,
}

fn machine() -> MachineConfig {
    MachineConfig::new(ONLY, 1, LOG_ID)
}

fn worker() -> WorkerConfig {
    WorkerConfig {
        checkpoint_after_bytes: u64::MAX,
        checkpoint_after_ms: u64::MAX,
        checkpoint_idle_ms: u64::MAX,
        idle_tick_ms: 1 << 40,
        ..WorkerConfig::new(ONLY)
    }
}

fn begin<S: CheckpointStore>(log: &Arc<SimulatedLog>, store: S) -> Result<Worker<Machine, S>> {
    let port = Arc::clone(log) as Arc<dyn OrderedLog>;
    Ok(Worker::open(worker(), &machine(), port, store, Role::Active)?)
}

fn own(directory: &Path, ids: u64) -> Result<Owner> {
    let (commands, decisions) = (StreamId::inventory_commands(ONLY), StreamId::inventory_decisions(ONLY));
    let log = Arc::new(SimulatedLog::new(SimulatedConfig::new(LOG_ID, Layout::inventory(1)?)));
    let db = Arc::new(CheckpointDb::open(&directory.join("owner"))?);
    let mut builder = BatchBuilder::default();
    opening(&mut builder, ids);
    log.append(commands, builder.bytes().to_vec().into())?;
    let mut worker = begin(&log, db.partition(ONLY))?;
    for from in (0..ids).step_by(usize::try_from(PER_RECORD)?) {
        builder.start(IntakeId(1), RequestTag(from));
        for n in from..ids.min(from + PER_RECORD) {
            let sku = builder.sku(if n % 10 == 0 { "PLENTY" } else { "GONE" });
            builder.reserve_one(id(n), CustomerId(n + 1), Line { sku, quantity: 1 });
        }
        log.append(commands, builder.bytes().to_vec().into())?;
        step_until(&mut worker, |worker| worker.next_offset() == log.watermarks(commands).end)?;
        // What was decided is not looked at again.
        log.trim(decisions, log.watermarks(decisions).end)?;
    }
    worker.request_checkpoint();
    step_until(&mut worker, Worker::is_checkpoint_current)?;
    let digest = worker.machine().digest();
    Ok(Owner { log, db, digest })
}

fn ship(owner: &Owner, archive: &Arc<dyn CheckpointArchive>) -> Result<ShipStatus> {
    let config = ShipConfig { trim: Trim::Nothing, ..ShipConfig::default() };
    let (log, db) = (Arc::clone(&owner.log) as Arc<dyn OrderedLog>, Arc::clone(&owner.db));
    let readers = Arc::new(ReaderMarks::default());
    let mut shipper = Shipper::<Machine>::new(ONLY, machine(), log, db, Arc::clone(archive), readers, config);
    shipper.round()?;
    Ok(shipper.status().clone())
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let place = args.next().map_or_else(std::env::temp_dir, Into::into);
    let ids: u64 = args.next().map_or(Ok(10_000_000), |it| it.parse())?;
    let directory = tempfile::tempdir_in(place)?;
    let archive = directory.path().join("archive");
    std::fs::create_dir_all(&archive)?;
    let archive = ObjectArchive::open(archive.to_str().ok_or("a plain path")?)?;
    let archive = Arc::new(archive) as Arc<dyn CheckpointArchive>;
    let owner = own(directory.path(), ids)?;
    for round in 0..3 {
        let shipped = ship(&owner, &archive)?;
        forget_pages(directory.path())?;
        let empty = CheckpointDb::open(&directory.path().join(format!("empty-{round}")))?;
        let store = ArchivedStore::new(empty.partition(ONLY), Arc::clone(&archive), LOG_ID, ONLY);
        let start = Instant::now();
        let restored = begin(&owner.log, store)?;
        let took = start.elapsed();
        if restored.machine().digest() != owner.digest || restored.machine().sizes().ids < ids {
            return Err("what was restored is not what was shipped".into());
        }
        archive.forget(LOG_ID, ONLY, restored.checkpoint().next_offset)?;
        writeln!(
            std::io::stdout(),
            "{{\"ids\": {ids}, \"megabytes\": {:.1}, \"ship_s\": {:.2}, \"read_back_s\": {:.2}, \"restore_s\": {:.2}}}",
            shipped.bytes as f64 / 1e6,
            shipped.ship_took.as_secs_f64(),
            shipped.read_back_took.as_secs_f64(),
            took.as_secs_f64()
        )?;
    }
    Ok(())
}
