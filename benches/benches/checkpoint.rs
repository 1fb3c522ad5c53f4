//! Checkpoints of a machine with 200,000 holds: copied out whole, copied after some changes, written to RocksDB, loaded.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::pipeline::{ONLY, PATIENCE, Pipeline, Settings};
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::{LogId, LogTime, Offset};
use holdfast_core::{InputRecord, Machine, MachineConfig, PageSink, Restore};

const HOLDS: u64 = 200_000;
const PER_RECORD: u32 = 512;
/// Bytes copied at once, as the worker does it.
const BUDGET: usize = 256 << 10;

/// Keeps what it is given, as a store would, in the order in which it is loaded.
#[derive(Default)]
struct Pages(BTreeMap<(u8, u64), Vec<u8>>);

impl PageSink for Pages {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.0.insert((kind, page), bytes.to_vec());
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.0.remove(&(kind, page));
    }
}

fn config() -> MachineConfig {
    MachineConfig::new(ONLY, 1, LogId([7; 16]))
}

/// A machine and how it goes on.
struct Fed {
    machine: Machine,
    work: Work,
    offset: u64,
    out: Vec<u8>,
}

impl Fed {
    fn new() -> Self {
        let (machine, work) = (Machine::new(config()), Work::new(Kind::Accept, 1));
        let mut fed = Self { machine, work, offset: 0, out: Vec::new() };
        for record in fed.work.opening(1 << 40) {
            fed.apply(&record);
        }
        fed.more(HOLDS);
        fed
    }

    fn apply(&mut self, payload: &[u8]) {
        let append_time = LogTime(1_790_000_000_000 + self.offset / 2);
        self.out.clear();
        let record = InputRecord { offset: Offset(self.offset), append_time, payload };
        self.machine.apply(record, &mut self.out).expect("a record that can be decided");
        self.offset += 1;
    }

    fn more(&mut self, requests: u64) {
        for record in self.work.records(requests, PER_RECORD) {
            self.apply(&record);
        }
    }

    fn copy(&mut self) -> Pages {
        let mut pages = Pages::default();
        self.machine.freeze();
        while !self.machine.copy_frozen(BUDGET, &mut pages) {}
        pages
    }
}

fn checkpoint(criterion: &mut Criterion) {
    let mut fed = Fed::new();
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(20).throughput(Throughput::Elements(HOLDS));
    group.bench_function("copy whole", |bencher| {
        bencher.iter(|| {
            fed.machine.write_whole_checkpoint_next();
            fed.copy().0.len()
        });
    });
    fed.machine.write_whole_checkpoint_next();
    let pages = fed.copy();
    group.bench_function("load", |bencher| {
        bencher.iter_batched(
            || Restore::new(config()),
            |mut restore| {
                for ((kind, number), bytes) in &pages.0 {
                    restore.page(*kind, *number, bytes).expect("our own page");
                }
                black_box(restore.finish().expect("our own checkpoint"))
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("copy after 10,000 more", |bencher| {
        bencher.iter_custom(|times| {
            let mut took = std::time::Duration::ZERO;
            for _ in 0..times {
                fed.more(10_000);
                let start = std::time::Instant::now();
                black_box(fed.copy());
                took += start.elapsed();
            }
            took
        });
    });
    group.finish();
}

/// From the first command in the log until an orderly end has written everything to RocksDB.
fn written(criterion: &mut Criterion) {
    let place = std::env::var_os("HOLDFAST_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(10).throughput(Throughput::Elements(HOLDS));
    group.bench_function("orderly end, RocksDB", |bencher| {
        bencher.iter_custom(|times| {
            let mut took = std::time::Duration::ZERO;
            for seed in 0..times {
                let own = tempfile::tempdir_in(&place).expect("a directory on the disk to be measured");
                let settings = Settings::default().without_checkpoints();
                let pipeline = Pipeline::open(own.path(), &settings).expect("it opens");
                let mut work = Work::new(Kind::Accept, seed);
                pipeline.prepare(&work.opening(HOLDS)).expect("the sale opens");
                pipeline.run(&work.records(HOLDS, PER_RECORD), HOLDS, 128).expect("it runs");
                let start = std::time::Instant::now();
                assert!(pipeline.sequencer.stop(PATIENCE), "the checkpoint is written");
                took += start.elapsed();
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, checkpoint, written);
criterion_main!(benches);
