//! Two runs beside each other: what changed, how sure that is, and whether it is too much.

mod fail_if;
mod metric;
mod noise;
mod page;
mod table;

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

pub use self::fail_if::{FailIf, FailIfError};
use self::metric::Subject;
pub use crate::metric::{Metric, Point, Since};
use crate::report::{self, ReportError};
use crate::results::{Results, SCHEMA, Verdict};

/// What `compare` is asked.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The results of the run that it was like before, as JSON.
    #[arg(value_name = "A.json")]
    pub a: PathBuf,
    /// The results of the run that it is like now, as JSON.
    #[arg(value_name = "B.json")]
    pub b: PathBuf,
    /// A change that is too much, as `p99>+10%`, `reserve:p99>+2ms`, `error_rate>+0.01` or `rate<-5%`. Exits 99 if one is.
    #[arg(long, value_name = "CHANGE")]
    pub fail_if: Vec<String>,
    /// Also writes a page with the percentile curves of both runs.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What a comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No change was too much.
    Fine,
    /// At least one was.
    TooMuch,
    /// The second run broke a rule, so that its figures do not matter.
    Wrong,
}

/// Why two runs could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A condition cannot be understood.
    #[error(transparent)]
    FailIf(#[from] FailIfError),
    /// A condition is about something that was not measured in both runs.
    #[error("`{that}` asks for something that was not measured in both runs")]
    NotMeasured {
        /// The condition as it was written.
        that: String,
    },
    /// A run's file cannot be read, or the page cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The page cannot be written.
    #[error("cannot write {}", path.display())]
    Page {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl CompareArgs {
    /// Compares, and writes the page if there is to be one.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn compare(&self) -> Result<Comparison, CompareError> {
        let conditions: Vec<FailIf> =
            self.fail_if.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let (a, b) = (report::read_json(&self.a)?, report::read_json(&self.b)?);
        let comparison = compare(&a, &b, &conditions)?;
        if let Some(path) = &self.html {
            let page = page::html(&a, &b, &comparison)?;
            fs::write(path, page).map_err(|source| CompareError::Page { path: path.clone(), source })?;
        }
        Ok(comparison)
    }
}

/// Two runs beside each other. Its JSON form has the version of the form of results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The version of the form.
    pub schema: u32,
    /// The run that it was like before.
    pub a: Run,
    /// The run that it is like now.
    pub b: Run,
    /// Why the two may not be comparable, in sentences.
    pub warnings: Vec<String>,
    /// What was measured in either.
    pub rows: Vec<Row>,
    /// The changes that are too much, if they are there.
    pub conditions: Vec<Condition>,
}

/// A run, as a comparison names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The name of its scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// Who was asked.
    pub target: String,
    /// T0, in milliseconds since 1970.
    pub started_ms: u64,
    /// How it ended.
    pub verdict: Verdict,
}

/// A figure in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which requests: `all`, or one kind of them.
    pub operation: String,
    /// Which figure.
    pub metric: Metric,
    /// In the first run; nothing if it was not measured there.
    pub a: Option<f64>,
    /// In the second.
    pub b: Option<f64>,
    /// How much more it is in the second.
    pub delta: Option<f64>,
    /// The same in percent of the first; nothing if that is 0.
    pub delta_percent: Option<f64>,
    /// Where the change lies with a confidence of 95 %, as far as one run can tell of itself.
    pub interval: Option<Interval>,
    /// What that says.
    pub change: Change,
}

/// A change, from the least to the most that it may be, with a confidence of 95 %, by the bootstrap.
///
/// Latencies are resampled from their histograms, and what is counted over time by seconds, the same ones of both runs if
/// they have the same scenario. So it tells of noise within the runs, and nothing of what differs from run to run: who has
/// to know that runs twice. The same two runs always get the same interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// What can be said of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is more than noise.
    Higher,
    /// It is less, by more than noise.
    Lower,
    /// It is not more than noise may be.
    Noise,
    /// Too little was measured to say.
    Unknown,
}

/// A change that is too much, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// As it was written.
    pub that: String,
    /// It is there: the comparison fails.
    pub holds: bool,
    /// In a sentence, with the figures.
    pub says: String,
}

