//! What is seen of a run while it goes, and what is written down of it as it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::config::{Progress, RunConfig};
use super::files::Files;
use super::process::Process;
use super::tally::Tally;
use super::target::Target;
use super::{LOOK_EVERY, RunError};
use crate::books::{Moment, Stopwatch};
use crate::drive::Interval;
use crate::generator::{SelfWatch, cores};
use crate::live::{Face, Phase, SECONDS_MAX, Snapshot, Stock, View};
use crate::report::hdr::quantiles;
use crate::results::{FaultMark, Generator, Results};
use crate::scenario::Scenario;

/// A screen is drawn so often.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Shows a run, and watches the generator.
pub(super) struct Stage {
    view: View,
    files: Option<Files>,
    snapshot: Snapshot,
    watch: SelfWatch,
    units: u64,
    drawn: Option<Moment>,
    stop: Arc<AtomicBool>,
}

impl Stage {
    pub(super) fn new(config: &RunConfig, scenario: &Scenario, target: &Target) -> Result<Self, RunError> {
        let face = match config.progress {
            Progress::Screen => Face::of_standard_error(),
            Progress::Lines => Face::Lines,
            Progress::Quiet => Face::Quiet,
        };
        let length: Duration = scenario.stages.get_ref().iter().map(|it| it.duration()).sum();
        let units = *scenario.sale.units.get_ref() * u64::from(*scenario.sale.skus.get_ref());
        let snapshot = Snapshot {
            scenario: config.name(),
            target: target.base.clone(),
            planned_s: length.as_secs(),
            ..Snapshot::default()
        };
        let mut view = View::new(face);
        view.show(&snapshot);
        Ok(Self {
            view,
            files: config.out.as_deref().map(Files::new).transpose()?,
            snapshot,
            watch: SelfWatch::begin(),
            units,
            drawn: None,
            stop: config.stop.clone(),
        })
    }

    /// Something else begins.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.snapshot.phase = phase;
        self.view.show(&self.snapshot);
        // Nobody looks at keys any more: Ctrl-C is to be the signal again that it is without a screen.
        if matches!(phase, Phase::Auditing | Phase::Done) {
            self.view.finish();
        }
    }

    /// Says something that happens once.
    pub(super) fn say(&mut self, what: &str) {
        self.view.say(what);
    }

    /// T0 is known.
    pub(super) fn begin(&mut self, started: SystemTime) -> Result<(), RunError> {
        self.watch = SelfWatch::begin();
        if let Some(files) = &mut self.files {
            files.begin(&self.snapshot.scenario, started)?;
        }
        Ok(())
    }

    /// A second is over.
    pub(super) fn second(&mut self, tally: &mut Tally, interval: &Interval) -> Result<(), RunError> {
        let own = self.watch.step();
        let cpu = interval.cpu_percent.unwrap_or(own);
        if let Some(second) = tally.seconds.last_mut() {
            second.cpu_percent = cpu;
        }
        match &mut self.files {
            Some(files) => files.second(interval),
            None => Ok(()),
        }
    }

    /// Writes what is to be written.
    pub(super) fn finish(mut self, results: Result<Results, RunError>) -> Result<Results, RunError> {
        if let (Ok(results), Some(files)) = (&results, self.files.take()) {
            files.finish(results)?;
        }
        self.enter(Phase::Done);
        results
    }

    /// Shows how things stand, not too often.
    pub(super) fn show(&mut self, tally: &Tally, watch: Stopwatch) {
        let now = watch.now();
        if self.drawn.is_some_and(|drawn| now.since(drawn) < DRAW_EVERY - LOOK_EVERY) {
            return;
        }
        self.drawn = Some(now);
        let elapsed_s = now.since(Moment(0)).as_secs();
        let planned_s = self.snapshot.planned_s;
        let (granted, sold) = tally.seconds.iter().fold((0, 0), |(granted, sold), second| {
            (granted + second.granted_units, sold + second.confirmed_units)
        });
        let snapshot = &mut self.snapshot;
        snapshot.phase = match elapsed_s {
            _ if now == Moment(0) => Phase::Waiting,
            _ if elapsed_s < planned_s => Phase::Running,
            _ => Phase::Draining,
        };
        snapshot.elapsed_s = elapsed_s;
        snapshot.seconds = tally.seconds[tally.seconds.len().saturating_sub(SECONDS_MAX)..].to_vec();
        snapshot.requests = tally.requests();
        snapshot.felt = quantiles(&tally.all_latencies().intended);
        snapshot.statuses = tally.statuses();
        snapshot.codes = tally.codes.clone();
        snapshot.stock = Some(Stock { units: self.units, sold, held: granted.saturating_sub(sold) });
        self.view.show(snapshot);
    }

    /// Shows at once what has been done and undone.
    pub(super) fn faults(&mut self, marks: Vec<FaultMark>) {
        if marks == self.snapshot.faults {
            return;
        }
        let before = std::mem::replace(&mut self.snapshot.faults, marks);
        self.view.show(&self.snapshot);
        for (number, mark) in self.snapshot.faults.iter().enumerate() {
            let was_over = before.get(number).is_some_and(|it| it.until_s.is_some());
            if let Some(until_s) = mark.until_s.filter(|_| !was_over) {
                self.view.say(&format!("{until_s:>4.1} s  over: {}", mark.what));
            }
        }
    }

    /// Whether somebody wants it to end.
    pub(super) fn wants_stop(&mut self) -> bool {
        self.view.wants_stop() || self.stop.load(Ordering::Relaxed)
    }

    /// How the generator did, and whether the figures are its own.
    pub(super) fn generator(
        &self,
        scenario: &Scenario,
        tally: &Tally,
        threads: usize,
        connections: u32,
    ) -> Generator {
        let process = Process {
            model: scenario.model,
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            cores: cores(),
            connections,
            cpu_percent: self.watch.average(),
            sockets_max: self.watch.sockets_max(),
        };
        process.figures(tally)
    }

    /// Says why the figures are to be read with care, if there is a reason.
    pub(super) fn warn(&mut self, generator: &Generator) {
        for warning in &generator.warnings {
            self.view.say(warning);
        }
    }
}
