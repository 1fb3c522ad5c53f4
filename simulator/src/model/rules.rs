//! Section 6: which rules hold.

use super::{Model, Stopped};
use crate::answer::Outcome;
use crate::marks::Mark;

/// The rules in force.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) version: u32,
    pub(super) dedupe_window_ms: u64,
    pub(super) work_per_record_max: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { version: 1, dedupe_window_ms: 86_400_000, work_per_record_max: 1024 }
    }
}

impl Rules {
    pub(super) const fn generation_ms(&self) -> u64 {
        self.dedupe_window_ms / 4
    }
}

impl Model {
    pub(super) fn activate_rules(
        &mut self,
        version: u32,
        dedupe_window_ms: u64,
        work_per_record_max: u32,
    ) -> Result<Outcome, Stopped> {
        match version {
            1 => self.marks.hit(Mark::RulesOneActivated),
            2 => self.marks.hit(Mark::RulesTwoActivated),
            _ => {
                self.marks.hit(Mark::StoppedByRulesVersion);
                return Err(Stopped::UnknownRules(version));
            }
        }
        self.rules.version = version;
        if dedupe_window_ms != 0 {
            self.marks.hit_if(dedupe_window_ms < 4, Mark::WindowTooSmallCountsAsFour);
            self.rules.dedupe_window_ms = dedupe_window_ms.max(4);
        }
        if work_per_record_max != 0 {
            self.marks.hit_if(work_per_record_max != self.rules.work_per_record_max, Mark::WorkLimitChanged);
            self.rules.work_per_record_max = work_per_record_max;
        }
        Ok(Outcome::RulesActivated { version })
    }
}
