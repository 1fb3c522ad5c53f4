//! The course of a comparison: one server after the other, each on an empty directory of its own.

use std::borrow::Cow;
use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::check::{Stored, faults, sample};
use super::config::{PeersConfig, System};
use super::error::PeersError;
use super::holdfast::Holdfast;
use super::postgres::{OPTIMISTIC, Postgres, ROW_LOCK};
use super::redis::{RESERVE, Redis};
use super::report::{Measured, PeersReport};
use super::told::{Feed, Told};
use super::work::{Work, Workload};

/// The run that finds out how many requests a run takes, and its shelf, which is to be empty soon.
const TRIAL_REQUESTS: u64 = 20_000;
const TRIAL_STOCK: u64 = 20;
const TRIAL_TIME_SHARE: u32 = 8;
/// Of the time that a run may take, in percent.
const AIM_PERCENT: u32 = 80;
const REQUESTS: [u64; 2] = [1_000, 1_000_000];
/// Connections that are enough for asking about some ids again.
const CONNECTIONS_AGAIN: u32 = 8;
/// How long things in the background may take to end when the comparison ends early.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What a server is started for.
pub(super) struct Setup<'a> {
    /// Empty, and the server's own.
    pub(super) directory: &'a Path,
    pub(super) work: Work,
    /// That many at most ask at once.
    pub(super) connections: u32,
    /// The `holdfast` executable.
    pub(super) server: &'a Path,
    /// What peers are to do with a request.
    pub(super) script: Cow<'static, str>,
}

/// A system that runs and has units on its shelf. It is ended when dropped, if need be by force.
pub(super) trait Peer: Sized {
    /// Starts it and waits until it can be asked.
    async fn start(setup: &Setup<'_>) -> Result<Self, PeersError>;

    /// Asks for all that the feed hands out, over so many connections, one request under way on each.
    async fn ask(&mut self, work: Work, feed: &Arc<Feed>, connections: u32) -> Result<Told, PeersError>;

    /// What it has stored, now that nothing is under way.
    async fn stored(&mut self) -> Result<Stored, PeersError>;

    /// Ends it in good order.
    async fn stop(self) -> Result<(), PeersError>;
}

/// Starts, loads, checks and stops every system, again and again. Talks on standard error; the report is for the caller to
/// show. Blocks, on a thread of its own, so that it may be called from anywhere.
///
/// # Errors
/// [`PeersError`] when there can be no table. A system that is wrong is no error.
pub fn run(config: &PeersConfig) -> Result<PeersReport, PeersError> {
    config.validate()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| PeersError::Prepare("starting threads", source))?;
    // Made where it runs: it is not to be sent between threads.
    let interruptible = async || {
        tokio::select! {
            report = compare(config) => report,
            _ = tokio::signal::ctrl_c() => Err(PeersError::Interrupted),
        }
    };
    let report = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(interruptible())).join())
        .unwrap_or(Err(PeersError::Panicked));
    runtime.shutdown_timeout(LEAVE_WITHIN);
    report
}

async fn compare(config: &PeersConfig) -> Result<PeersReport, PeersError> {
    let mut report = PeersReport::new(config);
    for &connections in &config.connections {
        for workload in Workload::ALL {
            let mut requests = Vec::new();
            for &system in &config.systems {
                requests.push((system, find_requests(config, system, workload, connections).await?));
            }
            // Everybody in turn, so that a slow minute of the machine is everybody's.
            for round in 1..=config.repeat {
                for &(system, requests) in &requests {
                    let work = Work::new(workload, requests, u64::from(round));
                    let run = measure(config, system, work, connections, config.time).await?;
                    say(&format!(
                        "{}, {}, {connections} connections, run {round}: {:.0} decisions/s, {}",
                        system.name(),
                        workload.name(),
                        run.per_s,
                        if run.faults.is_empty() { "ok" } else { "WRONG" },
                    ));
                    report.add(system, workload, connections, run);
                }
            }
        }
    }
    report.finish();
    Ok(report)
}

/// How many requests a run of this system is to have.
async fn find_requests(
    config: &PeersConfig,
    system: System,
    workload: Workload,
    connections: u32,
) -> Result<u64, PeersError> {
    if let Some(requests) = config.requests {
        return Ok(requests);
    }
    let trial = match Work::new(workload, TRIAL_REQUESTS, 0) {
        work if workload == Workload::SoldOut => Work { stock: TRIAL_STOCK, ..work },
        work => work,
    };
    let run = measure(config, system, trial, connections, config.time / TRIAL_TIME_SHARE).await?;
    let aim = run.per_s * (config.time * AIM_PERCENT / 100).as_secs_f64();
    let [least, most] = REQUESTS;
    // A rate is positive and far from the bounds of a number.
    let wanted = Duration::try_from_secs_f64(aim).map_or(most, |it| it.as_secs());
    Ok(wanted.clamp(least, most))
}

/// One run, from the start of the server to its end.
async fn measure(
    config: &PeersConfig,
    system: System,
    work: Work,
    connections: u32,
    time: Duration,
) -> Result<Measured, PeersError> {
    let directory = directory(config.data.as_deref())?;
    let script = match system {
        System::Holdfast => "",
        System::PostgresRowLock => ROW_LOCK,
        System::PostgresOptimistic => OPTIMISTIC,
        System::RedisLua => RESERVE,
    };
    let setup = Setup {
        directory: directory.path(),
        work,
        connections,
        server: &config.server,
        script: Cow::Borrowed(script),
    };
    match system {
        System::Holdfast => one_run::<Holdfast>(&setup, time).await,
        System::PostgresRowLock | System::PostgresOptimistic => one_run::<Postgres>(&setup, time).await,
        System::RedisLua => one_run::<Redis>(&setup, time).await,
    }
}

/// Starts, loads, checks and stops one server.
pub(super) async fn one_run<P: Peer>(setup: &Setup<'_>, time: Duration) -> Result<Measured, PeersError> {
    let work = setup.work;
    let mut peer = P::start(setup).await?;
    let told = peer.ask(work, &Arc::new(Feed::below(work.requests, time)), setup.connections).await?;
    let again = Arc::new(Feed::these(sample(&told)));
    let again = peer.ask(work, &again, CONNECTIONS_AGAIN.min(setup.connections)).await?;
    let stored = peer.stored().await?;
    peer.stop().await?;
    Ok(Measured::new(work, &told, faults(&work, &told, &again, &stored)))
}

/// One that is removed with everything in it.
pub(super) fn directory(above: Option<&Path>) -> Result<TempDir, PeersError> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("holdfast-peers-");
    let directory = above.map_or_else(|| builder.tempdir(), |above| builder.tempdir_in(above));
    directory.map_err(|source| PeersError::Prepare("making a directory", source))
}

fn say(what: &str) {
    // Nobody is there to hear that nobody can be told.
    drop(writeln!(stderr(), "peers: {what}"));
}
