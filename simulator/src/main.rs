//! `holdfast-simulator`: runs seeds, and shrinks the one that fails.
//!
//! A seed is two trials: the machine alone against the model, and a world around the real engine.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use holdfast_simulator::generate::Lengths;
use holdfast_simulator::mutants;
use holdfast_simulator::real::RealMachine;
use holdfast_simulator::run::{
    Failure, Part, Stats, keep_panics_quiet, records_of_seed, run_case, run_many, run_seed,
};
use holdfast_simulator::shrink::shrink;
use holdfast_simulator::subject::{self, Machine};
use holdfast_simulator::world::{self, case_of_seed, run_world, run_world_case, shrink_world};

/// The machine on trial.
type Subject = RealMachine;

const USAGE: &str = "\
holdfast-simulator [--seeds N] [--from S] [--seed X] [--seconds T] [--threads N] [--night] [--marks]
                   [--only machine|world] [--canary machine|store|reader] [--no-shrink] [--json]
holdfast-simulator --mutants

  --seeds N     how many seeds (default 2000)
  --from S      the first of them (default 0)
  --seed X      only this one
  --seconds T   start no seed after so many seconds
  --threads N   default 2
  --night       long lengths
  --marks       print every mark with its hits, and fail if one has none
  --only P      only this part of each seed
  --canary C    this run must fail, because of a machine that swallows an answer, a checkpoint disk that loses what it
                says it has flushed, or a reader of decisions that garbles what it reads
  --no-shrink   tell a failure as it came, without making it smaller
  --mutants     print the planted bugs: feature, layer, whether this build has it, what it is
  --json        one JSON object as the last line of stdout
";

/// Attempts to make a failing case smaller.
const TRIES_MAX: u32 = 20_000;
/// The same for a world, which takes longer.
const WORLD_TRIES_MAX: u32 = 4_000;

struct Options {
    seeds: std::ops::Range<u64>,
    seconds: Option<u64>,
    threads: usize,
    lengths: Lengths,
    marks: bool,
    machine: bool,
    world: bool,
    canary: Canary,
    shrink: bool,
    mutants: bool,
    json: bool,
}

/// What is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Canary {
    None,
    Machine,
    World(world::Canary),
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        return say(&mut io::stderr(), USAGE).map_or(ExitCode::FAILURE, |()| ExitCode::from(2));
    };
    let clean = if options.mutants {
        say(&mut io::stdout(), &mutants::table()).map(|()| true)
    } else if options.canary == Canary::Machine {
        put_on_trial::<subject::Canary<Subject>>(&options)
    } else {
        put_on_trial::<Subject>(&options)
    };
    if clean.unwrap_or(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn put_on_trial<M: Machine>(options: &Options) -> io::Result<bool> {
    let started = Instant::now();
    let go_on = || options.seconds.is_none_or(|s| started.elapsed() < Duration::from_secs(s));
    let both = |seed| {
        let mut stats =
            if options.machine { run_seed::<M>(seed, options.lengths)? } else { Stats::default() };
        if options.world {
            stats.add(&run_world(seed, options.world_canary())?);
        }
        Ok(stats)
    };
    keep_panics_quiet();
    match run_many(options.seeds.clone(), options.threads, go_on, both) {
        Ok(stats) => report(options, &stats, started.elapsed()),
        Err(failure) => explain::<M>(options, &failure),
    }
}

impl Options {
    const fn world_canary(&self) -> world::Canary {
        match self.canary {
            Canary::World(canary) => canary,
            Canary::None | Canary::Machine => world::Canary::None,
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        seeds: 0..0,
        seconds: None,
        threads: 2,
        lengths: Lengths::QUICK,
        marks: false,
        machine: true,
        world: true,
        canary: Canary::None,
        shrink: true,
        mutants: false,
        json: false,
    };
    let (mut from, mut count) = (0u64, 2_000);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--only" => {
                let part = args.next()?;
                (options.machine, options.world) = (part == "machine", part == "world");
                if options.machine == options.world {
                    return None;
                }
                continue;
            }
            "--canary" => {
                options.canary = match args.next()?.as_str() {
                    "machine" => Canary::Machine,
                    "store" => Canary::World(world::Canary::Store),
                    "reader" => Canary::World(world::Canary::Reader),
                    _ => return None,
                };
                continue;
            }
            _ => {}
        }
        let mut number = || args.next()?.parse().ok();
        match arg.as_str() {
            "--seeds" => count = number()?,
            "--from" => from = number()?,
            "--seed" => (from, count) = (number()?, 1),
            "--seconds" => options.seconds = Some(number()?),
            "--threads" => options.threads = usize::try_from(number()?).ok()?,
            "--night" => options.lengths = Lengths::NIGHT,
            "--marks" => options.marks = true,
            "--no-shrink" => options.shrink = false,
            "--mutants" => options.mutants = true,
            "--json" => options.json = true,
            _ => return None,
        }
    }
    options.seeds = from..from.saturating_add(count);
    Some(options)
}

