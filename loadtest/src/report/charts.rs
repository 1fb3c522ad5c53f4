//! The charts of a page, as its script takes them.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::figures::errors_in;
use super::hdr::to_ms;
use crate::results::{Quantiles, Results, Second};

/// Points of a percentile curve for each further digit of the percentile.
const POINTS_PER_DIGIT: u32 = 20;
/// No run has more requests than 10 to this.
const DIGITS_MAX: u32 = 12;

/// A chart, which the page can also show as a table.
#[derive(Debug, Serialize)]
pub(crate) struct Chart {
    /// Its name in the page.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What it shows, for those who cannot see it too.
    pub(crate) caption: String,
    pub(crate) kind: Kind,
    /// What its values are counted in.
    pub(crate) unit: &'static str,
    /// Where its values stand, unless that is the seconds of the run.
    pub(crate) x: Option<Vec<f64>>,
    pub(crate) series: Vec<Series>,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Lines over time.
    Lines,
    /// Lines over time, on a scale on which each step is ten times the one before.
    Log,
    /// Areas on top of each other, over time.
    Stack,
    /// Percentiles: further to the right is rarer, and each step is ten times rarer.
    Curve,
}

/// One line or area. Where it has no value, nothing was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// The name of its colour in the page's style.
    pub(crate) color: String,
    /// What should be, or what was before, is dashed.
    pub(crate) is_dashed: bool,
    /// What lies below it has its colour too, so that it is seen where another line covers it.
    pub(crate) is_filled: bool,
    pub(crate) values: Vec<Option<f64>>,
}

impl Series {
    pub(crate) fn new(label: &str, color: &str, values: Vec<Option<f64>>) -> Self {
        let values = values.into_iter().map(|it| it.map(round)).collect();
        Self { label: label.to_owned(), color: color.to_owned(), is_dashed: false, is_filled: false, values }
    }

    pub(crate) fn dashed(self) -> Self {
        Self { is_dashed: true, ..self }
    }

    pub(crate) fn filled(self) -> Self {
        Self { is_filled: true, ..self }
    }
}

/// What over-exact figures would cost is paid by whoever loads the page.
fn round(it: f64) -> f64 {
    (it * 1_000.0).round() / 1_000.0
}

/// All charts of a run over time, and its percentile curve. `felt` and `took` are all of its latencies.
pub(super) fn of_run(results: &Results, felt: &Histogram<u64>, took: &Histogram<u64>) -> Vec<Chart> {
    vec![
        rate(results),
        latency(results),
        percentiles(felt, took),
        statuses(results),
        units(results),
        under_way(results),
        lag(results),
        cpu(results),
    ]
}

fn each(results: &Results, label: &str, color: &str, of: impl Fn(&Second) -> u64) -> Series {
    let values = results.seconds.iter().map(|second| Some(of(second) as f64)).collect();
    Series::new(label, color, values)
}

fn over_time(id: &'static str, title: &'static str, kind: Kind, unit: &'static str) -> Chart {
    Chart { id, title, caption: String::new(), kind, unit, x: None, series: Vec::new() }
}

fn rate(results: &Results) -> Chart {
    let mut series = vec![
        each(results, "due", "due", |it| it.due).filled(),
        each(results, "sent", "sent", |it| it.sent),
        each(results, "answered", "answered", |it| it.answered),
        each(results, "errors", "error", errors_in),
    ];
    if results.requests.dropped > 0 {
        series.push(each(results, "dropped", "dropped", |it| it.dropped).dashed());
    }
    Chart {
        caption: "Requests in each second: those that had to be sent, those that were, and what came back."
            .into(),
        series,
        ..over_time("rate", "Rate", Kind::Lines, "per second")
    }
}

fn latency(results: &Results) -> Chart {
    let of = |label, color, of: fn(&Quantiles) -> f64| {
        // On this scale there is no 0, and a second without answers has no latency.
        let values = results.seconds.iter().map(|it| Some(of(&it.felt)).filter(|ms| *ms > 0.0)).collect();
        Series::new(label, color, values)
    };
    Chart {
        caption: "Answers of each second, timed from when their requests were due. A longer wait for a connection counts."
            .into(),
        series: vec![
            of("p99.9", "p999", |it| it.p999),
            of("p99", "p99", |it| it.p99),
            of("p50", "p50", |it| it.p50),
        ],
        ..over_time("latency", "Latency felt", Kind::Log, "ms")
    }
}

fn percentiles(felt: &Histogram<u64>, took: &Histogram<u64>) -> Chart {
    let x = grid(felt.len().max(took.len()));
    let caption = "All answers of the run. Felt is from when a request was due, took from when it was sent; what lies between \
                   them is the wait that a tester who waits for each answer never sees.";
    Chart {
        id: "percentiles",
        title: "Percentiles",
        caption: caption.into(),
        kind: Kind::Curve,
        unit: "ms",
        series: vec![
            Series::new("felt", "felt", curve(felt, &x)),
            Series::new("took", "took", curve(took, &x)).dashed(),
        ],
        x: Some(x),
    }
}

