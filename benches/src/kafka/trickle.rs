//! A command every millisecond, and somebody who reads the decisions as every reader must: what he has he drops, and a
//! gap is an error.

use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use holdfast_benches::work::Work;
use holdfast_contracts::decision::decode_decisions;

use super::broker::{Broker, Follower};
use super::producing::Counting;

/// A command is due this often.
pub(crate) const EVERY: Duration = Duration::from_millis(1);
/// Nothing that works takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Decisions as they come.
struct Reader {
    follower: Follower,
    next_seq: Option<u64>,
    /// Command records decided that hold requests.
    records: u64,
    /// The same output came again; readers drop it.
    repeated: u64,
}

impl Reader {
    fn look(&mut self, time: Duration) -> Result<()> {
        let Self { follower, next_seq, records, repeated } = self;
        follower.poll_for(time, |record| {
            let batch = decode_decisions(record.payload).map_err(|error| format!("{error:?}"))?;
            let seq = batch.envelope.out_seq.0;
            match *next_seq {
                Some(next) if seq < next => *repeated += 1,
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

/// Commands on their way, one to a record.
pub(crate) struct Trickle<'a> {
    work: Work,
    producer: Counting,
    commands: &'a str,
    bare: Option<(Counting, &'a str)>,
    sent: u64,
    reader: Reader,
}

impl<'a> Trickle<'a> {
    /// Begins between two topics, with the requests that come next in a work.
    pub(crate) fn new(broker: &Broker, work: Work, commands: &'a str, decisions: &str) -> Result<Self> {
        let follower = broker.follower(decisions, broker.end(decisions)?)?;
        let reader = Reader { follower, next_seq: None, records: 0, repeated: 0 };
        Ok(Self { work, producer: Counting::quiet(broker)?, commands, bare: None, sent: 0, reader })
    }

    /// Sends as many bare records to a topic that nobody decides on.
    pub(crate) fn beside(mut self, broker: &Broker, topic: &'a str) -> Result<Self> {
        self.bare = Some((Counting::quiet(broker)?, topic));
        Ok(self)
    }

    /// Sends whenever a command is due, and looks for decisions, until it is enough.
    pub(crate) fn run(&mut self, mut enough: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let (deadline, mut due) = (Instant::now() + PATIENCE, Instant::now());
        while !enough(self)? {
            if Instant::now() > deadline {
                return Err("nothing comes back".into());
            }
            if Instant::now() >= due {
                self.producer.send(self.commands, None, self.work.record(1))?;
                self.sent += 1;
                if let Some((bare, topic)) = &self.bare {
                    bare.send(topic, None, b"bare")?;
                }
                due += EVERY;
            }
            self.producer.serve();
            if let Some((bare, _)) = &self.bare {
                bare.serve();
            }
            self.reader.look(EVERY)?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is decided: each command once.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.producer.drain()?;
        let deadline = Instant::now() + PATIENCE;
        while self.reader.records < self.sent && Instant::now() < deadline {
            self.reader.look(Duration::from_millis(100))?;
        }
        if self.reader.records == self.sent {
            Ok(())
        } else {
            Err(format!("of {} commands {} were decided", self.sent, self.reader.records).into())
        }
    }

    /// Commands sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Commands decided.
    pub(crate) const fn decided(&self) -> u64 {
        self.reader.records
    }

    /// Outputs that came again and were dropped.
    pub(crate) const fn repeated(&self) -> u64 {
        self.reader.repeated
    }

    /// Bare records acknowledged.
    pub(crate) fn bare_acknowledged(&self) -> u64 {
        self.bare.as_ref().map_or(0, |(bare, _)| bare.delivered())
    }
}
