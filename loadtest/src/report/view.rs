//! What the template of a run's page needs: everything as it is to be read, so that the template only places it.

use serde::Serialize;

use super::figures::{error_rate, share};
use super::text::{bytes, count, milliseconds, moment, number, percent, seconds};
use crate::results::{CheckRow, Generator, Operation, Quantiles, Results, SkuRow, Verdict};

/// SKUs that have a line of their own; those asked for less are added up.
const SKU_LINES_MAX: usize = 100;
/// Examples of a broken rule.
const EXAMPLES_MAX: usize = 20;

#[derive(Serialize)]
pub(super) struct View<'a> {
    scenario: &'a str,
    about: &'a str,
    started: String,
    schema: u32,
    verdict: VerdictView<'a>,
    tiles: Vec<Tile>,
    operations: Vec<OperationView<'a>>,
    codes: Vec<(&'a str, String)>,
    skus: Vec<SkuView>,
    faults: Vec<FaultView<'a>>,
    checks: Vec<CheckView<'a>>,
    thresholds: Vec<ThresholdView<'a>>,
    generator: GeneratorView<'a>,
    parameters: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct VerdictView<'a> {
    /// Also the name of its icon.
    state: &'static str,
    title: &'static str,
    sentence: &'static str,
    broken: Vec<CheckView<'a>>,
    missed: Vec<ThresholdView<'a>>,
}

#[derive(Serialize)]
struct Tile {
    name: &'static str,
    figure: String,
    note: String,
}

#[derive(Serialize)]
struct OperationView<'a> {
    name: &'a str,
    answered: String,
    per_second: String,
    felt: [String; 6],
    took: [String; 6],
}

#[derive(Serialize)]
struct SkuView {
    name: String,
    cells: [String; 5],
    server: [String; 3],
}

#[derive(Serialize)]
struct FaultView<'a> {
    what: &'a str,
    at: String,
    until: Option<String>,
}

#[derive(Serialize)]
struct CheckView<'a> {
    name: String,
    faults: u64,
    examples: &'a [String],
    hidden: usize,
}

#[derive(Serialize)]
struct ThresholdView<'a> {
    that: &'a str,
    value: Option<String>,
    is_met: bool,
}

#[derive(Serialize)]
struct GeneratorView<'a> {
    is_limit: bool,
    warnings: &'a [String],
    figures: Vec<(&'static str, String)>,
}

impl<'a> View<'a> {
    pub(super) fn of(results: &'a Results) -> Self {
        Self {
            scenario: &results.scenario,
            about: &results.about,
            started: moment(results.started_ms),
            schema: results.schema,
            verdict: verdict(results),
            tiles: tiles(results),
            operations: results.operations.iter().map(operation).collect(),
            codes: results.codes.iter().map(|(code, answers)| (code.as_str(), count(*answers))).collect(),
            skus: skus(&results.skus),
            faults: faults(results),
            checks: results.checks.iter().map(check).collect(),
            thresholds: thresholds(results),
            generator: generator(&results.generator),
            parameters: parameters(results),
        }
    }
}

fn verdict(results: &Results) -> VerdictView<'_> {
    let (title, sentence) = match results.verdict {
        Verdict::Pass => {
            ("Pass", "No rule is broken in anything that buyers were told, and every threshold is met.")
        }
        Verdict::Wrong => ("Wrong", "A rule is broken. What the figures below say does not matter."),
        Verdict::Threshold => {
            ("Threshold missed", "No rule is broken, but the figures are not what was asked for.")
        }
        Verdict::Aborted => {
            ("Aborted", "The run was ended before its time. The figures tell of a part of it.")
        }
    };
    VerdictView {
        state: results.verdict.name(),
        title,
        sentence,
        broken: results.checks.iter().filter(|it| it.faults > 0).map(check).collect(),
        missed: thresholds(results).into_iter().filter(|it| !it.is_met).collect(),
    }
}

fn check(row: &CheckRow) -> CheckView<'_> {
    let shown = row.examples.len().min(EXAMPLES_MAX);
    CheckView {
        name: row.name.replace('_', " "),
        faults: row.faults,
        examples: &row.examples[..shown],
        hidden: usize::try_from(row.faults).unwrap_or(usize::MAX).saturating_sub(shown),
    }
}

fn thresholds(results: &Results) -> Vec<ThresholdView<'_>> {
    let rows = results.thresholds.iter();
    rows.map(|row| ThresholdView { that: &row.that, value: row.value.map(number), is_met: row.is_met })
        .collect()
}

