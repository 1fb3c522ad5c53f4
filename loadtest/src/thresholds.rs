//! What a scenario asks of the figures.

use std::time::Duration;

use crate::checks;
use crate::metric::Metric;
use crate::results::{Results, ThresholdRow};

/// Kinds of requests.
const OPERATIONS: [&str; 5] = ["all", "reserve", "confirm", "release", "look"];

/// What a threshold is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Figure {
    /// A figure of one kind of request, or of the whole run.
    Of(String, Metric),
    /// How late 99 of 100 requests were taken up at most, in milliseconds.
    LagP99,
    /// How often a rule is broken.
    Faults(String),
}

impl Figure {
    /// Reads `p99`, `reserve:p99`, `look:rate`, `error_rate`, `dropped`, `lag_p99`, or the name of a rule.
    fn parse(text: &str) -> Result<Self, String> {
        let (operation, name) = text.split_once(':').unwrap_or(("all", text));
        if !OPERATIONS.contains(&operation) {
            return Err(format!("{operation} is no kind of request: there are {}", OPERATIONS.join(", ")));
        }
        match Metric::named(name) {
            Some(metric) if metric.is_of_an_operation() || operation == "all" => {
                return Ok(Self::Of(operation.to_owned(), metric));
            }
            None if name == text && name == "lag_p99" => return Ok(Self::LagP99),
            None if name == text && checks::names().any(|it| it == name) => {
                return Ok(Self::Faults(name.to_owned()));
            }
            _ => {}
        }
        let rules = checks::names().collect::<Vec<_>>().join(", ");
        Err(format!(
            "{text} is no figure: there are p50, p90, p99, p999, mean, max and rate of {} (took_p99 counts from the \
             sending), error_rate, dropped, lag_p99, and the rules {rules}",
            OPERATIONS.join(", ")
        ))
    }

    /// What it is in a run; nothing if it was not measured.
    fn value(&self, results: &Results) -> Option<f64> {
        match self {
            Self::Of(operation, metric) => metric.value(operation, results),
            Self::LagP99 => (results.generator.lag.count > 0).then_some(results.generator.lag.p99),
            Self::Faults(rule) => {
                results.checks.iter().find(|it| it.name == *rule).map(|it| it.faults as f64)
            }
        }
    }

    /// Units that an amount of it can be written in, and what one is worth.
    const fn units(&self) -> &'static [(&'static str, f64)] {
        match self {
            Self::LagP99 | Self::Of(_, Metric::Latency(..)) => &[("ms", 1.0), ("us", 0.001), ("s", 1_000.0)],
            Self::Of(_, Metric::ErrorRate) => &[("%", 0.01)],
            Self::Of(_, Metric::Rate | Metric::Dropped) | Self::Faults(_) => &[],
        }
    }

    /// A number with its unit, in milliseconds or as it is: `50ms`, `1.5s`, `800us`, `1%`, `0.01`.
    fn amount(&self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let unit = self.units().iter().find_map(|(name, worth)| Some((text.strip_suffix(name)?, *worth)));
        let (number, worth) = unit.unwrap_or((text, 1.0));
        let value = number.trim().parse::<f64>().ok().filter(|it| it.is_finite());
        value.map(|it| it * worth).ok_or_else(|| {
            let units: Vec<&str> = self.units().iter().map(|(name, _)| *name).collect();
            let units =
                if units.is_empty() { "without a unit".into() } else { format!("in {}", units.join(", ")) };
            format!("{text} is no amount: write a number {units}")
        })
    }
}

/// A condition that a run must meet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Threshold {
    text: String,
    figure: Figure,
    relation: Relation,
    bound: f64,
    /// The run ends when it fails.
    abort_on_fail: bool,
    /// It is not looked at before so much of the run is over.
    after: Duration,
}

/// How a figure stands to its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

/// Longer ones first: the shorter stand in them.
const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("<", Relation::Below),
    (">", Relation::Above),
];

impl Threshold {
    /// Reads `reserve:p99<50ms`, `error_rate<1%`, `dropped==0`, `rate>=1000`.
    pub(crate) fn parse(text: &str, abort_on_fail: bool, after: Duration) -> Result<Self, String> {
        let found = RELATIONS.iter().find_map(|(sign, relation)| Some((text.split_once(sign)?, *relation)));
        let Some(((figure, bound), relation)) = found else {
            return Err(format!("{text} compares nothing: write it like p99<50ms, with <, <=, ==, >= or >"));
        };
        let figure = Figure::parse(figure.trim())?;
        let bound = figure.amount(bound)?;
        if abort_on_fail && matches!(figure, Figure::Faults(_)) {
            return Err(format!("{text} is known at the end only: it cannot abort"));
        }
        Ok(Self { text: text.to_owned(), figure, relation, bound, abort_on_fail, after })
    }

