//! Groups of benches: what a group is, and how its rows are measured one bench after the other.
//!
//! Each bench runs in a process of its own. So what one leaves in memory does not count for the next, and one that fails,
//! hangs or is killed costs its own rows and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use holdfast_benches::pipeline::Result;

use crate::processes;
use crate::row::Row;

/// Benches that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    /// What it is asked for by.
    pub(crate) name: &'static str,
    /// In the order in which they run.
    pub(crate) benches: &'static [Bench],
}

/// A measurement that gives some rows.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Its name.
    pub(crate) name: &'static str,
    /// The rows it gives.
    pub(crate) rows: &'static [&'static str],
    /// When it takes longer than this it has failed.
    pub(crate) seconds_max: u64,
    /// Does it.
    pub(crate) measure: fn(&Setup) -> Result<Vec<Row>>,
}

/// What a bench is given.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Small sizes: to see that everything works, not to learn anything.
    pub(crate) quick: bool,
    /// How often each thing is measured, if somebody said so.
    pub(crate) runs: Option<u64>,
    /// An empty directory of its own, on a real disk.
    pub(crate) directory: PathBuf,
}

impl Setup {
    /// One size, or the smaller one.
    pub(crate) const fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// How often each thing is measured: as somebody said, else so often, or once when sizes are small.
    pub(crate) fn runs(&self, full: u64) -> u64 {
        self.runs.unwrap_or(self.size(full, 1)).max(1)
    }
}

/// How a process that measures says that it took too long.
const TOO_LONG: u8 = 4;

impl Group {
    /// The benches that give a row that begins so, or all.
    pub(crate) fn select(&self, only: Option<&str>) -> Vec<&'static Bench> {
        let wanted =
            |bench: &&Bench| bench.rows.iter().any(|row| only.is_none_or(|only| row.starts_with(only)));
        self.benches.iter().filter(wanted).collect()
    }

    /// The bench of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Bench> {
        self.benches.iter().find(|bench| bench.name == name)
    }
}

impl Bench {
    /// Measures in a process of its own. Every row comes back, measured or not.
    pub(crate) fn run_apart(&self, group: &str, setup: &Setup) -> Vec<Row> {
        let mut rows = match self.spawn(group, setup) {
            Ok(rows) => rows,
            Err(error) => return self.failed(&error.to_string()),
        };
        for row in self.rows {
            if !rows.iter().any(|found| found.row == *row) {
                rows.push(Row::failed(row, "the bench did not give it".to_owned()));
            }
        }
        rows
    }

    fn spawn(&self, group: &str, setup: &Setup) -> Result<Vec<Row>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--measure", group, self.name, "--dir"]).arg(&setup.directory);
        if setup.quick {
            command.arg("--quick");
        }
        command.args(setup.runs.iter().flat_map(|runs| ["--runs".to_owned(), runs.to_string()]));
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if output.status.code() == Some(i32::from(TOO_LONG)) {
            return Err(format!("it took longer than {} s", self.seconds_max).into());
        }
        if !output.status.success() {
            return Err(format!("its process ended with {}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Measures in this process, which is there for nothing else, and prints the rows for the one that asked.
    pub(crate) fn run_here(&self, setup: &Setup) -> ExitCode {
        processes::stop_all_after(Duration::from_secs(self.seconds_max), TOO_LONG);
        let measured = catch_unwind(AssertUnwindSafe(|| (self.measure)(setup)));
        let rows = match measured {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_) => self.failed("it panicked; see above"),
        };
        match crate::print_rows(&rows) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }

    fn failed(&self, why: &str) -> Vec<Row> {
        self.rows.iter().map(|row| Row::failed(row, why.to_owned())).collect()
    }
}
