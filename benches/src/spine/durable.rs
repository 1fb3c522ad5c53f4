//! Batches through the whole way in one process: embedded log, engine, checkpoints, and a reader of the decisions. Next
//! to it a bare loop that writes and flushes the same bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_benches::bare::BareLog;
use holdfast_benches::clock::{median, per_second};
use holdfast_benches::pipeline::{Flow, PATIENCE, Pipeline, Result, Settings};
use holdfast_benches::work::{Kind, Work};

use holdfast_contracts::command::decode_batch;

use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] =
    &["durable_accept", "durable_soldout", "durable_zipf", "log_bytes_per_request"];

const PEER: &str = "bare loop: write and flush each record with its decisions";
/// Requests in a record.
const PER_RECORD: u32 = 512;
/// Records between the first append and the last decision read.
const UNDER_WAY_MAX: u64 = 128;
/// What the caller of a request brings along beside the SKU: its id and its customer.
const CALLERS_BYTES: f64 = 16.0 + 8.0;

/// One run of one kind.
struct Run {
    flow: Flow,
    requests: u64,
    /// Bytes that the log occupies on the disk.
    disk_bytes: u64,
    /// Bytes of SKUs as the commands name them.
    sku_bytes: u64,
    bare: Duration,
    /// The same bytes, in groups as large as the log makes them at most.
    bare_grouped: Duration,
}

fn run(setup: &Setup, kind: Kind, requests: u64, seed: u64) -> Result<Run> {
    let directory = setup.directory.join("pipeline");
    let settings = Settings { room: usize::try_from(requests)?, ..Settings::default() };
    let pipeline = Pipeline::open(&directory, &settings)?;
    let mut work = Work::new(kind, seed);
    pipeline.prepare(&work.opening(requests))?;
    let records = work.records(requests, PER_RECORD);
    let flow = pipeline.run(&records, requests, UNDER_WAY_MAX)?;
    if flow.granted != kind.granted(requests) || flow.granted + flow.refused != requests {
        return Err(format!("{} of {requests} were granted, {} refused", flow.granted, flow.refused).into());
    }
    pipeline.sequencer.stop(PATIENCE);
    pipeline.log.close();
    drop(pipeline);
    let disk_bytes = bytes_of_log(&directory.join("log"))?;
    std::fs::remove_dir_all(&directory)?;

    let bare = bare(&setup.directory.join("bare"), &records, &flow, 1)?;
    let bare_grouped = self::bare(&setup.directory.join("bare"), &records, &flow, 32)?;
    let sku_bytes = records.iter().map(|record| bytes_of_skus(record)).sum::<Result<u64>>()?;
    Ok(Run { flow, requests, disk_bytes, sku_bytes, bare, bare_grouped })
}

/// Writes and flushes every record together with as many bytes as its decisions take; so many records per flush.
fn bare(directory: &Path, records: &[bytes::Bytes], flow: &Flow, per_flush: usize) -> Result<Duration> {
    let decisions = usize::try_from(flow.decision_bytes / flow.records)?;
    let decisions = vec![7; decisions];
    let bytes = flow.command_bytes + flow.decision_bytes + 4096 * records.len() as u64;
    let mut log = BareLog::prepare(directory, bytes)?;
    let start = Instant::now();
    for group in records.chunks(per_flush) {
        let parts: Vec<&[u8]> =
            group.iter().flat_map(|record| [record.as_ref(), decisions.as_slice()]).collect();
        log.write(&parts)?;
    }
    let took = start.elapsed();
    std::fs::remove_dir_all(directory)?;
    Ok(took)
}

/// Bytes in the segments of a log up to the last one that is not zero: nothing of what is on the disk is left out.
fn bytes_of_log(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "segment") {
            let content = std::fs::read(&path)?;
            let last = content.iter().rposition(|byte| *byte != 0);
            bytes += last.map_or(0, |last| last as u64 + 1);
        }
    }
    Ok(bytes)
}

