//! The coordinator's end of the connection with one worker, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use super::clock::{Offset, Ping};
use super::message::{Order, Report};
use super::wire::{Wire, WireError, unpack};
use crate::books::Stopwatch;
use crate::drive::{Interval, Written};
use crate::results::Generator;
use crate::run::RunError;
use crate::run::crew::{News, Share};
use crate::run::process::{Process, mean};
use crate::run::tally::Tally;

/// How often whoever waits for a worker looks at anything else.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So often a worker is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// A worker that says nothing for so long, though it is asked, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Clocks are compared so often at once; the quickest answer counts.
const PINGS: u32 = 16;
/// The number of a question that is not for the time.
const STILL_THERE: u32 = u32::MAX;
/// No run has so many seconds.
const SECONDS_MAX: u64 = 1_000_000;

/// Why a worker is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("it says nothing any more")]
    Silent,
    #[error("it tells what it was not asked for")]
    Confused,
    #[error("{0}")]
    Failed(String),
}

/// What a run begins with.
pub(super) struct Begin {
    pub(super) watch: Stopwatch,
    pub(super) is_over: Arc<AtomicBool>,
    pub(super) news: Sender<News>,
}

/// A worker that is ready.
pub(super) struct Link {
    /// What it is called.
    pub(super) name: String,
    pub(super) share: Share,
    process: Process,
    wire: Wire,
    /// The clock that the worker's is compared with.
    clock: Stopwatch,
    offset: Offset,
    heard: Instant,
    pinged: Instant,
}

impl Link {
    /// Waits until the worker is ready, and compares the clocks.
    pub(super) fn prepared(
        name: String,
        mut wire: Wire,
        share: Share,
        process: Process,
        within: Duration,
    ) -> Result<Self, LinkError> {
        match wire.receive(within)?.ok_or(LinkError::Silent)? {
            Report::Ready => {}
            Report::Failed(why) => return Err(LinkError::Failed(why)),
            _ => return Err(LinkError::Confused),
        }
        let clock = Stopwatch::start();
        let offset = compare(&mut wire, clock)?;
        let now = Instant::now();
        Ok(Self { name, share, process, wire, clock, offset, heard: now, pinged: now })
    }

    /// A word needs no longer to get there.
    pub(super) fn delay(&self) -> Duration {
        self.offset.round_trip()
    }

    /// Waits for the beginning and sees the run through. Whoever gives it up drops the other end of `begin`.
    pub(super) fn follow(mut self, begin: &Receiver<Begin>) {
        let (begun, waited) = match self.wait(begin) {
            Ok(begun) => (begun, Ok(())),
            // That it is gone is told to whoever wants to begin with it.
            Err(error) => (begin.recv().ok(), Err(error)),
        };
        let Some(begun) = begun else {
            // It hears it from the connection, too.
            return drop(self.wire.send(&Order::Stop));
        };
        if let Err(error) = waited.and_then(|()| self.play(&begun, begin)) {
            let error = RunError::Worker { name: self.name, source: Box::new(error) };
            // Nobody listens any more when the run was given up.
            begun.news.send(News::Ended(self.share.first, Err(error))).ok();
        }
    }

    /// Until it begins; nothing if it never does.
    fn wait(&mut self, begin: &Receiver<Begin>) -> Result<Option<Begin>, LinkError> {
        loop {
            match begin.try_recv() {
                Ok(begin) => return Ok(Some(begin)),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => {}
            }
            if self.hear()?.is_some() {
                return Err(LinkError::Confused);
            }
        }
    }

    /// The sale itself, until the worker has told everything or is not wanted any more.
    fn play(&mut self, begun: &Begin, begin: &Receiver<Begin>) -> Result<(), LinkError> {
        self.wire.send(&Order::Start(self.offset.there(begun.watch.start_on(self.clock))))?;
        let mut told = Told::new(self.share.here);
        let mut is_stopped = false;
        let sockets_max = loop {
            let is_given_up = matches!(begin.try_recv(), Err(TryRecvError::Disconnected));
            if !is_stopped && (is_given_up || begun.is_over.load(Ordering::Relaxed)) {
                self.wire.send(&Order::Stop)?;
                is_stopped = true;
            }
            if is_given_up {
                return Ok(());
            }
            match self.hear()? {
                None => {}
                Some(Report::Second(thread, interval)) => {
                    told.second(thread, &interval)?;
                    let thread = self.share.first + usize::try_from(thread).unwrap_or(usize::MAX);
                    begun.news.send(News::Second(thread, *interval)).ok();
                }
                Some(Report::Books(thread, parcel)) => unpack(&parcel, &mut told.of(thread)?.exchanges)?,
                Some(Report::PlainBooks(thread, parcel)) => unpack(&parcel, &mut told.of(thread)?.plain)?,
                Some(Report::Ended(thread)) => told.ended(thread)?,
                Some(Report::Finished { sockets_max }) if told.is_all() => break sockets_max,
                Some(_) => return Err(LinkError::Confused),
            }
        };
        self.hand_over(told, sockets_max, &begun.news)
    }

