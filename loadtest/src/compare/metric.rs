//! The figures that two runs are compared by.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::metric::{Metric, POINTS, Point, Since};
use crate::report::{ReportError, decode};
use crate::results::{Operation, Results};

/// A run with its histograms at hand.
pub(super) struct Subject<'a> {
    pub(super) results: &'a Results,
    operations: BTreeMap<&'a str, (&'a Operation, Histogram<u64>, Histogram<u64>)>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(results: &'a Results) -> Result<Self, ReportError> {
        let mut operations = BTreeMap::new();
        for it in &results.operations {
            let (felt, took) = (decode(it, &it.felt_histogram)?, decode(it, &it.took_histogram)?);
            operations.insert(it.name.as_str(), (it, felt, took));
        }
        Ok(Self { results, operations })
    }

    pub(super) fn histogram(&self, operation: &str, from: Since) -> Option<&Histogram<u64>> {
        let (_, felt, took) = self.operations.get(operation)?;
        Some(match from {
            Since::Felt => felt,
            Since::Took => took,
        })
    }

    /// The figure, as results say it; nothing if it was not measured.
    pub(super) fn value(&self, operation: &str, metric: Metric) -> Option<f64> {
        metric.value(operation, self.results)
    }
}

/// The rows of a comparison: every figure of all requests, and the most telling ones of each kind that either run has.
pub(super) fn shown<'a>(a: &'a Results, b: &'a Results) -> Vec<(&'a str, Metric)> {
    let mut rows: Vec<(&str, Metric)> =
        vec![("all", Metric::Rate), ("all", Metric::ErrorRate), ("all", Metric::Dropped)];
    for from in [Since::Felt, Since::Took] {
        rows.extend(POINTS.iter().map(|(_, point)| ("all", Metric::Latency(from, *point))));
    }
    let mut kinds: Vec<&str> = Vec::new();
    for operation in a.operations.iter().chain(&b.operations) {
        if operation.name != "all" && !kinds.contains(&operation.name.as_str()) {
            kinds.push(&operation.name);
        }
    }
    for kind in kinds {
        rows.push((kind, Metric::Rate));
        rows.extend([Point::P50, Point::P99, Point::P999].map(|it| (kind, Metric::Latency(Since::Felt, it))));
    }
    rows
}
