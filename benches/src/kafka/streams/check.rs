//! Whether the peer does the work at all: every id answered once, nothing oversold, units back after their time.

use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;

use super::peer::{App, Guarantee, Instance, Peer, Store, Tuning, Variant, fresh_application};
use super::work::{Answer, Ledger, Outcome, SKU, answers, opening, request, requests};
use crate::group::Setup;
use crate::kafka::broker::{Broker, Follower};
use crate::kafka::producing::Counting;

/// Nothing that works takes this long.
const PATIENCE: Duration = Duration::from_secs(90);
const COMMANDS: &str = "streams.commands";
const RESULTS: &str = "streams.results";
const PER_RECORD: u64 = 100;
const REQUESTS: u64 = 10_000;
/// Fewer than are asked for.
const UNITS: u64 = 4_000;

/// Lets both kinds of store and both guarantees show that they do the work.
pub(crate) fn run(broker: &Broker, peer: &Peer, setup: &Setup) -> Result<()> {
    let variants = [
        Variant { store: Store::Rocks, guarantee: Guarantee::AtLeastOnce },
        Variant { store: Store::Memory, guarantee: Guarantee::ExactlyOnce },
    ];
    for variant in variants {
        broker.create(COMMANDS)?;
        broker.create(RESULTS)?;
        let instance = Instance {
            application: &fresh_application(),
            name: "a",
            variant,
            tuning: Tuning::Latency,
            commands: COMMANDS,
            results: RESULTS,
            directory: &setup.directory,
        };
        let app = peer.start(broker, &instance)?;
        let checked = check(broker, &app);
        drop(app);
        broker.delete_all("streams.")?;
        checked.map_err(|error| format!("the peer ({}) does not do the work: {error}", variant.name()))?;
    }
    Ok(())
}

fn check(broker: &Broker, app: &App) -> Result<()> {
    app.wait_until_running(PATIENCE)?;
    let producer = Counting::quiet(broker)?;
    let mut sender = Sender { producer, record: Vec::new() };
    sender.send(&opening(UNITS, 4_000, 2))?;
    let mut reader = Reader { follower: broker.follower(RESULTS, 0)?, ledger: Ledger::default() };
    // More than there is: the first get it. Then the same again.
    sender.send_all(0, REQUESTS)?;
    sender.send_all(0, REQUESTS)?;
    reader.read(|ledger| ledger.answered() == REQUESTS && ledger.repeated == REQUESTS)?;
    expect("reserved", reader.ledger.reserved(), UNITS)?;
    // Their time runs out, and all units can be had again.
    reader.read(|ledger| ledger.expired == UNITS)?;
    sender.send_all(REQUESTS, UNITS)?;
    reader.read(|ledger| ledger.answered() == REQUESTS + UNITS)?;
    expect("reserved", reader.ledger.reserved(), 2 * UNITS)?;
    reader.read(|ledger| ledger.expired == 2 * UNITS)?;
    // One customer, five times; and an id under which something else is asked for.
    let next = REQUESTS + UNITS;
    let mut record = vec![1];
    (0..5).for_each(|number| request(next + number, 77, 1, &mut record));
    request(next, 77, 2, &mut record);
    sender.send(&record)?;
    let seen = reader.next(6)?;
    let outcomes: Vec<Outcome> = seen.iter().map(|answer| answer.outcome).collect();
    let [reserved, over] = [Outcome::Reserved, Outcome::OverLimit];
    if outcomes != [reserved, reserved, over, over, over, Outcome::IdReused] {
        return Err(format!("one customer and a reused id were answered {outcomes:?}").into());
    }
    Ok(())
}

fn expect(what: &str, found: u64, wanted: u64) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{found} were {what}, not {wanted}").into()) }
}

struct Sender {
    producer: Counting,
    record: Vec<u8>,
}

impl Sender {
    fn send(&self, record: &[u8]) -> Result<()> {
        self.producer.send(COMMANDS, Some(SKU), record)?;
        self.producer.drain()
    }

    fn send_all(&mut self, first: u64, count: u64) -> Result<()> {
        for number in (first..first + count).step_by(usize::try_from(PER_RECORD)?) {
            requests(number, PER_RECORD, &mut self.record);
            self.producer.send(COMMANDS, Some(SKU), &self.record)?;
        }
        self.producer.drain()
    }
}

struct Reader {
    follower: Follower,
    ledger: Ledger,
}

impl Reader {
    /// Reads until the answers are as wanted.
    fn read(&mut self, wanted: impl Fn(&Ledger) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(&self.ledger) {
            if Instant::now() > deadline {
                let Ledger { repeated, expired, .. } = self.ledger;
                let (answered, reserved) = (self.ledger.answered(), self.ledger.reserved());
                return Err(format!("after {answered} answers, {reserved} granted, {repeated} again and {expired} expired nothing comes").into());
            }
            let ledger = &mut self.ledger;
            self.follower
                .poll(|record| answers(record.payload).try_for_each(|answer| ledger.take(answer?, false)))?;
        }
        Ok(())
    }

    /// The next answers as they come.
    fn next(&mut self, count: usize) -> Result<Vec<Answer>> {
        let (deadline, mut found) = (Instant::now() + PATIENCE, Vec::new());
        while found.len() < count && Instant::now() < deadline {
            self.follower.poll(|record| {
                for answer in answers(record.payload) {
                    found.push(answer?);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}
