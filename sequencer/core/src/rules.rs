//! Versions of the rules, and the settings that come with them. Both reach the machine through the log only.

/// The rules in force. Records decided under old rules replay under old rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) version: u32,
    /// How long ids are remembered.
    pub(crate) dedupe_window_ms: u64,
    /// Pieces of due work in one record.
    pub(crate) work_per_record_max: u32,
}

/// Newest version of the rules that this build knows.
pub const RULES_VERSION_NEWEST: u32 = 2;

/// Generations of ids in one de-duplication window.
pub(crate) const GENERATIONS_PER_WINDOW: u64 = 4;

/// Under rules 2, how far down a line somebody who fits is looked for.
const LINE_LOOK_MAX: usize = 64;

impl Default for Rules {
    fn default() -> Self {
        Self { version: 1, dedupe_window_ms: 86_400_000, work_per_record_max: 1024 }
    }
}

impl Rules {
    /// Whether this build can decide under a version.
    pub(crate) const fn knows(version: u32) -> bool {
        version >= 1 && version <= RULES_VERSION_NEWEST
    }

    /// The rules after an activation; 0 keeps a setting.
    pub(crate) fn activated(self, version: u32, dedupe_window_ms: u64, work_per_record_max: u32) -> Self {
        Self {
            version,
            dedupe_window_ms: match dedupe_window_ms {
                0 => self.dedupe_window_ms,
                // A generation lasts at least a millisecond.
                ms => ms.max(GENERATIONS_PER_WINDOW),
            },
            work_per_record_max: match work_per_record_max {
                0 => self.work_per_record_max,
                max => max,
            },
        }
    }

    pub(crate) const fn generation_ms(&self) -> u64 {
        self.dedupe_window_ms / GENERATIONS_PER_WINDOW
    }

    /// How many of the first in line are looked at for somebody who fits: a strict line under rules 1.
    pub(crate) const fn line_look_max(&self) -> usize {
        if self.version == 1 { 1 } else { LINE_LOOK_MAX }
    }

    /// Whether the public may buy past people in line whom the free units do not fit.
    pub(crate) const fn public_passes_line(&self) -> bool {
        self.version >= 2
    }
}
