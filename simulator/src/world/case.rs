//! A history of a world kept as text: a setup, and one action per line.
//!
//! ```text
//! # what this case is about, any number of lines
//! log kafka 000102030405060708090a0b0c0d0e0f partitions 1 unsettled 1048576
//! end well
//! host partition 0 disk 0 rules 2 bins 16 wheel 64 read 1 copy 300 checkpoint 200 outputs 4 tick 100
//! start 0 active
//! append 0 1700000000000 1a0241311a02...
//! #   what the record says, for people
//! ```

use super::action::Action;
use super::setup::Setup;

/// A setup and what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldCase {
    /// What it is about.
    pub about: String,
    /// What the world is made of.
    pub setup: Setup,
    /// What happens, before all faults end.
    pub actions: Vec<Action>,
}

impl WorldCase {
    /// The case as text, with every command spelled out in comments.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.about.lines() {
            text.push_str("# ");
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&self.setup.to_text());
        for action in &self.actions {
            action.describe(&mut text);
        }
        text
    }

    /// Reads what [`WorldCase::to_text`] writes. Comments before the first setting are what the case is about.
    ///
    /// # Errors
    /// The first line that makes no sense, or that names a host, disk or partition that the setup does not have.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut case = Self { about: String::new(), setup: Setup::empty(), actions: Vec::new() };
        let mut begun = false;
        for (n, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if !begun {
                    case.about.push_str(comment.trim());
                    case.about.push('\n');
                }
                continue;
            }
            if line.is_empty() {
                continue;
            }
            begun = true;
            match Action::from_line(line) {
                Some(action) if case.setup.has(&action) => case.actions.push(action),
                None if case.setup.read_line(line).is_some() => {}
                _ => return Err(format!("line {n} makes no sense: {line}")),
            }
        }
        if case.setup.hosts.iter().any(|host| host.partition >= case.setup.partitions) {
            return Err("a host works for a partition that the log does not have".to_owned());
        }
        Ok(case)
    }
}

impl Setup {
    /// Whether everything the action names is there.
    pub(super) fn has(&self, action: &Action) -> bool {
        match action {
            Action::Append { partition, .. }
            | Action::Clock { partition, .. }
            | Action::Flight { partition, .. }
            | Action::Flush { partition, .. }
            | Action::Settle { partition }
            | Action::Trim { partition } => *partition < self.partitions,
            Action::Step { host, .. }
            | Action::StepReading { host, .. }
            | Action::Start { host, .. }
            | Action::Kill { host }
            | Action::Drop { host }
            | Action::Promote { host }
            | Action::Upgrade { host }
            | Action::Checkpoint { host }
            | Action::Query { host } => *host < self.hosts.len(),
            Action::Write { disk }
            | Action::Break { disk, .. }
            | Action::Damage { disk }
            | Action::Wipe { disk }
            | Action::Older { disk } => *disk < self.disks(),
            Action::Ship { from, to } => *from.max(to) < self.disks(),
            Action::CrashLog { .. } | Action::FailLog | Action::Room(_) => true,
        }
    }
}
