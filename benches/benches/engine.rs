//! The engine on the embedded log with checkpoints in RocksDB: batches in, decisions read, and one request alone.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::pipeline::{PATIENCE, Pipeline, Settings};
use holdfast_benches::work::{Kind, Work};

const PER_RECORD: u32 = 512;
const REQUESTS: u64 = 100_000;

fn engine(criterion: &mut Criterion) {
    let place = std::env::var_os("HOLDFAST_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    for kind in Kind::ALL {
        let own = tempfile::tempdir_in(&place).expect("a directory on the disk to be measured");
        let pipeline = Pipeline::open(own.path(), &Settings::default()).expect("it opens");
        let mut work = Work::new(kind, 1);
        let openings = work.opening(if kind == Kind::Soldout { 100 } else { 1 << 40 });
        pipeline.prepare(&openings).expect("the sale opens");
        group.throughput(Throughput::Elements(REQUESTS));
        group.bench_function(format!("batches/{}", kind.name()), |bencher| {
            bencher.iter_custom(|times| {
                let run = |_| {
                    let records = work.records(REQUESTS, PER_RECORD);
                    pipeline.run(&records, REQUESTS, 128).expect("it runs").wall
                };
                (0..times).map(run).sum::<Duration>()
            });
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("one alone/{}", kind.name()), |bencher| {
            bencher.iter_custom(|times| {
                let run = |_| pipeline.run(&work.records(1, 1), 1, 1).expect("it runs").wall;
                (0..times).map(run).sum::<Duration>()
            });
        });
        assert!(pipeline.sequencer.stop(PATIENCE), "the last checkpoint is written");
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
