//! What a worker counts and measures.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::hdr_bytes;

/// Latencies longer than that count as that long.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_600);
/// Digits that a latency keeps.
const DIGITS: u8 = 3;

/// Latencies of one kind of request, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latencies {
    /// From when it was due: what somebody felt who came then.
    #[serde(with = "hdr_bytes")]
    pub(crate) intended: Histogram<u64>,
    /// From when it was sent: what the server took.
    #[serde(with = "hdr_bytes")]
    pub(crate) sent: Histogram<u64>,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self { intended: histogram(), sent: histogram() }
    }

    pub(crate) fn record(&mut self, since_intended: Duration, since_sent: Duration) {
        record(&mut self.intended, since_intended);
        record(&mut self.sent, since_sent);
    }

    /// Adds the other's, exactly.
    pub(crate) fn add(&mut self, other: &Self) {
        self.intended.add(&other.intended).expect("both have the same bounds");
        self.sent.add(&other.sent).expect("both have the same bounds");
    }
}

/// A histogram of microseconds from 1 to [`LONGEST`].
pub(crate) fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, longest, DIGITS).expect("the bounds are in order")
}

/// Records a time; one beyond the bounds counts as the bound.
pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// What became of the requests of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Requests that were due.
    pub(crate) due: u64,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Nobody waited for the answer any longer.
    pub(crate) timed_out: u64,
    /// The connection broke, or could not be made.
    pub(crate) broken: u64,
    /// Due, and never sent, because too many waited already.
    pub(crate) dropped: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

impl Counts {
    /// What has come since the other was taken.
    pub(crate) fn less(&self, other: &Self) -> Self {
        Self {
            due: self.due - other.due,
            sent: self.sent - other.sent,
            answered: self.answered - other.answered,
            timed_out: self.timed_out - other.timed_out,
            broken: self.broken - other.broken,
            dropped: self.dropped - other.dropped,
            bytes_sent: self.bytes_sent - other.bytes_sent,
            bytes_received: self.bytes_received - other.bytes_received,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.sent += other.sent;
        self.answered += other.answered;
        self.timed_out += other.timed_out;
        self.broken += other.broken;
        self.dropped += other.dropped;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}
