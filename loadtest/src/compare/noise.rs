//! How much of a change may be noise: intervals of 95 % by the bootstrap.
//!
//! Latencies are resampled from their histograms, because results keep no answers one by one, and seconds keep no
//! distributions to be put together again. Which value a quantile of a resample takes follows the beta distribution, so a
//! resample of a million answers costs one draw; that of the mean follows the normal distribution.
//!
//! Counts over time (rate, errors, dropped) are resampled by seconds, because what one request meets in a second is what
//! its neighbours meet: single requests would look far more certain than they are. A long run is cut into
//! [`BLOCKS_MAX`] pieces instead. The same seconds are drawn from both runs where the scenario is the same: a herd in the first
//! second is in both, and is no noise.
//!
//! Either tells of noise within a run. What differs from run to run, a neighbour on the machine or another order of events,
//! is not in it: an interval that contains 0 is no change, and one that does not may be a change of the day. Who has to know
//! runs twice. The seed is fixed, so the same two runs always compare the same.

use fastrand::Rng;
use hdrhistogram::Histogram;

use super::Interval;
use super::metric::Subject;
use crate::metric::{Metric, Point};
use crate::report::errors_in;
use crate::report::hdr::to_ms;
use crate::results::Second;

/// Resamples of each run. The ends of the interval are then known to about a twentieth of its length.
const DRAWS: usize = 2_000;
/// Pieces of a run that are resampled.
const BLOCKS_MAX: usize = 600;
/// Of fewer there is nothing to say.
const BLOCKS_MIN: usize = 5;
const VALUES_MIN: u64 = 20;
const SEED: u64 = 0x484f_4c44_4641_5354;

/// Where the change of a figure lies, which was measured as `delta`; nothing if too little was measured to say.
pub(super) fn interval(
    from: &Subject,
    to: &Subject,
    operation: &str,
    metric: Metric,
    delta: f64,
) -> Option<Interval> {
    let mut rng = Rng::with_seed(SEED);
    let deltas = match metric {
        Metric::Latency(since, point) => {
            let (a, b) = (from.histogram(operation, since)?, to.histogram(operation, since)?);
            let (a, b) = (latencies(a, point, &mut rng)?, latencies(b, point, &mut rng)?);
            a.iter().zip(&b).map(|(a, b)| b - a).collect()
        }
        // Seconds do not keep apart what was asked.
        Metric::Rate if operation != "all" => return None,
        Metric::Rate | Metric::ErrorRate | Metric::Dropped => {
            let is_paired = from.results.scenario == to.results.scenario;
            let (a, b) = (&from.results.seconds, &to.results.seconds);
            if is_paired { paired(a, b, metric, &mut rng)? } else { apart(a, b, metric, &mut rng)? }
        }
    };
    Some(spread(deltas, delta))
}

/// The middle 95 % of how far resampled changes are from the change that was measured.
fn spread(mut off: Vec<f64>, delta: f64) -> Interval {
    off.sort_by(f64::total_cmp);
    let cut = off.len() / 40;
    Interval { low: delta + off[cut], high: delta + off[off.len() - 1 - cut] }
}

/// How far the figures of resamples are from the figure of what was resampled.
fn latencies(histogram: &Histogram<u64>, point: Point, rng: &mut Rng) -> Option<Vec<f64>> {
    let values = histogram.len();
    if values < VALUES_MIN {
        return None;
    }
    let quantile = match point {
        Point::Mean => {
            let error = histogram.stdev() / (values as f64).sqrt() / 1_000.0;
            return Some((0..DRAWS).map(|_| error * normal(rng)).collect());
        }
        Point::P50 => 0.5,
        Point::P90 => 0.9,
        Point::P99 => 0.99,
        Point::P999 => 0.999,
        Point::Max => 1.0,
    };
    let steps = Steps::of(histogram);
    let count = values as f64;
    let rank = (quantile * count).ceil().max(1.0);
    let whole = steps.at(rank);
    let draws = (0..DRAWS)
        .map(|_| {
            let (below, above) = (gamma(rank, rng), gamma(count - rank + 1.0, rng));
            steps.at(below / (below + above) * count) - whole
        })
        .collect();
    Some(draws)
}

/// A histogram to be asked many times: up to which rank a value reaches.
struct Steps(Vec<(u64, f64)>);

impl Steps {
    fn of(histogram: &Histogram<u64>) -> Self {
        let mut rank = 0;
        let step = |it: hdrhistogram::iterators::IterationValue<u64>| {
            rank += it.count_at_value();
            (rank, to_ms(it.value_iterated_to()))
        };
        Self(histogram.iter_recorded().map(step).collect())
    }

    fn at(&self, rank: f64) -> f64 {
        let at = self.0.partition_point(|(reached, _)| (*reached as f64) < rank);
        self.0.get(at).or(self.0.last()).map_or(0.0, |(_, value)| *value)
    }
}

/// Resampled changes of a figure, by the same seconds of both runs. What one run has beyond the other is left out.
fn paired(a: &[Second], b: &[Second], metric: Metric, rng: &mut Rng) -> Option<Vec<f64>> {
    let common = a.len().min(b.len());
    let (a, b) = (blocks(&a[..common], metric)?, blocks(&b[..common], metric)?);
    let change = |draw: &dyn Fn(usize) -> usize| figure(&b, draw, metric) - figure(&a, draw, metric);
    let whole = change(&|at| at);
    let draws = (0..DRAWS).map(|_| {
        let drawn: Vec<usize> = a.iter().map(|_| rng.usize(..a.len())).collect();
        change(&|at| drawn[at]) - whole
    });
    Some(draws.collect())
}

