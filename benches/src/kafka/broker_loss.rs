//! One broker of three is killed while it leads: how long nobody gets a decision, next to how long a bare producer gets
//! no acknowledgement, and whether every command is still decided once.

use std::time::{Duration, Instant};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::decision::decode_decisions;

use super::broker::{Broker, Follower, LEADER, PATIENCE};
use super::ours::{Deciding, Topics};
use super::producing::Counting;
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["kafka_broker_loss", "kafka_broker_loss_answers"];

/// A command is due this often.
const EVERY: Duration = Duration::from_millis(1);
/// All is well for so long before and after.
const AROUND: Duration = Duration::from_secs(2);
/// What reading, deciding and writing may add to an election, in seconds: they are told of it one after the other.
const MORE_S: f64 = 0.5;
const BARE: &str = "bench.bare";

/// One kill.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// From the kill to the first decision about a command that was sent after it.
    ours_s: f64,
    /// From the kill to the first acknowledgement of a record that a bare producer sent after it.
    bare_s: f64,
    commands: u64,
}

/// Reads decisions as every reader must: what it has is dropped, a gap is an error.
struct Reader {
    follower: Follower,
    next_seq: Option<u64>,
    /// Command records decided.
    records: u64,
    /// The same output came again.
    doubled: u64,
}

impl Reader {
    fn look(&mut self) -> Result<()> {
        let Self { follower, next_seq, records, doubled } = self;
        follower.poll_for(EVERY, |record| {
            let batch = decode_decisions(record.payload).map_err(|error| format!("{error:?}"))?;
            let seq = batch.envelope.out_seq.0;
            match *next_seq {
                Some(next) if seq < next => *doubled += 1,
                Some(next) if seq > next => {
                    return Err(format!("output {seq} came in place of {next}").into());
                }
                _ => {
                    *next_seq = Some(seq + 1);
                    // Ticks are records of their own and answer nobody.
                    *records += u64::from(batch.decisions().any(|it| it.id.is_some()));
                }
            }
            Ok(())
        })
    }
}

/// Sends a command and a bare record whenever they are due, and looks for decisions, until it is enough.
struct Traffic<'a> {
    work: Work,
    commands: Counting,
    topic: &'a str,
    bare: Counting,
    bare_sent: u64,
    sent: u64,
    reader: Reader,
}

impl Traffic<'_> {
    fn run(&mut self, mut enough: impl FnMut(&Self) -> bool) -> Result<()> {
        let (deadline, mut due) = (Instant::now() + PATIENCE, Instant::now());
        while !enough(self) {
            if Instant::now() > deadline {
                return Err("nothing comes back".into());
            }
            if Instant::now() >= due {
                self.commands.send(self.topic, None, self.work.record(1))?;
                self.bare.send(BARE, None, b"bare")?;
                self.sent += 1;
                self.bare_sent += 1;
                due += EVERY;
            }
            self.commands.serve();
            self.bare.serve();
            self.reader.look()?;
        }
        Ok(())
    }
}

fn run(broker: &Broker, setup: &Setup) -> Result<Loss> {
    let topics = Topics::make(broker)?;
    broker.create(BARE)?;
    let directory = tempfile::tempdir_in(&setup.directory)?;
    let mut work = Work::new(Kind::Accept, 1);
    let opening = work.opening(1_000_000);
    topics.fill(&opening, &[])?;
    let deciding = Deciding::start(topics.open()?, directory.path(), 1_000_000)?;
    deciding.wait_for(opening.len() as u64)?;
    let (commands, bare) = (Counting::quiet(broker)?, Counting::quiet(broker)?);
    bare.warm_up(BARE)?;
    let topic = topics.commands();
    let from = broker.end(&topics.decisions())?;
    let follower = broker.follower(&topics.decisions(), from)?;
    let reader = Reader { follower, next_seq: None, records: 0, doubled: 0 };
    let mut traffic = Traffic { work, commands, topic: &topic, bare, bare_sent: 1, sent: 0, reader };
    let begun = Instant::now();
    traffic.run(|_| begun.elapsed() > AROUND)?;

    let killed = Instant::now();
    broker.brokers().kill(LEADER);
    let (first, bare_first) = (traffic.sent, traffic.bare_sent);
    let (mut ours_s, mut bare_s) = (None, None);
    traffic.run(|traffic| {
        let passed = killed.elapsed().as_secs_f64();
        if ours_s.is_none() && traffic.reader.records > first {
            ours_s = Some(passed);
        }
        if bare_s.is_none() && traffic.bare.delivered() > bare_first {
            bare_s = Some(passed);
        }
        ours_s.is_some() && bare_s.is_some()
    })?;
    let healed = Instant::now();
    traffic.run(|_| healed.elapsed() > AROUND)?;
    traffic.commands.drain()?;
    let deadline = Instant::now() + PATIENCE;
    while traffic.reader.records < traffic.sent && Instant::now() < deadline {
        traffic.reader.look()?;
    }
    if (traffic.reader.records, traffic.reader.doubled) != (traffic.sent, 0) {
        let Reader { records, doubled, .. } = traffic.reader;
        return Err(
            format!("of {} commands {records} were decided, and {doubled} twice", traffic.sent).into()
        );
    }
    deciding.stop();
    let commands = traffic.sent;
    drop(traffic);
    broker.brokers().restart(LEADER);
    topics.delete()?;
    broker.delete(&[BARE])?;
    Ok(Loss { ours_s: ours_s.unwrap_or(f64::MAX), bare_s: bare_s.unwrap_or_default(), commands })
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
    let longest = losses.iter().map(|loss| loss.ours_s).fold(0.0, f64::max);
    let loss = Measured::new(ROWS[0], middle(|loss| loss.ours_s), "s without a decision")
        .peer("bare producer without an acknowledgement", middle(|loss| loss.bare_s))
        .with("longest", longest)
        .with("kills", losses.len())
        .goals(&[Goal::AbovePeerAtMost(MORE_S)]);
    let answers = Measured::new(ROWS[1], commands as f64, "commands decided once")
        .peer("commands sent", commands as f64)
        .goals(&[Goal::TimesPeerAtLeast(1.0), Goal::TimesPeerAtMost(1.0)]);
    Ok(vec![loss, answers])
}
