//! A whole sale against a server of its own: this very executable, killed in the middle.

use std::path::PathBuf;

use holdfast_loadtest::demo::{self, DemoConfig, DemoError};

use crate::failure::{Exit, Failure, causes};
use crate::output::{Format, Output};

/// Holds the sale and prints the verdict.
///
/// # Errors
/// If there is no verdict, or it is not exact.
pub(crate) fn run(config: &DemoConfig, json: bool, output: Output) -> Result<(), Failure> {
    let report = demo::run(config).map_err(|error| refused(&error))?;
    let json = json || matches!(output.format, Format::Json | Format::Ndjson);
    demo::show(&report, json, &mut std::io::stdout().lock())
        .map_err(|error| Failure::of("STDOUT", "writing the verdict", &error))?;
    if report.is_exact() {
        return Ok(());
    }
    Err(Failure::new(Exit::Findings, "NOT_EXACT", "the sale was not exact")
        .advise("keep the data directory and report a bug"))
}

/// The executable that is running.
pub(crate) fn this_executable() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::of("EXECUTABLE", "finding this executable", &error))
}

fn refused(error: &DemoError) -> Failure {
    let said = causes(error);
    match error {
        DemoError::Config(_) | DemoError::NotEmpty(_) => Failure::usage(said),
        DemoError::Interrupted => Failure::new(Exit::Interrupted, "INTERRUPTED", said),
        _ => Failure::new(Exit::Failed, "NO_VERDICT", said),
    }
}
