//! Commands that wait in a topic, as fast as they go: carried by the bare client library from one topic to another.

use std::collections::BTreeMap;

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;

use super::broker::Broker;
use super::passthrough::{Run, Shape, carry, fill_shape};
use crate::group::Setup;
use crate::row::{Measured, Row};

pub(crate) const ROWS: &[&str] = &["kafka_passthrough_1", "kafka_passthrough_100", "kafka_passthrough_1000"];

/// What the bare client carries: one command in a record, and batches.
const SHAPES: [Shape; 3] = [
    Shape { per_record: 1, command_bytes: 100 },
    Shape { per_record: 100, command_bytes: 64 },
    Shape { per_record: 1_000, command_bytes: 64 },
];

/// One figure of several runs.
pub(crate) fn middle(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
}

/// What is worth knowing about runs.
pub(crate) fn described(row: Measured, runs: &[Run]) -> Measured {
    let speeds = || runs.iter().map(Run::per_second);
    row.with("slowest", speeds().fold(f64::INFINITY, f64::min))
        .with("fastest", speeds().fold(0.0, f64::max))
        .with("runs", runs.len())
        .with("commands", runs.first().map_or(0, |run| run.commands))
        .with("cpu_us_per_command", middle(runs, Run::cpu_us))
        .with("of_it_the_client", middle(runs, Run::client_us))
        .with("of_it_the_broker", middle(runs, Run::broker_us))
}

fn source(shape: Shape) -> String {
    format!("bench.source-{}", shape.per_record)
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    for shape in SHAPES {
        let commands = commands(setup, shape);
        broker.create(&source(shape))?;
        fill_shape(&broker, &source(shape), shape, commands)?;
    }
    let mut runs: BTreeMap<u32, Vec<Run>> = BTreeMap::new();
    for _ in 0..setup.runs(5) {
        for shape in SHAPES {
            let commands = commands(setup, shape);
            let records = commands / u64::from(shape.per_record);
            broker.create("bench.target")?;
            let run = carry(&broker, &source(shape), "bench.target", records, commands)?;
            broker.delete(&["bench.target"])?;
            runs.entry(shape.per_record).or_default().push(run);
        }
    }
    let rows = ROWS.iter().zip(SHAPES).map(|(name, shape)| {
        let runs = &runs[&shape.per_record];
        let row = Measured::new(name, middle(runs, Run::per_second), "commands/s")
            .with("commands_per_record", shape.per_record)
            .with("bytes_per_command", shape.command_bytes);
        described(row, runs).goals(&[])
    });
    Ok(rows.collect())
}

fn commands(setup: &Setup, shape: Shape) -> u64 {
    if shape.per_record == 1 { setup.size(2_000_000, 100_000) } else { setup.size(6_000_000, 200_000) }
}
