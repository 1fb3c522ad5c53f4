//! What commands print: data on stdout in the form that was asked for, talk on stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::ContentArrangement;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};

/// The form of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Tables, for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
    /// Comma-separated values with a header line.
    Csv,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) title: Option<String>,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<C: AsRef<str>>(columns: &[C]) -> Self {
        let columns = columns.iter().map(|it| it.as_ref().to_owned()).collect();
        Self { title: None, columns, rows: Vec::new() }
    }

    pub(crate) fn titled(title: impl Into<String>, columns: &[&str]) -> Self {
        Self { title: Some(title.into()), ..Self::new(columns) }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

/// The answer of a command.
pub(crate) trait Answer: Serialize {
    /// What makes up the rows of the CSV form.
    fn main_table(&self) -> Table;

    /// What people see besides, above it.
    fn lead_tables(&self) -> Vec<Table> {
        Vec::new()
    }
}

/// Where a command prints to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    /// Without talk that is not about a failure.
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints the answer of a command.
    pub(crate) fn answer<A: Answer>(self, answer: &A) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => {
                let tables: Vec<_> = answer.lead_tables().into_iter().chain([answer.main_table()]).collect();
                tables.iter().map(table_text).collect::<Vec<_>>().join("\n\n")
            }
            Format::Json => serde_json::to_string_pretty(answer).map_err(|error| not_json(&error))?,
            Format::Ndjson => ndjson(serde_json::to_value(answer).map_err(|error| not_json(&error))?),
            Format::Csv => csv_text(&answer.main_table())?,
        };
        data(text.trim_end_matches('\n'))
    }

    /// Says something to people.
    pub(crate) fn say(self, text: &str) {
        if !self.quiet {
            talk(text);
        }
    }

    /// Says why the command failed, as text or as a problem object, whichever form was asked for.
    pub(crate) fn failure(self, failure: &Failure) {
        match self.format {
            Format::Json | Format::Ndjson => talk(&problem(failure).to_string()),
            Format::Table | Format::Csv => {
                talk(&format!("holdfast: {}", failure.detail));
                if let Some(advice) = &failure.advice {
                    talk(&format!("advice: {advice}"));
                }
            }
        }
    }
}

/// A failure as the API would say it.
pub(crate) fn problem(failure: &Failure) -> Value {
    let mut problem = json!({
        "type": format!("/problems/{}", failure.code.to_lowercase().replace('_', "-")),
        "title": failure.code.to_lowercase().replace('_', " "),
        "code": failure.code,
        "detail": failure.detail,
    });
    if let Some(status) = failure.status {
        problem["status"] = json!(status);
    }
    if let Some(advice) = &failure.advice {
        problem["advice"] = json!(advice);
    }
    problem
}

/// A name as the API writes codes.
pub(crate) fn upper_snake(camel: &str) -> String {
    let mut text = String::with_capacity(camel.len() + 8);
    for it in camel.chars() {
        if it.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(it.to_uppercase());
    }
    text
}

/// Writes a line of data. A reader that has gone is no failure: it had enough.
pub(crate) fn data(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::of("STDOUT", "writing to stdout", &error))
        }
        _ => Ok(()),
    }
}

/// Writes a line for people. If nobody listens, nothing is lost.
pub(crate) fn talk(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Asks whoever sits there. Nobody there is a no.
pub(crate) fn confirm(question: &str, warning: &str) -> Result<(), Failure> {
    let refused =
        |detail: &str| Failure::usage(detail).advise(format!("{warning}; give --yes if that is meant"));
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() {
        return Err(refused("this needs --yes when nobody can be asked"));
    }
    let mut answer = String::new();
    let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    asked
        .and_then(|()| stdin.read_line(&mut answer))
        .map_err(|error| Failure::of("STDIN", "asking", &error))?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(refused("nothing was done"))
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::of("OUTPUT", "writing the answer as JSON", error)
}

fn ndjson(value: Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn table_text(table: &Table) -> String {
    let mut drawn = comfy_table::Table::new();
    if let Some(width) = terminal_width() {
        drawn.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    drawn.load_style(UTF8_BORDERS_ONLY).set_header(table.columns.clone());
    for row in &table.rows {
        drawn.add_row(row.clone());
    }
    match &table.title {
        Some(title) => format!("{title}\n{drawn}"),
        None => drawn.to_string(),
    }
}

/// Columns of the terminal, if stdout is one.
fn terminal_width() -> Option<u16> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col).filter(|width| *width > 0)
}

fn csv_text(table: &Table) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer
        .write_record(&table.columns)
        .and_then(|()| table.rows.iter().try_for_each(|row| writer.write_record(row)));
    written.map_err(|error| Failure::of("OUTPUT", "writing the answer as CSV", &error))?;
    let bytes = writer.into_inner().map_err(|error| {
        Failure::new(Exit::Failed, "OUTPUT", format!("writing the answer as CSV: {error}"))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_needs_it() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["1,2".to_owned(), "x\"y".to_owned()]);
        assert_eq!(csv_text(&table).unwrap(), "a,b\n\"1,2\",\"x\"\"y\"\n");
    }

    #[test]
    fn a_list_becomes_a_line_per_item() {
        assert_eq!(ndjson(json!([{"a": 1}, {"a": 2}])), "{\"a\":1}\n{\"a\":2}");
        assert_eq!(ndjson(json!({"a": 1})), "{\"a\":1}");
    }
}
