//! How long the peer's answers take at a fixed rate, from the moment at which a command was due.

use std::cell::Cell;
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;

use super::peer::{Guarantee, Instance, Peer, Store, Tuning, Variant, fresh_application};
use super::work::{Ledger, SKU, answers, opening, requests};
use crate::group::Setup;
use crate::kafka::broker::Broker;
use crate::kafka::decided;
use crate::kafka::hops::{Load, send_when_due};
use crate::kafka::latency::middle;
use crate::kafka::ours::Topics;
use crate::kafka::producing::Counting;
use crate::kafka::schedule::{Latencies, Schedule};
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["kafka_streams_10k_p99", "kafka_streams_10k_p99_exactly_once"];

const PATIENCE: Duration = Duration::from_secs(90);
const COMMANDS: &str = "streams.commands";
const RESULTS: &str = "streams.results";
/// Commands per second.
const RATE: u64 = 10_000;

/// One run of one variant.
fn run(broker: &Broker, peer: &Peer, setup: &Setup, variant: Variant) -> Result<Latencies> {
    broker.create(COMMANDS)?;
    broker.create(RESULTS)?;
    let directory = tempfile::tempdir_in(&setup.directory)?;
    let instance = Instance {
        application: &fresh_application(),
        name: "a",
        variant,
        tuning: Tuning::Latency,
        commands: COMMANDS,
        results: RESULTS,
        directory: directory.path(),
    };
    let app = peer.start(broker, &instance)?;
    app.wait_until_running(PATIENCE)?;
    let producer = Counting::waking(broker)?;
    producer.send(COMMANDS, Some(SKU), &opening(u64::MAX >> 1, 600_000, 2))?;
    producer.drain()?;
    let latencies = load(broker, &producer, setup)?;
    drop(app);
    broker.delete_all("streams.")?;
    Ok(latencies)
}

fn load(broker: &Broker, producer: &Counting, setup: &Setup) -> Result<Latencies> {
    let mut follower = broker.follower(RESULTS, 0)?;
    let schedule = Schedule { rate: RATE, start: Instant::now() + Duration::from_millis(300) };
    // The peer's code is compiled meanwhile.
    let warm = schedule.commands_in(Duration::from_secs(setup.size(12, 2)));
    let commands = warm + schedule.commands_in(Duration::from_secs(setup.size(8, 1)));
    std::thread::scope(|scope| {
        let read = scope.spawn(move || -> Result<Latencies> {
            let (mut latencies, mut ledger) = (Latencies::new()?, Ledger::default());
            let mut progress = Instant::now();
            while ledger.answered() < commands {
                if progress.elapsed() > PATIENCE {
                    return Err(format!("{} of {commands} were answered", ledger.answered()).into());
                }
                follower.poll(|record| {
                    progress = Instant::now();
                    for answer in answers(record.payload) {
                        let answer = answer?;
                        ledger.take(answer, false)?;
                        if answer.request >= warm {
                            latencies
                                .record(progress.saturating_duration_since(schedule.due(answer.request)));
                        }
                    }
                    Ok(())
                })?;
            }
            if ledger.reserved() != commands || ledger.repeated > 0 {
                return Err(format!("of {commands} requests {} were granted", ledger.reserved()).into());
            }
            Ok(latencies)
        });
        let (before, sent, mut record) = (producer.delivered(), Cell::new(0), Vec::new());
        let serving = producer.serving()?;
        send_when_due(
            schedule,
            commands,
            |first, count| {
                requests(first, count, &mut record);
                sent.set(sent.get() + 1);
                producer.send(COMMANDS, Some(SKU), &record)
            },
            || Ok(sent.get() - (producer.delivered() - before)),
        )?;
        let latencies = read.join().map_err(|_| "the reader panicked")?;
        drop(serving);
        latencies
    })
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let (broker, peer) = (&Broker::start()?, &Peer::compile(&setup.directory)?);
    // Both stores once; then the better one of each guarantee goes on.
    let mut runs = Vec::new();
    for variant in Variant::ALL {
        runs.push((variant, vec![run(broker, peer, setup, variant)?]));
    }
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let of = runs.iter_mut().filter(|(variant, _)| variant.guarantee == guarantee);
        let best = of.min_by(|one, other| one.1[0].ms(99.0).total_cmp(&other.1[0].ms(99.0)));
        let (variant, runs) = best.ok_or("there is no variant")?;
        for _ in 1..setup.runs(5) {
            runs.push(run(broker, peer, setup, *variant)?);
        }
    }
    let load =
        Load { rate: RATE, warm: Duration::from_secs(1), counted: Duration::from_secs(setup.size(8, 1)) };
    let mut ours = Vec::new();
    for _ in 0..=setup.runs(5) {
        let topics = Topics::make(broker)?;
        ours.push(decided::run(setup, &topics, load)?);
        topics.delete()?;
    }
    // The first one ran on a broker that had not seen such clients yet.
    ours.remove(0);
    let row = |name, guarantee, goal| {
        let of = |percent: f64| {
            let runs = runs.iter().filter(move |(variant, _)| variant.guarantee == guarantee);
            runs.map(move |(variant, runs)| (variant.store, middle(runs, |run| run.ms(percent))))
        };
        let best = of(99.0).min_by(|one, other| one.1.total_cmp(&other.1));
        let (store, p99) = best.unwrap_or((Store::Memory, f64::INFINITY));
        let at = |percent| of(percent).find(|(other, _)| *other == store).map_or(0.0, |(_, ms)| ms);
        let peer = match guarantee {
            Guarantee::AtLeastOnce => "Kafka Streams, at least once, its best",
            Guarantee::ExactlyOnce => "Kafka Streams, exactly once, its best",
        };
        let mut row = Measured::new(name, middle(&ours, |run| run.latencies.ms(99.0)), "ms")
            .peer(peer, p99)
            .with("p50", middle(&ours, |run| run.latencies.ms(50.0)))
            .with("peer_p50", at(50.0))
            .with("peer_p99.9", at(99.9))
            .with("peer_best_store", if store == Store::Memory { "memory" } else { "rocksdb" })
            .with("commands_per_second", RATE)
            .with("runs", setup.runs(5));
        for (store, p99) in of(99.0) {
            row = row.with(if store == Store::Memory { "peer_memory_p99" } else { "peer_rocksdb_p99" }, p99);
        }
        row.goals(&[Goal::TimesPeerAtMost(goal)])
    };
    Ok(vec![row(ROWS[0], Guarantee::AtLeastOnce, 0.3), row(ROWS[1], Guarantee::ExactlyOnce, 0.1)])
}