fn tiles(results: &Results) -> Vec<Tile> {
    let requests = &results.requests;
    let all = results.operations.iter().find(|it| it.name == "all");
    let felt = all.map_or_else(Quantiles::default, |it| it.felt);
    let took = all.map_or_else(Quantiles::default, |it| it.took);
    let granted: u64 = results.skus.iter().map(|it| it.granted).sum();
    let confirmed: u64 = results.skus.iter().map(|it| it.confirmed).sum();
    let units: u64 = results.skus.iter().map(|it| it.units).sum();
    let latency = |name, felt, took| Tile {
        name,
        figure: milliseconds(felt),
        note: format!("the server took {}", milliseconds(took).replace(' ', "\u{a0}")),
    };
    vec![
        Tile {
            name: "Answers a second",
            figure: all.map_or_else(|| "–".to_owned(), |it| number(it.per_second)),
            note: format!("{} of {} due", count(requests.answered), count(requests.due)),
        },
        latency("p50 felt", felt.p50, took.p50),
        latency("p99 felt", felt.p99, took.p99),
        latency("p99.9 felt", felt.p999, took.p999),
        Tile {
            name: "Errors",
            figure: percent(error_rate(results)),
            note: format!("{} timed out, {} broken", count(requests.timed_out), count(requests.broken)),
        },
        Tile {
            name: "Dropped",
            figure: count(requests.dropped),
            note: format!("{} of those due", percent(share(requests.dropped, requests.due))),
        },
        Tile {
            name: "Units sold",
            figure: count(confirmed),
            note: format!("{} granted, {} on the shelf", count(granted), count(units)),
        },
    ]
}

fn quantiles(it: &Quantiles) -> [String; 6] {
    [it.mean, it.p50, it.p90, it.p99, it.p999, it.max].map(number)
}

fn operation(it: &Operation) -> OperationView<'_> {
    OperationView {
        name: &it.name,
        answered: count(it.answered),
        per_second: number(it.per_second),
        felt: quantiles(&it.felt),
        took: quantiles(&it.took),
    }
}

fn skus(rows: &[SkuRow]) -> Vec<SkuView> {
    let (shown, rest) = rows.split_at(rows.len().min(SKU_LINES_MAX));
    let mut views: Vec<SkuView> = shown.iter().map(|row| sku(row.sku.clone(), row)).collect();
    if !rest.is_empty() {
        let add = |of: fn(&SkuRow) -> u64| rest.iter().map(of).sum();
        let add_some = |of: fn(&SkuRow) -> Option<u64>| rest.iter().map(of).sum();
        let sum = SkuRow {
            sku: String::new(),
            units: add(|it| it.units),
            asked: add(|it| it.asked),
            granted: add(|it| it.granted),
            confirmed: add(|it| it.confirmed),
            sold_out: add(|it| it.sold_out),
            free: add_some(|it| it.free),
            held: add_some(|it| it.held),
            committed: add_some(|it| it.committed),
        };
        views.push(sku(format!("{} more", count(rest.len() as u64)), &sum));
    }
    views
}

fn sku(name: String, row: &SkuRow) -> SkuView {
    SkuView {
        name,
        cells: [row.units, row.asked, row.granted, row.confirmed, row.sold_out].map(count),
        server: [row.free, row.held, row.committed].map(|it| it.map_or_else(|| "–".to_owned(), count)),
    }
}

fn faults(results: &Results) -> Vec<FaultView<'_>> {
    let marks = results.faults.iter();
    marks
        .map(|it| FaultView { what: &it.what, at: seconds(it.at_s), until: it.until_s.map(seconds) })
        .collect()
}

fn generator(it: &Generator) -> GeneratorView<'_> {
    GeneratorView {
        is_limit: it.is_limit,
        warnings: &it.warnings,
        figures: vec![
            ("processes, threads", format!("{}, {}", it.processes, it.threads)),
            ("connections", count(it.connections.into())),
            ("sockets at once, at most", count(it.sockets_max)),
            ("processor time, of one core", format!("{} %", number(it.cpu_percent))),
            ("lag p50", milliseconds(it.lag.p50)),
            ("lag p99", milliseconds(it.lag.p99)),
            ("lag p99.9", milliseconds(it.lag.p999)),
            ("lag, longest", milliseconds(it.lag.max)),
        ],
    }
}

fn parameters(results: &Results) -> Vec<(&'static str, String)> {
    let requests = &results.requests;
    vec![
        ("scenario", results.scenario.clone()),
        ("target", results.target.clone()),
        ("model", results.model.clone()),
        ("seed", results.seed.to_string()),
        ("began", moment(results.started_ms)),
        ("lasted", seconds(results.duration_s)),
        ("requests due", count(requests.due)),
        ("sent", count(requests.sent)),
        ("answered", count(requests.answered)),
        ("timed out", count(requests.timed_out)),
        ("broken", count(requests.broken)),
        ("dropped", count(requests.dropped)),
        ("bytes sent", bytes(requests.bytes_sent)),
        ("bytes received", bytes(requests.bytes_received)),
    ]
}
