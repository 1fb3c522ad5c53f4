//! Tells on standard error how the sale is going: a bar on a terminal, a line per second elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(1);

/// Something that is said when there is no bar.
pub(super) fn say(what: &str) {
    // Nobody is there to hear that nobody can be told.
    drop(writeln!(stderr(), "demo: {what}"));
}

/// Where things stand.
pub(super) struct Standing {
    pub(super) sold: u64,
    pub(super) requests: u64,
    pub(super) buyers: usize,
}

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    units: u64,
    last: Instant,
}

impl Progress {
    pub(super) fn new(units: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(units);
            let form = "{elapsed:>4} [{bar:40}] {pos}/{len} sold, {msg}";
            if let Ok(style) = ProgressStyle::with_template(form) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { bar, units, last: Instant::now() }
    }

    /// Something that happens once.
    pub(super) fn say(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("demo: {what}")),
            None => say(what),
        }
    }

    /// How it goes; may be called as often as one likes.
    pub(super) fn show(&mut self, now: &Standing) {
        let rest = format!("{} buyers in the house, {} requests", now.buyers, now.requests);
        if let Some(bar) = &self.bar {
            bar.set_position(now.sold);
            bar.set_message(rest);
        } else if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            self.say(&format!("{}/{} sold, {rest}", now.sold, self.units));
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
