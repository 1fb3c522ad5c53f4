//! Buyers who ask over HTTP.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Cast, Crowd, Job, Sink, What, Written};
use crate::books::{Answer, Ask, Moment};
use crate::generator::{Head, Script, Standing, Times, Wheel};
use crate::http::{Reply, answer_to};

/// One worker's share of a run over HTTP.
pub(crate) struct Drive<'a> {
    cast: &'a Cast,
    crowd: Crowd<'a>,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(
        cast: &'a Cast,
        worker: usize,
        workers: usize,
        is_over: &'a AtomicBool,
        sink: Sink,
    ) -> Self {
        Self { cast, crowd: Crowd::new(cast, worker, workers, is_over, sink) }
    }

    /// Tells of the last second, and hands out what was written down.
    pub(crate) fn finish(self, standing: &mut Standing) -> Written {
        self.crowd.finish(standing)
    }
}

impl Script for Drive<'_> {
    type Job = Job;

    fn next(&mut self, now: Moment, later: &mut Wheel<Job>) -> Option<(Moment, Job)> {
        self.crowd.next(now, later)
    }

    fn write(&mut self, job: &Job, request: &mut Vec<u8>) {
        match (&job.what, &self.cast.template) {
            (What::Ask(Ask::Reserve { key, body }), Some(template)) => {
                template.write(&self.cast.wording.values(*key, *body), request);
            }
            (What::Ask(ask), _) => self.cast.wording.ask(job.customer, ask, request),
            (What::Look(sku), _) => self.cast.wording.look(job.customer, *sku, request),
        }
    }

    fn patience(&self, _: &Job) -> Duration {
        self.crowd.patience()
    }

    fn done(&mut self, job: Job, times: Times, told: Option<(&Head, &[u8])>, later: &mut Wheel<Job>) {
        let status = told.map_or(0, |(head, _)| head.status);
        let code = told.filter(|_| status >= 400).and_then(|(_, body)| code_in(body));
        self.crowd.count(&job, times, status, code);
        let What::Ask(ask) = &job.what else { return };
        if let Some(template) = &self.cast.template {
            let meaning = told.map(|(head, _)| template.meaning(head.status));
            return self.crowd.done_plainly(job, times, status, meaning, later);
        }
        let wait = told.and_then(|(head, _)| head.retry_after);
        let skus = self.cast.wording.skus();
        let answer = told.map_or(Answer::Silence, |(head, body)| answer_to(ask, &reply(head, body), skus));
        self.crowd.resolve(job, times, &answer, wait, later);
    }

    fn look(&mut self, now: Moment, standing: &mut Standing) {
        self.crowd.look(now, standing);
    }

    fn is_over(&self) -> bool {
        self.crowd.is_over()
    }
}

/// The code of a problem, without reading all of it.
fn code_in(body: &[u8]) -> Option<&str> {
    const BEFORE: &[u8] = b"\"code\":\"";
    let at = body.windows(BEFORE.len()).position(|it| it == BEFORE)? + BEFORE.len();
    let length = body[at..].iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&body[at..at + length]).ok()
}

pub(crate) fn reply(head: &Head, body: &[u8]) -> Reply {
    Reply {
        status: hyper::StatusCode::from_u16(head.status).unwrap_or_default(),
        is_replay: head.is_replay,
        retry_after: head.retry_after,
        body: bytes::Bytes::copy_from_slice(body),
    }
}
