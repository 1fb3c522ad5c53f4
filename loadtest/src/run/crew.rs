//! The threads that send requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use super::RunError;
use crate::books::{Moment, Stopwatch};
use crate::drive::{Cast, Drive, Interval, Written};
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
    for number in 0..share.here {
        let (cast, is_over, news) = (cast.clone(), is_over.clone(), news.clone());
        std::thread::spawn(move || {
            let worker = share.first + number;
            let told = news.clone();
            let sink = Box::new(move |interval| {
                // Nobody listens any more when the run was given up.
                told.send(News::Second(worker, interval)).ok();
            });
            let ended = work(&cast, address, worker, share.all, watch, &is_over, sink);
            news.send(News::Ended(worker, ended.map_err(RunError::Generator))).ok();
        });
    }
}

/// How many connections of a scenario are a worker's.
pub(crate) fn connections(scenario: &Scenario, worker: usize, workers: usize) -> usize {
    let all = usize::try_from(*scenario.connections.get_ref()).unwrap_or(usize::MAX);
    // Those that do not divide go to the first.
    (all / workers + usize::from(worker < all % workers)).max(1)
}

fn work(
    cast: &Cast,
    address: SocketAddr,
    worker: usize,
    workers: usize,
    watch: Stopwatch,
    is_over: &AtomicBool,
    sink: crate::drive::Sink,
) -> io::Result<Written> {
    let config = WorkerConfig {
        address,
        connections: connections(&cast.scenario, worker, workers),
        waiting_max: WAITING_MAX / workers,
        is_closed: cast.is_closed(),
    };
    let worker = Worker::new(Drive::new(cast, worker, workers, is_over, sink), config, watch)?;
    while watch.now() == Moment(0) {
        std::thread::sleep(watch.until_start());
    }
    let (drive, mut standing) = worker.run()?;
    Ok(drive.finish(&mut standing))
}
