//! How long a command waits for its decision at a fixed rate, next to two bare hops at the same rate.

use std::time::Duration;

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;

use super::broker::Broker;
use super::hops::{self, Hops, Load};
use crate::group::Setup;
use crate::row::{Measured, Row};

pub(crate) const ROWS: &[&str] = &[
    "kafka_hops_10k_p50",
    "kafka_hops_10k_p99",
    "kafka_hops_50k_p50",
    "kafka_hops_50k_p99",
    "kafka_hops_100k_p50",
    "kafka_hops_100k_p99",
];

/// Commands per second.
const RATES: [u64; 3] = [10_000, 50_000, 100_000];

/// The middle of one figure of several runs.
pub(crate) fn middle<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
}

/// A row of two bare hops.
fn hops_row(name: &'static str, percent: f64, runs: &[Hops]) -> Row {
    Measured::new(name, middle(runs, |run| run.latencies.ms(percent)), "ms")
        .with("p99.9", middle(runs, |run| run.latencies.ms(99.9)))
        .with("longest", runs.iter().map(|run| run.latencies.max_ms()).fold(0.0, f64::max))
        .with("commands_per_record", middle(runs, |run| run.commands_per_record))
        .with("commands", runs.iter().map(|run| run.latencies.count()).sum::<u64>())
        .with("runs", runs.len())
        .with("records_under_way_max", hops::UNDER_WAY_MAX)
        .goals(&[])
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    let mut bare: [Vec<Hops>; 3] = Default::default();
    for _ in 0..setup.runs(5) {
        for (rate, bare) in RATES.into_iter().zip(&mut bare) {
            let load =
                Load { rate, warm: Duration::from_secs(1), counted: Duration::from_secs(setup.size(8, 1)) };
            broker.create("bench.first")?;
            broker.create("bench.second")?;
            bare.push(hops::run(&broker, "bench.first", "bench.second", load)?);
            broker.delete(&["bench.first", "bench.second"])?;
        }
    }
    let names = ROWS.chunks_exact(2);
    Ok(names
        .zip(&bare)
        .flat_map(|(names, runs)| [hops_row(names[0], 50.0, runs), hops_row(names[1], 99.0, runs)])
        .collect())
}
