//! The table, for people and for programs.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::config::{PeersConfig, System};
use super::told::Told;
use super::work::{Outcome, Work, Workload};

/// What one run came to.
#[derive(Debug, Clone, Serialize)]
pub struct RunFigures {
    /// Requests that were to be asked.
    pub requests: u64,
    /// Requests that were decided before the time was up.
    pub decided: u64,
    /// Of these, units granted.
    pub granted: u64,
    /// Of these, refused because nothing was left.
    pub sold_out: u64,
    /// Of these, refused by the limit per customer.
    pub over_limit: u64,
    /// Units that there were.
    pub stock: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// Decisions in a second.
    pub decisions_per_s: f64,
    /// From sending a request to its answer, in microseconds.
    pub p50_us: u64,
    /// The same, for all but one of a hundred.
    pub p99_us: u64,
    /// What was wrong, in sentences.
    pub faults: Vec<String>,
}

/// A system at a workload with so many connections: medians of its runs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who.
    pub system: System,
    /// As it stands in the table.
    pub name: &'static str,
    /// What.
    pub workload: Workload,
    /// How many asked at once.
    pub connections: u32,
    /// Decisions in a second.
    pub decisions_per_s: f64,
    /// Latency of the middle, in microseconds.
    pub p50_us: u64,
    /// Latency of all but one of a hundred, in microseconds.
    pub p99_us: u64,
    /// So many times as fast is Holdfast, if it took part.
    pub holdfast_ratio: Option<f64>,
    /// `ok`, or what was wrong with the first run that was.
    pub checked: String,
    /// The runs.
    pub runs: Vec<RunFigures>,
}

/// What a comparison came to.
#[derive(Debug, Clone, Serialize)]
pub struct PeersReport {
    /// Everything was right.
    ok: bool,
    rows: Vec<Row>,
    /// What one must know to read the figures.
    notes: Vec<String>,
}

/// A run and its verdict.
pub(super) struct Measured {
    pub(super) per_s: f64,
    pub(super) faults: Vec<String>,
    figures: RunFigures,
}

impl Measured {
    pub(super) fn new(work: Work, told: &Told, faults: Vec<String>) -> Self {
        let count = |outcome| told.answers.iter().filter(|(_, it)| it.outcome == outcome).count() as u64;
        let figures = RunFigures {
            requests: work.requests,
            decided: told.answers.len() as u64,
            granted: count(Outcome::Granted),
            sold_out: count(Outcome::SoldOut),
            over_limit: count(Outcome::OverLimit),
            stock: work.stock,
            took_s: told.took.as_secs_f64(),
            decisions_per_s: told.per_s(),
            p50_us: told.latency.value_at_quantile(0.50),
            p99_us: told.latency.value_at_quantile(0.99),
            faults: faults.clone(),
        };
        Self { per_s: told.per_s(), faults, figures }
    }
}

impl PeersReport {
    pub(super) fn new(config: &PeersConfig) -> Self {
        let notes = vec![
            "The work is RESERVE-1: one SKU, one unit per request, an id of 128 bits each, at most two units per customer, holds \
             of ten minutes; decided once, remembered by its id, expiry registered, on the disk before the answer."
                .to_owned(),
            "Closed loop: one request is under way on each connection. Client and server share this machine. Every run has \
             a fresh server on an empty directory."
                .to_owned(),
            "PostgreSQL: one prepared call of a function per request, fsync and synchronous_commit on. Redis: one EVALSHA \
             per request, appendfsync always."
                .to_owned(),
            "Holdfast: one POST per request, sold-out gate off so that refusals are decided and remembered too, one \
             HTTP thread; tokens were checked before the run. Its requests come from one thread, those of the peers from a \
             thread per core."
                .to_owned(),
            format!("Medians of {}. A run ends after {} s at the latest.", config.repeat, config.time.as_secs()),
        ];
        Self { ok: true, rows: Vec::new(), notes }
    }

