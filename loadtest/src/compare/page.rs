//! A comparison as a page: the percentile curves of both runs over each other, and the table.

use serde::Serialize;

use super::metric::Subject;
use super::{Comparison, table};
use crate::metric::Since;
use crate::report::{self, Chart, Kind, Page, ReportError, Series};
use crate::results::Results;

#[derive(Serialize)]
struct View<'a> {
    a: String,
    b: String,
    state: &'static str,
    comparison: &'a Comparison,
    rows: Vec<[String; 7]>,
}

/// The page, which needs nothing but itself.
pub(super) fn html(a: &Results, b: &Results, comparison: &Comparison) -> Result<String, ReportError> {
    let view = View {
        a: table::name(&comparison.a),
        b: table::name(&comparison.b),
        state: if comparison.is_too_much() { "threshold" } else { "pass" },
        comparison,
        rows: comparison.rows.iter().map(table::cells).collect(),
    };
    let (from, to) = (Subject::new(a)?, Subject::new(b)?);
    let felt = "Latency felt, from when requests were due. All answers of both runs.";
    let took = "Latency taken, from when requests were sent. All answers of both runs.";
    let charts: Vec<Chart> = [
        curves("felt", "Percentiles felt", felt, &from, &to, Since::Felt),
        curves("took", "Percentiles taken", took, &from, &to, Since::Took),
    ]
    .into_iter()
    .flatten()
    .collect();
    report::render(Page::Comparison, &view, &[], &charts, &[])
}

/// Both curves; nothing if a run has none.
fn curves(
    id: &'static str,
    title: &'static str,
    caption: &str,
    a: &Subject,
    b: &Subject,
    since: Since,
) -> Option<Chart> {
    let (a, b) = (a.histogram("all", since)?, b.histogram("all", since)?);
    let x = report::grid(a.len().max(b.len()));
    Some(Chart {
        id,
        title,
        caption: caption.to_owned(),
        kind: Kind::Curve,
        unit: "ms",
        series: vec![
            Series::new("A", "a", report::curve(a, &x)).dashed(),
            Series::new("B", "b", report::curve(b, &x)),
        ],
        x: Some(x),
    })
}
