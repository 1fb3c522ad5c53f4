//! How far the clocks of two processes are apart, and how well that is known.

use std::time::Duration;

use crate::books::Moment;

/// For what it takes to read a clock.
const LITTLE: Duration = Duration::from_micros(20);

/// A question for the time, by the clock of whoever asked, and the answer by the clock of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ping {
    pub(crate) sent: Moment,
    pub(crate) told: Moment,
    pub(crate) received: Moment,
}

impl Ping {
    fn round_trip(&self) -> Duration {
        self.received.since(self.sent)
    }
}

/// How much later it is on the other's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    nanos: i64,
    /// Either way.
    uncertain: Duration,
}

impl Offset {
    /// From the ping that was quickest: it was answered at some time between its two ends, and nowhere are they closer.
    pub(crate) fn estimate(pings: &[Ping]) -> Option<Self> {
        let quickest = pings.iter().min_by_key(|it| it.round_trip())?;
        let half = quickest.round_trip() / 2;
        let nanos = difference(quickest.told, quickest.sent.plus(half));
        Some(Self { nanos, uncertain: half + LITTLE })
    }

    /// What the other's clock shows then.
    pub(crate) fn there(self, here: Moment) -> Moment {
        here.shifted(self.nanos)
    }

    /// A question and its answer took no longer.
    pub(crate) fn round_trip(self) -> Duration {
        self.uncertain * 2
    }

    /// What must be added to moments that the other has told by a clock set with this one, and how well that is known, when
    /// the clocks were as far apart as that in the end. Two clocks drift steadily: at any time between, the truth lay between.
    pub(crate) fn rest(self, in_the_end: Self) -> (i64, Duration) {
        let drift = self.nanos.saturating_sub(in_the_end.nanos);
        let by = drift / 2;
        let uncertain = Duration::from_nanos(drift.unsigned_abs().div_ceil(2));
        (by, uncertain + self.uncertain.max(in_the_end.uncertain))
    }
}

/// One moment less another.
fn difference(one: Moment, other: Moment) -> i64 {
    let nanos = i128::from(one.0) - i128::from(other.0);
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ping that took so long each way, with a clock that is ahead by so much.
    fn ping(sent: u64, ahead: i64, there: u64, back: u64) -> Ping {
        let told = Moment(sent + there).shifted(ahead);
        Ping { sent: Moment(sent), told, received: Moment(sent + there + back) }
    }

    #[test]
    fn the_quickest_ping_tells_how_far_the_clocks_are_apart() {
        for ahead in [7_000_000, -7_000_000] {
            let start = 50_000_000;
            let pings = [
                ping(start, ahead, 900_000, 100_000),
                ping(start + 2_000_000, ahead, 40_000, 60_000),
                ping(start + 4_000_000, ahead, 10_000, 500_000),
            ];
            let offset = Offset::estimate(&pings).unwrap();
            let half = Duration::from_micros(50);
            assert_eq!(offset, Offset { nanos: ahead - 10_000, uncertain: half + LITTLE });
            let shown = Moment(80_000_000).shifted(ahead);
            let error = difference(offset.there(Moment(80_000_000)), shown).unsigned_abs();
            assert!(Duration::from_nanos(error) <= offset.uncertain, "{error}");
        }
        assert_eq!(Offset::estimate(&[]), None);
    }

    #[test]
    fn what_is_told_lies_where_it_was_however_the_clocks_drift() {
        let exact = |nanos| Offset { nanos, uncertain: Duration::from_nanos(30) };
        for (begin, end) in [(1_000, 5_001), (5_000, 1_001), (-3_000, 4_000), (7, 7)] {
            let (by, uncertain) = exact(begin).rest(exact(end));
            // An event at 1 ms by our clock, told by a clock that was set with the first offset.
            for truth in [begin, i64::midpoint(begin, end), end] {
                let told = Moment(1_000_000).shifted(truth).shifted(-begin).shifted(by);
                let (from, to) = (told.minus(uncertain), told.plus(uncertain));
                assert!((from..=to).contains(&Moment(1_000_000 - 30)), "{begin} {end} {truth}");
                assert!((from..=to).contains(&Moment(1_000_000 + 30)), "{begin} {end} {truth}");
            }
        }
        assert_eq!(exact(5).rest(exact(5)), (0, Duration::from_nanos(30)));
    }
}