    fn hand_over(&mut self, told: Told, sockets_max: u64, news: &Sender<News>) -> Result<(), LinkError> {
        let (by, uncertain) = self.offset.rest(compare(&mut self.wire, self.clock)?);
        news.send(News::Process(self.figures(&told.tally, sockets_max))).ok();
        for (thread, written) in told.written.into_iter().enumerate() {
            let written = written.shifted(by, uncertain);
            news.send(News::Ended(self.share.first + thread, Ok(written))).ok();
        }
        Ok(())
    }

    fn figures(&self, tally: &Tally, sockets_max: u64) -> Generator {
        let cpu_percent = mean(tally.seconds.iter().map(|it| it.cpu_percent));
        let process = Process { cpu_percent, sockets_max, ..self.process };
        let mut figures = process.figures(tally);
        for warning in &mut figures.warnings {
            *warning = format!("worker {}: {warning}", self.name);
        }
        figures
    }

    /// What the worker has to tell, if it has something; that it is there is nothing.
    fn hear(&mut self) -> Result<Option<Report>, LinkError> {
        if self.pinged.elapsed() >= PING_EVERY {
            self.wire.send(&Order::Ping(STILL_THERE))?;
            self.pinged = Instant::now();
        }
        let report = self.wire.receive(LOOK_EVERY)?;
        if report.is_some() {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE_MAX {
            return Err(LinkError::Silent);
        }
        match report {
            Some(Report::Failed(why)) => Err(LinkError::Failed(why)),
            Some(Report::Pong(..)) => Ok(None),
            other => Ok(other),
        }
    }
}

/// Compares the clocks while nothing else is told.
fn compare(wire: &mut Wire, clock: Stopwatch) -> Result<Offset, LinkError> {
    let mut pings = Vec::new();
    for number in 0..PINGS {
        let sent = clock.now();
        wire.send(&Order::Ping(number))?;
        let (told, received) = loop {
            match wire.receive(SILENCE_MAX)?.ok_or(LinkError::Silent)? {
                Report::Pong(answered, told) if answered == number => break (told, clock.now()),
                // Of a question of before.
                Report::Pong(..) => {}
                Report::Failed(why) => return Err(LinkError::Failed(why)),
                _ => return Err(LinkError::Confused),
            }
        };
        pings.push(Ping { sent, told, received });
    }
    Offset::estimate(&pings).ok_or(LinkError::Silent)
}

/// What a worker has told so far.
struct Told {
    tally: Tally,
    written: Vec<Written>,
}

impl Told {
    fn new(threads: usize) -> Self {
        Self { tally: Tally::new(threads), written: vec![Written::default(); threads] }
    }

    fn second(&mut self, thread: u32, interval: &Interval) -> Result<(), LinkError> {
        self.of(thread)?;
        if interval.second >= SECONDS_MAX {
            return Err(LinkError::Confused);
        }
        self.tally.add(usize::try_from(thread).unwrap_or(usize::MAX), interval.clone());
        while self.tally.close().is_some() {}
        Ok(())
    }

    fn ended(&mut self, thread: u32) -> Result<(), LinkError> {
        self.of(thread)?;
        self.tally.ended(usize::try_from(thread).unwrap_or(usize::MAX));
        while self.tally.close().is_some() {}
        Ok(())
    }

    fn of(&mut self, thread: u32) -> Result<&mut Written, LinkError> {
        let written = self.written.get_mut(usize::try_from(thread).unwrap_or(usize::MAX));
        written.ok_or(LinkError::Confused)
    }

    fn is_all(&self) -> bool {
        self.tally.all_ended()
    }
}
