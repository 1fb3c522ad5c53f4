//! The buyers of a scenario: what they ask for, and what they do with an answer.

mod interval;
mod job;
mod over_http;
mod template;
#[cfg(test)]
mod tests;
mod wire;

use std::iter::{Enumerate, Skip, StepBy};
use std::ops::RangeFrom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

pub(crate) use self::interval::{Interval, Sink};
pub(crate) use self::job::{Job, Kind};
pub(crate) use self::over_http::Drive;
pub(crate) use self::template::Template;
pub(crate) use self::wire::{Wording, sku_names};

use self::interval::Reporter;
use self::job::What;
use self::template::Meaning;
use crate::books::{Answer, Ask, Body, Customer, Exchange, Key, Moment, ReservationId, Sku, State, Told};
use crate::checks::plain::{PlainAnswer, PlainExchange};
use crate::generator::{Standing, Times, Wheel};
use crate::scenario::{Arrivals, Model, Picker, Scenario, Stage};

/// Nobody waits longer than so many times the first wait.
const BACKOFF_TIMES_MAX: u32 = 10;

/// A reservation for several SKUs is for so many, if there are as many.
const SEVERAL: std::ops::RangeInclusive<usize> = 2..=3;

/// What is drawn for: what is asked, what becomes of a grant, and how long is waited before the same is asked once more.
const PLAN: u64 = 0;
const AFTER: u64 = 1;
const AGAIN: u64 = 2;

/// What all workers of a run share.
pub(crate) struct Cast {
    pub(crate) scenario: Scenario,
    pub(crate) wording: Wording,
    /// Somebody else's interface.
    template: Option<Template>,
    picker: Picker,
    /// When nothing more is begun.
    ends: Moment,
}

impl Cast {
    /// # Errors
    /// A sentence, if the scenario describes an interface in a way that cannot be used.
    pub(crate) fn new(scenario: Scenario, wording: Wording) -> Result<Self, String> {
        let picker = Picker::new(*scenario.buyers.popularity.get_ref(), *scenario.sale.skus.get_ref());
        let length = scenario.stages.get_ref().iter().map(Stage::duration).sum();
        let template = scenario.api.as_ref().map(|api| Template::new(api, wording.host()));
        let template = template.transpose().map_err(|(_, what)| what)?;
        Ok(Self { scenario, wording, template, picker, ends: Moment(0).plus(length) })
    }

    /// Whether somebody else's interface is asked.
    pub(crate) const fn is_plain(&self) -> bool {
        self.template.is_some()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.scenario.model == Model::Closed
    }
}

/// One worker's share of the buyers, whichever way they ask: every `workers`-th request of the plan, from the `worker`-th
/// on.
pub(crate) struct Crowd<'a> {
    cast: &'a Cast,
    arrivals: StepBy<Skip<Enumerate<Arrivals<'a>>>>,
    /// The numbers of requests in the closed model, where nothing is planned.
    asked: StepBy<RangeFrom<usize>>,
    is_over: &'a AtomicBool,
    written: Written,
    reporter: Reporter,
}

/// What the buyers of a worker have written down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) exchanges: Vec<Exchange>,
    /// With somebody else's interface.
    pub(crate) plain: Vec<PlainExchange>,
}

impl Written {
    pub(crate) fn append(&mut self, mut other: Self) {
        self.exchanges.append(&mut other.exchanges);
        self.plain.append(&mut other.plain);
    }

    /// The same, told by the clock of somebody else; see [`Exchange::shifted`].
    #[must_use]
    pub(crate) fn shifted(self, by: i64, uncertain: Duration) -> Self {
        Self {
            exchanges: self.exchanges.into_iter().map(|it| it.shifted(by, uncertain)).collect(),
            plain: self.plain.into_iter().map(|it| it.shifted(by, uncertain)).collect(),
        }
    }

    /// When the last answer came.
    pub(crate) fn last_answer(&self) -> Moment {
        let ours = self.exchanges.iter().map(|it| it.received);
        ours.chain(self.plain.iter().map(|it| it.received)).max().unwrap_or(Moment(0))
    }
}

