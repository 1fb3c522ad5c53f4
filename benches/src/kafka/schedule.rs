//! Open-loop load: commands are due at a fixed rate, whatever becomes of those before, and latency counts from then on.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use holdfast_benches::pipeline::Result;

/// When commands are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Commands per second.
    pub(crate) rate: u64,
    /// The first command is due now.
    pub(crate) start: Instant,
}

impl Schedule {
    /// When a command is due.
    pub(crate) fn due(&self, command: u64) -> Instant {
        self.start + Self::after(self.rate, command)
    }

    /// How many commands are due by now, those sent already among them.
    pub(crate) fn due_by(&self, now: Instant) -> u64 {
        match now.checked_duration_since(self.start) {
            Some(passed) => Self::within(self.rate, passed),
            None => 0,
        }
    }

    /// Commands of so much time.
    pub(crate) fn commands_in(&self, time: Duration) -> u64 {
        Self::within(self.rate, time).saturating_sub(1)
    }

    fn after(rate: u64, command: u64) -> Duration {
        let nanos = u128::from(command) * 1_000_000_000 / u128::from(rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn within(rate: u64, passed: Duration) -> u64 {
        let due = passed.as_nanos() * u128::from(rate) / 1_000_000_000 + 1;
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

/// How long answers took, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// None yet. An answer that takes longer than a minute counts as a minute.
    pub(crate) fn new() -> Result<Self> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        histogram.auto(false);
        Ok(Self { histogram })
    }

    /// One more.
    pub(crate) fn record(&mut self, took: Duration) {
        self.histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Milliseconds within which so many percent were answered.
    pub(crate) fn ms(&self, percent: f64) -> f64 {
        self.histogram.value_at_quantile(percent / 100.0) as f64 / 1e3
    }

    /// The longest, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.histogram.max() as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_due_as_often_as_the_rate_says() {
        let start = Instant::now();
        let schedule = Schedule { rate: 10_000, start };
        assert_eq!(schedule.due(0), start);
        assert_eq!(schedule.due(10_000), start + Duration::from_secs(1));
        assert_eq!(schedule.due_by(start), 1);
        assert_eq!(schedule.due_by(start + Duration::from_micros(99)), 1);
        assert_eq!(schedule.due_by(start + Duration::from_micros(100)), 2);
        assert_eq!(schedule.due_by(start + Duration::from_secs(1)), 10_001);
        assert_eq!(schedule.commands_in(Duration::from_secs(2)), 20_000);
        if let Some(before) = start.checked_sub(Duration::from_millis(1)) {
            assert_eq!(schedule.due_by(before), 0);
        }
    }

    #[test]
    fn what_is_due_is_never_due_later_than_counted() {
        for rate in [3, 7_777, 100_000] {
            let schedule = Schedule { rate, start: Instant::now() };
            for command in 0..1_000 {
                assert!(schedule.due_by(schedule.due(command) + Duration::from_nanos(1)) > command);
            }
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new().expect("a histogram");
        for ms in 1..=1_000 {
            latencies.record(Duration::from_millis(ms));
        }
        let near = |value: f64, wanted: f64| (value - wanted).abs() <= wanted * 0.002;
        assert_eq!(latencies.count(), 1_000);
        assert!(near(latencies.ms(50.0), 500.0), "{}", latencies.ms(50.0));
        assert!(near(latencies.ms(99.0), 990.0), "{}", latencies.ms(99.0));
        assert!(near(latencies.max_ms(), 1_000.0), "{}", latencies.max_ms());
        latencies.record(Duration::from_secs(3_600));
        assert!(latencies.max_ms() >= 60_000.0);
    }
}
