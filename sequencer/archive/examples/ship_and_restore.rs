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
    CustomerId, IntakeId, LogId, LogTime, PartitionId, RequestTag, ReservationId, SaleTerms,
};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{
    ArchivedStore, CheckpointArchive, CheckpointStore, ReaderMarks, Role, ShipConfig, Shipper, Trim, Worker,
    WorkerConfig,
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

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let place = args.next().map_or_else(std::env::temp_dir, Into::into);
    let ids: u64 = args.next().map_or(Ok(10_000_000), |it| it.parse())?;
    let directory = tempfile::tempdir_in(place)?;
    let log = Arc::new(SimulatedLog::new(SimulatedConfig::new(LOG_ID, Layout::inventory(1)?)));
    let port = Arc::clone(&log) as Arc<dyn OrderedLog>;
    let machine = MachineConfig::new(ONLY, 1, LOG_ID);
    let worker = WorkerConfig {
        checkpoint_after_bytes: u64::MAX,
        checkpoint_after_ms: u64::MAX,
        checkpoint_idle_ms: u64::MAX,
        idle_tick_ms: 1 << 40,
        ..WorkerConfig::new(ONLY)
    };
    let archive =
        Arc::new(ObjectArchive::open(directory.path().join("archive").to_str().ok_or("a plain path")?)?);
    let archive = archive as Arc<dyn CheckpointArchive>;
    let db = Arc::new(CheckpointDb::open(&directory.path().join("first"))?);

    let mut builder = BatchBuilder::default();
    opening(&mut builder, ids);
    log.append(StreamId::inventory_commands(ONLY), builder.bytes().to_vec().into())?;
    let mut first =
        Worker::open(worker.clone(), &machine, Arc::clone(&port), db.partition(ONLY), Role::Active)?;
    for from in (0..ids).step_by(usize::try_from(PER_RECORD)?) {
        builder.start(IntakeId(1), RequestTag(from));
        for n in from..ids.min(from + PER_RECORD) {
            let sku = builder.sku(if n % 10 == 0 { "PLENTY" } else { "GONE" });
            builder.reserve_one(id(n), CustomerId(n + 1), Line { sku, quantity: 1 });
        }
        let ticket = log.append(StreamId::inventory_commands(ONLY), builder.bytes().to_vec().into())?;
        drop(ticket);
        step_until(&mut first, |worker| {
            worker.next_offset() == log.watermarks(StreamId::inventory_commands(ONLY)).end
        })?;
        // What was decided is not looked at again.
        let decided = log.watermarks(StreamId::inventory_decisions(ONLY)).end;
        log.trim(StreamId::inventory_decisions(ONLY), decided)?;
    }
    first.request_checkpoint();
    step_until(&mut first, Worker::is_checkpoint_current)?;
    let digest = first.machine().digest();
    drop(first);

    for round in 0..3 {
        let config = ShipConfig { trim: Trim::Nothing, ..ShipConfig::default() };
        let readers = Arc::new(ReaderMarks::default());
        let mut shipper = Shipper::<Machine>::new(
            ONLY,
            machine,
            Arc::clone(&port),
            Arc::clone(&db),
            Arc::clone(&archive),
            readers,
            config,
        );
        shipper.round()?;
        let status = shipper.status().clone();
        forget_pages(directory.path())?;

        let empty = CheckpointDb::open(&directory.path().join(format!("empty-{round}")))?;
        let store = ArchivedStore::new(empty.partition(ONLY), Arc::clone(&archive), LOG_ID, ONLY);
        let start = Instant::now();
        let restored: Worker<Machine, _> =
            Worker::open(worker.clone(), &machine, Arc::clone(&port), store, Role::Active)?;
        let took = start.elapsed();
        if restored.machine().digest() != digest || restored.machine().sizes().ids < ids {
            return Err("what was restored is not what was shipped".into());
        }
        let at = restored.checkpoint().next_offset;
        drop(restored);
        archive.forget(LOG_ID, ONLY, at)?;
        writeln!(
            std::io::stdout(),
            "{{\"ids\": {ids}, \"megabytes\": {:.1}, \"ship_s\": {:.2}, \"read_back_s\": {:.2}, \"restore_s\": {:.2}}}",
            status.bytes as f64 / 1e6,
            status.ship_took.as_secs_f64(),
            status.read_back_took.as_secs_f64(),
            took.as_secs_f64()
        )?;
    }
    Ok(())
}
