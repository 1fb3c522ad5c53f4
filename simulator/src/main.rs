//! `holdfast-simulator`: runs seeds, and shrinks the one that fails.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use holdfast_simulator::generate::Lengths;
use holdfast_simulator::mutants;
use holdfast_simulator::real::RealMachine;
use holdfast_simulator::run::{Failure, Stats, records_of_seed, run_case, run_seeds};
use holdfast_simulator::shrink::shrink;
use holdfast_simulator::subject::{Canary, Machine};

/// The machine on trial.
type Subject = RealMachine;

const USAGE: &str = "\
holdfast-simulator [--seeds N] [--from S] [--seed X] [--seconds T] [--threads N] [--night] [--marks]
                   [--canary] [--no-shrink] [--json]
holdfast-simulator --mutants

  --seeds N     how many seeds (default 2000)
  --from S      the first of them (default 0)
  --seed X      only this one
  --seconds T   start no seed after so many seconds
  --threads N   default 2
  --night       long lengths
  --marks       print every mark with its hits
  --canary      put a machine on trial that swallows an answer: this run must fail
  --no-shrink   tell a failure as it came, without making it smaller
  --mutants     print the planted bugs: feature, layer, whether this build has it, what it is
  --json        one JSON object as the last line of stdout
";

/// Attempts to make a failing case smaller.
const TRIES_MAX: u32 = 20_000;

struct Options {
    seeds: std::ops::Range<u64>,
    seconds: Option<u64>,
    threads: usize,
    lengths: Lengths,
    marks: bool,
    canary: bool,
    shrink: bool,
    mutants: bool,
    json: bool,
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        return say(&mut io::stderr(), USAGE).map_or(ExitCode::FAILURE, |()| ExitCode::from(2));
    };
    let clean = if options.mutants {
        say(&mut io::stdout(), &mutants::table()).map(|()| true)
    } else if options.canary {
        put_on_trial::<Canary<Subject>>(&options)
    } else {
        put_on_trial::<Subject>(&options)
    };
    if clean.unwrap_or(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn put_on_trial<M: Machine>(options: &Options) -> io::Result<bool> {
    let started = Instant::now();
    let go_on = || options.seconds.is_none_or(|s| started.elapsed() < Duration::from_secs(s));
    match run_seeds::<M>(options.seeds.clone(), options.lengths, options.threads, go_on) {
        Ok(stats) => report(options, &stats, started.elapsed()),
        Err(failure) => explain::<M>(options, &failure),
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        seeds: 0..0,
        seconds: None,
        threads: 2,
        lengths: Lengths::QUICK,
        marks: false,
        canary: false,
        shrink: true,
        mutants: false,
        json: false,
    };
    let (mut from, mut count) = (0u64, 2_000);
    while let Some(arg) = args.next() {
        let mut number = || args.next()?.parse().ok();
        match arg.as_str() {
            "--seeds" => count = number()?,
            "--from" => from = number()?,
            "--seed" => (from, count) = (number()?, 1),
            "--seconds" => options.seconds = Some(number()?),
            "--threads" => options.threads = usize::try_from(number()?).ok()?,
            "--night" => options.lengths = Lengths::NIGHT,
            "--marks" => options.marks = true,
            "--canary" => options.canary = true,
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

/// Tells what was done. False if a run of full size missed a mark.
fn report(options: &Options, stats: &Stats, elapsed: Duration) -> io::Result<bool> {
    let mut err = io::stderr();
    let missing = stats.marks.missing();
    let ms = elapsed.as_millis().max(1);
    let per_second = u128::from(stats.decisions) * 1_000 / ms;
    if options.marks {
        say(&mut err, &stats.marks.table())?;
    }
    let Stats { runs, records, decisions, events, .. } = stats;
    say(
        &mut err,
        &format!(
            "{runs} seeds, {records} records, {decisions} decisions, {events} events in {ms} ms, \
             {per_second} decisions/s; {} marks missed\n",
            missing.len()
        ),
    )?;
    for name in &missing {
        say(&mut err, &format!("  never met: {name}\n"))?;
    }
    if options.json {
        say(
            &mut io::stdout(),
            &format!(
                "{{\"seeds\":{runs},\"records\":{records},\"decisions\":{decisions},\"events\":{events},\"ms\":{ms},\
                 \"marks_missed\":{},\"failures\":0}}\n",
                missing.len()
            ),
        )?;
    }
    // A handful of seeds cannot meet everything.
    Ok(missing.is_empty() || *runs < 1_000)
}

fn explain<M: Machine>(options: &Options, failure: &Failure) -> io::Result<bool> {
    let mut err = io::stderr();
    say(&mut err, &format!("{failure}\n"))?;
    if options.json {
        let failure = serde_json::json!({
            "failures": 1, "seed": failure.seed, "record": failure.offset, "what": failure.what,
        });
        say(&mut io::stdout(), &format!("{failure}\n"))?;
    }
    match failure.seed {
        Some(seed) if options.shrink => make_small::<M>(options, seed, failure.offset)?,
        _ => {}
    }
    Ok(false)
}

/// Prints the shortest list of records that still fails.
fn make_small<M: Machine>(options: &Options, seed: u64, offset: u64) -> io::Result<()> {
    let mut err = io::stderr();
    std::panic::set_hook(Box::new(|_| {}));
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
