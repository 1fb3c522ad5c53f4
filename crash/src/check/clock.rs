//! Log time, as the rules have it.

/// A larger step of the append time is not believed.
const STEP_MAX_MS: u64 = 10_000;
/// A ticker that is further off disagrees.
const TICK_TOLERANCE_MS: u64 = 10_000;
/// So many ticks that agree end a suspicion.
const SANE_TICKS: u32 = 3;
/// Append times are taken into these years first.
const YEARS_MS: (u64, u64) = (1_577_836_800_000, 2_524_608_000_000);

/// What happens to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClockEvent {
    Suspect {
        append_ms: u64,
    },
    /// Deadlines given from the record `since` on move by the step.
    Trusted {
        step_ms: u64,
        since: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Suspicion {
    since: u64,
    by_step: bool,
    sane: u32,
}

/// Log time of a partition.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: Option<u64>,
    suspicion: Option<Suspicion>,
}

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.now.unwrap_or(0)
    }

    /// A record begins.
    pub(super) fn record(&mut self, offset: u64, append_ms: u64) -> Option<ClockEvent> {
        let append_ms = append_ms.clamp(YEARS_MS.0, YEARS_MS.1);
        let Some(now) = self.now else {
            self.now = Some(append_ms);
            return None;
        };
        let near = append_ms <= now + STEP_MAX_MS;
        match self.suspicion {
            None if near => {
                self.now = Some(now.max(append_ms));
                None
            }
            None => {
                self.suspicion = Some(Suspicion { since: offset, by_step: true, sane: 0 });
                Some(ClockEvent::Suspect { append_ms })
            }
            Some(Suspicion { by_step: true, since, .. }) if near => {
                self.suspicion = None;
                self.now = Some(now.max(append_ms));
                Some(ClockEvent::Trusted { step_ms: 0, since })
            }
            Some(_) => None,
        }
    }

    /// A tick in a record.
    pub(super) fn tick(&mut self, offset: u64, append_ms: u64, wall_ms: u64) -> Option<ClockEvent> {
        let append_ms = append_ms.clamp(YEARS_MS.0, YEARS_MS.1);
        let disagrees = append_ms.abs_diff(wall_ms) > TICK_TOLERANCE_MS;
        match &mut self.suspicion {
            None if disagrees => {
                self.suspicion = Some(Suspicion { since: offset, by_step: false, sane: 0 });
                Some(ClockEvent::Suspect { append_ms })
            }
            None => None,
            Some(suspicion) if disagrees => {
                (suspicion.sane, suspicion.by_step) = (0, false);
                None
            }
            Some(suspicion) => {
                suspicion.sane += 1;
                if suspicion.sane < SANE_TICKS {
                    return None;
                }
                let (since, now) = (suspicion.since, self.now());
                let then = now.max(append_ms);
                (self.suspicion, self.now) = (None, Some(then));
                Some(ClockEvent::Trusted { step_ms: then - now, since })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_700_000_000_000;

    #[test]
    fn time_never_goes_back_and_a_leap_is_not_believed() {
        let mut clock = Clock::default();
        assert_eq!(clock.record(0, T), None);
        assert_eq!(clock.record(1, T - 5), None);
        assert_eq!(clock.now(), T);
        assert_eq!(clock.record(2, T + 10_000), None);
        assert_eq!(clock.record(3, T + 20_001), Some(ClockEvent::Suspect { append_ms: T + 20_001 }));
        assert_eq!(clock.now(), T + 10_000);
        assert_eq!(clock.record(4, T + 10_001), Some(ClockEvent::Trusted { step_ms: 0, since: 3 }));
    }

    #[test]
    fn three_sane_ticks_end_a_suspicion() {
        let mut clock = Clock::default();
        clock.record(0, T);
        assert!(clock.record(1, T + 60_000).is_some());
        assert_eq!(clock.tick(1, T + 60_000, T + 60_000), None);
        assert_eq!(clock.tick(2, T + 60_050, T + 60_050), None);
        let trusted = clock.tick(3, T + 60_100, T + 60_100);
        assert_eq!(trusted, Some(ClockEvent::Trusted { step_ms: 60_100, since: 1 }));
        assert_eq!(clock.now(), T + 60_100);
    }
}
