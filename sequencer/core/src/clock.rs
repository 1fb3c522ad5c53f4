//! Log time: what a record's append time does to it, and when it is not believed.
//!
//! A broker whose clock jumps could expire every hold at once. A large step is therefore believed only after several
//! tickers have agreed with it; until then log time stands still.

use holdfast_contracts::{LogTime, Offset};

/// A larger step of the append time is not believed at once.
pub(crate) const STEP_MAX_MS: u64 = 10_000;
/// How far a ticker's clock may be from the append time of its tick.
pub(crate) const TICK_TOLERANCE_MS: u64 = 10_000;
/// Agreeing ticks in a row until log time is believed again.
pub(crate) const SANE_TICKS: u32 = 3;
/// Append times are taken into these years: 2020 ...
pub(crate) const TIME_MIN: LogTime = LogTime(1_577_836_800_000);
/// ... to 2050.
pub(crate) const TIME_MAX: LogTime = LogTime(2_524_608_000_000);

/// Takes a time into the years the machine can represent.
pub(crate) fn clamp(time: LogTime) -> LogTime {
    time.clamp(TIME_MIN, TIME_MAX)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Clock {
    now: Option<LogTime>,
    suspicion: Option<Suspicion>,
}

/// Why and since when log time stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// The record that raised it.
    pub(crate) since: Offset,
    /// A tick disagreed, so only ticks can lift it.
    pub(crate) tick_disagreed: bool,
    pub(crate) sane_ticks: u32,
}

/// What a record or a tick did to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockEvent {
    Suspect,
    /// Log time moves again; holds decided in the suspicion move by the step.
    Trusted {
        step_ms: u64,
        decided_since: Option<Offset>,
    },
}

impl Clock {
    pub(crate) const fn restored(now: Option<LogTime>, suspicion: Option<Suspicion>) -> Self {
        Self { now, suspicion }
    }

    /// Log time; before the first record, the earliest there is.
    pub(crate) fn now(&self) -> LogTime {
        self.now.unwrap_or(TIME_MIN)
    }

    pub(crate) const fn started(&self) -> Option<LogTime> {
        self.now
    }

    pub(crate) const fn suspicion(&self) -> Option<Suspicion> {
        self.suspicion
    }

    /// Takes note of a record's append time, already clamped.
    pub(crate) fn record(&mut self, offset: Offset, appended: LogTime) -> Option<ClockEvent> {
        let Some(now) = self.now else {
            self.now = Some(appended);
            return None;
        };
        let near = appended.ms_since(now) <= STEP_MAX_MS;
        match self.suspicion {
            None if near => {
                self.now = Some(if cfg!(feature = "mutant-11") { appended } else { now.max(appended) });
                None
            }
            None => {
                self.suspicion = Some(Suspicion { since: offset, tick_disagreed: false, sane_ticks: 0 });
                Some(ClockEvent::Suspect)
            }
            Some(suspicion) if near && !suspicion.tick_disagreed => {
                // One odd append time, and the next is as if nothing had been.
                self.suspicion = None;
                self.now = Some(now.max(appended));
                Some(ClockEvent::Trusted { step_ms: 0, decided_since: None })
            }
            Some(_) => None,
        }
    }

    /// Takes note of a tick in the record at `offset`, appended at `appended` (clamped).
    pub(crate) fn tick(&mut self, offset: Offset, appended: LogTime, wall: LogTime) -> Option<ClockEvent> {
        let agrees = appended.0.abs_diff(wall.0) <= TICK_TOLERANCE_MS;
        match (&mut self.suspicion, agrees) {
            (None, true) => None,
            (None, false) => {
                self.suspicion = Some(Suspicion { since: offset, tick_disagreed: true, sane_ticks: 0 });
                Some(ClockEvent::Suspect)
            }
            (Some(suspicion), false) => {
                suspicion.tick_disagreed = true;
                suspicion.sane_ticks = 0;
                None
            }
            (Some(suspicion), true) => {
                suspicion.sane_ticks += 1;
                if suspicion.sane_ticks < SANE_TICKS {
                    return None;
                }
                let since = suspicion.since;
                self.suspicion = None;
                let before = self.now();
                self.now = Some(before.max(appended));
                Some(ClockEvent::Trusted { step_ms: self.now().ms_since(before), decided_since: Some(since) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: LogTime = LogTime(TIME_MIN.0 + 1_000_000);

    fn started() -> Clock {
        let mut clock = Clock::default();
        assert_eq!(clock.record(Offset(0), START), None);
        clock
    }

    #[test]
    fn time_never_goes_back() {
        let mut clock = started();
        clock.record(Offset(1), LogTime(START.0 - 500_000));
        assert_eq!(clock.now(), START);
    }

    #[test]
    fn a_large_step_waits_for_agreeing_ticks() {
        let mut clock = started();
        let later = START.plus_ms(STEP_MAX_MS + 1);
        assert_eq!(clock.record(Offset(1), later), Some(ClockEvent::Suspect));
        for offset in 2..4 {
            assert_eq!(clock.record(Offset(offset), later), None);
            assert_eq!(clock.tick(Offset(offset), later, later), None);
            assert_eq!(clock.now(), START);
        }
        clock.record(Offset(4), later);
        let trusted = ClockEvent::Trusted { step_ms: STEP_MAX_MS + 1, decided_since: Some(Offset(1)) };
        assert_eq!(clock.tick(Offset(4), later, later), Some(trusted));
        assert_eq!(clock.now(), later);
    }

    #[test]
    fn an_odd_append_time_is_forgotten() {
        let mut clock = started();
        clock.record(Offset(1), START.plus_ms(86_400_000));
        let back = clock.record(Offset(2), START.plus_ms(5));
        assert_eq!(back, Some(ClockEvent::Trusted { step_ms: 0, decided_since: None }));
        assert_eq!(clock.now(), START.plus_ms(5));
    }

    #[test]
    fn a_ticker_with_a_wrong_clock_freezes_time_until_ticks_agree() {
        let mut clock = started();
        let wrong = START.plus_ms(TICK_TOLERANCE_MS + 1);
        assert_eq!(clock.tick(Offset(1), START, wrong), Some(ClockEvent::Suspect));
        assert_eq!(clock.record(Offset(2), START.plus_ms(5)), None);
        assert_eq!(clock.now(), START);
        assert_eq!(clock.tick(Offset(2), START.plus_ms(5), START), None);
        assert_eq!(clock.tick(Offset(3), START.plus_ms(6), wrong.plus_ms(9)), None);
        assert_eq!(clock.suspicion().map(|s| s.sane_ticks), Some(0));
    }
}
