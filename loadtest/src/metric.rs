//! The figures of a run that thresholds and comparisons name.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::report::{error_rate, number};
use crate::results::{Quantiles, Results};

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A latency, in milliseconds.
    Latency(Since, Point),
    /// Answers per second of the run.
    Rate,
    /// The share of requests that failed, between 0 and 1; see [`error_rate`].
    ErrorRate,
    /// Requests that were never sent.
    Dropped,
}

/// From when a latency counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From when the request was due.
    Felt,
    /// From when it was sent.
    Took,
}

/// Which latency of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Half were no longer.
    P50,
    /// 90 of 100 were no longer.
    P90,
    /// 99 of 100 were no longer.
    P99,
    /// 999 of 1,000 were no longer.
    P999,
    /// The longest.
    Max,
    /// All of them divided by their number.
    Mean,
}

/// As they are written, after `took_` for those that count from when a request was sent.
pub(crate) const POINTS: [(&str, Point); 6] = [
    ("p50", Point::P50),
    ("p90", Point::P90),
    ("p99", Point::P99),
    ("p999", Point::P999),
    ("max", Point::Max),
    ("mean", Point::Mean),
];

impl Metric {
    /// The figure of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "rate" => return Some(Self::Rate),
            "error_rate" => return Some(Self::ErrorRate),
            "dropped" => return Some(Self::Dropped),
            _ => {}
        }
        let (from, point) = match name.strip_prefix("took_") {
            Some(point) => (Since::Took, point),
            None => (Since::Felt, name),
        };
        POINTS.iter().find(|(name, _)| *name == point).map(|(_, point)| Self::Latency(from, *point))
    }

    /// Every kind of request has one of its own.
    #[must_use]
    pub const fn is_of_an_operation(self) -> bool {
        matches!(self, Self::Latency(..) | Self::Rate)
    }

    /// It is a time.
    #[must_use]
    pub const fn is_latency(self) -> bool {
        matches!(self, Self::Latency(..))
    }

    /// What it is in a run, of one kind of request if it has one; nothing if it was not measured.
    #[must_use]
    pub fn value(self, operation: &str, results: &Results) -> Option<f64> {
        let operation = || results.operations.iter().find(|it| it.name == operation);
        match self {
            Self::ErrorRate => Some(error_rate(results)),
            Self::Dropped => Some(results.requests.dropped as f64),
            Self::Rate => operation().map(|it| it.per_second),
            Self::Latency(since, point) => {
                let it = operation()?;
                let of = if since == Since::Felt { &it.felt } else { &it.took };
                (of.count > 0).then(|| at(of, point))
            }
        }
    }

    /// A value of it, or a change of one, as people read it.
    pub(crate) fn write(self, value: f64) -> String {
        if self == Self::Dropped { format!("{value:.0}") } else { number(value) }
    }

    /// What it is counted in.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Latency(..) => "ms",
            Self::Rate => "/s",
            Self::ErrorRate | Self::Dropped => "",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate => f.write_str("rate"),
            Self::ErrorRate => f.write_str("error_rate"),
            Self::Dropped => f.write_str("dropped"),
            Self::Latency(from, point) => {
                let name = POINTS.iter().find(|(_, it)| it == point).map_or("", |(name, _)| name);
                write!(f, "{}{name}", if *from == Since::Took { "took_" } else { "" })
            }
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn at(quantiles: &Quantiles, point: Point) -> f64 {
    match point {
        Point::P50 => quantiles.p50,
        Point::P90 => quantiles.p90,
        Point::P99 => quantiles.p99,
        Point::P999 => quantiles.p999,
        Point::Max => quantiles.max,
        Point::Mean => quantiles.mean,
    }
}