fn bytes_of_skus(record: &[u8]) -> Result<u64> {
    let mut skus = Vec::new();
    decode_batch(record, &mut skus, &mut Vec::new()).map_err(|error| format!("{error:?}"))?;
    Ok(skus.iter().map(|sku| sku.len() as u64).sum())
}

fn row(name: &'static str, runs: &[&Run], goal: f64) -> Row {
    let each = |of: &dyn Fn(&Run) -> f64| -> Vec<f64> { runs.iter().map(|run| of(run)).collect() };
    let middle = |of: &dyn Fn(&Run) -> f64| median(&each(of)).unwrap_or_default();
    let speed = |run: &Run| per_second(run.requests, run.flow.wall);
    let mut row = Measured::new(name, middle(&speed), "decisions/s")
        .peer(PEER, middle(&|run| per_second(run.requests, run.bare)))
        .with("bare_loop_32_records_per_flush", middle(&|run| per_second(run.requests, run.bare_grouped)))
        .with("slowest", each(&speed).into_iter().fold(f64::INFINITY, f64::min))
        .with("fastest", each(&speed).into_iter().fold(0.0, f64::max))
        .with("requests_per_record", PER_RECORD)
        .with("records_under_way_max", UNDER_WAY_MAX)
        .with("room_for_ids", runs.first().map_or(0, |run| run.requests))
        .with("requests", runs.first().map_or(0, |run| run.requests))
        .with("runs", runs.len())
        .with("cpu_ns_per_decision", middle(&|run| run.flow.cpu.as_nanos() as f64 / run.requests as f64));
    let threads =
        runs.iter().flat_map(|run| run.flow.threads.keys()).collect::<std::collections::BTreeSet<_>>();
    for thread in threads {
        let of = |run: &Run| run.flow.threads.get(thread).copied().unwrap_or_default().as_nanos() as f64;
        let name = format!("cpu_ns_of_{}", thread.replace([' ', ':', '-'], "_"));
        row = row.with(&name, middle(&|run| of(run) / run.requests as f64));
    }
    row.goals(&[Goal::AtLeast(goal), Goal::TimesPeerAtLeast(0.5)])
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let requests = setup.size(3_000_000, 200_000);
    let repeats = setup.size(3, 1);
    let mut runs: Vec<(Kind, Run)> = Vec::new();
    for seed in 0..repeats {
        for kind in Kind::ALL {
            runs.push((kind, run(setup, kind, requests, seed)?));
        }
    }
    let of =
        |kind| runs.iter().filter(move |(other, _)| *other == kind).map(|(_, run)| run).collect::<Vec<_>>();
    let goals = [("durable_accept", 1e6), ("durable_soldout", 2e6), ("durable_zipf", 1e6)];
    let rows = Kind::ALL.into_iter().zip(goals).map(|(kind, (name, goal))| row(name, &of(kind), goal));
    let mut rows: Vec<Row> = rows.collect();
    rows.push(log_bytes(&Kind::ALL.map(|kind| (kind, of(kind)[0]))));
    Ok(rows)
}

/// The kind of work that needs most. What the caller brought along is counted once, as the commands have it.
fn log_bytes(runs: &[(Kind, &Run)]) -> Row {
    let each = |bytes: u64, run: &Run| bytes as f64 / run.requests as f64;
    let own = |run: &Run| each(run.disk_bytes, run) - CALLERS_BYTES - each(run.sku_bytes, run);
    let most = runs.iter().map(|(_, run)| own(run)).fold(0.0, f64::max);
    let mut row = Measured::new("log_bytes_per_request", most, "B");
    for (kind, run) in runs {
        row = row
            .with(&format!("{}_on_disk", kind.name()), each(run.disk_bytes, run))
            .with(&format!("{}_of_them_the_callers", kind.name()), CALLERS_BYTES + each(run.sku_bytes, run));
    }
    row.with("requests_per_record", PER_RECORD).goals(&[Goal::AtMost(64.0)])
}
