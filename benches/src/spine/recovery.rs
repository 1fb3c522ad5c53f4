//! Recovery after `kill -9`: ten million remembered ids, a million live holds, and two million requests that no checkpoint
//! has seen.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_benches::clock::{median, per_second, process_cpu};
use holdfast_benches::pipeline::{COMMANDS, DECISIONS, ONLY, PATIENCE, Pipeline, Result, Settings};
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::Offset;
use rustix::fs::{Advice, fadvise};

use crate::group::Setup;
use crate::processes::Running;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["recovery_load", "recovery_replay"];

const PER_RECORD: u32 = 512;
/// Requests handed over at once while the history is written.
const CHUNK: u64 = 500_000;
const BUILT: &str = "built";

/// How much there is to recover.
struct Sizes {
    checkpointed: u64,
    replayed: u64,
}

impl Sizes {
    const fn of(setup: &Setup) -> Self {
        Self { checkpointed: setup.size(8_000_000, 200_000), replayed: setup.size(2_000_000, 100_000) }
    }

    const fn all(&self) -> u64 {
        self.checkpointed + self.replayed
    }
}

/// In a process that is there to be killed: writes the history, says so, and waits for its end.
pub(crate) fn write_and_wait(setup: &Setup) -> Result<()> {
    let sizes = Sizes::of(setup);
    let mut work = Work::new(Kind::Mixed, 1);
    let pipeline = Pipeline::open(&setup.directory, &Settings::default())?;
    pipeline.prepare(&work.opening(2 * sizes.all()))?;
    feed(&pipeline, &mut work, sizes.checkpointed)?;
    pipeline.sequencer.stop(PATIENCE);
    pipeline.log.close();
    drop(pipeline);

    let pipeline = Pipeline::open(&setup.directory, &Settings::default().without_checkpoints())?;
    pipeline.wait_until_live()?;
    feed(&pipeline, &mut work, sizes.replayed)?;
    let end = pipeline.log.watermarks(DECISIONS).end;
    pipeline.wait_for("the decisions to be durable", || {
        Ok((pipeline.log.watermarks(DECISIONS).durable >= end).then_some(()))
    })?;
    writeln!(std::io::stdout(), "{BUILT}")?;
    std::io::stdout().flush()?;
    // Until somebody kills it, or the one that would has gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn feed(pipeline: &Pipeline, work: &mut Work, requests: u64) -> Result<()> {
    let mut left = requests;
    while left > 0 {
        let now = left.min(CHUNK);
        pipeline.run(&work.records(now, PER_RECORD), now, 128)?;
        left -= now;
    }
    Ok(())
}

/// How long the parts of one recovery took.
#[derive(Debug, Default)]
struct Recovered {
    log: Duration,
    database: Duration,
    load: Duration,
    replay: Duration,
    /// Processor time of both.
    load_cpu: Duration,
    replay_cpu: Duration,
    replayed: u64,
}

fn recover(directory: &Path, sizes: &Sizes) -> Result<Recovered> {
    let (start, cpu) = (Instant::now(), process_cpu());
    let pipeline = Pipeline::open(directory, &Settings::default())?;
    let next = pipeline.wait_for("the checkpoint to be loaded", || {
        let status = pipeline.sequencer.statuses().remove(0);
        Ok((status.state.name() != "loading").then_some(status.checkpoint_offset))
    })?;
    let (load, load_cpu) = (start.elapsed(), process_cpu().saturating_sub(cpu));
    pipeline.wait_until_live()?;
    let (replay, replay_cpu) = (start.elapsed() - load, process_cpu().saturating_sub(cpu + load_cpu));
    let found = pipeline.sequencer.ask(ONLY, |machine, _| {
        let held = machine.skus().filter_map(|sku| machine.view_sku(sku)).map(|sku| sku.figures.held);
        (machine.sizes().ids, held.sum::<u64>())
    })?;
    let (ids, held) = found.ok_or("the partition is not live")?;
    if ids < sizes.all() || held != Kind::Mixed.granted(sizes.all()) {
        return Err(format!("after recovery {ids} ids are remembered and {held} units held").into());
    }
    let records = pipeline.log.watermarks(COMMANDS).end.0 - next.0;
    let replayed = requests_from(&pipeline, next, records)?;
    let opening = pipeline.opening;
    let (log, database) = (opening.log, opening.database);
    Ok(Recovered { log, database, load, replay, load_cpu, replay_cpu, replayed })
}

/// How many requests there are in the log from a record on.
fn requests_from(pipeline: &Pipeline, from: Offset, records: u64) -> Result<u64> {
    let (mut next, mut requests, mut batch) = (from, 0, Vec::new());
    while next.0 < from.0 + records {
        pipeline.log.read(COMMANDS, next, 1 << 20, &mut batch)?;
        for record in batch.drain(..) {
            next = record.offset.next();
            let mut commands = Vec::new();
            holdfast_contracts::command::decode_batch(&record.payload, &mut Vec::new(), &mut commands)
                .map_err(|error| format!("{error:?}"))?;
            requests += commands.len() as u64;
        }
    }
    Ok(requests)
}

/// A copy to recover from, as a kill leaves it: log and checkpoints were written around the page cache.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for part in ["log", "checkpoints"] {
        std::fs::create_dir_all(to.join(part))?;
        for entry in std::fs::read_dir(from.join(part))? {
            let entry = entry?;
            let target = to.join(part).join(entry.file_name());
            std::fs::copy(entry.path(), &target)?;
            let file = File::open(&target)?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let sizes = Sizes::of(setup);
    let built = setup.directory.join("built");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--write-recovery", "--dir"]).arg(&built);
    if setup.quick {
        command.arg("--quick");
    }
    let mut writer = Running::start(&mut command, &setup.directory.join("talk"))?;
    writer.first_line(|line| (line == BUILT).then_some(()))?;
    writer.kill()?;
    let mut runs = Vec::new();
    for _ in 0..setup.size(3, 1) {
        let copied = setup.directory.join("copy");
        copy(&built, &copied)?;
        runs.push(recover(&copied, &sizes)?);
        std::fs::remove_dir_all(&copied)?;
    }
    let middle =
        |of: &dyn Fn(&Recovered) -> f64| median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default();
    let load = Measured::new("recovery_load", middle(&|run| run.load.as_secs_f64()), "s")
        .with("of_it_opening_the_log", middle(&|run| run.log.as_secs_f64()))
        .with("of_it_opening_the_database", middle(&|run| run.database.as_secs_f64()))
        .with("longest", runs.iter().map(|run| run.load.as_secs_f64()).fold(0.0, f64::max))
        .with("processor_time_s", middle(&|run| run.load_cpu.as_secs_f64()))
        .with("ready_after_s", middle(&|run| (run.load + run.replay).as_secs_f64()))
        .with("ids_remembered", sizes.all())
        .with("live_holds", Kind::Mixed.granted(sizes.all()))
        .goals(&[Goal::AtMost(2.0)]);
    let replay =
        Measured::new("recovery_replay", middle(&|run| per_second(run.replayed, run.replay)), "requests/s")
            .with("requests_replayed", middle(&|run| run.replayed as f64))
            .with("seconds", middle(&|run| run.replay.as_secs_f64()))
            .with("processor_time_s", middle(&|run| run.replay_cpu.as_secs_f64()))
            .goals(&[Goal::AtLeast(3e6)]);
    Ok(vec![load, replay])
}