/// Resampled changes of a figure of runs that have nothing to do with each other.
fn apart(a: &[Second], b: &[Second], metric: Metric, rng: &mut Rng) -> Option<Vec<f64>> {
    let (a, b) = (blocks(a, metric)?, blocks(b, metric)?);
    let mut off = |blocks: &[(f64, f64)]| -> Vec<f64> {
        let whole = figure(blocks, &|at| at, metric);
        let draws = (0..DRAWS).map(|_| {
            let drawn: Vec<usize> = blocks.iter().map(|_| rng.usize(..blocks.len())).collect();
            figure(blocks, &|at| drawn[at], metric) - whole
        });
        draws.collect()
    };
    let (a, b) = (off(&a), off(&b));
    Some(a.iter().zip(&b).map(|(a, b)| b - a).collect())
}

/// The figure of a resample: as many pieces as there are, each the one that `draw` says.
fn figure(blocks: &[(f64, f64)], draw: &dyn Fn(usize) -> usize, metric: Metric) -> f64 {
    let drawn = (0..blocks.len()).map(|at| blocks[draw(at)]);
    let (part, whole) = drawn.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    match metric {
        Metric::Dropped => part,
        _ if whole == 0.0 => 0.0,
        _ => part / whole,
    }
}

/// Of each piece of a run what is counted, and what it is counted against; nothing of too few.
fn blocks(seconds: &[Second], metric: Metric) -> Option<Vec<(f64, f64)>> {
    let length = seconds.len().div_ceil(BLOCKS_MAX).max(1);
    let of = |it: &Second| match metric {
        Metric::ErrorRate => (errors_in(it) as f64, it.sent as f64),
        Metric::Dropped => (it.dropped as f64, 1.0),
        Metric::Rate | Metric::Latency(..) => (it.answered as f64, 1.0),
    };
    let sum =
        |piece: &[Second]| piece.iter().map(of).fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let blocks: Vec<_> = seconds.chunks(length).map(sum).collect();
    (blocks.len() >= BLOCKS_MIN).then_some(blocks)
}

/// A draw from the normal distribution, by the polar method.
fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (x, y) = (2.0f64.mul_add(rng.f64(), -1.0), 2.0f64.mul_add(rng.f64(), -1.0));
        let square = x.mul_add(x, y * y);
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

/// A draw from the gamma distribution of a shape of at least 1, by the method of Marsaglia and Tsang.
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = c.mul_add(x, 1.0).powi(3);
        // 1 - f64() is never 0.
        if v > 0.0 && (1.0 - rng.f64()).ln() < (x * x).mul_add(0.5, d - d * v + d * v.ln()) {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl Iterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        values.for_each(|us| histogram.record(us).unwrap());
        histogram
    }

    fn width(point: Point, values: &Histogram<u64>) -> f64 {
        let mut rng = Rng::with_seed(7);
        let (a, b) =
            (latencies(values, point, &mut rng).unwrap(), latencies(values, point, &mut rng).unwrap());
        let interval = spread(a.iter().zip(&b).map(|(a, b)| b - a).collect(), 0.0);
        assert!(interval.low <= 0.0 && interval.high >= 0.0, "a change that is none: {interval:?}");
        interval.high - interval.low
    }

    #[test]
    fn an_interval_is_as_wide_as_theory_says() {
        // The median of n even values over a length has a deviation of length / 2 sqrt(n); a difference sqrt(2) times that.
        let even = histogram((1..=10_000).map(|it| it * 100));
        let wanted = 2.0 * 1.96 * 2.0f64.sqrt() * 1_000.0 / (2.0 * 100.0);
        let got = width(Point::P50, &even);
        assert!((got / wanted - 1.0).abs() < 0.1, "{got} is not {wanted}");
        // That of a mean is length / sqrt(12 n).
        let wanted = 2.0 * 1.96 * 2.0f64.sqrt() * 1_000.0 / (12.0f64.sqrt() * 100.0);
        let got = width(Point::Mean, &even);
        assert!((got / wanted - 1.0).abs() < 0.1, "{got} is not {wanted}");
    }

    #[test]
    fn more_values_leave_less_doubt() {
        let few = width(Point::P99, &histogram((1..=500).map(|it| it * 2_000)));
        let many = width(Point::P99, &histogram((1..=50_000).map(|it| it * 20)));
        assert!(many < few / 5.0, "{many} against {few}");
        let too_few = histogram(1..10);
        assert!(latencies(&too_few, Point::P50, &mut Rng::with_seed(1)).is_none());
    }

    #[test]
    fn a_long_run_is_resampled_in_bounded_pieces() {
        let seconds = vec![Second { answered: 3, ..Second::default() }; 86_400];
        let blocks = blocks(&seconds, Metric::Rate).unwrap();
        assert!(blocks.len() <= BLOCKS_MAX);
        let answered: f64 = blocks.iter().map(|it| it.0).sum();
        assert!((answered - 3.0 * 86_400.0).abs() < 0.5, "{answered}");
    }
}
