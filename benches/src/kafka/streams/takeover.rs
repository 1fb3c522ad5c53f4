//! How long nobody answers after `kill -9` of the instance that did, with another one that keeps up with its changelogs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::Kind;

use super::peer::{
    App, Guarantee, Instance, Peer, SESSION_TIMEOUT_MS, Store, Tuning, Variant, fresh_application,
};
use super::work::{Ledger, SKU, answers, opening, requests};
use crate::group::Setup;
use crate::kafka::broker::{Broker, Follower};
use crate::kafka::producing::Counting;
use crate::kafka::roles::Standby;
use crate::kafka::takeover;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["kafka_streams_takeover"];

const PATIENCE: Duration = Duration::from_secs(180);
const COMMANDS: &str = "streams.commands";
const RESULTS: &str = "streams.results";
const PER_RECORD: u64 = 100;
/// A request is due this often while somebody is killed.
const EVERY: Duration = Duration::from_millis(1);
/// All is well for so long before that.
const BEFORE: Duration = Duration::from_secs(2);

/// One kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takeover {
    /// From the kill to the first answer to a request that was sent after it.
    pub(crate) total_s: f64,
    /// From the kill until the other instance heard of it.
    pub(crate) detection_s: f64,
}

impl Takeover {
    fn after_detection_s(&self) -> f64 {
        (self.total_s - self.detection_s).max(0.0)
    }
}

/// Two instances of one application, and what they have answered.
struct Pair<'a> {
    broker: &'a Broker,
    peer: &'a Peer,
    instance: Instance<'a>,
    follower: Follower,
    producer: Counting,
    ledger: Ledger,
    sent: u64,
}

