//! Runs: one case, one seed, many seeds on several threads.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::audit::Auditor;
use crate::case::Case;
use crate::compare::compare;
use crate::generate::{Generator, Lengths};
use crate::marks::Marks;
use crate::model::{Model, Settings};
use crate::record::Record;
use crate::subject::{Applied, Machine, apply_framed};
use crate::world::WorldMarks;

/// What a run has done.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Seeds or cases.
    pub runs: u64,
    /// Command records.
    pub records: u64,
    /// Decisions, malformed records counted as one each.
    pub decisions: u64,
    /// Events.
    pub events: u64,
    /// Situations met.
    pub marks: Marks,
    /// Worlds; they are not counted among the runs.
    pub worlds: u64,
    /// Things that happened in them.
    pub actions: u64,
    /// Situations met in them.
    pub world: WorldMarks,
}

/// What a seed puts on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The machine alone.
    Machine,
    /// The engine and everything around it.
    World,
}

/// A run that went wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The part of the seed that failed.
    pub part: Part,
    /// The seed, if it came from one.
    pub seed: Option<u64>,
    /// The options of the seed, or where the case came from.
    pub options: String,
    /// The record at which it was noticed.
    pub offset: u64,
    /// What was noticed.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seed) = self.seed {
            writeln!(f, "seed {seed}")?;
        }
        let step = if self.part == Part::World { "action" } else { "record" };
        write!(f, "{}\n{step} {}: {}", self.options, self.offset, self.what)
    }
}

impl Failure {
    /// What was noticed, without the numbers in it.
    #[must_use]
    pub fn kind(&self) -> String {
        self.what.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
    }
}

const INSPECT_AFTER: u64 = 509;

/// One machine on trial: the machine, the model, the auditor, in step.
#[derive(Debug)]
pub struct Trial<M> {
    model: Model,
    machine: M,
    auditor: Auditor,
    offset: u64,
    out: Vec<u8>,
    stats: Stats,
    /// Before this record the machine is thrown away and made again from its own checkpoint, and the model counts
    /// everything again. The distances grow with the state, so that this stays a part of the work and not all of it.
    inspect_at: u64,
}

/// Whether there is a next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    More,
    /// The partition has stopped, as it should.
    Stopped,
}

impl<M: Machine> Trial<M> {
    /// A trial from the first record on.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_model(Model::new(settings), settings)
    }

    /// The same with a model that was made elsewhere.
    #[must_use]
    pub(crate) fn with_model(model: Model, settings: Settings) -> Self {
        Self {
            model,
            machine: M::new(settings),
            auditor: Auditor::default(),
            offset: 0,
            out: Vec::new(),
            stats: Stats { runs: 1, ..Stats::default() },
            inspect_at: INSPECT_AFTER,
        }
    }

    /// The model as it stands.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Gives a record to everybody and compares.
    ///
    /// # Errors
    /// What is wrong.
    pub fn step(&mut self, record: &Record) -> Result<Next, String> {
        let offset = self.offset;
        self.offset += 1;
        let Record { append_time_ms, payload } = record;
        let expected = self.model.apply(offset, *append_time_ms, payload);
        let applied = apply_framed(&mut self.machine, offset, *append_time_ms, payload, &mut self.out);
        let expected = match (expected, applied) {
            (Err(_), Applied::Stopped) => return Ok(Next::Stopped),
            (Err(why), came) => {
                return Err(format!("expected the partition to stop ({why:?}), came {came:?}"));
            }
            (Ok(_), Applied::Stopped) => return Err("the partition stopped, expected it to go on".to_owned()),
            (Ok(expected), _) => expected,
        };
        let came = (applied == Applied::Answered).then_some(self.out.as_slice());
        compare(offset, expected.as_ref(), came).map_err(|difference| difference.what)?;
        self.auditor.check(offset, payload, expected.as_ref()).map_err(|why| format!("audit: {why}"))?;
        self.stats.records += 1;
        if let Some(expected) = &expected {
            let answers = expected.decisions.len().max(usize::from(expected.malformed.is_some()));
            self.stats.decisions += answers as u64;
            self.stats.events += expected.events.len() as u64;
        }
        if self.offset == self.inspect_at {
            self.inspect_at += INSPECT_AFTER + self.offset / 8;
            self.inspect()?;
        }
        Ok(Next::More)
    }

    /// Counts the model again, and goes on with a machine made from a checkpoint of the machine.
    fn inspect(&mut self) -> Result<(), String> {
        self.model.verify();
        if let Some(restored) = self.machine.restored()? {
            let (before, after) = (self.machine.digest(), restored.digest());
            if before != after {
                return Err(format!("digest {before} before the checkpoint, {after} restored from it"));
            }
            self.machine = restored;
        }
        Ok(())
    }

    /// Ends the trial.
    ///
    /// # Errors
    /// What the last inspection found.
    pub fn finish(mut self) -> Result<Stats, String> {
        self.inspect()?;
        self.stats.marks = self.model.marks().clone();
        Ok(self.stats)
    }
}

