//! Figures that results do not hold but that follow from them. Everybody who tells such a figure takes it from here.

use std::collections::BTreeMap;

use crate::results::{FaultMark, Results, Second};

/// The share of requests of which something came that failed: the client stopped waiting, for a connection or for the answer;
/// the connection broke; or the server answered that it was at fault (5xx). Refusals are not errors: most buyers of a sale are
/// refused. Requests that were dropped are not counted here.
#[must_use]
pub fn error_rate(results: &Results) -> f64 {
    let requests = &results.requests;
    let unanswered = requests.timed_out + requests.broken;
    share(unanswered + server_errors(&results.statuses), unanswered + requests.answered)
}

/// Requests of a second that failed, in the sense of [`error_rate`].
pub(crate) fn errors_in(second: &Second) -> u64 {
    second.failed + server_errors(&second.statuses)
}

fn server_errors(statuses: &BTreeMap<String, u64>) -> u64 {
    statuses.iter().filter(|(status, _)| status.starts_with('5')).map(|(_, answers)| answers).sum()
}

/// A part of a whole; of nothing there is no part.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What was done to the server from a second on.
pub(crate) fn begun_in(faults: &[FaultMark], second: u64) -> Vec<&str> {
    let from = second as f64;
    let range = from..from + 1.0;
    faults.iter().filter(|fault| range.contains(&fault.at_s)).map(|fault| fault.what.as_str()).collect()
}
