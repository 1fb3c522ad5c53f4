//! The clocks of a scenario: the one that stamps records, and the tickers' own.

use holdfast_contracts::LogId;
use holdfast_contracts::command::Command;

use super::Generator;
use crate::model::Model;

/// When the world begins.
pub(super) const BEGINNING: u64 = 1_700_000_000_000;
const STEP_MAX: u64 = 10_000;

impl Generator {
    /// The append time of the next record.
    pub(super) fn append_time(&mut self, model: &Model) -> u64 {
        let on = self.scenario.on;
        let Some(now) = model.log_time_ms() else {
            return if on.clock_extremes && self.rng.percent(20) { self.extreme_time() } else { self.wall };
        };
        // The wall clock goes on at its pace, whatever the log says.
        self.wall += match self.rng.below(4) {
            0 => 0,
            _ => self.rng.below(2 * self.scenario.pace_ms + 1),
        };
        self.wall = self.wall.max(now.min(self.wall + STEP_MAX));
        if on.clock_extremes && self.rng.percent(1) {
            return self.extreme_time();
        }
        if on.clock_jumps && self.rng.below(400) == 0 {
            return self.jump(now);
        }
        if on.clock_backwards && self.rng.percent(5) {
            return self.wall.saturating_sub(self.rng.below(3 * STEP_MAX));
        }
        if on.clock_edges && self.rng.percent(2) {
            let step = self.rng.one_of(&[STEP_MAX - 1, STEP_MAX, STEP_MAX, STEP_MAX + 1]);
            // One millisecond too far is odd; the wall clock does not follow.
            self.wall = self.wall.max(if step <= STEP_MAX { now + step } else { now });
            return now + step;
        }
        if self.rng.percent(20)
            && let Some(edge) = self.next_edge(model, now)
        {
            self.wall = self.wall.max(edge);
            return edge;
        }
        self.wall
    }

    /// The next deadline, or the next beginning or end of a sale, or next to it.
    fn next_edge(&mut self, model: &Model, now: u64) -> Option<u64> {
        let deadline = model.next_deadline_ms();
        let windows = self.sales.iter().filter_map(|slot| model.sale_view(&slot.id()));
        let sooner = |a: Option<u64>, b: u64| Some(a.map_or(b, |a| a.min(b)));
        let edges = windows.flat_map(|(_, terms)| [terms.opens_at.0, terms.closes_at.0]);
        let edge = edges.filter(|ms| *ms > now).fold(deadline, sooner)?;
        let edge = match self.rng.below(6) {
            0 => edge - 1,
            1 => edge.saturating_add(1),
            _ => edge,
        };
        (edge.saturating_sub(now) <= STEP_MAX).then_some(edge)
    }

    /// A step too far: of one record only, or for good if there are tickers to vouch for it.
    fn jump(&mut self, now: u64) -> u64 {
        let far = 1 << self.rng.between(14, 32);
        let step = self.rng.one_of(&[STEP_MAX + 1, STEP_MAX + 2, 86_400_000, far, far]);
        if self.scenario.on.ticks && self.rng.coin() {
            self.wall = self.wall.max(now + step);
        }
        now + step
    }

    fn extreme_time(&mut self) -> u64 {
        const YEARS: [u64; 2] = [1_577_836_800_000, 2_524_608_000_000];
        let some = self.rng.next();
        self.rng.one_of(&[0, 1, YEARS[0] - 1, YEARS[0], YEARS[1], YEARS[1] + 1, u64::MAX, some])
    }

    /// A tick in a record appended at `append_time`: mostly of a sane ticker, sometimes of one out of its mind.
    pub(super) fn tick(&mut self, append_time: u64) -> Command<'static> {
        let on = self.scenario.on;
        let append_time = append_time.clamp(1_577_836_800_000, 2_524_608_000_000);
        let mad = on.mad_ticks && self.rng.percent(if on.ticks { 15 } else { 40 });
        let off = if mad {
            let far = self.rng.next() >> 20;
            self.rng.one_of(&[STEP_MAX + 1, STEP_MAX + 1, 60_000, far])
        } else {
            let near = self.rng.below(STEP_MAX);
            self.rng.one_of(&[0, 0, near, STEP_MAX])
        };
        let wall =
            if self.rng.coin() { append_time.saturating_add(off) } else { append_time.saturating_sub(off) };
        let log_id = self.rng.coin().then_some(self.settings.log_id);
        Command::Tick { wall: holdfast_contracts::LogTime(wall), log_id }
    }

    /// A tick of somebody who writes to the wrong log.
    pub(super) fn foreign_tick(&mut self, append_time: u64) -> Command<'static> {
        let mut id = self.settings.log_id.0;
        id[self.rng.index(16)] ^= 1;
        Command::Tick { wall: holdfast_contracts::LogTime(append_time), log_id: Some(LogId(id)) }
    }
}
