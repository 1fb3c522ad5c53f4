//! The seconds of all workers, put together.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::drive::{Interval, Kind};
use crate::generator::{Counts, Latencies, histogram};
use crate::report::hdr::quantiles;
use crate::results::{Requests, Second};

/// Everything that was measured so far.
pub(crate) struct Tally {
    /// How many seconds each worker has told of; nothing more comes from one that has ended.
    told: Vec<Option<u64>>,
    /// Seconds that somebody has yet to tell of, as far as they are known.
    open: BTreeMap<u64, Interval>,
    pub(crate) counts: Counts,
    pub(crate) latencies: [Latencies; Kind::ALL.len()],
    pub(crate) lag: Histogram<u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) codes: BTreeMap<String, u64>,
    pub(crate) seconds: Vec<Second>,
}

impl Tally {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            told: vec![Some(0); workers],
            open: BTreeMap::new(),
            counts: Counts::default(),
            latencies: Kind::ALL.map(|_| Latencies::new()),
            lag: histogram(),
            statuses: BTreeMap::new(),
            codes: BTreeMap::new(),
            seconds: Vec::new(),
        }
    }

    /// A worker tells of its next second.
    pub(crate) fn add(&mut self, worker: usize, interval: Interval) {
        self.told[worker] = Some(interval.second + 1);
        match self.open.get_mut(&interval.second) {
            Some(open) => open.add(&interval),
            None => {
                self.open.insert(interval.second, interval);
            }
        }
    }

    pub(crate) fn ended(&mut self, worker: usize) {
        self.told[worker] = None;
    }

    pub(crate) fn all_ended(&self) -> bool {
        self.told.iter().all(Option::is_none)
    }

    /// The next second of which everybody has told, added to what there is.
    pub(crate) fn close(&mut self) -> Option<Interval> {
        let next = self.seconds.len() as u64;
        if self.told.iter().flatten().any(|told| *told <= next) {
            return None;
        }
        // Without gaps, also where nobody had anything to tell.
        let known = self.open.last_key_value().is_some_and(|(last, _)| *last >= next);
        let interval = self.open.remove(&next).or_else(|| known.then(|| Interval::new(next)))?;
        self.count(&interval);
        Some(interval)
    }

    fn count(&mut self, interval: &Interval) {
        self.counts.add(&interval.counts);
        self.lag.add(&interval.lag).expect("all have the same bounds");
        let mut all = Latencies::new();
        for (sum, latencies) in self.latencies.iter_mut().zip(&interval.latencies) {
            if let Some(latencies) = latencies {
                sum.add(latencies);
                all.add(latencies);
            }
        }
        let mut statuses = BTreeMap::new();
        for (status, count) in &interval.statuses {
            *self.statuses.entry(*status).or_default() += count;
            statuses.insert(status_name(*status), *count);
        }
        for (code, count) in &interval.codes {
            *self.codes.entry(code.clone()).or_default() += count;
        }
        let counts = &interval.counts;
        self.seconds.push(Second {
            second: interval.second,
            due: counts.due,
            sent: counts.sent,
            answered: counts.answered,
            failed: counts.timed_out + counts.broken,
            dropped: counts.dropped,
            in_flight: interval.in_flight,
            statuses,
            felt: quantiles(&all.intended),
            took: quantiles(&all.sent),
            granted_units: interval.granted_units,
            confirmed_units: interval.confirmed_units,
            lag_p99: quantiles(&interval.lag).p99,
            cpu_percent: interval.cpu_percent.unwrap_or_default(),
        });
    }

    /// All kinds of requests together.
    pub(crate) fn all_latencies(&self) -> Latencies {
        let mut all = Latencies::new();
        self.latencies.iter().for_each(|it| all.add(it));
        all
    }

    pub(crate) fn requests(&self) -> Requests {
        let counts = &self.counts;
        Requests {
            due: counts.due,
            sent: counts.sent,
            answered: counts.answered,
            timed_out: counts.timed_out,
            broken: counts.broken,
            dropped: counts.dropped,
            bytes_sent: counts.bytes_sent,
            bytes_received: counts.bytes_received,
        }
    }

    pub(crate) fn statuses(&self) -> BTreeMap<String, u64> {
        self.statuses.iter().map(|(status, count)| (status_name(*status), *count)).collect()
    }
}

/// A status as it stands in results.
fn status_name(status: u16) -> String {
    if status == 0 { "none".to_owned() } else { status.to_string() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn interval(second: u64, due: u64, micros: u64) -> Interval {
        let mut interval = Interval::new(second);
        interval.counts.due = due;
        let mut latencies = Latencies::new();
        let took = Duration::from_micros(micros);
        latencies.record(took * 2, took);
        interval.latencies[Kind::Reserve as usize] = Some(Box::new(latencies));
        interval.statuses.insert(201, due);
        interval
    }

    #[test]
    fn a_second_is_over_when_everybody_has_told_of_it() {
        let mut tally = Tally::new(2);
        tally.add(0, interval(0, 3, 100));
        tally.add(0, interval(1, 4, 100));
        assert!(tally.close().is_none(), "the other has not told of it");
        tally.add(1, interval(0, 5, 900));
        assert_eq!(tally.close().map(|it| it.counts.due), Some(8));
        assert!(tally.close().is_none());
        tally.ended(1);
        assert_eq!(tally.close().map(|it| it.counts.due), Some(4));
        tally.ended(0);
        assert!(tally.all_ended() && tally.close().is_none());
        assert_eq!(tally.counts.due, 12);
        assert_eq!(tally.statuses(), BTreeMap::from([("201".to_owned(), 12)]));
        let seconds: Vec<(u64, u64)> = tally.seconds.iter().map(|it| (it.second, it.due)).collect();
        assert_eq!(seconds, [(0, 8), (1, 4)]);
        let felt = tally.seconds[0].felt;
        assert_eq!((felt.count, felt.p50), (2, 0.2));
        assert!((1.79..=1.81).contains(&felt.max), "{felt:?}");
        assert_eq!(tally.all_latencies().sent.len(), 3);
    }

    #[test]
    fn a_second_of_which_nobody_tells_is_there_all_the_same() {
        let mut tally = Tally::new(1);
        tally.add(0, interval(2, 1, 10));
        for expected in [0, 0, 1] {
            assert_eq!(tally.close().map(|it| it.counts.due), Some(expected));
        }
        assert!(tally.close().is_none());
    }
}
