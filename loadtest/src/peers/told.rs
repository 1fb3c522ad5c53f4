//! Who asks next, and what everybody was told.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::work::Answer;
use crate::generator::{histogram, record};

/// Hands out the numbers of requests, each once, until there are no more or the time is up. What was handed out is asked.
#[derive(Debug)]
pub(super) struct Feed {
    next: AtomicU64,
    numbers: Numbers,
    time: Option<Duration>,
    until: OnceLock<Instant>,
}

#[derive(Debug)]
enum Numbers {
    Below(u64),
    These(Vec<u64>),
}

impl Feed {
    /// All below this, in order, for so long after the start.
    pub(super) fn below(end: u64, time: Duration) -> Self {
        Self::new(Numbers::Below(end), Some(time))
    }

    /// These, in this order.
    pub(super) fn these(numbers: Vec<u64>) -> Self {
        Self::new(Numbers::These(numbers), None)
    }

    fn new(numbers: Numbers, time: Option<Duration>) -> Self {
        Self { next: AtomicU64::new(0), numbers, time, until: OnceLock::new() }
    }

    /// From now on the time runs, if it did not run before.
    pub(super) fn start(&self) {
        if let Some(until) = self.time.and_then(|time| Instant::now().checked_add(time)) {
            self.until.get_or_init(|| until);
        }
    }

    pub(super) fn take(&self) -> Option<u64> {
        if self.until.get().is_some_and(|until| Instant::now() >= *until) {
            return None;
        }
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.numbers {
            Numbers::Below(end) => (place < *end).then_some(place),
            Numbers::These(numbers) => numbers.get(usize::try_from(place).ok()?).copied(),
        }
    }
}

/// What came of requests.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// By number of the request, in no order.
    pub(super) answers: Vec<(u64, Answer)>,
    /// Requests without an answer, or with one that has no place here.
    pub(super) failed: u64,
    /// What was wrong with the first of them.
    pub(super) failure: Option<String>,
    /// From sending to the answer, in microseconds.
    pub(super) latency: Histogram<u64>,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

impl Told {
    pub(super) fn new() -> Self {
        let latency = histogram();
        Self { answers: Vec::new(), failed: 0, failure: None, latency, took: Duration::ZERO }
    }

    pub(super) fn note(&mut self, number: u64, answer: Result<Answer, String>, took: Duration) {
        match answer {
            Ok(answer) => {
                record(&mut self.latency, took);
                self.answers.push((number, answer));
            }
            Err(what) => {
                self.failed += 1;
                self.failure.get_or_insert(what);
            }
        }
    }

    /// Adds what somebody else was told meanwhile.
    pub(super) fn add(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.latency.add(&other.latency).expect("all have the same bounds");
    }

    pub(super) fn per_s(&self) -> f64 {
        self.answers.len() as f64 / self.took.as_secs_f64().max(1e-9)
    }
}