    /// A figure that was never measured meets nothing.
    pub(crate) fn hold_against(&self, results: &Results) -> ThresholdRow {
        let value = self.figure.value(results);
        ThresholdRow { that: self.text.clone(), value, is_met: value.is_some_and(|it| self.is_met(it)) }
    }

    /// Whether the run is to end because of what is known by now. What was not measured yet may still come.
    pub(crate) fn aborts(&self, elapsed: Duration, so_far: &Results) -> bool {
        let fails = || self.figure.value(so_far).is_some_and(|value| !self.is_met(value));
        self.abort_on_fail && elapsed >= self.after && fails()
    }

    /// Whether it may end the run.
    pub(crate) const fn can_abort(&self) -> bool {
        self.abort_on_fail
    }

    #[expect(clippy::float_cmp, reason = "counts are compared for being equal, and they are whole")]
    fn is_met(&self, value: f64) -> bool {
        match self.relation {
            Relation::Below => value < self.bound,
            Relation::AtMost => value <= self.bound,
            Relation::Above => value > self.bound,
            Relation::AtLeast => value >= self.bound,
            Relation::Equal => value == self.bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{CheckRow, Generator, Operation, Quantiles, SCHEMA, Verdict};

    /// Ten requests of 20 ms, three dropped, nothing oversold.
    fn results() -> Results {
        let felt =
            Quantiles { count: 10, mean: 20.0, p50: 20.0, p90: 20.0, p99: 20.0, p999: 20.0, max: 20.0 };
        let operation = |name: &str| Operation {
            name: name.to_owned(),
            answered: 10,
            per_second: 5.0,
            felt,
            took: felt,
            felt_histogram: String::new(),
            took_histogram: String::new(),
        };
        let mut results = Results {
            schema: SCHEMA,
            scenario: String::new(),
            about: String::new(),
            seed: 1,
            model: "open".to_owned(),
            target: String::new(),
            started_ms: 0,
            duration_s: 2.0,
            generator: Generator::default(),
            requests: crate::results::Requests::default(),
            operations: vec![operation("all"), operation("reserve")],
            statuses: [("201".to_owned(), 9), ("500".to_owned(), 1)].into(),
            codes: std::collections::BTreeMap::new(),
            seconds: Vec::new(),
            skus: Vec::new(),
            faults: Vec::new(),
            checks: vec![CheckRow { name: "oversold".to_owned(), faults: 0, examples: Vec::new() }],
            thresholds: Vec::new(),
            verdict: Verdict::Pass,
        };
        let requests = &mut results.requests;
        (requests.sent, requests.answered, requests.dropped) = (10, 10, 3);
        results
    }

    fn threshold(text: &str) -> Threshold {
        Threshold::parse(text, false, Duration::ZERO).expect(text)
    }

    #[test]
    fn figures_are_held_against_their_bounds() {
        for (text, is_met) in [
            ("reserve:p99<21ms", true),
            ("reserve:p99<20ms", false),
            ("reserve:p99 <= 0.02s", true),
            ("took_p50>19999us", true),
            ("mean>20ms", false),
            ("rate>=5", true),
            ("reserve:rate>5", false),
            ("error_rate<10%", false),
            ("error_rate<=0.1", true),
            ("dropped==0", false),
            ("dropped==3", true),
            ("dropped>=4", false),
            ("oversold==0", true),
            ("lag_p99<1ms", false),
            ("confirm:p99<1s", false),
        ] {
            let row = threshold(text).hold_against(&results());
            assert_eq!(row.is_met, is_met, "{row:?}");
        }
    }

    #[test]
    fn what_was_never_measured_meets_nothing_and_aborts_nothing() {
        let mut results = results();
        let aborting = Threshold::parse("p99<1us", true, Duration::from_secs(3)).expect("it is good");
        assert!(aborting.aborts(Duration::from_secs(3), &results));
        assert!(!aborting.aborts(Duration::from_secs(2), &results), "too early to tell");
        assert!(!threshold("p99<1us").aborts(Duration::from_secs(9), &results), "it may not");
        results.operations.clear();
        assert!(!threshold("p99<10s").hold_against(&results).is_met);
        assert!(!aborting.aborts(Duration::from_secs(9), &results));
    }

    #[test]
    fn what_cannot_be_held_against_anything_is_refused() {
        for (text, needle) in [
            ("p99", "compares nothing"),
            ("p98<1ms", "is no figure"),
            ("pay:p99<1ms", "is no kind of request"),
            ("reserve:dropped==0", "is no figure"),
            ("reserve:oversold==0", "is no figure"),
            ("p99<1%", "is no amount"),
            ("dropped==1ms", "is no amount"),
            ("p99<inf", "is no amount"),
        ] {
            let error = Threshold::parse(text, false, Duration::ZERO).expect_err(text);
            assert!(error.contains(needle), "{text}: {error}");
        }
        let error = Threshold::parse("oversold==0", true, Duration::ZERO).expect_err("too late");
        assert!(error.contains("cannot abort"), "{error}");
    }
}
