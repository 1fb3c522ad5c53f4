//! When requests come, and what they are for: both follow from the scenario and its seed alone.

use std::time::Duration;

use fastrand::Rng;

use super::file::{Popularity, Shape, Stage};

/// A spike has fallen by nine tenths when a third of its time is over.
const SPIKE_FALL: f64 = std::f64::consts::LN_10 * 3.0;

/// The intended moments of all requests of a run, from its beginning, in order.
///
/// A stage of an even kind is the inverse of its rate's integral: the n-th request comes when n were due. So no rounding
/// adds up, and a worker that sends every k-th request of it sends exactly its part.
#[derive(Debug)]
pub(crate) struct Arrivals<'a> {
    stages: std::slice::Iter<'a, Stage>,
    stage: Option<(&'a Stage, f64)>,
    /// Seconds from the beginning of the run to that of the stage.
    begun: f64,
    /// Requests of the stage so far; of a Poisson stage, the sum of gaps in units of the mean.
    due: f64,
    rng: Rng,
}

impl<'a> Arrivals<'a> {
    pub(crate) fn new(stages: &'a [Stage], seed: u64) -> Self {
        let mut stages = stages.iter();
        let stage = stages.next().map(|stage| (stage, seconds(stage)));
        Self { stages, stage, begun: 0.0, due: 0.0, rng: Rng::with_seed(seed ^ 0x4152_5249_5645_5321) }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let (stage, length) = self.stage?;
            self.due += match stage.shape {
                // -ln of what is never 0.
                Shape::Poisson => -(1.0 - self.rng.f64()).ln(),
                Shape::Const | Shape::Linear | Shape::Spike => 1.0,
            };
            // Those that are due at the very beginning are the first.
            let asked = if stage.shape == Shape::Poisson { self.due } else { self.due - 1.0 };
            if let Some(at) = moment(stage, length, asked) {
                return Some(Duration::from_secs_f64(self.begun + at));
            }
            self.begun += length;
            self.due = 0.0;
            self.stage = self.stages.next().map(|stage| (stage, seconds(stage)));
        }
    }
}

fn seconds(stage: &Stage) -> f64 {
    stage.duration().as_secs_f64()
}

/// When so many requests of a stage are due, in seconds from its beginning; nothing if that is after its end.
fn moment(stage: &Stage, length: f64, requests: f64) -> Option<f64> {
    let from = *stage.rate.get_ref();
    let to = stage.to.as_ref().map_or(from, |to| *to.get_ref());
    let at = match stage.shape {
        Shape::Const | Shape::Poisson => requests / from,
        // Nothing divided by nothing, where it begins from a rate of 0.
        Shape::Linear if requests <= 0.0 => (from + to > 0.0).then_some(0.0)?,
        Shape::Linear => {
            // from t + (to - from) t^2 / 2 length = requests, in the form that does not lose digits for a small slope.
            let slope = (to - from) / length;
            let inside = 2.0f64.mul_add(slope * requests, from * from);
            if inside < 0.0 {
                return None;
            }
            2.0 * requests / (from + inside.sqrt())
        }
        Shape::Spike => spike_moment(from, to, length, requests)?,
    };
    // 0 / 0 where nothing is due, and it is not the first request that comes then.
    (at.is_finite() && at < length).then_some(at)
}

/// The same for a rate of `base + (peak - base) e^(-fall t / length)`, by halving: the integral only ever grows.
fn spike_moment(base: f64, peak: f64, length: f64, requests: f64) -> Option<f64> {
    let due = |at: f64| {
        let fallen = -(-SPIKE_FALL * at / length).exp_m1();
        (peak - base).mul_add(length / SPIKE_FALL * fallen, base * at)
    };
    if due(length) <= requests {
        return None;
    }
    let (mut from, mut to) = (0.0, length);
    for _ in 0..60 {
        let middle = 0.5 * (from + to);
        if due(middle) < requests { from = middle } else { to = middle }
    }
    Some(from)
}

/// Draws SKUs as often as their popularity says.
#[derive(Debug)]
pub(crate) struct Picker {
    /// For each SKU the share of all requests for it and those before it.
    sums: Vec<f64>,
}

impl Picker {
    pub(crate) fn new(popularity: Popularity, skus: u16) -> Self {
        let count = f64::from(skus.max(1));
        let weight = |rank: u16| match popularity {
            Popularity::Uniform => 1.0 / count,
            Popularity::Zipf { s } => f64::from(rank + 1).powf(-s),
            Popularity::Hot { share } if rank == 0 => {
                if skus == 1 {
                    1.0
                } else {
                    share
                }
            }
            Popularity::Hot { share } => (1.0 - share) / (count - 1.0),
        };
        let mut sums: Vec<f64> = (0..skus.max(1))
            .scan(0.0, |sum, rank| {
                *sum += weight(rank);
                Some(*sum)
            })
            .collect();
        let total = sums.last().copied().unwrap_or(1.0);
        sums.iter_mut().for_each(|sum| *sum /= total);
        Self { sums }
    }

    /// The number of a SKU.
    pub(crate) fn pick(&self, rng: &mut Rng) -> u16 {
        let drawn = rng.f64();
        let at = self.sums.partition_point(|sum| *sum <= drawn).min(self.sums.len() - 1);
        u16::try_from(at).unwrap_or(u16::MAX)
    }
}
