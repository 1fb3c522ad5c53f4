//! Questions that must all be answered, however often they are asked.

use std::ops::Range;
use std::time::Duration;

use holdfast_log::ReadError;

use super::Post;
use super::asking::{Asking, Heard};
use super::worker::{Worker, WorkerConfig};
use crate::books::{Answer, Ask, Customer, Exchange, Moment, Stopwatch};
use crate::generator::{Times, Wheel};

/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nobody is asked more often than that: half a minute and more.
const TRIES_MAX: u32 = 7;
/// The wait before the same is asked again.
const WAIT: Duration = Duration::from_millis(200);
/// Questions under way at most.
const UNDER_WAY_MAX: usize = 5_000;

/// Asks until there is an answer, and writes everything down. What nobody answers stays in the books like that, and when
/// something was asked often enough in vain, nothing else is asked.
///
/// # Errors
/// If the brokers do not say where the decisions end.
pub(crate) fn ask_all(
    post: &Post,
    skus: &[String],
    watch: Stopwatch,
    questions: &[(Customer, Ask)],
    books: &mut Vec<Exchange>,
) -> Result<(), ReadError> {
    let asking = Questions { questions, left: 0..questions.len(), books, is_given_up: false };
    let config = WorkerConfig { under_way_max: UNDER_WAY_MAX, is_closed: true };
    Worker::new(post, asking, skus, config, watch)?.run();
    Ok(())
}

struct Questions<'a> {
    questions: &'a [(Customer, Ask)],
    left: Range<usize>,
    books: &'a mut Vec<Exchange>,
    is_given_up: bool,
}

impl Asking for Questions<'_> {
    /// Which one, and how often it was asked before.
    type Job = (usize, u32);

    fn next(&mut self, now: Moment, _: &mut Wheel<Self::Job>) -> Option<(Moment, Self::Job)> {
        self.left.next().map(|number| (now, (number, 0)))
    }

    fn ask<'a>(&'a self, (number, _): &'a Self::Job) -> Option<(Customer, &'a Ask)> {
        self.questions.get(*number).map(|(customer, ask)| (*customer, ask))
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn is_over(&self) -> bool {
        self.is_given_up
    }

    fn done(&mut self, (number, tries): Self::Job, times: Times, heard: Heard, later: &mut Wheel<Self::Job>) {
        let Some((_, ask)) = self.questions.get(number) else { return };
        if matches!(heard.answer, Answer::Silence | Answer::Busy) {
            self.is_given_up |= tries + 1 >= TRIES_MAX;
            later.put(times.done.plus(WAIT), (number, tries + 1));
        }
        let (sent, received) = (times.sent, times.done);
        self.books.push(Exchange { sent, received, ask: ask.clone(), answer: heard.answer });
    }
}
