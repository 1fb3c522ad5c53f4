//! Requests that must all be answered, however often they are asked: what prepares a sale, and what is asked at its end.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::RunError;
use crate::books::{Moment, Stopwatch};
use crate::generator::{Head, Script, Standing, Times, Wheel, Worker, WorkerConfig};

/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait before the same is asked again; doubled each time.
const WAIT_FIRST: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Nobody is asked more often than that: half a minute and more.
const TRIES_MAX: u32 = 40;
/// A server that has done nothing that was asked for so long does nothing any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// What becomes of an errand after an answer, or after silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is done.
    Done,
    /// It is asked again, unless that was done too often.
    Again,
}

/// Runs all of them on so many connections, in no order. `write` gets the number of one and writes its request; `heard` gets
/// every answer, and silence too. `stop` ends it with an error. Says how many of them ended without `heard` having said that they are done.
pub(super) fn run<W, H>(
    address: SocketAddr,
    connections: usize,
    watch: Stopwatch,
    stop: &AtomicBool,
    count: usize,
    write: W,
    heard: H,
) -> Result<usize, RunError>
where
    W: FnMut(usize, &mut Vec<u8>),
    H: FnMut(usize, Times, Option<(&Head, &[u8])>) -> Then,
{
    if count == 0 {
        return Ok(0);
    }
    let connections = connections.clamp(1, count);
    let config = WorkerConfig { address, connections, waiting_max: connections, is_closed: true };
    let progress = watch.now();
    let script = Errands { left: 0..count, write, heard, done: 0, progress, stop, is_over: false };
    let worker = Worker::new(script, config, watch).map_err(RunError::Generator)?;
    let (script, _) = worker.run().map_err(RunError::Generator)?;
    if stop.load(Ordering::Relaxed) { Err(RunError::Interrupted) } else { Ok(count - script.done) }
}

struct Errands<'a, W, H> {
    left: Range<usize>,
    write: W,
    heard: H,
    done: usize,
    /// When the last of them was done.
    progress: Moment,
    stop: &'a AtomicBool,
    is_over: bool,
}

impl<W, H> Script for Errands<'_, W, H>
where
    W: FnMut(usize, &mut Vec<u8>),
    H: FnMut(usize, Times, Option<(&Head, &[u8])>) -> Then,
{
    /// Which one, and how often it was asked before.
    type Job = (usize, u32);

    fn next(&mut self, now: Moment, _: &mut Wheel<Self::Job>) -> Option<(Moment, Self::Job)> {
        self.left.next().map(|number| (now, (number, 0)))
    }

    fn write(&mut self, (number, _): &Self::Job, request: &mut Vec<u8>) {
        (self.write)(*number, request);
    }

    fn patience(&self, _: &Self::Job) -> Duration {
        PATIENCE
    }

    fn done(
        &mut self,
        (number, tries): Self::Job,
        times: Times,
        answer: Option<(&Head, &[u8])>,
        later: &mut Wheel<Self::Job>,
    ) {
        let wait = answer.and_then(|(head, _)| head.retry_after).unwrap_or_default().min(WAIT_MAX);
        if (self.heard)(number, times, answer) == Then::Done {
            self.done += 1;
            self.progress = times.done;
            return;
        }
        if tries + 1 >= TRIES_MAX {
            return;
        }
        let backoff = (WAIT_FIRST * (1 << tries.min(10))).min(WAIT_MAX);
        later.put(times.done.plus(backoff.max(wait)), (number, tries + 1));
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn look(&mut self, now: Moment, _: &mut Standing) {
        self.is_over = self.stop.load(Ordering::Relaxed) || now.since(self.progress) > GIVE_UP_AFTER;
    }
}
