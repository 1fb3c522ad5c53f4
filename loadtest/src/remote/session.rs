//! A worker's part of one run, as a coordinator tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::message::{Job, Order, Report};
use super::wire::{Wire, WireError, parcels, unpack};
use crate::books::{Moment, Stopwatch};
use crate::causes;
use crate::drive::{Cast, Wording, Written};
use crate::generator::SelfWatch;
use crate::run::RunError;
use crate::run::crew::{self, News, Share};
use crate::run::target::Target;
use crate::scenario::ScenarioError;

/// How often whoever waits for the coordinator looks at anything else.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A coordinator that says nothing for so long is gone: it asks every second whether the worker is there.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// No worker has more threads.
const THREADS_MAX: u32 = 4_096;

/// Why a part of a run was not seen through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the coordinator says nothing any more")]
    Silent,
    #[error("it was told what has no place there")]
    Confused,
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("it heard of T0 when T0 was over")]
    Late,
    #[error("a thread failed")]
    Thread,
    #[error("the worker was told to end")]
    Ended,
}

/// What was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Played {
    pub(super) run: u64,
    pub(super) sent: u64,
}

/// With one coordinator, which has shown who it is.
pub(super) struct Session<'a> {
    wire: Wire,
    clock: Stopwatch,
    heard: Instant,
    /// Of threads that may not have ended yet.
    unheard: Option<Receiver<News>>,
    /// Set when the process is to end.
    stop: &'a AtomicBool,
}

impl<'a> Session<'a> {
    pub(super) fn new(wire: Wire, stop: &'a AtomicBool) -> Self {
        Self { wire, clock: Stopwatch::start(), heard: Instant::now(), unheard: None, stop }
    }

    /// Plays what it is told to. Nothing if the run was given up before it began.
    pub(super) fn play(mut self) -> Result<Option<Played>, SessionError> {
        let played = self.parts();
        if let Err(error) = &played {
            // The connection may be what failed.
            self.wire.send(&Report::Failed(causes(error))).ok();
        }
        // Only now: it takes as long as the server takes to answer. Whoever comes next finds all threads ended.
        self.unheard.into_iter().flatten().for_each(drop);
        played
    }

    fn parts(&mut self) -> Result<Option<Played>, SessionError> {
        let (cast, target, share, run) = self.prepare()?;
        self.wire.send(&Report::Ready)?;
        let watch = match self.order() {
            Ok(Order::Start(t0)) => self.clock.starting_when(t0).ok_or(SessionError::Confused)?,
            Ok(Order::Stop) | Err(SessionError::Wire(WireError::Closed)) => return Ok(None),
            Ok(_) => return Err(SessionError::Confused),
            Err(error) => return Err(error),
        };
        if watch.now() > Moment(0) {
            return Err(SessionError::Late);
        }
        let sent = self.run(&cast, &target, share, watch)?;
        self.stay()?;
        Ok(Some(Played { run, sent }))
    }

    fn prepare(&mut self) -> Result<(Arc<Cast>, Target, Share, u64), SessionError> {
        let Order::Job(job) = self.order()? else { return Err(SessionError::Confused) };
        let (mut tokens, mut skus): (Vec<String>, Vec<String>) = Default::default();
        loop {
            match self.order()? {
                Order::Tokens(parcel) => unpack(&parcel, &mut tokens)?,
                Order::Skus(parcel) => unpack(&parcel, &mut skus)?,
                Order::Prepare => break,
                _ => return Err(SessionError::Confused),
            }
        }
        let scenario = job.scenario.read()?;
        let customers = usize::try_from(*scenario.buyers.customers.get_ref()).unwrap_or(usize::MAX);
        if (tokens.len(), skus.len()) != (customers, usize::from(*scenario.sale.skus.get_ref())) {
            return Err(SessionError::Confused);
        }
        let share = share(&job).ok_or(SessionError::Confused)?;
        let target = Target::parse(&job.server)?;
        target.reach()?;
        let wording = Wording::new(&target.host, job.run, tokens, skus);
        let cast = Cast::new(scenario, wording).map_err(|what| RunError::Api { what })?;
        Ok((Arc::new(cast), target, share, job.run))
    }

