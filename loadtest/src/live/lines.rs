//! The view of those who have no terminal: lines, each of which stands for itself.

use std::io::Write;

use super::words::one_line;
use super::{Phase, Snapshot, line};
use crate::results::FaultMark;

/// Writes a line for each second, each phase, each fault and each warning.
pub(crate) struct Lines {
    writer: Box<dyn Write + Send>,
    phase: Option<Phase>,
    /// The second that comes next.
    next: u64,
    faults: usize,
    warnings: usize,
}

impl Lines {
    pub(super) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, phase: None, next: 0, faults: 0, warnings: 0 }
    }

    /// Writes what is new since the last time.
    pub(super) fn show(&mut self, now: &Snapshot) {
        if self.phase != Some(now.phase) {
            self.phase = Some(now.phase);
            self.say(&line::of_phase(now));
        }
        // By their number: the text of one that goes on may change every second.
        for fault in now.faults.iter().skip(self.faults) {
            self.say(&of_fault(fault));
        }
        self.faults = self.faults.max(now.faults.len());
        for warning in now.warnings.iter().skip(self.warnings) {
            self.say(&format!("warning: {warning}"));
        }
        self.warnings = self.warnings.max(now.warnings.len());
        self.seconds(now);
    }

    fn seconds(&mut self, now: &Snapshot) {
        let Some(last) = now.seconds.last() else { return };
        for second in now.seconds.iter().filter(|second| second.second >= self.next) {
            let mut line = line::of_second(second);
            // What is sold is known for now only, not for seconds that are told of late.
            if let Some(stock) = now.stock.as_ref().filter(|_| second.second == last.second) {
                line.push_str("  ");
                line.push_str(&line::of_stock(stock));
            }
            drop(writeln!(self.writer, "{}", one_line(&line)));
        }
        self.next = self.next.max(last.second + 1);
    }

    pub(super) fn say(&mut self, what: &str) {
        // Nobody is there to hear that nobody can be told.
        drop(writeln!(self.writer, "{}", one_line(what)));
    }
}

fn of_fault(fault: &FaultMark) -> String {
    format!("{:>4.1} s  fault: {}", fault.at_s, fault.what)
}
