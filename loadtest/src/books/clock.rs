//! Instants of a run, and whether the machine's wall clock can be compared with them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// Nanoseconds of monotonic time since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Saturates at [`Moment::NEVER`].
    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// Saturates at the beginning.
    pub(crate) fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// Nanoseconds later, or earlier if there are fewer than none. Saturates at both ends.
    pub(crate) fn shifted(self, by: i64) -> Self {
        Self(self.0.saturating_add_signed(by))
    }

    /// How long after `earlier`; nothing if it is not after.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells moments of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// One that starts at this instant, which may be yet to come. Until then it stands at the beginning.
    pub(crate) fn starting_at(instant: Instant) -> Self {
        Self(instant)
    }

    pub(crate) fn now(self) -> Moment {
        Moment(nanos(self.0.elapsed()))
    }

    /// Where its beginning lies on another one; at that one's beginning if it lies before.
    pub(crate) fn start_on(self, other: Self) -> Moment {
        Moment(nanos(self.0.saturating_duration_since(other.0)))
    }

    /// One that starts when this one shows that.
    pub(crate) fn starting_when(self, moment: Moment) -> Option<Self> {
        self.0.checked_add(Duration::from_nanos(moment.0)).map(Self)
    }

    /// Sleeps until it has started.
    pub(crate) fn wait_for_start(self) {
        while self.now() == Moment(0) {
            std::thread::sleep(self.until_start());
        }
    }

    /// How long until it starts.
    pub(crate) fn until_start(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Notices when the wall clock moves against the monotonic one. The server's deadlines are made of the first, the
/// buyers' instants of the second; while they run together, one may be compared with the other.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    began: (Instant, SystemTime),
    moved_ms_max: AtomicU64,
}

impl ClockWatch {
    pub(crate) fn start() -> Self {
        Self { began: (Instant::now(), SystemTime::now()), moved_ms_max: AtomicU64::new(0) }
    }

    /// Compares the clocks once. Call it a few times a second.
    pub(crate) fn look(&self) {
        let steady = self.began.0.elapsed();
        let moved = match SystemTime::now().duration_since(self.began.1) {
            Ok(wall) => wall.abs_diff(steady),
            Err(backwards) => backwards.duration() + steady,
        };
        let moved_ms = u64::try_from(moved.as_millis()).unwrap_or(u64::MAX);
        self.moved_ms_max.fetch_max(moved_ms, Ordering::Relaxed);
    }

    /// The largest difference seen.
    pub(crate) fn moved_ms_max(&self) -> u64 {
        self.moved_ms_max.load(Ordering::Relaxed)
    }
}