impl Comparison {
    /// What it came to. That a rule is broken weighs more than any change.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match (self.b.verdict, self.is_too_much()) {
            (Verdict::Wrong, _) => Outcome::Wrong,
            (_, true) => Outcome::TooMuch,
            (_, false) => Outcome::Fine,
        }
    }

    fn is_too_much(&self) -> bool {
        self.conditions.iter().any(|it| it.holds)
    }

    /// The names over [`Self::csv_rows`].
    pub(crate) const CSV_HEAD: [&str; 7] =
        ["operation", "metric", "a", "b", "delta", "delta_percent", "change"];

    /// The rows for a sheet. What was not measured is empty.
    pub(crate) fn csv_rows(&self) -> impl Iterator<Item = [String; 7]> {
        let number = |it: Option<f64>| it.map_or_else(String::new, |it| it.to_string());
        self.rows.iter().map(move |row| {
            let change = match row.change {
                Change::Higher => "higher",
                Change::Lower => "lower",
                Change::Noise => "noise",
                Change::Unknown => "unknown",
            };
            let (delta, percent) = (number(row.delta), number(row.delta_percent));
            let (operation, metric) = (row.operation.clone(), row.metric.to_string());
            [operation, metric, number(row.a), number(row.b), delta, percent, change.to_owned()]
        })
    }
}

/// Compares two runs. The same two always compare the same.
///
/// A condition looks at the figures themselves and not at their intervals: who writes `p99>+10%` gets that. But its sentence
/// says when the change may be noise. Runs that may not be comparable are compared with a warning.
///
/// # Errors
/// [`CompareError::NotMeasured`] for a condition, and [`CompareError::Report`] for a histogram that cannot be read.
pub fn compare(a: &Results, b: &Results, conditions: &[FailIf]) -> Result<Comparison, CompareError> {
    let (from, to) = (Subject::new(a)?, Subject::new(b)?);
    let judge = |condition: &FailIf| {
        let row = row(&from, &to, condition.operation(), condition.metric());
        condition.judge(&row).ok_or_else(|| CompareError::NotMeasured { that: condition.to_string() })
    };
    let conditions = conditions.iter().map(judge).collect::<Result<_, _>>()?;
    let shown = metric::shown(a, b);
    let rows = shown.into_iter().map(|(operation, metric)| row(&from, &to, operation, metric)).collect();
    Ok(Comparison { schema: SCHEMA, a: run(a), b: run(b), warnings: warnings(a, b), rows, conditions })
}

fn run(results: &Results) -> Run {
    Run {
        scenario: results.scenario.clone(),
        seed: results.seed,
        target: results.target.clone(),
        started_ms: results.started_ms,
        verdict: results.verdict,
    }
}

fn row(from: &Subject, to: &Subject, operation: &str, metric: Metric) -> Row {
    let (a, b) = (from.value(operation, metric), to.value(operation, metric));
    let delta = a.zip(b).map(|(a, b)| b - a);
    let interval = delta.and_then(|delta| noise::interval(from, to, operation, metric, delta));
    let change = match interval {
        None => Change::Unknown,
        Some(it) if it.low > 0.0 => Change::Higher,
        Some(it) if it.high < 0.0 => Change::Lower,
        Some(_) => Change::Noise,
    };
    let delta_percent = delta.zip(a).filter(|(_, a)| *a != 0.0).map(|(delta, a)| 100.0 * delta / a);
    Row { operation: operation.to_owned(), metric, a, b, delta, delta_percent, interval, change }
}

fn warnings(a: &Results, b: &Results) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut differ = |what: &str, a: &str, b: &str| {
        if a != b {
            warnings.push(format!("The runs have different {what}: {a} and {b}."));
        }
    };
    differ("scenarios", &a.scenario, &b.scenario);
    differ("seeds", &a.seed.to_string(), &b.seed.to_string());
    differ("models", &a.model, &b.model);
    for (name, run) in [("A", a), ("B", b)] {
        match run.verdict {
            Verdict::Pass | Verdict::Threshold => {}
            Verdict::Wrong => warnings.push(format!("Run {name} broke a rule: its figures do not matter.")),
            Verdict::Aborted => warnings.push(format!("Run {name} was ended before its time.")),
        }
        if run.generator.is_limit {
            warnings.push(format!("Run {name} was limited by its generator."));
        }
    }
    warnings
}
