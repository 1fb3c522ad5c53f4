//! The threads that send requests.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use rustix::thread::set_current_timer_slack;

use super::RunError;
use crate::books::Stopwatch;
use crate::drive::{Cast, Crowd, Drive, Interval, Written};
use crate::generator::{Worker, WorkerConfig};
use crate::results::Generator;
use crate::scenario::Scenario;

/// Requests that wait for a connection, all threads together. What comes beyond is dropped.
const WAITING_MAX: usize = 100_000;

/// What a worker tells.
pub(crate) enum News {
    /// A second is over.
    Second(usize, Interval),
    /// How another process did. It comes before the last of its workers has ended.
    Process(Generator),
    /// It has ended; this is all it has written down.
    Ended(usize, Result<Written, RunError>),
}

/// Which part of the load is sent from here: of all workers, those from the first on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) first: usize,
    pub(crate) here: usize,
    pub(crate) all: usize,
}

/// Starts the workers of a share. They open their connections at once, and begin at T0, which is the beginning of the watch.
pub(crate) fn start(
    cast: &Arc<Cast>,
    address: SocketAddr,
    share: Share,
    watch: Stopwatch,
    is_over: &Arc<AtomicBool>,
    news: &Sender<News>,
) {
    for worker in share.first..share.first + share.here {
        spawn(cast, worker, share.all, is_over, news, move |crowd| {
            let scenario = &crowd.cast().scenario;
            let config = WorkerConfig {
                address,
                connections: connections(scenario, worker, share.all),
                waiting_max: WAITING_MAX / share.all,
                is_closed: crowd.cast().is_closed(),
            };
            let worker = Worker::new(Drive::new(crowd), config, watch)?;
            watch.wait_for_start();
            let (drive, mut standing) = worker.run()?;
            Ok(drive.finish(&mut standing))
        });
    }
}

/// Starts a thread that does a worker's part of the plan, and tells of it.
pub(super) fn spawn(
    cast: &Arc<Cast>,
    worker: usize,
    workers: usize,
    is_over: &Arc<AtomicBool>,
    news: &Sender<News>,
    work: impl FnOnce(Crowd<'_>) -> io::Result<Written> + Send + 'static,
) {
    let (cast, is_over, news) = (cast.clone(), is_over.clone(), news.clone());
    std::thread::spawn(move || {
        // Linux wakes a thread up to 50 µs late to save work (prctl(2)). Where that cannot be changed, the lag tells of it.
        let _slack = set_current_timer_slack(Some(NonZeroU64::MIN));
        let told = news.clone();
        let sink = Box::new(move |interval| {
            // Nobody listens any more when the run was given up.
            told.send(News::Second(worker, interval)).ok();
        });
        let ended = work(Crowd::new(&cast, worker, workers, &is_over, sink));
        news.send(News::Ended(worker, ended.map_err(RunError::Generator))).ok();
    });
}

/// How many connections of a scenario are a worker's.
pub(crate) fn connections(scenario: &Scenario, worker: usize, workers: usize) -> usize {
    let all = scenario.connection_count();
    // Those that do not divide go to the first.
    (all / workers + usize::from(worker < all % workers)).max(1)
}
