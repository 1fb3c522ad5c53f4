//! The results of a run as text.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::results::{Operation, Quantiles, Results, Verdict};

/// SKUs that are told of one by one.
const SKUS_MAX: usize = 10;
/// Faults of one rule that are told of one by one.
const EXAMPLES_MAX: usize = 3;

/// For people: what was asked, how it went, what is wrong, and the verdict at the end.
pub(crate) fn text(results: &Results) -> String {
    let mut text = String::new();
    // Writing to memory does not fail.
    write_all(results, &mut text).ok();
    text.trim_end().to_owned()
}

fn write_all(results: &Results, text: &mut String) -> std::fmt::Result {
    let requests = &results.requests;
    writeln!(
        text,
        "{}, {} model, seed {}, against {}\n{} requests due in {:.1} s: {} sent, {} answered, {} timed out, {} broken, {} dropped",
        results.scenario,
        results.model,
        results.seed,
        results.target,
        requests.due,
        results.duration_s,
        requests.sent,
        requests.answered,
        requests.timed_out,
        requests.broken,
        requests.dropped,
    )?;
    writeln!(text, "{}", operations(&results.operations))?;
    writeln!(text, "answers: {}", pairs(results.statuses.iter()))?;
    if !results.codes.is_empty() {
        writeln!(text, "codes: {}", pairs(results.codes.iter()))?;
    }
    if !results.skus.is_empty() {
        writeln!(text, "{}", skus(results))?;
    }
    for fault in &results.faults {
        let until = fault.until_s.map_or_else(String::new, |it| format!(" until {it:.1} s"));
        writeln!(text, "at {:.1} s{until}: {}", fault.at_s, fault.what)?;
    }
    for warning in &results.generator.warnings {
        writeln!(text, "warning: {warning}")?;
    }
    for threshold in &results.thresholds {
        let value = threshold.value.map_or_else(|| "nothing".to_owned(), |it| format!("{it:.3}"));
        let word = if threshold.is_met { "met" } else { "NOT MET" };
        writeln!(text, "threshold {}: {word} (it is {value})", threshold.that)?;
    }
    for check in &results.checks {
        if check.faults > 0 {
            writeln!(text, "BROKEN: {} ({} times)", check.name, check.faults)?;
            for example in check.examples.iter().take(EXAMPLES_MAX) {
                writeln!(text, "    {example}")?;
            }
        }
    }
    let kept: Vec<&str> =
        results.checks.iter().filter(|it| it.faults == 0).map(|it| it.name.as_str()).collect();
    if !kept.is_empty() {
        writeln!(text, "kept: {}", kept.join(", "))?;
    }
    writeln!(text, "verdict: {}", sentence(results.verdict))
}

/// The verdict, and what it means.
pub(crate) const fn sentence(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Wrong => "wrong: a rule is broken, so the figures do not matter",
        Verdict::Threshold => "threshold: right, but a threshold is not met",
        Verdict::Aborted => "aborted: right as far as it went",
    }
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    pairs.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn operations(operations: &[Operation]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "ms from when it was due",
        "answers",
        "per s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "p99 from sent",
    ]);
    for it in operations {
        let Quantiles { p50, p90, p99, p999, max, .. } = it.felt;
        let mut row = vec![it.name.clone(), it.answered.to_string(), format!("{:.0}", it.per_second)];
        row.extend([p50, p90, p99, p999, max, it.took.p99].map(|ms| format!("{ms:.2}")));
        table.add_row(row);
    }
    right(table)
}

fn skus(results: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "SKU",
        "units",
        "asked for",
        "granted",
        "sold",
        "refused",
        "free",
        "held",
        "committed",
    ]);
    let known = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |it| it.to_string());
    for it in results.skus.iter().take(SKUS_MAX) {
        let mut row = vec![it.sku.clone()];
        row.extend([it.units, it.asked, it.granted, it.confirmed, it.sold_out].map(|it| it.to_string()));
        row.extend([it.free, it.held, it.committed].map(known));
        table.add_row(row);
    }
    if results.skus.len() > SKUS_MAX {
        table.add_row([format!("and {} more", results.skus.len() - SKUS_MAX)]);
    }
    right(table)
}

/// Figures stand right.
fn right(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
