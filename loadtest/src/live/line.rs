//! One second of a run as one line.

use std::fmt::Write;

use super::words::{grouped, ms};
use super::{Snapshot, Stock};
use crate::results::Second;

/// The line of a second. Requests that failed or were dropped are told of only where there are any.
pub(super) fn of_second(second: &Second) -> String {
    let mut line = format!(
        "{:>4} s  sent {}/s  answered {}/s  in flight {}",
        second.second + 1,
        grouped(second.sent),
        grouped(second.answered),
        grouped(second.in_flight)
    );
    for (name, number) in [("failed", second.failed), ("dropped", second.dropped)] {
        if number > 0 {
            push(&mut line, format_args!("  {name} {}", grouped(number)));
        }
    }
    let felt = &second.felt;
    if felt.count > 0 {
        let (p50, p99, p999) = (ms(felt.p50), ms(felt.p99), ms(felt.p999));
        push(&mut line, format_args!("  p50 {p50} ms  p99 {p99} ms  p99.9 {p999} ms"));
    }
    for (status, number) in &second.statuses {
        push(&mut line, format_args!("  {status} {}", grouped(*number)));
    }
    line
}

/// What is sold so far.
pub(super) fn of_stock(stock: &Stock) -> String {
    format!("sold {} of {}", grouped(stock.sold), grouped(stock.units))
}

/// The line of a phase that begins.
pub(super) fn of_phase(now: &Snapshot) -> String {
    format!("{}: {}", now.scenario, now.phase.name())
}

fn push(line: &mut String, what: std::fmt::Arguments<'_>) {
    line.write_fmt(what).expect("a string takes everything");
}
