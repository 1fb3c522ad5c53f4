//! The machine: records of 512 requests never seen, with a million ids remembered. Time per command.
//!
//! `holdfast-bench spine --only machine` measures the same with ten million; this is for comparing one change with the
//! state before it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::pipeline::ONLY;
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::{LogId, LogTime, Offset};
use holdfast_core::{InputRecord, Machine, MachineConfig};

const PER_RECORD: u32 = 512;
const REMEMBERED: u64 = 1_000_000;

fn apply(machine: &mut Machine, offset: u64, payload: &[u8], out: &mut Vec<u8>) {
    let append_time = LogTime(1_790_000_000_000 + offset / 2);
    out.clear();
    let record = InputRecord { offset: Offset(offset), append_time, payload };
    assert!(machine.apply(record, out).expect("a record that can be decided"), "it is answered");
}

fn machine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    group.sample_size(20).throughput(Throughput::Elements(PER_RECORD.into()));
    for kind in Kind::ALL {
        let mut machine = Machine::new(MachineConfig::new(ONLY, 1, LogId([7; 16])));
        let (mut work, mut offset, mut out) = (Work::new(kind, 1), 0, Vec::new());
        // Sold out from the beginning, or units for whatever criterion asks.
        let openings = work.opening(if kind == Kind::Soldout { 100 } else { 1 << 40 });
        for record in &openings {
            apply(&mut machine, offset, record, &mut out);
            offset += 1;
        }
        for _ in 0..REMEMBERED / u64::from(PER_RECORD) {
            apply(&mut machine, offset, work.record(PER_RECORD), &mut out);
            offset += 1;
        }
        group.bench_function(format!("new/{}", kind.name()), |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    let record = work.record(PER_RECORD);
                    let start = Instant::now();
                    apply(&mut machine, offset, record, &mut out);
                    took += start.elapsed();
                    offset += 1;
                }
                took
            });
        });
        let known = Work::new(kind, 1).record(PER_RECORD).to_vec();
        group.bench_function(format!("retry/{}", kind.name()), |bencher| {
            bencher.iter(|| {
                offset += 1;
                apply(&mut machine, offset, &known, &mut out);
            });
        });
        group.bench_function(format!("digest/{}", kind.name()), |bencher| bencher.iter(|| machine.digest()));
    }
    group.finish();
}

criterion_group!(benches, machine);
criterion_main!(benches);
