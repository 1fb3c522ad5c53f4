//! The seconds of a run as a table for other programs.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::ReportError;
use super::figures::begun_in;
use crate::results::{Quantiles, Results, Second};

const COLUMNS: [&str; 22] = [
    "second",
    "due",
    "sent",
    "answered",
    "failed",
    "dropped",
    "in_flight",
    "felt_mean_ms",
    "felt_p50_ms",
    "felt_p90_ms",
    "felt_p99_ms",
    "felt_p999_ms",
    "felt_max_ms",
    "took_mean_ms",
    "took_p50_ms",
    "took_p90_ms",
    "took_p99_ms",
    "took_p999_ms",
    "took_max_ms",
    "granted_units",
    "confirmed_units",
    "lag_p99_ms",
];

/// Writes one line for each second, under a line of names. Behind the fixed columns stand the generator's processor time,
/// the faults that began in that second, and one column for each status that was seen in the run.
///
/// A second without answers has empty cells for its latencies: nothing was measured, which is not the same as 0.
///
/// # Errors
/// [`ReportError::Write`].
pub fn csv(results: &Results, out: &mut dyn Write) -> Result<(), ReportError> {
    let mut writer = ::csv::Writer::from_writer(out);
    write_all(results, &mut writer).map_err(|source| ReportError::Write { what: "seconds as CSV", source })
}

fn write_all<W: Write>(results: &Results, writer: &mut ::csv::Writer<W>) -> io::Result<()> {
    let statuses: BTreeSet<&str> =
        results.seconds.iter().flat_map(|it| it.statuses.keys()).map(String::as_str).collect();
    let mut head: Vec<String> = COLUMNS.iter().map(ToString::to_string).collect();
    head.extend(["cpu_percent".to_owned(), "faults".to_owned()]);
    head.extend(statuses.iter().map(|status| format!("status_{status}")));
    writer.write_record(&head).map_err(io::Error::from)?;
    for second in &results.seconds {
        let mut line = fixed(second);
        line.push(second.cpu_percent.to_string());
        line.push(begun_in(&results.faults, second.second).join("; "));
        line.extend(statuses.iter().map(|it| second.statuses.get(*it).copied().unwrap_or(0).to_string()));
        writer.write_record(&line).map_err(io::Error::from)?;
    }
    writer.flush()
}

/// The cells under [`COLUMNS`].
fn fixed(second: &Second) -> Vec<String> {
    let counts = [
        second.second,
        second.due,
        second.sent,
        second.answered,
        second.failed,
        second.dropped,
        second.in_flight,
    ];
    let mut line: Vec<String> = counts.iter().map(ToString::to_string).collect();
    line.extend(latencies(&second.felt));
    line.extend(latencies(&second.took));
    line.extend([second.granted_units.to_string(), second.confirmed_units.to_string()]);
    line.push(second.lag_p99.to_string());
    line
}

fn latencies(it: &Quantiles) -> [String; 6] {
    [it.mean, it.p50, it.p90, it.p99, it.p999, it.max]
        .map(|ms| if it.count == 0 { String::new() } else { ms.to_string() })
}
