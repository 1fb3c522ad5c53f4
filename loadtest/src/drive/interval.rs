//! What happened in one second of a worker's run, told when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::books::Moment;
use crate::generator::{Counts, Latencies, Standing, hdr_bytes, histogram};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// One second of one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// It begins so many seconds after T0.
    pub(crate) second: u64,
    /// Of this second alone.
    pub(crate) counts: Counts,
    /// Requests under way at its end.
    pub(crate) in_flight: u64,
    #[serde(with = "hdr_bytes")]
    pub(crate) lag: Histogram<u64>,
    /// Of the answers that came in it, by [`Kind`]; nothing where there were none.
    pub(crate) latencies: [Option<Box<Latencies>>; Kind::ALL.len()],
    /// Answers by status; 0 is no answer.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Refusals and errors by their code.
    pub(crate) codes: BTreeMap<String, u64>,
    pub(crate) granted_units: u64,
    pub(crate) confirmed_units: u64,
    /// Processor time of the process in it, as a share of one core in percent, if it is another one that tells.
    pub(crate) cpu_percent: Option<f64>,
}

impl Interval {
    pub(crate) fn new(second: u64) -> Self {
        Self {
            second,
            counts: Counts::default(),
            in_flight: 0,
            lag: histogram(),
            latencies: [const { None }; Kind::ALL.len()],
            statuses: BTreeMap::new(),
            codes: BTreeMap::new(),
            granted_units: 0,
            confirmed_units: 0,
            cpu_percent: None,
        }
    }

    /// Adds what somebody else did in the same second.
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.in_flight += other.in_flight;
        self.lag.add(&other.lag).expect("all have the same bounds");
        for (sum, latencies) in self.latencies.iter_mut().zip(&other.latencies) {
            if let Some(latencies) = latencies {
                sum.get_or_insert_with(|| Box::new(Latencies::new())).add(latencies);
            }
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (code, count) in &other.codes {
            *self.codes.entry(code.clone()).or_default() += count;
        }
        self.granted_units += other.granted_units;
        self.confirmed_units += other.confirmed_units;
        if let Some(percent) = other.cpu_percent {
            *self.cpu_percent.get_or_insert(0.0) += percent;
        }
    }
}

/// Who hears of every second.
pub(crate) type Sink = Box<dyn FnMut(Interval) + Send>;

/// Gathers a second and hands it on.
pub(super) struct Reporter {
    sink: Sink,
    pub(super) current: Interval,
    /// Counts at the end of the second before.
    before: Counts,
}

impl Reporter {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, current: Interval::new(0), before: Counts::default() }
    }

    pub(super) fn answered(&mut self, kind: Kind, felt: Duration, took: Duration) {
        self.current.latencies[kind as usize]
            .get_or_insert_with(|| Box::new(Latencies::new()))
            .record(felt, took);
    }

    pub(super) fn count(&mut self, status: u16, code: Option<&str>) {
        *self.current.statuses.entry(status).or_default() += 1;
        let Some(code) = code else { return };
        match self.current.codes.get_mut(code) {
            Some(count) => *count += 1,
            None => {
                self.current.codes.insert(code.to_owned(), 1);
            }
        }
    }

    /// Hands on the seconds that are over.
    pub(super) fn look(&mut self, now: Moment, standing: &mut Standing) {
        let second = now.0 / NANOS_PER_SECOND;
        while self.current.second < second {
            let next = self.current.second + 1;
            self.hand_on(standing, next);
        }
    }

    /// Hands on the last one, whole or not.
    pub(super) fn finish(&mut self, standing: &mut Standing) {
        let next = self.current.second + 1;
        self.hand_on(standing, next);
    }

    fn hand_on(&mut self, standing: &mut Standing, next: u64) {
        let mut over = std::mem::replace(&mut self.current, Interval::new(next));
        over.counts = standing.counts.less(&self.before);
        over.in_flight = standing.in_flight as u64;
        over.lag = std::mem::replace(&mut standing.lag, histogram());
        self.before = standing.counts;
        (self.sink)(over);
    }
}
