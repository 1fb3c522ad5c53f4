//! Shows a run while it goes: a screen on a terminal, a line a second elsewhere, nothing for those who want quiet.

mod draw;
mod keys;
mod line;
mod lines;
mod screen;
mod words;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};

use crate::results::{FaultMark, Quantiles, Requests, Second};
use lines::Lines;
use screen::Screen;

/// Seconds that a screen can show at most; a [`Snapshot`] needs no more.
pub(crate) const SECONDS_MAX: usize = 120;

/// A run at one moment. Plain data: whoever shows it asks nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// The name of the scenario.
    pub(crate) scenario: String,
    /// Who is asked.
    pub(crate) target: String,
    pub(crate) phase: Phase,
    /// Seconds since T0.
    pub(crate) elapsed_s: u64,
    /// Seconds from T0 to the end of the last stage.
    pub(crate) planned_s: u64,
    /// Seconds that are over, in order; the last [`SECONDS_MAX`] are enough.
    pub(crate) seconds: Vec<Second>,
    /// So far.
    pub(crate) requests: Requests,
    /// Of all answers so far, from when they were due.
    pub(crate) felt: Quantiles,
    /// Answers so far by status; `none` is no answer.
    pub(crate) statuses: BTreeMap<String, u64>,
    /// Refusals and errors so far by the code in the answer's body.
    pub(crate) codes: BTreeMap<String, u64>,
    /// Nothing if the target has no stock that is known.
    pub(crate) stock: Option<Stock>,
    /// So far, in order.
    pub(crate) faults: Vec<FaultMark>,
    /// So far. New ones come at the end.
    pub(crate) warnings: Vec<String>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// The sale is put up and connections are opened.
    #[default]
    Preparing,
    /// Everything is ready.
    Waiting,
    /// Requests are sent.
    Running,
    /// Nothing new is sent; answers are waited for.
    Draining,
    /// What was told is held against the rules.
    Auditing,
    /// It is over.
    Done,
}

impl Phase {
    /// As it is shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Waiting => "waiting for T0",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Auditing => "auditing",
            Self::Done => "done",
        }
    }
}

/// Units of all SKUs together, as buyers were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stock {
    /// That were put on the shelf.
    pub(crate) units: u64,
    /// Confirmed.
    pub(crate) sold: u64,
    /// Promised, and neither confirmed nor let go.
    pub(crate) held: u64,
}

impl Stock {
    /// Neither sold nor held.
    pub(crate) const fn left(&self) -> u64 {
        self.units.saturating_sub(self.sold).saturating_sub(self.held)
    }
}

/// How a run is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// All of standard error, until it is over.
    Screen,
    /// A line a second on standard error.
    Lines,
    /// Nothing.
    Quiet,
}

impl Face {
    /// A screen if standard error is a terminal that can show one, otherwise lines.
    pub(crate) fn of_standard_error() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|it| it.is_empty() || it == "dumb");
        if stderr().is_terminal() && !is_dumb { Self::Screen } else { Self::Lines }
    }
}

/// Shows a run. While a screen is up, nobody else may write to the terminal: what is to be said goes through
/// [`View::say`].
///
/// A screen leaves the terminal as it was when it is finished, dropped, or when any thread panics. Ctrl-C is a key there,
/// and no signal, if standard input is the terminal too; in every other case it is the signal that it always is, and
/// whoever runs the run has to take it.
pub(crate) enum View {
    /// On a terminal.
    Screen(Box<Screen>),
    /// Elsewhere.
    Lines(Lines),
    /// Nowhere.
    Quiet,
}

impl View {
    /// A view with this face. Lines, if the terminal refuses to be a screen.
    pub(crate) fn new(face: Face) -> Self {
        match face {
            Face::Quiet => Self::Quiet,
            Face::Lines => Self::lines_to(Box::new(stderr())),
            Face::Screen => match Screen::open() {
                Ok(screen) => Self::Screen(Box::new(screen)),
                Err(_) => Self::lines_to(Box::new(stderr())),
            },
        }
    }

    /// Lines to somewhere else.
    pub(crate) fn lines_to(writer: Box<dyn Write + Send>) -> Self {
        Self::Lines(Lines::new(writer))
    }

    /// Shows how it goes. A screen is drawn each time, a few times a second is enough; lines come once for each second.
    pub(crate) fn show(&mut self, now: &Snapshot) {
        match self {
            Self::Screen(screen) => screen.show(now),
            Self::Lines(lines) => lines.show(now),
            Self::Quiet => {}
        }
    }

    /// Says something that happens once. On a screen it is seen with the next [`View::show`], and again when it is over.
    pub(crate) fn say(&mut self, what: &str) {
        let what = words::one_line(what);
        match self {
            Self::Screen(screen) => screen.say(what),
            Self::Lines(lines) => lines.say(&what),
            Self::Quiet => {}
        }
    }

    /// Whether somebody has asked for the end with a key. Once it is so, it stays so.
    pub(crate) fn wants_stop(&mut self) -> bool {
        match self {
            Self::Screen(screen) => screen.wants_stop(),
            Self::Lines(_) | Self::Quiet => false,
        }
    }

    /// Gives the terminal back, and repeats there what was said meanwhile. Nothing is shown after it.
    pub(crate) fn finish(&mut self) {
        if let Self::Screen(screen) = self {
            screen.leave();
        }
    }
}

#[cfg(test)]
mod tests;