impl<'a> Crowd<'a> {
    /// What it shares with the others.
    pub(crate) const fn cast(&self) -> &'a Cast {
        self.cast
    }

    pub(crate) fn new(
        cast: &'a Cast,
        worker: usize,
        workers: usize,
        is_over: &'a AtomicBool,
        sink: Sink,
    ) -> Self {
        let seed = cast.scenario.seed;
        let arrivals = Arrivals::new(cast.scenario.stages.get_ref(), seed);
        Self {
            cast,
            arrivals: arrivals.enumerate().skip(worker).step_by(workers.max(1)),
            asked: (worker..).step_by(workers.max(1)),
            is_over,
            written: Written::default(),
            reporter: Reporter::new(sink),
        }
    }

    /// Tells of the last second, and hands out what was written down.
    pub(crate) fn finish(mut self, standing: &mut Standing) -> Written {
        self.reporter.finish(standing);
        self.written
    }

    /// What is drawn for a request of the plan. It depends on the seed and on nothing that happened, nor on who sends it: so the
    /// same seed gives the same buyers, whatever the server does and however many share the work.
    fn dice(&self, number: u64, throw: u64) -> Rng {
        let mut mixed = Rng::with_seed(self.cast.scenario.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Rng::with_seed(mixed.u64(..) ^ throw.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    fn customer(&self, rng: &mut Rng) -> Customer {
        let buyers = &self.cast.scenario.buyers;
        let all = *buyers.customers.get_ref();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number is none below 0 and none above that number"
        )]
        let bots = (f64::from(all) * buyers.bots.get_ref()).ceil() as u32;
        let by_bot = bots > 0 && happens(rng, *buyers.bot_requests.get_ref());
        Customer(match by_bot {
            true => rng.u32(0..bots),
            false if bots < all => rng.u32(bots..all),
            false => rng.u32(0..all),
        })
    }

    fn body(&self, rng: &mut Rng) -> Body {
        let several = happens(rng, *self.cast.scenario.buyers.multi_line.get_ref());
        let first = self.line(rng);
        if !several {
            let takes_fewer = happens(rng, *self.cast.scenario.buyers.partial.get_ref());
            return if takes_fewer { Body::up_to(first.0, first.1) } else { Body::one(first.0, first.1) };
        }
        let mut lines = vec![first];
        let skus = *self.cast.scenario.sale.skus.get_ref();
        let count = rng.usize(SEVERAL).min(usize::from(skus));
        while lines.len() < count {
            let (mut sku, units) = self.line(rng);
            // One that is wanted already gives way to the next: a hot SKU would be drawn again and again.
            while lines.iter().any(|line| line.0 == sku) {
                sku = Sku((sku.0 + 1) % skus);
            }
            lines.push((sku, units));
        }
        Body::of(&lines)
    }

    fn line(&self, rng: &mut Rng) -> (Sku, u32) {
        let [least, most] = *self.cast.scenario.buyers.units.get_ref();
        (Sku(self.cast.picker.pick(rng)), rng.u32(least..=most))
    }

    /// Somebody who wants something, and whatever comes of the kind of buyer that they are.
    fn reserve(&self, number: u64, at: Moment, rng: &mut Rng, later: &mut Wheel<Job>) -> Job {
        let (customer, body) = (self.customer(rng), self.body(rng));
        let key = Key { customer, serial: u32::try_from(number).unwrap_or(u32::MAX) };
        let job = |body, leads| Job {
            number,
            customer,
            what: What::Ask(Ask::Reserve { key, body }),
            tries: 0,
            leads,
            units: 0,
        };
        let buyers = &self.cast.scenario.buyers;
        let (again, other) = (*buyers.double_click.get_ref(), *buyers.key_reuse.get_ref());
        let soon = *buyers.double_click_ms.get_ref();
        if happens(rng, again) {
            let at = at.plus(within_ms(rng, soon));
            later.put(at, job(body, false));
        }
        if happens(rng, other) {
            let at = at.plus(within_ms(rng, soon));
            later.put(at, job(body.with_one_more(), false));
        }
        job(body, true)
    }

    /// What somebody does who has got something.
    fn decide_about(
        &mut self,
        job: &Job,
        id: &ReservationId,
        units: u32,
        now: Moment,
        later: &mut Wheel<Job>,
    ) {
        let after = &self.cast.scenario.after;
        let (confirm, release, delay) =
            (*after.confirm.get_ref(), *after.release.get_ref(), *after.delay_ms.get_ref());
        let mut rng = self.dice(job.number, AFTER);
        let drawn = rng.f64();
        let reservation = id.clone();
        let ask = if drawn < confirm {
            Ask::Confirm { reservation }
        } else if drawn < confirm + release {
            Ask::Release { reservation }
        } else {
            return;
        };
        let at = now.plus(within_ms(&mut rng, delay));
        let (number, customer) = (job.number, job.customer);
        later.put(at, Job { number, customer, what: What::Ask(ask), tries: 0, leads: true, units });
    }

    /// Writes down what somebody else's interface has said.
    fn done_plainly(
        &mut self,
        job: Job,
        times: Times,
        status: u16,
        meaning: Option<Meaning>,
        later: &mut Wheel<Job>,
    ) {
        let What::Ask(Ask::Reserve { key, body }) = &job.what else { return };
        let Some((sku, units)) = body.lines().iter().next() else { return };
        let answer = match meaning {
            None => PlainAnswer::Silence,
            Some(Meaning::Granted) => PlainAnswer::Granted { units },
            Some(Meaning::Refused) => PlainAnswer::SoldOut,
            Some(Meaning::Busy) => PlainAnswer::Busy,
            Some(Meaning::Other) => PlainAnswer::Other { status },
        };
        let (sent, received) = (times.sent, times.done);
        self.written.plain.push(PlainExchange { key: *key, sku, units, sent, received, answer });
        match answer {
            // A copy is told the same, and nobody says whether it was told first.
            PlainAnswer::Granted { units } if job.leads => {
                self.reporter.current.granted_units += u64::from(units);
            }
            PlainAnswer::Granted { .. } => {}
            PlainAnswer::Silence | PlainAnswer::Busy => self.again(job, None, times.done, later),
            PlainAnswer::SoldOut | PlainAnswer::Other { .. } => {}
        }
    }

    /// Sends it once more, if there is patience left.
    fn again(&mut self, job: Job, wait: Option<Duration>, now: Moment, later: &mut Wheel<Job>) {
        let client = &self.cast.scenario.client;
        if job.tries >= *client.retries.get_ref() {
            return;
        }
        let first = Duration::from_millis(*client.backoff_ms.get_ref());
        let times = 1_u32.checked_shl(job.tries).unwrap_or(u32::MAX).min(BACKOFF_TIMES_MAX);
        let backoff = first * times;
        let throw = AGAIN + u64::from(job.tries) * 2 + u64::from(job.leads);
        let drawn = if client.jitter { backoff.mul_f64(self.dice(job.number, throw).f64()) } else { backoff };
        later.put(now.plus(drawn.max(wait.unwrap_or_default())), Job { tries: job.tries + 1, ..job });
    }

    /// The next request of the plan and when it is due, in order; nothing when there are no more. What goes with it at
    /// another time is put into `later`.
    pub(crate) fn next(&mut self, now: Moment, later: &mut Wheel<Job>) -> Option<(Moment, Job)> {
        let (number, at) = match self.cast.scenario.model {
            Model::Open => {
                let (number, after) = self.arrivals.next()?;
                (number, Moment(0).plus(after))
            }
            Model::Closed if now < self.cast.ends => (self.asked.next()?, now),
            Model::Closed => return None,
        };
        let number = number as u64;
        let mut rng = self.dice(number, PLAN);
        let readers = *self.cast.scenario.readers.share.get_ref();
        let job = if happens(&mut rng, readers) {
            let (customer, sku) = (self.customer(&mut rng), Sku(self.cast.picker.pick(&mut rng)));
            Job { number, customer, what: What::Look(sku), tries: 0, leads: true, units: 0 }
        } else {
            self.reserve(number, at, &mut rng, later)
        };
        Some((at, job))
    }

    /// When the last stage ends.
    pub(crate) const fn ends(&self) -> Moment {
        self.cast.ends
    }

    /// How long an answer is waited for.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(*self.cast.scenario.client.timeout_ms.get_ref())
    }

    /// Counts how a request ended: 0 stands for no answer.
    pub(crate) fn count(&mut self, job: &Job, times: Times, status: u16, code: Option<&str>) {
        self.reporter.count(status, code);
        if status != 0 {
            let (felt, took) = (times.done.since(times.intended), times.done.since(times.sent));
            self.reporter.answered(Kind::of(&job.what), felt, took);
        }
    }

    /// Writes down what came of a request, and does what a buyer does then. Whoever must ask again does not before `wait`
    /// is over.
    pub(crate) fn resolve(
        &mut self,
        job: Job,
        times: Times,
        answer: &Answer,
        wait: Option<Duration>,
        later: &mut Wheel<Job>,
    ) {
        let What::Ask(ask) = &job.what else { return };
        let exchange =
            Exchange { sent: times.sent, received: times.done, ask: ask.clone(), answer: answer.clone() };
        self.written.exchanges.push(exchange);
        match answer {
            Answer::Silence | Answer::Busy | Answer::Pending => self.again(job, wait, times.done, later),
            Answer::Granted { reservation, units, told, .. } => {
                if *told == Told::First {
                    self.reporter.current.granted_units += u64::from(*units);
                }
                // A copy that was faster has been told first; the one that leads is told again, and is as good.
                if job.leads {
                    self.decide_about(&job, reservation, *units, times.done, later);
                }
            }
            Answer::Stands { state: State::Confirmed, .. } if matches!(ask, Ask::Confirm { .. }) => {
                self.reporter.current.confirmed_units += u64::from(job.units);
            }
            _ => {}
        }
    }

    /// Told again and again how things stand; hands on the seconds that are over.
    pub(crate) fn look(&mut self, now: Moment, standing: &mut Standing) {
        self.reporter.look(now, standing);
    }

    /// Whether nothing more is to be sent.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// True as often as the share says.
fn happens(rng: &mut Rng, share: f64) -> bool {
    share > 0.0 && rng.f64() < share
}

fn within_ms(rng: &mut Rng, [least, most]: [u64; 2]) -> Duration {
    Duration::from_millis(rng.u64(least..=most))
}