/// Where the points of a percentile curve of so many values stand: one in how many values is longer.
pub(crate) fn grid(values: u64) -> Vec<f64> {
    let points = (0..=DIGITS_MAX * POINTS_PER_DIGIT)
        .map(|point| 10f64.powf(f64::from(point) / f64::from(POINTS_PER_DIGIT)));
    // One in a thousand of a hundred is nothing that was measured.
    points.take_while(|x| *x <= values as f64).map(round).collect()
}

/// The latencies that one in `grid` values exceeds, in milliseconds.
pub(crate) fn curve(histogram: &Histogram<u64>, grid: &[f64]) -> Vec<Option<f64>> {
    let at = |x: &f64| {
        let is_measured = *x <= histogram.len() as f64;
        is_measured.then(|| to_ms(histogram.value_at_quantile(1.0 - 1.0 / x))).filter(|ms| *ms > 0.0)
    };
    grid.iter().map(at).collect()
}

fn statuses(results: &Results) -> Chart {
    let names: BTreeSet<&str> =
        results.seconds.iter().flat_map(|it| it.statuses.keys()).map(String::as_str).collect();
    let mut of_kind = [0; 5];
    let series = names.iter().map(|name| {
        let kind = match name.as_bytes().first() {
            Some(b'2') => 0,
            Some(b'3') => 1,
            Some(b'4') => 2,
            Some(b'5') => 3,
            _ => 4,
        };
        // There are four shades of each.
        let color =
            format!("{}-{}", ["ok", "moved", "refused", "failed", "none"][kind], of_kind[kind] % 4 + 1);
        of_kind[kind] += 1;
        let label = if *name == "none" { "no answer" } else { name };
        each(results, label, &color, |it| it.statuses.get(*name).copied().unwrap_or(0))
    });
    Chart {
        series: series.collect(),
        caption: "Answers of each second by status. 409, 410 and 422 are refusals, and most buyers of a sale get one; 5xx is an error."
            .into(),
        ..over_time("statuses", "Answers by status", Kind::Stack, "per second")
    }
}

fn units(results: &Results) -> Chart {
    let sum = |of: fn(&Second) -> u64| {
        let mut total = 0;
        let add = |second: &Second| {
            total += of(second);
            Some(total as f64)
        };
        results.seconds.iter().map(add).collect()
    };
    let stock: u64 = results.skus.iter().map(|it| it.units).sum();
    let stock = vec![Some(stock as f64); results.seconds.len()];
    Chart {
        series: vec![
            Series::new("put on the shelf", "due", stock).filled(),
            Series::new("granted", "granted", sum(|it| it.granted_units)),
            Series::new("confirmed", "confirmed", sum(|it| it.confirmed_units)),
        ],
        caption: "All units so far, as buyers were told. What was released or ran out may be granted again."
            .into(),
        ..over_time("units", "Units", Kind::Lines, "units")
    }
}

fn under_way(results: &Results) -> Chart {
    Chart {
        series: vec![each(results, "under way", "sent", |it| it.in_flight)],
        caption: "Requests without an answer at the end of each second.".into(),
        ..over_time("under-way", "Under way", Kind::Lines, "requests")
    }
}

fn lag(results: &Results) -> Chart {
    let values = results.seconds.iter().map(|it| Some(it.lag_p99)).collect();
    Chart {
        series: vec![Series::new("lag p99", "generator", values)],
        caption: "How late requests were taken up, by the generator's own fault.".into(),
        ..over_time("lag", "Generator: lag", Kind::Lines, "ms")
    }
}

fn cpu(results: &Results) -> Chart {
    let values = results.seconds.iter().map(|it| Some(it.cpu_percent)).collect();
    Chart {
        series: vec![Series::new("processor", "generator", values)],
        caption: "Processor time of the generator, as a share of one core.".into(),
        ..over_time("cpu", "Generator: processor", Kind::Lines, "% of a core")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_nothing_was_measured() {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        (1..=1_000).for_each(|ms| histogram.record(ms * 1_000).unwrap());
        let grid = grid(histogram.len());
        assert_eq!((grid[0], grid[20], grid.len()), (1.0, 10.0, 61));
        let points = curve(&histogram, &grid);
        let at_90 = points[20].unwrap();
        assert!((at_90 - 900.0).abs() < 1.0, "{at_90}");
        assert!(points.iter().all(Option::is_some));
        let of_ten = curve(&histogram, &[1.0, 100.0, 10_000.0]);
        assert!(of_ten[1].is_some() && of_ten[2].is_none(), "{of_ten:?}");
    }
}
