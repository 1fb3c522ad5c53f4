//! Those who ask, as the worker sees them.

use std::time::Duration;

use crate::books::{Answer, Ask, Customer, Moment};
use crate::drive::{Crowd, Job};
use crate::generator::{Standing, Times, Wheel};

/// What a decision says to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// What HTTP would have said; 0 for no answer.
    pub(crate) status: u16,
    /// Of a refusal, as HTTP names it.
    pub(crate) code: Option<&'static str>,
    pub(crate) answer: Answer,
}

impl Heard {
    /// Nothing came.
    pub(super) const SILENCE: Self = Self { status: 0, code: None, answer: Answer::Silence };
    /// The log did not take it.
    pub(super) const NOT_TAKEN: Self = Self { status: 0, code: None, answer: Answer::Busy };
}

/// What is asked for, and what follows from an answer.
pub(crate) trait Asking {
    /// One command.
    type Job;

    /// The next command of the plan and when it is due, in order. Nothing when there are no more. What goes with it at
    /// another time is put into `later`. In the closed model it is asked for when somebody is free, and is due at once.
    fn next(&mut self, now: Moment, later: &mut Wheel<Self::Job>) -> Option<(Moment, Self::Job)>;

    /// Who asks for what; nothing if that is no command.
    fn ask<'a>(&'a self, job: &'a Self::Job) -> Option<(Customer, &'a Ask)>;

    /// How long a decision is waited for.
    fn patience(&self) -> Duration;

    /// What came of it, and what is to be asked later on.
    fn done(&mut self, job: Self::Job, times: Times, heard: Heard, later: &mut Wheel<Self::Job>);

    /// The plan goes on until then, even if nothing is due any more.
    fn ends(&self) -> Moment {
        Moment(0)
    }

    /// Whether nothing more is to be sent.
    fn is_over(&self) -> bool {
        false
    }

    /// Told again and again how things stand. Whoever reports takes the figures out of it.
    fn look(&mut self, _: Moment, _: &mut Standing) {}
}

impl Asking for Crowd<'_> {
    type Job = Job;

    fn next(&mut self, now: Moment, later: &mut Wheel<Job>) -> Option<(Moment, Job)> {
        Crowd::next(self, now, later)
    }

    fn ask<'a>(&'a self, job: &'a Job) -> Option<(Customer, &'a Ask)> {
        job.ask()
    }

    fn patience(&self) -> Duration {
        Crowd::patience(self)
    }

    fn done(&mut self, job: Job, times: Times, heard: Heard, later: &mut Wheel<Job>) {
        let Heard { status, code, answer } = heard;
        self.count(&job, times, status, code);
        self.resolve(job, times, &answer, None, later);
    }

    fn ends(&self) -> Moment {
        Crowd::ends(self)
    }

    fn is_over(&self) -> bool {
        Crowd::is_over(self)
    }

    fn look(&mut self, now: Moment, standing: &mut Standing) {
        Crowd::look(self, now, standing);
    }
}
