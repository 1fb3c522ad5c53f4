//! The sequencer that decides is killed with `kill -9`: how long nobody gets a decision, with another one that stands by
//! and with another one that begins from the archive.

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::{Kind, Work};

use super::broker::Broker;
use super::producing::Counting;
use super::roles::{Cluster, Roles, SESSION_TIMEOUT_MS, Standby, owns, stands_by};
use super::trickle::Trickle;
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};
use crate::server::Server;

pub(crate) const ROWS: &[&str] = &["kafka_takeover_standby", "kafka_takeover_archive"];

const DETECTION: &str = "detection: until the group tells the other one";
const PER_RECORD: u32 = 1_000;
/// All is well for so long before the kill.
const BEFORE: Duration = Duration::from_secs(2);
/// How often the other one is asked whether it has heard.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// One kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takeover {
    /// From the kill to the first decision about a command that was sent after it.
    pub(crate) total_s: f64,
    /// From the kill until the other sequencer was told that the partition is its own.
    pub(crate) detection_s: f64,
}

impl Takeover {
    /// As exactly as the other one was asked.
    pub(crate) fn after_detection_s(&self) -> f64 {
        (self.total_s - self.detection_s).max(ASK_EVERY.as_secs_f64())
    }
}

/// Writes what is to be remembered, and waits until it is decided.
fn remember(
    broker: &Broker,
    cluster: &Cluster<'_>,
    owner: &Server,
    work: &mut Work,
    ids: u64,
) -> Result<u64> {
    let (producer, topic) = (Counting::quiet(broker)?, cluster.commands());
    let opening = work.opening(2 * ids);
    let mut records = opening.len() as u64;
    for record in &opening {
        producer.send(&topic, None, record)?;
    }
    for _ in 0..ids.div_ceil(u64::from(PER_RECORD)) {
        producer.send(&topic, None, work.record(PER_RECORD))?;
        producer.serve();
        records += 1;
    }
    producer.drain()?;
    owner.wait_until("the ids to be remembered", |it| {
        it["durable"].as_u64().is_some_and(|durable| durable >= records) && owns(it)
    })?;
    Ok(records)
}

/// Kills the owner under traffic, and waits for the other one.
fn kill(trickle: &mut Trickle<'_>, owner: Server, other: &Server) -> Result<Takeover> {
    let begun = Instant::now();
    trickle.run(|_| Ok(begun.elapsed() > BEFORE))?;
    let killed = Instant::now();
    owner.kill()?;
    let first = trickle.sent();
    let (mut told, mut asked) = (None, killed);
    trickle.run(|trickle| {
        if told.is_none() && asked.elapsed() > ASK_EVERY {
            asked = Instant::now();
            let heard = other.status().is_ok_and(|it| it["partitions"][0]["assignment"] == "active");
            told = heard.then(|| killed.elapsed().as_secs_f64());
        }
        Ok(trickle.decided() > first)
    })?;
    let total_s = killed.elapsed().as_secs_f64();
    trickle.settle()?;
    // It may have decided before it was asked again.
    Ok(Takeover { total_s, detection_s: told.unwrap_or(total_s) })
}

/// Kills the owner again and again; the one that was killed comes back.
pub(crate) fn run(
    broker: &Broker,
    directory: &Path,
    standby: Standby,
    kind: Kind,
    ids: u64,
    kills: u64,
) -> Result<Vec<Takeover>> {
    let name = if standby == Standby::Warm { "standby" } else { "archive" };
    let roles = Roles { standby, room: ids + ids / 10, ship_every_ms: 1_000 };
    let cluster = Cluster::make(broker, directory, name, roles)?;
    let mut work = Work::new(kind, 1);
    let mut owner = cluster.sequencer("a")?;
    owner.wait_until("the first sequencer to decide", owns)?;
    let records = remember(broker, &cluster, &owner, &mut work, ids)?;
    let (commands, decisions) = (cluster.commands(), cluster.decisions());
    let mut trickle = Trickle::new(broker, work, &commands, &decisions)?;
    let mut takeovers = Vec::new();
    for round in 0..kills {
        let disk = if round % 2 == 0 { "b" } else { "a" };
        if standby == Standby::None {
            if round > 0 {
                cluster.wipe(disk)?;
            }
            owner.wait_until("a checkpoint in the archive", |it| {
                it["archived"]["offset"].as_u64().is_some_and(|offset| offset >= records)
            })?;
        }
        let other = cluster.sequencer(disk)?;
        if standby == Standby::Warm {
            other.wait_until("the other sequencer to stand by", stands_by)?;
        }
        owner.wait_until("the owner to go on", owns)?;
        takeovers.push(kill(&mut trickle, owner, &other)?);
        other.wait_until("the other sequencer to decide", owns)?;
        owner = other;
    }
    drop((owner, trickle));
    cluster.delete()?;
    Ok(takeovers)
}

/// The middle of one figure of several kills.
pub(crate) fn middle(takeovers: &[Takeover], of: fn(&Takeover) -> f64) -> f64 {
    median(&takeovers.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    let (ids, kills) = (setup.size(10_000_000, 100_000), setup.runs(5));
    let mut rows = Vec::new();
    for (name, standby, more) in [(ROWS[0], Standby::Warm, 0.5), (ROWS[1], Standby::None, 5.0)] {
        let takeovers = run(&broker, &setup.directory, standby, Kind::Mixed, ids, kills)?;
        let row = Measured::new(name, middle(&takeovers, |it| it.total_s), "s from the kill")
            .peer(DETECTION, middle(&takeovers, |it| it.detection_s))
            .with("after_detection", middle(&takeovers, Takeover::after_detection_s))
            .with("longest", takeovers.iter().map(|it| it.total_s).fold(0.0, f64::max))
            .with("ids_remembered", ids)
            .with("session_timeout_ms", SESSION_TIMEOUT_MS)
            .with("kills", kills);
        rows.push(row.goals(&[Goal::AbovePeerAtMost(more)]));
    }
    Ok(rows)
}
