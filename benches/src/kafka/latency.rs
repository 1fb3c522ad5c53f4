//! How long a command waits for its decision at a fixed rate, next to two bare hops at the same rate.

use std::time::Duration;

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;

use super::broker::Broker;
use super::decided::{self, Decided};
use super::hops::{self, Hops, Load};
use super::ours::Topics;
use super::schedule::Latencies;
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &[
    "kafka_hops_10k_p50",
    "kafka_hops_10k_p99",
    "kafka_decision_10k_p50",
    "kafka_decision_10k_p99",
    "kafka_hops_50k_p50",
    "kafka_hops_50k_p99",
    "kafka_decision_50k_p50",
    "kafka_decision_50k_p99",
    "kafka_hops_100k_p50",
    "kafka_hops_100k_p99",
    "kafka_decision_100k_p50",
    "kafka_decision_100k_p99",
];

/// Commands per second.
const RATES: [u64; 3] = [10_000, 50_000, 100_000];
const PEER: &str = "two bare hops";
/// What deciding may add, in milliseconds.
const P50_MORE_MS: f64 = 0.5;
const P99_MORE_MS: f64 = 2.0;

/// All runs at one rate.
#[derive(Debug, Default)]
struct Runs {
    bare: Vec<Hops>,
    ours: Vec<Decided>,
}

/// The middle of one figure of several runs.
pub(crate) fn middle<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
}

/// A row of several runs, without a goal yet.
fn row<T>(name: &'static str, percent: f64, runs: &[T], of: impl Fn(&T) -> (&Latencies, f64)) -> Measured {
    Measured::new(name, middle(runs, |run| of(run).0.ms(percent)), "ms")
        .with("p99.9", middle(runs, |run| of(run).0.ms(99.9)))
        .with("longest", runs.iter().map(|run| of(run).0.max_ms()).fold(0.0, f64::max))
        .with("best", runs.iter().map(|run| of(run).0.ms(percent)).fold(f64::INFINITY, f64::min))
        .with("commands_per_record", middle(runs, |run| of(run).1))
        .with("commands", runs.iter().map(|run| of(run).0.count()).sum::<u64>())
        .with("runs", runs.len())
        .with("records_under_way_max", hops::UNDER_WAY_MAX)
}

fn rows(names: &[&'static str], runs: &Runs) -> Vec<Row> {
    let bare =
        |name, percent| row(name, percent, &runs.bare, |run| (&run.latencies, run.commands_per_record));
    let ours = |name, percent, more| {
        let peer = middle(&runs.bare, |run| run.latencies.ms(percent));
        row(name, percent, &runs.ours, |run| (&run.latencies, run.commands_per_record))
            .peer(PEER, peer)
            .goals(&[Goal::AbovePeerAtMost(more)])
    };
    vec![
        bare(names[0], 50.0).goals(&[]),
        bare(names[1], 99.0).goals(&[]),
        ours(names[2], 50.0, P50_MORE_MS),
        ours(names[3], 99.0, P99_MORE_MS),
    ]
}

fn bare(broker: &Broker, load: Load) -> Result<Hops> {
    broker.create("bench.first")?;
    broker.create("bench.second")?;
    let hops = hops::run(broker, "bench.first", "bench.second", load)?;
    broker.delete(&["bench.first", "bench.second"])?;
    Ok(hops)
}

fn ours(setup: &Setup, broker: &Broker, load: Load) -> Result<Decided> {
    let topics = Topics::make(broker)?;
    let decided = decided::run(setup, &topics, load)?;
    topics.delete()?;
    Ok(decided)
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    let seconds = |full, quick| Duration::from_secs(setup.size(full, quick));
    // What the broker has not done yet it does slowly for the first time.
    let warm_up = Load { rate: 50_000, warm: Duration::ZERO, counted: seconds(4, 1) };
    bare(&broker, warm_up)?;
    ours(setup, &broker, warm_up)?;
    let mut runs: [Runs; 3] = Default::default();
    for round in 0..setup.runs(5) {
        for (rate, runs) in RATES.into_iter().zip(&mut runs) {
            let load = Load { rate, warm: seconds(1, 1), counted: seconds(8, 1) };
            let first = round % 2 == 0;
            if first {
                runs.bare.push(bare(&broker, load)?);
            }
            runs.ours.push(ours(setup, &broker, load)?);
            if !first {
                runs.bare.push(bare(&broker, load)?);
            }
        }
    }
    Ok(ROWS.chunks_exact(4).zip(&runs).flat_map(|(names, runs)| rows(names, runs)).collect())
}
