//! Section 2: log time, and when it is not believed.

use holdfast_contracts::LogId;

use super::{Model, Stopped};
use crate::answer::What;
use crate::marks::{Mark, Marks};

const STEP_MAX: u64 = 10_000;
const SANE_TICKS: u32 = 3;
const TICK_TOLERANCE: u64 = 10_000;
/// 2020-01-01 and 2050-01-01.
const YEARS: (u64, u64) = (1_577_836_800_000, 2_524_608_000_000);

/// Log time and what is thought of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    now: Option<u64>,
    suspicion: Option<Suspicion>,
}

#[derive(Debug, Clone)]
struct Suspicion {
    /// The record that raised it. Decisions at or after it belong to the suspicion.
    raised_at: u64,
    /// It came from a step, and no tick has disagreed since.
    forgivable: bool,
    sane_ticks: u32,
}

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.now.expect("the first record sets log time before anything asks for it")
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.now.is_some()
    }

    pub(super) const fn is_suspect(&self) -> bool {
        self.suspicion.is_some()
    }
}

/// A time taken into the years that append times may have.
pub(super) fn into_its_years(ms: u64, marks: &mut Marks) -> u64 {
    marks.hit_if(ms < YEARS.0, Mark::AppendTimeBeforeItsYears);
    marks.hit_if(ms > YEARS.1, Mark::AppendTimeAfterItsYears);
    clamp(ms)
}

/// The same for a time that becomes a deadline.
pub(super) fn clamp(ms: u64) -> u64 {
    ms.clamp(YEARS.0, YEARS.1)
}

impl Model {
    /// Takes the append time of the record in.
    pub(super) fn move_time(&mut self) {
        let a = self.turn.append_time;
        let Some(now) = self.clock.now else {
            self.set_time(a);
            return;
        };
        self.marks.hit_if(a < now, Mark::AppendTimeWentBack);
        let small_step = a <= now || a - now <= STEP_MAX;
        match &self.clock.suspicion {
            None if small_step => {
                self.marks.hit_if(a == now + STEP_MAX, Mark::StepExactlyAtTheLimit);
                self.set_time(now.max(a));
            }
            None => {
                self.marks.hit(Mark::ClockSuspectByStep);
                self.marks.hit_if(a == now + STEP_MAX + 1, Mark::StepOneAboveTheLimit);
                self.suspect(true);
            }
            Some(suspicion) if small_step && suspicion.forgivable => {
                self.marks.hit(Mark::ClockTrustedBecauseOddTimeWasForgotten);
                self.clock.suspicion = None;
                self.set_time(now.max(a));
                self.event(What::ClockTrusted { step_ms: 0 });
            }
            Some(_) => self.marks.hit_if(small_step, Mark::OddTimeNotForgottenAfterDisagreement),
        }
    }

    /// A `Tick`: another clock's opinion of the record's append time.
    pub(super) fn tick(&mut self, wall_ms: u64, log_id: Option<LogId>) -> Result<(), Stopped> {
        if log_id.is_some_and(|id| id != self.settings.log_id) {
            self.marks.hit(Mark::StoppedByLogId);
            return Err(Stopped::OtherLog);
        }
        let difference = self.turn.append_time.abs_diff(wall_ms);
        self.marks.hit_if(difference == TICK_TOLERANCE, Mark::TickExactlyAtTolerance);
        self.marks.hit_if(difference == TICK_TOLERANCE + 1, Mark::TickOneBeyondTolerance);
        let disagrees = difference > TICK_TOLERANCE;
        match &mut self.clock.suspicion {
            None if disagrees => {
                self.marks.hit(Mark::ClockSuspectByTick);
                self.suspect(false);
            }
            None => {}
            Some(suspicion) if disagrees => {
                self.marks.hit_if(suspicion.sane_ticks > 0, Mark::SaneTicksCountedFromZeroAgain);
                suspicion.sane_ticks = 0;
                suspicion.forgivable = false;
            }
            Some(suspicion) => {
                suspicion.sane_ticks += 1;
                if suspicion.sane_ticks == SANE_TICKS {
                    let raised_at = suspicion.raised_at;
                    self.trust_again(raised_at);
                }
            }
        }
        Ok(())
    }

    fn suspect(&mut self, forgivable: bool) {
        let raised_at = self.turn.offset;
        self.clock.suspicion = Some(Suspicion { raised_at, forgivable, sane_ticks: 0 });
        self.event(What::ClockSuspect { append_time_ms: self.turn.append_time });
    }

    fn trust_again(&mut self, raised_at: u64) {
        self.marks.hit(Mark::ClockTrustedByTicks);
        self.clock.suspicion = None;
        let before = self.now();
        self.set_time(before.max(self.turn.append_time));
        let step_ms = self.now() - before;
        self.marks.hit_if(step_ms > 0, Mark::LogTimeMovedByTickWithinARecord);
        self.event(What::ClockTrusted { step_ms });
        // Reading: "decided" is the decision on the reserve command. A reservation that joined the line before the
        // suspicion and was offered its units during it is not moved.
        let moved = self.move_deadlines_since(raised_at, step_ms);
        self.marks.hit_if(moved && step_ms > 0, Mark::DeadlinesShiftedBySuspicion);
    }

    /// The only place where log time changes. Generations pass only when it moves, not when the window changes.
    fn set_time(&mut self, ms: u64) {
        if self.clock.now == Some(ms) {
            return;
        }
        let passed = self.memory.let_time_pass(ms, self.rules.generation_ms());
        self.marks.hit_if(passed > 1, Mark::SeveralGenerationsPassedAtOnce);
        self.clock.now = Some(ms);
    }
}
