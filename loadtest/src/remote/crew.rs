//! The workers of a run, as the coordinator knows them.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Workers;
use super::greeting::greet_worker;
use super::link::{Begin, Link};
use super::message::{Job, Order};
use super::wire::{Wire, WireError, parcels};
use crate::books::Stopwatch;
use crate::drive::Cast;
use crate::report::hdr::quantiles;
use crate::results::Generator;
use crate::run::RunError;
use crate::run::config::{Source, threads_wanted};
use crate::run::crew::{News, Share, connections};
use crate::run::process::Process;
use crate::run::tally::Tally;
use crate::run::target::Target;

/// A worker that takes longer to take a connection is not there.
const REACH_WITHIN: Duration = Duration::from_secs(5);
/// How long a worker may take to get ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What is to be played.
pub(crate) struct Plan<'a> {
    pub(crate) source: Source,
    /// Threads of each worker; as many as it takes by default.
    pub(crate) threads: Option<usize>,
    pub(crate) run: u64,
    pub(crate) target: &'a Target,
    pub(crate) cast: &'a Cast,
}

/// Workers that are ready. When it is dropped they are told to stop.
pub(crate) struct Crew {
    begins: Vec<Sender<Begin>>,
    followers: Vec<JoinHandle<()>>,
    threads: usize,
    delay: Duration,
}

/// A worker that is known, and knows nothing yet.
struct Found {
    name: String,
    wire: Wire,
    cores: u32,
}

impl Crew {
    /// Tells every worker its part, and waits until all are ready.
    ///
    /// # Errors
    /// If one of them cannot be reached, or not be used.
    pub(crate) fn gather(workers: &Workers, plan: &Plan<'_>) -> Result<Self, RunError> {
        check(workers, plan.cast)?;
        let mut found = Vec::new();
        for name in &workers.names {
            found.push(find(name, workers, plan.target)?);
        }
        let shares = shares(&found.iter().map(|it| it.cores).collect::<Vec<_>>(), plan);
        for (it, share) in found.iter_mut().zip(&shares) {
            assign(&mut it.wire, plan, *share).map_err(|error| lost(&it.name, error))?;
        }
        let mut links = Vec::new();
        for (Found { name, wire, cores }, share) in found.into_iter().zip(shares) {
            let known = name.clone();
            let link = Link::prepared(name, wire, share, process(plan.cast, share, cores), READY_WITHIN);
            links.push(link.map_err(|error| lost(&known, error))?);
        }
        Ok(Self::of(links))
    }

    fn of(links: Vec<Link>) -> Self {
        let threads = links.iter().map(|link| link.share.here).sum();
        let delay = links.iter().map(Link::delay).max().unwrap_or_default();
        let (mut begins, mut followers) = (Vec::new(), Vec::new());
        for link in links {
            let (begin, begun) = mpsc::channel();
            begins.push(begin);
            followers.push(std::thread::spawn(move || link.follow(&begun)));
        }
        Self { begins, followers, threads, delay }
    }

    /// Threads that send, all workers together.
    pub(crate) const fn threads(&self) -> usize {
        self.threads
    }

    /// A word needs no longer to get to any of them.
    pub(crate) const fn delay(&self) -> Duration {
        self.delay
    }

