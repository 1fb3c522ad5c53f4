//! Shippers on a thread of their own.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use holdfast_contracts::PartitionId;

use super::{ShipStatus, Shipper};
use crate::machine::Machine;

type Statuses = Vec<(PartitionId, ShipStatus)>;

/// How long a failed round waits before it is tried again, the first time. Every further failure doubles it, up to the time
/// between two rounds.
const RETRY: Duration = Duration::from_secs(1);

/// Ships the checkpoints of a process, one partition after the other. Dropping it ends the thread, after the round under way.
///
/// A failure is in the status and is tried again; the partitions go on.
#[derive(Debug)]
pub struct Shipping {
    statuses: Arc<Mutex<Statuses>>,
    now: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shipping {
    /// Starts the thread. The first rounds come within the time between two of them, spread over it.
    ///
    /// # Panics
    /// If a thread cannot be started.
    #[must_use = "dropping it ends the thread"]
    pub fn start<M: Machine>(shippers: Vec<Shipper<M>>) -> Self {
        let statuses = shippers.iter().map(|it| (it.partition(), it.status().clone())).collect();
        let statuses = Arc::new(Mutex::new(statuses));
        let (now, asked) = bounded(1);
        let shared = Arc::clone(&statuses);
        let thread = std::thread::Builder::new()
            .name("shipping".to_owned())
            .spawn(move || run(shippers, &asked, &shared))
            .expect("the system starts a thread");
        Self { statuses, now: Some(now), thread: Some(thread) }
    }

    /// Makes a round of all partitions due, as before an orderly hand-over. Does not wait for it.
    pub fn ship_now(&self) {
        if let Some(now) = &self.now {
            // If somebody has asked already, that is as good.
            now.try_send(()).ok();
        }
    }

    /// What shipping has come to in every partition.
    #[must_use]
    pub fn statuses(&self) -> Vec<(PartitionId, ShipStatus)> {
        lock(&self.statuses).clone()
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        self.now.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and there is nothing left to do for it.
            thread.join().ok();
        }
    }
}

fn run<M: Machine>(mut shippers: Vec<Shipper<M>>, asked: &Receiver<()>, statuses: &Mutex<Statuses>) {
    let start = Instant::now();
    let count = u32::try_from(shippers.len()).unwrap_or(u32::MAX).max(1);
    let mut due: Vec<Instant> =
        (1..).zip(&shippers).map(|(nr, it)| start + it.config().every / count * nr).collect();
    while let Some(next) = due.iter().min().copied() {
        match asked.recv_deadline(next) {
            Ok(()) => due.fill(Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for (nr, shipper) in shippers.iter_mut().enumerate() {
            if due[nr] > Instant::now() {
                continue;
            }
            // A failure is in the status, and it is tried again.
            shipper.round().ok();
            due[nr] = Instant::now() + pause(shipper);
            lock(statuses)[nr].1 = shipper.status().clone();
        }
    }
}

fn pause<M: Machine>(shipper: &Shipper<M>) -> Duration {
    let every = shipper.config().every;
    match shipper.status().failures {
        0 => every,
        failures => every.min(RETRY.saturating_mul(1 << (failures - 1).min(16))),
    }
}

fn lock(statuses: &Mutex<Statuses>) -> std::sync::MutexGuard<'_, Statuses> {
    // Nothing under this lock is ever half done.
    statuses.lock().unwrap_or_else(PoisonError::into_inner)
}