impl Pair<'_> {
    fn start(&self, name: &str) -> Result<App> {
        self.peer.start(self.broker, &Instance { name, ..self.instance })
    }

    /// Sends requests, many in a record, and waits for the answers.
    fn remember(&mut self, ids: u64) -> Result<()> {
        self.producer.send(COMMANDS, Some(SKU), &opening(u64::MAX >> 1, 3_600_000, 2))?;
        let mut record = Vec::new();
        while self.sent < ids {
            requests(self.sent, PER_RECORD, &mut record);
            self.producer.send(COMMANDS, Some(SKU), &record)?;
            self.producer.serve();
            self.sent += PER_RECORD;
        }
        self.producer.drain()?;
        let deadline = Instant::now() + PATIENCE;
        while self.ledger.answered() < self.sent {
            if Instant::now() > deadline {
                return Err(
                    format!("{} of {} requests were answered", self.ledger.answered(), self.sent).into()
                );
            }
            self.look(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Looks for answers.
    fn look(&mut self, time: Duration) -> Result<()> {
        let ledger = &mut self.ledger;
        self.follower.poll_for(time, |record| {
            answers(record.payload).try_for_each(|answer| ledger.take(answer?, true))
        })
    }

    /// Sends a request whenever one is due, until it is enough.
    fn trickle(&mut self, enough: impl Fn(&Self) -> bool) -> Result<()> {
        let (mut record, mut due) = (Vec::new(), Instant::now());
        let deadline = due + PATIENCE;
        while !enough(self) {
            if Instant::now() > deadline {
                return Err("nobody takes over".into());
            }
            if Instant::now() >= due {
                requests(self.sent, 1, &mut record);
                self.producer.send(COMMANDS, Some(SKU), &record)?;
                self.sent += 1;
                due += EVERY;
            }
            self.producer.serve();
            self.look(EVERY)?;
        }
        Ok(())
    }

    /// Kills the one that answers, and waits for the other one.
    fn kill(&mut self, active: App, other: &App) -> Result<Takeover> {
        let begun = Instant::now();
        self.trickle(|_| begun.elapsed() > BEFORE)?;
        other.printed();
        let (killed, killed_ms) = (Instant::now(), now_ms()?);
        active.kill()?;
        let first = self.sent;
        self.trickle(|pair| pair.ledger.has_answered(first))?;
        let total_s = killed.elapsed().as_secs_f64();
        let heard_ms = other.printed().iter().find_map(|line| {
            line.strip_prefix("STATE REBALANCING ").and_then(|ms| ms.trim().parse::<u64>().ok())
        });
        let heard_ms = heard_ms.ok_or("the other instance answered without having heard of the kill")?;
        // Nothing that was sent is lost.
        let (sent, deadline) = (self.sent, Instant::now() + PATIENCE);
        while self.ledger.answered() < sent {
            if Instant::now() > deadline {
                return Err(format!("{} of {sent} requests were answered", self.ledger.answered()).into());
            }
            self.look(Duration::from_millis(100))?;
        }
        Ok(Takeover { total_s, detection_s: heard_ms.saturating_sub(killed_ms) as f64 / 1e3 })
    }
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Waits until an instance keeps up with the changelogs of all four stores.
fn wait_for_standby(app: &App) -> Result<()> {
    app.wait_for("the standby to keep up", PATIENCE, |line| {
        let (records, stores) = line.strip_prefix("LAG ")?.split_once(' ')?;
        (records == "0" && stores.trim() == "4").then_some(())
    })
}

fn run(broker: &Broker, peer: &Peer, setup: &Setup, variant: Variant, kills: u64) -> Result<Vec<Takeover>> {
    broker.create(COMMANDS)?;
    broker.create(RESULTS)?;
    let directory = tempfile::tempdir_in(&setup.directory)?;
    let application = fresh_application();
    let instance = Instance {
        application: &application,
        name: "",
        variant,
        tuning: Tuning::Takeover,
        commands: COMMANDS,
        results: RESULTS,
        directory: directory.path(),
    };
    let mut pair = Pair {
        broker,
        peer,
        instance,
        follower: broker.follower(RESULTS, 0)?,
        producer: Counting::quiet(broker)?,
        ledger: Ledger::default(),
        sent: 0,
    };
    let mut active = pair.start("a")?;
    pair.remember(setup.size(1_000_000, 20_000))?;
    let mut takeovers = Vec::new();
    for kill in 0..kills {
        let other = pair.start(if kill % 2 == 0 { "b" } else { "a" })?;
        wait_for_standby(&other)?;
        takeovers.push(pair.kill(active, &other)?);
        active = other;
    }
    drop(active);
    broker.delete_all("streams.")?;
    Ok(takeovers)
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let (broker, peer) = (&Broker::start()?, &Peer::compile(&setup.directory)?);
    let mut runs = Vec::new();
    for store in [Store::Rocks, Store::Memory] {
        let variant = Variant { store, guarantee: Guarantee::AtLeastOnce };
        runs.push((variant, run(broker, peer, setup, variant, setup.runs(5))?));
    }
    let middle = |takeovers: &[Takeover], of: fn(&Takeover) -> f64| {
        median(&takeovers.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
    };
    let after = |takeovers: &[Takeover]| middle(takeovers, Takeover::after_detection_s);
    let best = runs.iter().min_by(|one, other| after(&one.1).total_cmp(&after(&other.1)));
    let (best, takeovers) = best.ok_or("there is no variant")?;
    let ids = setup.size(1_000_000, 20_000);
    let ours = takeover::run(broker, &setup.directory, Standby::Warm, Kind::Accept, ids, setup.runs(5))?;
    let mut row = Measured::new(
        ROWS[0],
        takeover::middle(&ours, takeover::Takeover::after_detection_s),
        "s after detection",
    )
    .peer("Kafka Streams with a standby replica, its best", after(takeovers))
    .with("from_the_kill", takeover::middle(&ours, |it| it.total_s))
    .with("detection", takeover::middle(&ours, |it| it.detection_s))
    .with("peer_from_the_kill", middle(takeovers, |it| it.total_s))
    .with("peer_detection", middle(takeovers, |it| it.detection_s))
    .with("peer_best", best.name())
    .with("ids_remembered", ids)
    .with("session_timeout_ms", SESSION_TIMEOUT_MS)
    .with("kills", setup.runs(5));
    for (variant, takeovers) in &runs {
        row = row.with(&format!("peer_{}_after_detection", variant.name()), after(takeovers));
    }
    Ok(vec![row.goals(&[Goal::TimesPeerAtMost(0.1)])])
}