    /// Tells all when to begin. What they tell comes as the news of threads of this process would, and a [`News::Process`]
    /// of each before the last of it.
    pub(crate) fn start(&self, watch: Stopwatch, is_over: &Arc<AtomicBool>, news: &Sender<News>) {
        for begin in &self.begins {
            let (is_over, news) = (is_over.clone(), news.clone());
            // A follower listens until this is dropped.
            begin.send(Begin { watch, is_over, news }).ok();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.begins.clear();
        for follower in self.followers.drain(..) {
            // What it failed of is told already.
            follower.join().ok();
        }
    }
}

fn lost(name: &str, error: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::Worker { name: name.to_owned(), source: Box::new(error) }
}

fn check(workers: &Workers, cast: &Cast) -> Result<(), RunError> {
    let names: BTreeSet<&String> = workers.names.iter().collect();
    if names.len() < workers.names.len() {
        return Err(RunError::Workers {
            what: "a worker has one part of a run, and one was named twice".into(),
        });
    }
    let connections = cast.scenario.connection_count();
    if connections < names.len() {
        let what = format!("{connections} connections cannot be shared by {} workers", names.len());
        return Err(RunError::Workers { what });
    }
    Ok(())
}

fn find(name: &str, workers: &Workers, target: &Target) -> Result<Found, RunError> {
    let stream = reach(name).map_err(|error| lost(name, error))?;
    if target.address.ip().is_loopback() && !is_here(&stream) {
        let why = format!("worker {name} is on another machine, where that is another server");
        return Err(RunError::Target { server: target.base.clone(), why });
    }
    let mut wire = Wire::new(stream).map_err(|error| lost(name, error))?;
    let cores = greet_worker(&mut wire, workers.secret.as_ref()).map_err(|error| lost(name, error))?;
    Ok(Found { name: name.to_owned(), wire, cores })
}

fn reach(name: &str) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::new(std::io::ErrorKind::NotFound, "nobody has that name");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, REACH_WITHIN) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Whether both ends are on one machine.
fn is_here(stream: &TcpStream) -> bool {
    let ip = |address: std::io::Result<SocketAddr>| address.map(|it| it.ip()).ok();
    ip(stream.peer_addr()).is_some_and(|peer| peer.is_loopback() || Some(peer) == ip(stream.local_addr()))
}

/// Who sends what: workers with equally many cores equally much.
fn shares(cores: &[u32], plan: &Plan<'_>) -> Vec<Share> {
    let scenario = &plan.cast.scenario;
    let cores: Vec<usize> =
        cores.iter().map(|it| usize::try_from(*it).unwrap_or(usize::MAX).max(1)).collect();
    let all_cores = cores.iter().fold(0, |sum: usize, it| sum.saturating_add(*it));
    let each = threads_wanted(scenario, all_cores).div_ceil(cores.len().max(1));
    // A thread has at least one connection of those that the scenario keeps.
    let most = scenario.connection_count() / cores.len().max(1);
    let here = |cores: &usize| plan.threads.unwrap_or(each.min(*cores)).clamp(1, most.max(1));
    let all = cores.iter().map(here).sum();
    let part = |first: &mut usize, here: usize| {
        let share = Share { first: *first, here, all };
        *first += here;
        Some(share)
    };
    cores.iter().map(here).scan(0, part).collect()
}

fn process(cast: &Cast, share: Share, cores: u32) -> Process {
    let threads = share.first..share.first + share.here;
    let connections: usize = threads.map(|it| connections(&cast.scenario, it, share.all)).sum();
    Process {
        model: cast.scenario.model,
        threads: u32::try_from(share.here).unwrap_or(u32::MAX),
        cores,
        connections: u32::try_from(connections).unwrap_or(u32::MAX),
        cpu_percent: 0.0,
        sockets_max: 0,
    }
}

fn assign(wire: &mut Wire, plan: &Plan<'_>, share: Share) -> Result<(), WireError> {
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    wire.send(&Order::Job(Box::new(Job {
        scenario: plan.source.clone(),
        run: plan.run,
        server: plan.target.host.clone(),
        first: number(share.first),
        here: number(share.here),
        all: number(share.all),
    })))?;
    parcels(plan.cast.wording.tokens(), |parcel| wire.send(&Order::Tokens(parcel)))?;
    parcels(plan.cast.wording.skus(), |parcel| wire.send(&Order::Skus(parcel)))?;
    wire.send(&Order::Prepare)
}

/// The figures of all processes together.
pub(crate) fn together(processes: &[Generator], tally: &Tally) -> Generator {
    let empty = Generator { lag: quantiles(&tally.lag), ..Generator::default() };
    processes.iter().fold(empty, |mut sum, it| {
        sum.processes += it.processes;
        sum.threads += it.threads;
        sum.connections += it.connections;
        sum.cpu_percent += it.cpu_percent;
        sum.sockets_max += it.sockets_max;
        sum.is_limit |= it.is_limit;
        sum.warnings.extend_from_slice(&it.warnings);
        sum
    })
}
