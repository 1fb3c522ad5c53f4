//! Commands that wait in a topic: how fast each variant of the peer answers them, once its code is compiled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::{Kind, Work};

use super::check;
use super::peer::{Instance, Peer, Tuning, Variant, fresh_application};
use super::work::{Ledger, SKU, answers, opening, requests};
use crate::group::Setup;
use crate::kafka::broker::Broker;
use crate::kafka::ours::Topics;
use crate::kafka::producing::Counting;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["kafka_streams_throughput"];

const PEER: &str = "Kafka Streams, its best variant";
/// What Holdfast decides meanwhile: so many commands, batched as its intake does under load.
const OURS_PER_RECORD: u32 = 1_000;

const PATIENCE: Duration = Duration::from_secs(180);
const RESULTS: &str = "streams.results";
const HOLD_TTL_MS: u64 = 600_000;

/// Commands in a record: as foreign clients write them, and as a client may that batches by itself.
const PER_RECORD: [u64; 2] = [1, 100];

fn source(per_record: u64) -> String {
    format!("source.streams-{per_record}")
}

fn fill(broker: &Broker, per_record: u64, commands: u64) -> Result<()> {
    broker.create(&source(per_record))?;
    let producer = Counting::quiet(broker)?;
    producer.send(&source(per_record), Some(SKU), &opening(commands, HOLD_TTL_MS, 2))?;
    let mut record = Vec::new();
    for first in (0..commands).step_by(usize::try_from(per_record)?) {
        requests(first, per_record, &mut record);
        producer.send(&source(per_record), Some(SKU), &record)?;
        producer.serve();
    }
    producer.drain()
}

/// One run: answers per second after the first ones, by the broker's clock.
fn run(
    broker: &Broker,
    peer: &Peer,
    setup: &Setup,
    variant: Variant,
    per_record: u64,
    sizes: Sizes,
) -> Result<f64> {
    broker.create(RESULTS)?;
    let commands = source(per_record);
    let directory = tempfile::tempdir_in(&setup.directory)?;
    let instance = Instance {
        application: &fresh_application(),
        name: "a",
        variant,
        tuning: Tuning::Throughput,
        commands: &commands,
        results: RESULTS,
        directory: directory.path(),
    };
    let app = peer.start(broker, &instance)?;
    let (mut follower, mut ledger) = (broker.follower(RESULTS, 0)?, Ledger::default());
    let (mut warm_at, mut last_at) = (None, 0);
    let deadline = Instant::now() + PATIENCE;
    while ledger.answered() < sizes.all() {
        if Instant::now() > deadline {
            return Err(format!("{} answers in {PATIENCE:?}", ledger.answered()).into());
        }
        follower.poll(|record| {
            answers(record.payload).try_for_each(|answer| ledger.take(answer?, false))?;
            if ledger.answered() >= sizes.warm && warm_at.is_none() {
                warm_at = Some((record.append_ms, ledger.answered()));
            }
            last_at = record.append_ms;
            Ok(())
        })?;
    }
    drop(app);
    broker.delete_all("streams.")?;
    if ledger.reserved() != sizes.all() || ledger.repeated > 0 || ledger.expired > 0 {
        return Err(format!("of {} requests {} were granted", sizes.all(), ledger.reserved()).into());
    }
    let (from, answered) = warm_at.ok_or("it was never warm")?;
    Ok((sizes.all() - answered) as f64 / ((last_at - from).max(1) as f64 / 1e3))
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Not counted.
    warm: u64,
    counted: u64,
}

impl Sizes {
    const fn all(self) -> u64 {
        self.warm + self.counted
    }
}

/// Holdfast doing the same work: commands per second.
fn decide(broker: &Broker, setup: &Setup) -> Result<f64> {
    let commands = setup.size(3_000_000, 100_000);
    let mut work = Work::new(Kind::Accept, 1);
    let (opening, records) = (work.opening(commands), work.records(commands, OURS_PER_RECORD));
    let topics = Topics::make(broker)?;
    topics.fill(&opening, &records)?;
    let run = topics.decide(setup, &opening, &records, commands)?;
    topics.delete()?;
    Ok(run.per_second())
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let (broker, peer) = (&Broker::start()?, &Peer::compile(&setup.directory)?);
    check::run(broker, peer, setup)?;
    let sizes = Sizes { warm: setup.size(200_000, 20_000), counted: setup.size(400_000, 30_000) };
    for per_record in PER_RECORD {
        fill(broker, per_record, sizes.all())?;
    }
    // Every way once; then the best goes on.
    let mut speeds: BTreeMap<(Variant, u64), Vec<f64>> = BTreeMap::new();
    for variant in Variant::ALL {
        for per_record in PER_RECORD {
            speeds.insert((variant, per_record), vec![run(broker, peer, setup, variant, per_record, sizes)?]);
        }
    }
    let mut ours = vec![decide(broker, setup)?];
    let best = speeds.iter_mut().max_by(|one, other| one.1[0].total_cmp(&other.1[0]));
    let ((variant, per_record), best) = best.ok_or("there is no variant")?;
    for _ in 1..setup.runs(5) {
        best.push(run(broker, peer, setup, *variant, *per_record, sizes)?);
        ours.push(decide(broker, setup)?);
    }
    let best = median(best).unwrap_or_default();
    broker.delete_all("source.")?;
    let middles = speeds.iter().map(|(way, speeds)| (way, median(speeds).unwrap_or_default()));
    let mut row = Measured::new(ROWS[0], median(&ours).unwrap_or_default(), "commands/s")
        .peer(PEER, best)
        .with("commands_per_record", OURS_PER_RECORD)
        .with("peer_commands", sizes.counted)
        .with("peer_warmed_by", sizes.warm)
        .with("runs", setup.runs(5));
    for ((variant, per_record), speed) in middles {
        row = row.with(&format!("{}_{per_record}_per_record", variant.name()), speed);
    }
    Ok(vec![row.goals(&[Goal::TimesPeerAtLeast(40.0)])])
}
