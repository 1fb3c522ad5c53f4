//! Buyers who ask over HTTP.

use std::time::Duration;

use super::{Crowd, Job, What, Written};
use crate::books::{Answer, Ask, Moment};
use crate::generator::{Head, Script, Standing, Times, Wheel};
use crate::http::answer_to;

/// One worker's share of a run over HTTP.
pub(crate) struct Drive<'a>(Crowd<'a>);

impl<'a> Drive<'a> {
    pub(crate) const fn new(crowd: Crowd<'a>) -> Self {
        Self(crowd)
    }

    /// Tells of the last second, and hands out what was written down.
    pub(crate) fn finish(self, standing: &mut Standing) -> Written {
        self.0.finish(standing)
    }
}

impl Script for Drive<'_> {
    type Job = Job;

    fn next(&mut self, now: Moment, later: &mut Wheel<Job>) -> Option<(Moment, Job)> {
        self.0.next(now, later)
    }

    fn write(&mut self, job: &Job, request: &mut Vec<u8>) {
        let cast = self.0.cast;
        match (&job.what, &cast.template) {
            (What::Ask(Ask::Reserve { key, body }), Some(template)) => {
                template.write(&cast.wording.values(*key, *body), request);
            }
            (What::Ask(ask), _) => cast.wording.ask(job.customer, ask, request),
            (What::Look(sku), _) => cast.wording.look(job.customer, *sku, request),
        }
    }

    fn ends(&self) -> Moment {
        self.0.ends()
    }

    fn patience(&self, _: &Job) -> Duration {
        self.0.patience()
    }

    fn done(&mut self, job: Job, times: Times, told: Option<(&Head, &[u8])>, later: &mut Wheel<Job>) {
        let status = told.map_or(0, |(head, _)| head.status);
        let code = told.filter(|_| status >= 400).and_then(|(_, body)| code_in(body));
        self.0.count(&job, times, status, code);
        let What::Ask(ask) = &job.what else { return };
        if let Some(template) = &self.0.cast.template {
            let meaning = told.map(|(head, _)| template.meaning(head.status));
            return self.0.done_plainly(job, times, status, meaning, later);
        }
        let wait = told.and_then(|(head, _)| head.retry_after);
        let skus = self.0.cast.wording.skus();
        let answer = told.map_or(Answer::Silence, |said| answer_to(ask, said, skus));
        self.0.resolve(job, times, &answer, wait, later);
    }

    fn look(&mut self, now: Moment, standing: &mut Standing) {
        self.0.look(now, standing);
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

/// The code of a problem, without reading all of it.
fn code_in(body: &[u8]) -> Option<&str> {
    const BEFORE: &[u8] = b"\"code\":\"";
    let at = body.windows(BEFORE.len()).position(|it| it == BEFORE)? + BEFORE.len();
    let length = body[at..].iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&body[at..at + length]).ok()
}
