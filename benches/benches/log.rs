//! The embedded log on the disk of `HOLDFAST_BENCH_DIR`: appends one at a time, many together, and reading back. Next to
//! each way of appending the bare write and flush of the same bytes.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::bare::BareLog;
use holdfast_benches::pipeline::{COMMANDS, PATIENCE};
use holdfast_contracts::Offset;
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout, OrderedLog};

/// Records appended before the last of them is waited for.
const TOGETHER: u64 = 256;

fn directory() -> tempfile::TempDir {
    let place = std::env::var_os("HOLDFAST_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    tempfile::tempdir_in(place).expect("a directory on the disk to be measured")
}

fn append(log: &EmbeddedLog, payload: &Bytes, count: u64) {
    let mut last = None;
    for _ in 0..count {
        last = Some(log.append(COMMANDS, payload.clone()).expect("the log takes it"));
    }
    let settled = last.and_then(|ticket| ticket.wait(PATIENCE)).expect("it is settled in time");
    // What criterion repeats must not fill the disk.
    let appended = settled.expect("it is durable");
    log.trim(COMMANDS, appended.offset).expect("nobody needs it");
}

fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.sample_size(20);
    for bytes in [150usize, 4 << 10, 19 << 10, 60 << 10] {
        let payload = Bytes::from(vec![7; bytes]);
        let own = directory();
        let config = EmbeddedConfig::new(Layout::inventory(1).expect("one partition is fine"));
        let log = EmbeddedLog::open(&own.path().join("log"), &config).expect("the log opens");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::new("append one, wait", bytes), &payload, |bencher, payload| {
            bencher.iter(|| append(&log, payload, 1));
        });
        group.bench_with_input(BenchmarkId::new("bare write, flush", bytes), &payload, |bencher, payload| {
            bencher.iter_custom(|times| {
                let room = times * (payload.len() as u64).next_multiple_of(4096);
                let mut bare = BareLog::prepare(&own.path().join("bare"), room).expect("room");
                let start = std::time::Instant::now();
                for _ in 0..times {
                    bare.write(&[payload]).expect("written");
                }
                start.elapsed()
            });
        });
        group.throughput(Throughput::Bytes(bytes as u64 * TOGETHER));
        group.bench_with_input(BenchmarkId::new("append 256, wait", bytes), &payload, |bencher, payload| {
            bencher.iter(|| append(&log, payload, TOGETHER));
        });
    }
    group.finish();
}

fn read(criterion: &mut Criterion) {
    const RECORDS: u64 = 2_000;
    let own = directory();
    let config = EmbeddedConfig::new(Layout::inventory(1).expect("one partition is fine"));
    let payload = Bytes::from(vec![7; 19 << 10]);
    let log = EmbeddedLog::open(own.path(), &config).expect("the log opens");
    for _ in 0..RECORDS {
        log.append(COMMANDS, payload.clone()).expect("the log takes it");
    }
    drop(log);
    // Opened again, so that nothing is left in its memory.
    let log = EmbeddedLog::open(own.path(), &config).expect("the log opens again");
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10).throughput(Throughput::Bytes(RECORDS * payload.len() as u64));
    group.bench_function("read back", |bencher| {
        let mut records = Vec::new();
        bencher.iter(|| {
            let mut next = Offset(0);
            while next.0 < RECORDS {
                log.read(COMMANDS, next, 1 << 20, &mut records).expect("it can be read");
                next = records.last().map_or(next, |record| record.offset.next());
                records.clear();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, log, read);
criterion_main!(benches);
