//! What can be typed after `loadtest`.

mod run;
mod scenarios;
mod worker;

pub use run::RunArgs;
pub use scenarios::ScenariosArgs;
pub use worker::WorkerArgs;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::compare::{CompareArgs, CompareError, Comparison, Outcome};
use crate::peers::{self, PeersArgs, PeersError, PeersReport};
use crate::results::{Results, Verdict};
use crate::run::RunError;

/// The load test's own commands.
///
/// Exit codes: 0 passed, 3 a rule is broken, 99 a threshold is not met, 104 what was asked for cannot be run, 105 ended before
/// its time, 69 nobody answers, 1 anything else.
#[derive(Debug, Subcommand)]
pub enum Loadtest {
    /// Play a scenario against a server, and judge it by what its buyers were told
    Run(Box<RunArgs>),
    /// List the scenarios that come with the program, or print one
    Scenarios(ScenariosArgs),
    /// Send requests for runs of other processes
    Worker(WorkerArgs),
    /// Hold two runs against each other
    Compare(CompareArgs),
    /// Hold Holdfast against PostgreSQL and Redis at the same work, on this machine
    Peers(PeersArgs),
}

/// What the caller knows.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The `holdfast` executable.
    pub executable: PathBuf,
    /// Who is asked if nobody else was named, as `http://host:port`.
    pub server: String,
    /// The data directory with the development keys of that server.
    pub keys: PathBuf,
    /// Partitions of that server. A reservation for several SKUs takes SKUs of one partition.
    pub partitions: u32,
    /// Nothing is to be said on the way.
    pub is_quiet: bool,
    /// How data are wanted.
    pub form: Form,
}

/// The form of data on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header line.
    Csv,
}

impl Form {
    /// JSON if the command was told so itself.
    const fn or_json(self, is_json: bool) -> Self {
        if is_json { Self::Json } else { self }
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Done,
    /// Rules are broken: which, and how often.
    Wrong(String),
    /// Thresholds are not met: which.
    Threshold(String),
    /// It was ended before its time.
    Aborted,
}

impl Ending {
    /// The code that the process exits with.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Wrong(_) => 3,
            Self::Threshold(_) => 99,
            Self::Aborted => 105,
        }
    }

    /// How a run ended.
    fn of(results: &Results) -> Self {
        match results.verdict {
            Verdict::Pass => Self::Done,
            Verdict::Aborted => Self::Aborted,
            Verdict::Wrong => {
                let broken = results.checks.iter().filter(|it| it.faults > 0);
                let broken: Vec<String> =
                    broken.map(|it| format!("{} is broken {} times", it.name, it.faults)).collect();
                Self::Wrong(broken.join(", "))
            }
            Verdict::Threshold => {
                let missed = results.thresholds.iter().filter(|it| !it.is_met);
                let missed: Vec<&str> = missed.map(|it| it.that.as_str()).collect();
                Self::Threshold(format!("not met: {}", missed.join(", ")))
            }
        }
    }
}

/// Why a command came to no end.
#[derive(Debug, thiserror::Error)]
pub enum LoadtestError {
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Two runs cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// Nobody was compared with anybody.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// What was typed cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{what}")]
    File {
        /// What was tried, and on which file.
        what: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] Box<dyn Error + Send + Sync>),
}

impl LoadtestError {
    /// The code of what cannot be run.
    pub const CANNOT_RUN: u8 = 104;
    /// The code of what was ended before its time.
    pub const ENDED_EARLY: u8 = 105;
    /// The code of a server that does not answer.
    pub const UNAVAILABLE: u8 = 69;

    /// The code that the process exits with.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Compare(_) | Self::Peers(PeersError::Config(_)) => Self::CANNOT_RUN,
            Self::Run(error) if error.is_about_what_was_asked() => Self::CANNOT_RUN,
            Self::Run(RunError::Interrupted) => Self::ENDED_EARLY,
            Self::Run(error) if error.is_silence() => Self::UNAVAILABLE,
            Self::Run(_) | Self::Peers(_) | Self::File { .. } | Self::Other(_) => 1,
        }
    }
}

impl Loadtest {
    /// Does it. Data go to `out`, talk to standard error.
    ///
    /// # Errors
    /// [`LoadtestError`] when there is no result; a bad result is an [`Ending`].
    pub fn execute(&self, around: &Surroundings, out: &mut dyn Write) -> Result<Ending, LoadtestError> {
        match self {
            Self::Run(args) => args.execute(around, out),
            Self::Scenarios(args) => args.execute(around, out),
            Self::Peers(args) => {
                let report = peers::run(&args.clone().config(around.executable.clone()))?;
                let text = match around.form.or_json(args.json) {
                    Form::Text => report.table(),
                    Form::Json => json(&report)?,
                    Form::Csv => csv(&PeersReport::CSV_HEAD, report.csv_rows())?,
                };
                say(out, &text)?;
                if report.is_right() {
                    return Ok(Ending::Done);
                }
                Ok(Ending::Wrong("not everybody did the work rightly".to_owned()))
            }
            Self::Worker(args) => args.execute(around, out),
            Self::Compare(args) => {
                let comparison = args.compare()?;
                let text = match around.form.or_json(args.json) {
                    Form::Text => comparison.table(),
                    Form::Json => json(&comparison)?,
                    Form::Csv => csv(&Comparison::CSV_HEAD, comparison.csv_rows())?,
                };
                say(out, &text)?;
                match comparison.outcome() {
                    Outcome::Fine => Ok(Ending::Done),
                    Outcome::Wrong => Ok(Ending::Wrong("the second run broke a rule".to_owned())),
                    Outcome::TooMuch => Ok(Ending::Threshold("a change is too much".to_owned())),
                }
            }
        }
    }
}

const STDOUT: &str = "writing to standard output";

fn json(what: &impl Serialize) -> Result<String, LoadtestError> {
    serde_json::to_string(what).map_err(|error| LoadtestError::Other(error.into()))
}

fn csv<const COLUMNS: usize>(
    head: &[&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Result<String, LoadtestError> {
    let other = |error: Box<dyn Error + Send + Sync>| LoadtestError::Other(error);
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(head).map_err(|error| other(error.into()))?;
    for row in rows {
        writer.write_record(&row).map_err(|error| other(error.into()))?;
    }
    let bytes = writer.into_inner().map_err(|error| other(error.to_string().into()))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Writes something to standard output, or says why that does not go.
fn say(out: &mut dyn Write, text: &str) -> Result<(), LoadtestError> {
    let source = match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => return Ok(()),
        Err(source) => source,
    };
    Err(LoadtestError::File { what: STDOUT.to_owned(), source })
}
