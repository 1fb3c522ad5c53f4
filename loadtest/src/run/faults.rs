//! What is done to the server while it is loaded, and undone: on a thread of its own, so that nothing else waits for a server
//! that is being started again.

mod ballast;
mod plan;
mod process;
#[cfg(test)]
mod tests;

pub(super) use self::plan::Plan;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::ballast::Ballast;
use self::plan::{Hands, Planned, What, Who};
use self::process::Frozen;
use crate::books::{Moment, Stopwatch};
use crate::checks::{AWAY_MAX, EXPIRY_GRACE};
use crate::results::FaultMark;

/// Why a fault of a scenario cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// Something that it takes was not given. Nothing was begun.
    #[error("{0}")]
    Refused(String),
    /// It was due, and did not go.
    #[error("{what}")]
    Failed {
        /// What was tried.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The thread that does them ended without a word.
    #[error("the faults of the scenario were not done to their end")]
    Thread,
}

impl FaultError {
    fn failed(what: &str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed { what: what.to_owned(), source: Box::new(source) }
    }
}

/// The faults of a run that goes on. When this is dropped everything is undone.
pub(super) struct Faults {
    watch: Stopwatch,
    done: Arc<Mutex<Vec<Done>>>,
    /// Nobody sends anything: when it is dropped, the run is over.
    run: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), FaultError>>>,
}

/// A fault that was done.
#[derive(Debug, Clone)]
struct Done {
    mark: FaultMark,
    /// Whoever was away for longer may have missed deadlines.
    away_max: Duration,
}

impl Plan {
    /// Begins to wait for the first of them. The watch starts at T0.
    pub(super) fn start(self, watch: Stopwatch) -> Faults {
        let done = Arc::<Mutex<Vec<Done>>>::default();
        if self.faults.is_empty() {
            return Faults { watch, done, run: None, thread: None };
        }
        let (run, is_over) = mpsc::channel();
        let (due, hands) = (VecDeque::from(self.faults), self.hands);
        let course = Course { watch, is_over, due, hands, going: Vec::new(), done: done.clone() };
        let thread = std::thread::spawn(move || course.run());
        Faults { watch, done, run: Some(run), thread: Some(thread) }
    }
}

impl Faults {
    /// What was done so far, in order. Those that are over say when that was.
    ///
    /// # Errors
    /// If one could not be done: then no more are.
    pub(super) fn marks(&mut self) -> Result<Vec<FaultMark>, FaultError> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join()?;
        }
        Ok(self.done().into_iter().map(|it| it.mark).collect())
    }

    /// Undoes what goes on, does nothing more, and waits for that. Says whether deadlines can be told from the clock all the
    /// same: nobody was away for too long.
    pub(super) fn finish(&mut self) -> Result<bool, FaultError> {
        self.run = None;
        self.join()?;
        let now = seconds(self.watch.now());
        let was_short =
            |it: &Done| it.mark.until_s.unwrap_or(now) - it.mark.at_s <= it.away_max.as_secs_f64();
        Ok(self.done().iter().all(was_short))
    }

    fn join(&mut self) -> Result<(), FaultError> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(FaultError::Thread),
        }
    }

    fn done(&self) -> Vec<Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.run = None;
        // The run has failed already, and says why.
        let _ = self.join();
    }
}

/// The thread.
struct Course {
    watch: Stopwatch,
    is_over: Receiver<()>,
    due: VecDeque<Planned>,
    hands: Hands,
    going: Vec<Going>,
    done: Arc<Mutex<Vec<Done>>>,
}

/// Something that was done and is to be undone.
struct Going {
    number: usize,
    until: Moment,
    undo: Undo,
}

enum Undo {
    Start(Who),
    Thaw(Frozen),
    Free(Ballast),
}

impl Course {
    /// Until everything is done and undone, or the run is over.
    fn run(mut self) -> Result<(), FaultError> {
        while let Some(next) = self.next() {
            let wait = self.watch.until_start() + next.since(self.watch.now());
            match self.is_over.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => self.step()?,
                _ => break,
            }
        }
        let going = std::mem::take(&mut self.going);
        going.into_iter().try_for_each(|it| self.undo(it))
    }

    fn next(&self) -> Option<Moment> {
        let due = self.due.front().map(|it| Moment(0).plus(it.at));
        self.going.iter().map(|it| it.until).chain(due).min()
    }

    /// Undoes one thing that has lasted long enough; only if there is none, does one that is due. Whoever is late must not kill
    /// twice what was to be started in between.
    fn step(&mut self) -> Result<(), FaultError> {
        let now = self.watch.now();
        if let Some(over) = self.going.iter().position(|it| it.until <= now) {
            let over = self.going.remove(over);
            return self.undo(over);
        }
        let due = self.due.pop_front_if(|it| Moment(0).plus(it.at) <= now);
        due.map_or(Ok(()), |it| self.begin(it))
    }

    fn begin(&mut self, fault: Planned) -> Result<(), FaultError> {
        let at = self.watch.now();
        let undo = match fault.what {
            What::Kill(who) => {
                self.hands.kill(who)?;
                self.hands.can_start(who).then_some(Undo::Start(who))
            }
            What::Freeze(who) => Some(Undo::Thaw(self.hands.freeze(who)?)),
            What::FillDisk(data) => {
                let ballast = Ballast::fill(&data);
                Some(Undo::Free(ballast.map_err(|error| FaultError::failed("filling the disk", error))?))
            }
        };
        // While nothing can be written nothing can lapse, and everybody sees it: a server that is there answers.
        let away_max = if matches!(undo, Some(Undo::Free(_))) { EXPIRY_GRACE } else { AWAY_MAX };
        let mark = FaultMark { at_s: seconds(at), until_s: None, what: fault.told };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(Done { mark, away_max });
        if let Some(undo) = undo {
            let until = at.plus(fault.lasts.unwrap_or_default());
            self.going.push(Going { number: done.len() - 1, until, undo });
        }
        Ok(())
    }

    fn undo(&mut self, going: Going) -> Result<(), FaultError> {
        match going.undo {
            Undo::Start(who) => self.hands.start(who)?,
            Undo::Thaw(frozen) => drop(frozen),
            Undo::Free(ballast) => drop(ballast),
        }
        let until_s = Some(seconds(self.watch.now()));
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done[going.number].mark.until_s = until_s;
        Ok(())
    }
}

fn seconds(moment: Moment) -> f64 {
    moment.since(Moment(0)).as_secs_f64()
}