fn say(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())
}

/// Tells what was done. False if a run of full size, or one that asks for marks, missed one.
fn report(options: &Options, stats: &Stats, elapsed: Duration) -> io::Result<bool> {
    let mut err = io::stderr();
    let mut missing = Vec::new();
    if options.machine {
        missing.extend(stats.marks.missing());
    }
    if options.world {
        missing.extend(stats.world.missing());
    }
    let ms = elapsed.as_millis().max(1);
    let per_second = u128::from(stats.decisions) * 1_000 / ms;
    if options.marks {
        say(&mut err, &stats.marks.table())?;
        say(&mut err, &stats.world.table())?;
    }
    let seeds = stats.runs.max(stats.worlds);
    let Stats { records, decisions, events, worlds, actions, .. } = stats;
    let missed = missing.len();
    say(
        &mut err,
        &format!(
            "{seeds} seeds, {records} records, {decisions} decisions, {events} events, {worlds} worlds with {actions} \
             actions in {ms} ms, {per_second} decisions/s; {missed} marks missed\n"
        ),
    )?;
    for name in &missing {
        say(&mut err, &format!("  never met: {name}\n"))?;
    }
    if options.json {
        say(
            &mut io::stdout(),
            &format!(
                "{{\"seeds\":{seeds},\"records\":{records},\"decisions\":{decisions},\"events\":{events},\
                 \"worlds\":{worlds},\"actions\":{actions},\"ms\":{ms},\"marks_missed\":{missed},\"failures\":0}}\n"
            ),
        )?;
    }
    // A handful of seeds cannot meet everything.
    Ok(missing.is_empty() || (seeds < 1_000 && !options.marks))
}

fn explain<M: Machine>(options: &Options, failure: &Failure) -> io::Result<bool> {
    say(&mut io::stderr(), &format!("{failure}\n"))?;
    match (failure.seed, failure.part) {
        (Some(seed), Part::Machine) if options.shrink => explain_machine::<M>(options, seed, failure.offset)?,
        (Some(seed), Part::World) if options.shrink => explain_world(options, seed)?,
        _ => {}
    }
    if options.json {
        let failure = serde_json::json!({
            "failures": 1, "seed": failure.seed, "record": failure.offset, "what": failure.what,
        });
        say(&mut io::stdout(), &format!("{failure}\n"))?;
    }
    Ok(false)
}

fn explain_machine<M: Machine>(options: &Options, seed: u64, offset: u64) -> io::Result<()> {
    let mut err = io::stderr();
    let mut case = records_of_seed(seed, options.lengths, offset);
    say(&mut err, &format!("shrinking {} records ...\n", case.records.len()))?;
    if run_case::<M>(&case).is_err() {
        case = shrink(&case, TRIES_MAX, |case| run_case::<M>(case).is_err());
    }
    match run_case::<M>(&case) {
        Ok(_) => say(&mut err, "the records alone do not fail; the generator or the run does\n"),
        Err(failure) => {
            case.about = format!("seed {seed}: {}", failure.what);
            say(&mut err, &case.to_text())
        }
    }
}

fn explain_world(options: &Options, seed: u64) -> io::Result<()> {
    let mut err = io::stderr();
    let canary = options.world_canary();
    let mut case = case_of_seed(seed, canary);
    say(&mut err, &format!("shrinking {} actions ...\n", case.actions.len()))?;
    // A smaller case that fails in another way would be about something else.
    let kind = |case: &_| run_world_case(case, canary).err().map(|failure| failure.kind());
    let first = kind(&case);
    let fails = |case: &_| kind(case) == first;
    if first.is_some() {
        case = shrink_world(&case, WORLD_TRIES_MAX, fails);
    }
    match run_world_case(&case, canary) {
        Ok(_) => say(&mut err, "the actions alone do not fail; the schedule does\n"),
        Err(failure) => {
            case.about = format!("seed {seed}: {}", failure.what);
            say(&mut err, &case.to_text())
        }
    }
}
