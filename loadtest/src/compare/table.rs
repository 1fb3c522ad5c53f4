//! A comparison as text.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Change, Comparison, Interval, Metric, Row, Run};
use crate::report::moment;

impl Comparison {
    /// A table of the figures, and below it what is to be said of them.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "A", "B", "B - A", "%", "95 % interval", ""]);
        for row in &self.rows {
            table.add_row(cells(row));
        }
        for column in 1..=5 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = format!("A: {}\nB: {}\n{table}", name(&self.a), name(&self.b));
        let warnings = self.warnings.iter().map(|it| format!("\nwarning: {it}"));
        let conditions = self.conditions.iter().map(|it| format!("\n{}: {}", it.that, it.says));
        text.extend(warnings.chain(conditions));
        text
    }
}

/// The cells of a line: name, both values, change, change in percent, interval, and what that says.
pub(super) fn cells(row: &Row) -> [String; 7] {
    let none = || "–".to_owned();
    let unit = row.metric.unit();
    let what = format!("{} {}", row.operation, row.metric);
    [
        if unit.is_empty() { what } else { format!("{what}, {unit}") },
        row.a.map_or_else(none, |it| row.metric.write(it)),
        row.b.map_or_else(none, |it| row.metric.write(it)),
        row.delta.map_or_else(none, |it| signed(row.metric, it)),
        row.delta_percent.map_or_else(none, |it| format!("{it:+.1}")),
        row.interval.map_or_else(none, |it| interval(row.metric, it)),
        says(row).to_owned(),
    ]
}

fn interval(metric: Metric, it: Interval) -> String {
    format!("{} to {}", signed(metric, it.low), signed(metric, it.high))
}

fn signed(metric: Metric, it: f64) -> String {
    let plus = if it > 0.0 { "+" } else { "" };
    format!("{plus}{}", metric.write(it))
}

/// A higher rate is better, and more of anything else is worse.
fn says(row: &Row) -> &'static str {
    match row.change {
        Change::Unknown => "",
        Change::Noise => "no change beyond noise",
        Change::Higher if row.metric == Metric::Rate => "better",
        Change::Lower if row.metric != Metric::Rate => "better",
        Change::Higher | Change::Lower => "worse",
    }
}

pub(super) fn name(run: &Run) -> String {
    let started = moment(run.started_ms);
    format!("{} against {}, seed {}, {started}, {}", run.scenario, run.target, run.seed, run.verdict.name())
}