    /// Sends what is to be sent, and tells what comes of it. Says how many requests that were.
    fn run(
        &mut self,
        cast: &Arc<Cast>,
        target: &Target,
        share: Share,
        watch: Stopwatch,
    ) -> Result<u64, SessionError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (tell, news) = mpsc::channel();
        crew::start(cast, target.address, share, watch, &is_over, &tell);
        drop(tell);
        let told = self.attend(&news, share, &is_over);
        is_over.store(true, Ordering::Relaxed);
        self.unheard = Some(news);
        told
    }

    fn attend(
        &mut self,
        news: &Receiver<News>,
        share: Share,
        is_over: &AtomicBool,
    ) -> Result<u64, SessionError> {
        let mut own = SelfWatch::begin();
        let (mut left, mut sent) = (share.here, 0);
        while left > 0 {
            match self.hear()? {
                None => {}
                Some(Order::Stop) => is_over.store(true, Ordering::Relaxed),
                Some(_) => return Err(SessionError::Confused),
            }
            loop {
                match news.try_recv() {
                    Ok(News::Second(thread, mut interval)) => {
                        sent += interval.counts.sent;
                        // One of the threads tells for the process.
                        interval.cpu_percent = (thread == share.first).then(|| own.step());
                        self.wire.send(&Report::Second(local(share, thread), Box::new(interval)))?;
                    }
                    Ok(News::Ended(thread, written)) => {
                        self.tell_books(local(share, thread), &written?)?;
                        left -= 1;
                    }
                    Ok(News::Process(_)) | Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) if left > 0 => return Err(SessionError::Thread),
                    Err(TryRecvError::Disconnected) => break,
                }
            }
        }
        own.step();
        self.wire.send(&Report::Finished { sockets_max: own.sockets_max() })?;
        Ok(sent)
    }

    fn tell_books(&mut self, thread: u32, written: &Written) -> Result<(), SessionError> {
        let wire = &mut self.wire;
        parcels(&written.exchanges, |parcel| wire.send(&Report::Books(thread, parcel)))?;
        parcels(&written.plain, |parcel| wire.send(&Report::PlainBooks(thread, parcel)))?;
        Ok(wire.send(&Report::Ended(thread))?)
    }

    /// Tells what the clock shows until the coordinator goes.
    fn stay(&mut self) -> Result<(), SessionError> {
        match self.order() {
            // It may come when all is told already.
            Ok(Order::Stop) | Err(SessionError::Wire(WireError::Closed)) => Ok(()),
            Ok(_) => Err(SessionError::Confused),
            Err(error) => Err(error),
        }
    }

    /// The next order.
    fn order(&mut self) -> Result<Order, SessionError> {
        loop {
            if let Some(order) = self.hear()? {
                return Ok(order);
            }
        }
    }

    /// What the coordinator has to say, if it says something. Its questions for the time are answered.
    fn hear(&mut self) -> Result<Option<Order>, SessionError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(SessionError::Ended);
        }
        let order = self.wire.receive(LOOK_EVERY)?;
        if order.is_some() {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE_MAX {
            return Err(SessionError::Silent);
        }
        if let Some(Order::Ping(number)) = order {
            self.wire.send(&Report::Pong(number, self.clock.now()))?;
            return Ok(None);
        }
        Ok(order)
    }
}

/// The number of a thread among those of this worker.
fn local(share: Share, thread: usize) -> u32 {
    u32::try_from(thread - share.first).unwrap_or(u32::MAX)
}

fn share(job: &Job) -> Option<Share> {
    let is_good = job.here > 0 && job.here <= THREADS_MAX && job.first.checked_add(job.here)? <= job.all;
    let number = |it| usize::try_from(it).ok();
    is_good.then_some(Share { first: number(job.first)?, here: number(job.here)?, all: number(job.all)? })
}
