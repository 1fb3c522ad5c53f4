//! One broker of three is killed while it leads: how long nobody gets a decision, next to how long a bare producer gets
//! no acknowledgement, and whether every command is still decided once.

use std::time::{Duration, Instant};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::{Kind, Work};

use super::broker::{Broker, LEADER};
use super::ours::{Deciding, Topics};
use super::trickle::Trickle;
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["kafka_broker_loss", "kafka_broker_loss_answers"];

/// All is well for so long before and after.
const AROUND: Duration = Duration::from_secs(2);
/// What reading, deciding and writing may add to an election, in seconds: they hear of it one after the other.
const MORE_S: f64 = 0.5;
const BARE: &str = "bench.bare";
/// More than are asked for.
const UNITS: u64 = 1_000_000;

/// One kill.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// From the kill to the first decision about a command that was sent after it.
    ours_s: f64,
    /// From the kill to the first acknowledgement of a record that a bare producer sent after it.
    bare_s: f64,
    commands: u64,
    repeated: u64,
}

fn run(broker: &Broker, setup: &Setup) -> Result<Loss> {
    let topics = Topics::make(broker)?;
    broker.create(BARE)?;
    let directory = tempfile::tempdir_in(&setup.directory)?;
    let mut work = Work::new(Kind::Accept, 1);
    let opening = work.opening(UNITS);
    topics.fill(&opening, &[])?;
    let deciding = Deciding::start(topics.open()?, directory.path(), usize::try_from(UNITS)?)?;
    deciding.wait_for(opening.len() as u64)?;
    let (commands, decisions) = (topics.commands(), topics.decisions());
    let mut trickle = Trickle::new(broker, work, &commands, &decisions)?.beside(broker, BARE)?;
    let begun = Instant::now();
    trickle.run(|_| Ok(begun.elapsed() > AROUND))?;

    let killed = Instant::now();
    broker.brokers().kill(LEADER);
    let first = trickle.sent();
    let (mut ours_s, mut bare_s) = (None, None);
    trickle.run(|trickle| {
        let passed = killed.elapsed().as_secs_f64();
        if ours_s.is_none() && trickle.decided() > first {
            ours_s = Some(passed);
        }
        if bare_s.is_none() && trickle.bare_acknowledged() > first {
            bare_s = Some(passed);
        }
        Ok(ours_s.is_some() && bare_s.is_some())
    })?;
    let healed = Instant::now();
    trickle.run(|_| Ok(healed.elapsed() > AROUND))?;
    trickle.settle()?;
    deciding.stop();
    let (commands, repeated) = (trickle.sent(), trickle.repeated());
    drop(trickle);
    broker.brokers().restart(LEADER);
    topics.delete()?;
    broker.delete(&[BARE])?;
    Ok(Loss { ours_s: ours_s.unwrap_or(f64::MAX), bare_s: bare_s.unwrap_or_default(), commands, repeated })
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start_many(3)?;
    let mut losses = Vec::new();
    for _ in 0..setup.runs(5) {
        broker.wait_until_led_by(LEADER)?;
        losses.push(run(&broker, setup)?);
    }
    let middle =
        |of: fn(&Loss) -> f64| median(&losses.iter().map(of).collect::<Vec<_>>()).unwrap_or_default();
    let commands: u64 = losses.iter().map(|loss| loss.commands).sum();
    let loss = Measured::new(ROWS[0], middle(|loss| loss.ours_s), "s without a decision")
        .peer("bare producer without an acknowledgement", middle(|loss| loss.bare_s))
        .with("longest", losses.iter().map(|loss| loss.ours_s).fold(0.0, f64::max))
        .with("kills", losses.len())
        .goals(&[Goal::AbovePeerAtMost(MORE_S)]);
    // Every run has seen to it that each command was decided once, or there would be no row.
    let answers = Measured::new(ROWS[1], commands as f64, "commands decided once")
        .peer("commands sent", commands as f64)
        .with("outputs_that_came_again", losses.iter().map(|loss| loss.repeated).sum::<u64>())
        .goals(&[Goal::TimesPeerAtLeast(1.0), Goal::TimesPeerAtMost(1.0)]);
    Ok(vec![loss, answers])
}