    /// Adds a run to its row.
    pub(super) fn add(&mut self, system: System, workload: Workload, connections: u32, run: Measured) {
        let is_its =
            |row: &&mut Row| (row.system, row.workload, row.connections) == (system, workload, connections);
        match self.rows.iter_mut().find(is_its) {
            Some(row) => row.runs.push(run.figures),
            None => self.rows.push(Row::new(system, workload, connections, run.figures)),
        }
    }

    /// Computes what follows from all runs.
    pub(super) fn finish(&mut self) {
        self.rows.iter_mut().for_each(Row::finish);
        let ours: Vec<_> = self.rows.iter().filter(|row| row.system == System::Holdfast).cloned().collect();
        for row in &mut self.rows {
            let same = |it: &&Row| (it.workload, it.connections) == (row.workload, row.connections);
            let rate = ours.iter().find(same).map(|it| it.decisions_per_s);
            row.holdfast_ratio = rate.map(|rate| rate / row.decisions_per_s).filter(|it| it.is_finite());
        }
        self.ok = self.rows.iter().flat_map(|row| &row.runs).all(|run| run.faults.is_empty());
    }

    /// Whether every system did its work rightly in every run.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.ok
    }

    /// The rows of the table, in its order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The names over [`Self::csv_rows`].
    pub(crate) const CSV_HEAD: [&str; 8] = [
        "system",
        "workload",
        "connections",
        "decisions_per_s",
        "p50_us",
        "p99_us",
        "holdfast_ratio",
        "checked",
    ];

    /// The rows for a sheet.
    pub(crate) fn csv_rows(&self) -> impl Iterator<Item = [String; 8]> {
        self.rows.iter().map(|row| {
            [
                row.name.to_owned(),
                row.workload.name().to_owned(),
                row.connections.to_string(),
                row.decisions_per_s.to_string(),
                row.p50_us.to_string(),
                row.p99_us.to_string(),
                row.holdfast_ratio.map_or_else(String::new, |it| it.to_string()),
                row.checked.clone(),
            ]
        })
    }

    /// The table, with what one must know to read it below.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([
            "system",
            "workload",
            "connections",
            "decisions/s",
            "p50 ms",
            "p99 ms",
            "Holdfast is x",
            "checked",
        ]);
        for row in &self.rows {
            table.add_row([
                row.name.to_owned(),
                row.workload.name().to_owned(),
                row.connections.to_string(),
                format!("{:.0}", row.decisions_per_s),
                ms(row.p50_us),
                ms(row.p99_us),
                row.holdfast_ratio.map_or_else(String::new, |it| format!("{it:.2}")),
                row.checked.clone(),
            ]);
        }
        for column in 2..=6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let notes: String = self.notes.iter().map(|it| format!("\n- {it}")).collect();
        format!("{table}{notes}")
    }
}

impl Row {
    fn new(system: System, workload: Workload, connections: u32, run: RunFigures) -> Self {
        Self {
            system,
            name: system.name(),
            workload,
            connections,
            decisions_per_s: 0.0,
            p50_us: 0,
            p99_us: 0,
            holdfast_ratio: None,
            checked: String::new(),
            runs: vec![run],
        }
    }

    fn finish(&mut self) {
        self.decisions_per_s = median(self.runs.iter().map(|it| it.decisions_per_s), f64::total_cmp);
        self.p50_us = median(self.runs.iter().map(|it| it.p50_us), Ord::cmp);
        self.p99_us = median(self.runs.iter().map(|it| it.p99_us), Ord::cmp);
        let first = self.runs.iter().find_map(|it| it.faults.first());
        self.checked = first.map_or_else(|| "ok".to_owned(), |it| format!("WRONG: {it}"));
    }
}

/// The one in the middle; of an even number the lower of the two.
fn median<T: Default + Copy>(
    values: impl Iterator<Item = T>,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_by(order);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn ms(us: u64) -> String {
    format!("{}.{:02}", us / 1_000, us % 1_000 / 10)
}