/// Runs a case.
///
/// # Errors
/// Where it went wrong.
pub fn run_case<M: Machine>(case: &Case) -> Result<Stats, Failure> {
    let mut trial = Trial::<M>::new(case.settings);
    run(&mut trial, |trial| case.records.get(usize::try_from(trial.offset).ok()?).cloned()).map_err(
        |(offset, what)| Failure {
            part: Part::Machine,
            seed: None,
            options: case.about.clone(),
            offset,
            what,
        },
    )?;
    let offset = trial.offset;
    trial.finish().map_err(|what| Failure {
        part: Part::Machine,
        seed: None,
        options: case.about.clone(),
        offset,
        what,
    })
}

/// Runs a seed.
///
/// # Errors
/// Where it went wrong.
pub fn run_seed<M: Machine>(seed: u64, lengths: Lengths) -> Result<Stats, Failure> {
    let mut generator = Generator::new(seed, lengths);
    let options = format!("{:#?}", generator.scenario());
    let trial = &mut Trial::<M>::new(generator.settings());
    let failure = |(offset, what)| Failure {
        part: Part::Machine,
        seed: Some(seed),
        options: options.clone(),
        offset,
        what,
    };
    run(trial, |trial| generator.next(&trial.model)).map_err(failure)?;
    let trial = std::mem::replace(trial, Trial::new(generator.settings()));
    let offset = trial.offset;
    trial.finish().map_err(|what| failure((offset, what)))
}

/// The records of a seed up to and including the one at `offset`, to be shrunk or kept.
///
/// The model alone decides what is generated, so the machine need not run.
#[must_use]
pub fn records_of_seed(seed: u64, lengths: Lengths, offset: u64) -> Case {
    let mut generator = Generator::new(seed, lengths);
    let mut model = Model::new(generator.settings());
    let mut records = Vec::new();
    for offset in 0..=offset {
        let Some(record) = generator.next(&model) else { break };
        // A panic of the model is a failure that was reported already; its record belongs to the case.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            model.apply(offset, record.append_time_ms, &record.payload).is_ok()
        }));
        records.push(record);
        if !applied.unwrap_or(false) {
            break;
        }
    }
    Case { about: format!("seed {seed}"), settings: generator.settings(), records }
}

/// Steps through records until they end, the partition stops, or something is wrong. A panic is something wrong.
fn run<M: Machine>(
    trial: &mut Trial<M>,
    mut next: impl FnMut(&Trial<M>) -> Option<Record>,
) -> Result<(), (u64, String)> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        while let Some(record) = next(trial) {
            match trial.step(&record) {
                Ok(Next::More) => {}
                Ok(Next::Stopped) => break,
                Err(what) => return Err(what),
            }
        }
        Ok(())
    }));
    let offset = trial.offset.saturating_sub(1);
    match result {
        Ok(result) => result.map_err(|what| (offset, what)),
        Err(panic) => Err((offset, format!("panic: {}", panic_message(panic.as_ref())))),
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a message".to_owned());
    match PANICKED_AT.take() {
        Some(place) => format!("{text}, at {place}"),
        None => text,
    }
}

thread_local! {
    static PANICKED_AT: std::cell::Cell<Option<String>> = const { std::cell::Cell::new(None) };
}

/// From here on panics are not printed where they happen; the failure that tells of one names the place.
pub fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|info| {
        PANICKED_AT.set(info.location().map(ToString::to_string));
    }));
}

/// Runs many seeds on some threads, as long as `go_on` says so. A failure ends the run.
///
/// # Errors
/// The failure of the lowest failing seed that was met.
pub fn run_seeds<M: Machine>(
    seeds: Range<u64>,
    lengths: Lengths,
    threads: usize,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Stats, Box<Failure>> {
    run_many(seeds, threads, go_on, |seed| run_seed::<M>(seed, lengths))
}

/// Runs something of many seeds on some threads, as long as `go_on` says so. A failure ends the run.
///
/// # Errors
/// The failure of the lowest failing seed that was met.
pub fn run_many(
    seeds: Range<u64>,
    threads: usize,
    go_on: impl Fn() -> bool + Sync,
    run_one: impl Fn(u64) -> Result<Stats, Failure> + Sync,
) -> Result<Stats, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((Stats::default(), None::<Box<Failure>>));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || !go_on() {
                        return;
                    }
                    let result = run_one(seed);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(stats) => total.0.add(&stats),
                        Err(failure) => {
                            let lower = total.1.as_ref().is_none_or(|other| failure.seed < other.seed);
                            if lower {
                                total.1 = Some(Box::new(failure));
                            }
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (stats, failure) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(stats), Err)
}

impl Stats {
    /// Adds what another run has done.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.records += other.records;
        self.decisions += other.decisions;
        self.events += other.events;
        self.marks.add(&other.marks);
        self.worlds += other.worlds;
        self.actions += other.actions;
        self.world.add(&other.world);
    }
}
