//! Results as a file, and back.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;

use super::ReportError;
use crate::results::{Results, SCHEMA};

/// Writes results as JSON that people can read too. [`read_json`] gives back the same.
///
/// # Errors
/// [`ReportError::WriteJson`] or [`ReportError::Write`].
pub fn write_json(results: &Results, out: &mut dyn Write) -> Result<(), ReportError> {
    let mut text = serde_json::to_string_pretty(results).map_err(ReportError::WriteJson)?;
    text.push('\n');
    out.write_all(text.as_bytes()).map_err(|source| ReportError::Write { what: "results as JSON", source })
}

/// Reads results that [`write_json`] wrote.
///
/// # Errors
/// [`ReportError::Read`], [`ReportError::NotResults`], and [`ReportError::OtherSchema`] for those of another version of
/// this program, whatever else is in them.
pub fn read_json(path: &Path) -> Result<Results, ReportError> {
    let text =
        fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
    let not_results = |source| ReportError::NotResults { path: path.to_owned(), source };
    // Looked at by itself first: another form would fail at some field, and that says nothing to anybody.
    let form: Form = serde_json::from_str(&text).map_err(not_results)?;
    if form.schema != u64::from(SCHEMA) {
        return Err(ReportError::OtherSchema { path: path.to_owned(), found: form.schema });
    }
    serde_json::from_str(&text).map_err(not_results)
}

#[derive(Deserialize)]
struct Form {
    schema: u64,
}
