//! Commands that wait in a topic, as fast as they go: decided by the sequencer, and carried by the bare client library
//! from one topic to another.

use std::collections::BTreeSet;

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::{Kind, Work};

use super::broker::Broker;
use super::ours::Topics;
use super::passthrough::{Run, Shape, carry, fill_shape};
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &[
    "kafka_passthrough_1",
    "kafka_passthrough_100",
    "kafka_passthrough_1000",
    "kafka_sequencer_1",
    "kafka_sequencer_100",
    "kafka_sequencer_100_same",
    "kafka_sequencer_1000",
    "kafka_sequencer_1000_same",
];

const ONE_BY_ONE: &str = "bare client, one command of 100 B per record";
const SAME: &str = "bare client, the same records";

/// What the bare client carries: one command in a record, and batches.
const SHAPES: [Shape; 3] = [
    Shape { per_record: 1, command_bytes: 100 },
    Shape { per_record: 100, command_bytes: 64 },
    Shape { per_record: 1_000, command_bytes: 64 },
];

/// All runs with one number of commands in a record.
#[derive(Debug, Default)]
struct Runs {
    /// The bare client with commands of the size of the shape.
    bare: Vec<Run>,
    /// The sequencer.
    ours: Vec<Run>,
    /// The bare client with the very records that the sequencer decided.
    same: Vec<Run>,
}

/// One figure of several runs.
pub(crate) fn middle(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
}

/// What is worth knowing about runs.
fn described(row: Measured, runs: &[Run]) -> Measured {
    let speeds = || runs.iter().map(Run::per_second);
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.threads.keys()).collect();
    let row = names.iter().fold(row, |row, name| {
        let label = format!("cpu_us_of_{}", name.replace([' ', ':', '-'], "_"));
        row.with(&label, middle(runs, |run| run.thread_us(name)))
    });
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

const fn commands(setup: &Setup, shape: Shape) -> u64 {
    if shape.per_record == 1 { setup.size(2_000_000, 100_000) } else { setup.size(6_000_000, 200_000) }
}

/// One run of each kind with so many commands in a record.
fn round(setup: &Setup, broker: &Broker, shape: Shape, runs: &mut Runs) -> Result<()> {
    let commands = commands(setup, shape);
    let records = commands / u64::from(shape.per_record);
    broker.create("bench.target")?;
    runs.bare.push(carry(broker, &source(shape), "bench.target", records, commands)?);
    broker.delete(&["bench.target"])?;

    let mut work = Work::new(Kind::Accept, 1);
    let opening = work.opening(commands);
    let written = work.records(commands, shape.per_record);
    let topics = Topics::make(broker)?;
    topics.fill(&opening, &written)?;
    runs.ours.push(topics.decide(setup, &opening, &written, commands)?);
    broker.create("bench.target")?;
    let all = (opening.len() + written.len()) as u64;
    runs.same.push(carry(broker, &topics.commands(), "bench.target", all, commands)?);
    broker.delete(&["bench.target"])?;
    topics.delete()
}

/// The rows of the bare client and the sequencer with so many commands in a record.
fn rows(shape: Shape, runs: &Runs, one_by_one: f64) -> Vec<Row> {
    let bare = |name| {
        let row = Measured::new(name, middle(&runs.bare, Run::per_second), "commands/s")
            .with("bytes_per_command", shape.command_bytes);
        described(row, &runs.bare).goals(&[])
    };
    let same = middle(&runs.same, Run::per_second);
    let ours = |name, peer, of, goal| {
        let row = Measured::new(name, middle(&runs.ours, Run::per_second), "commands/s").peer(peer, of);
        described(row, &runs.ours)
            .with("cpu_us_of_carrying_the_same", middle(&runs.same, Run::cpu_us))
            .with("carrying_the_same", same)
            .goals(&[goal])
    };
    match shape.per_record {
        1 => vec![
            bare("kafka_passthrough_1"),
            ours("kafka_sequencer_1", ONE_BY_ONE, one_by_one, Goal::TimesPeerAtLeast(0.9)),
        ],
        100 => vec![
            bare("kafka_passthrough_100"),
            ours("kafka_sequencer_100", ONE_BY_ONE, one_by_one, Goal::TimesPeerAtLeast(2.0)),
            ours("kafka_sequencer_100_same", SAME, same, Goal::TimesPeerAtLeast(0.6)),
        ],
        _ => vec![
            bare("kafka_passthrough_1000"),
            ours("kafka_sequencer_1000", ONE_BY_ONE, one_by_one, Goal::TimesPeerAtLeast(2.0)),
            ours("kafka_sequencer_1000_same", SAME, same, Goal::TimesPeerAtLeast(0.6)),
        ],
    }
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    for shape in SHAPES {
        broker.create(&source(shape))?;
        fill_shape(&broker, &source(shape), shape, commands(setup, shape))?;
    }
    // The broker's code is compiled by then.
    broker.create("bench.target")?;
    carry(&broker, &source(SHAPES[0]), "bench.target", setup.size(500_000, 20_000), 1)?;
    broker.delete(&["bench.target"])?;
    let mut runs: [Runs; 3] = Default::default();
    for _ in 0..setup.runs(5) {
        for (shape, runs) in SHAPES.into_iter().zip(&mut runs) {
            round(setup, &broker, shape, runs)?;
        }
    }
    let one_by_one = middle(&runs[0].bare, Run::per_second);
    Ok(SHAPES.into_iter().zip(&runs).flat_map(|(shape, runs)| rows(shape, runs, one_by_one)).collect())
}
