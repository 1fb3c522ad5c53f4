//! What was done to the system, and when.

use serde::{Deserialize, Serialize};

/// A part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A process that owns partitions.
    Sequencer,
    /// A process that talks to clients.
    Intake,
    /// Both in one process.
    Server,
    /// A Kafka broker.
    Broker,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultLine {
    /// When, in microseconds since the run began: what harms just before, a pause just after.
    pub at_us: u64,
    /// What was done.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// A part of the schedule begins.
    Phase {
        /// Its name.
        name: String,
    },
    /// A process was started.
    Started {
        /// What it is.
        role: Role,
        /// Its name; a restart has the same.
        who: String,
    },
    /// A process says that it is ready.
    Ready {
        /// What it is.
        role: Role,
        /// Its name.
        who: String,
    },
    /// A process was ended with `kill -9`.
    Killed {
        /// What it is.
        role: Role,
        /// Its name.
        who: String,
        /// At which moment, if one was waited for.
        moment: String,
    },
    /// A process ended without being asked to.
    EndedByItself {
        /// What it is.
        role: Role,
        /// Its name.
        who: String,
        /// Its exit status.
        how: String,
    },
    /// A process found what it had stored damaged, or panicked, although nobody had harmed its files.
    Complained {
        /// Whose words they are.
        who: String,
        /// What it said.
        what: String,
    },
    /// A process was stopped with SIGSTOP.
    Paused {
        /// What it is.
        role: Role,
        /// Its name.
        who: String,
    },
    /// It goes on.
    Resumed {
        /// What it is.
        role: Role,
        /// Its name.
        who: String,
    },
    /// A second process was started for partitions that have a living owner.
    Doubled {
        /// The second process.
        who: String,
    },
    /// A broker was ended with `kill -9`.
    BrokerKilled {
        /// Its name.
        who: String,
        /// It led partitions of our topics.
        led: bool,
        /// It was the active controller.
        controlled: bool,
    },
    /// The disk of a process has no room.
    DiskFull {
        /// The process.
        who: String,
    },
    /// It has room again.
    DiskFreed {
        /// The process.
        who: String,
    },
    /// A partition must refuse to go on in this scenario.
    MustStop {
        /// The scenario.
        scenario: String,
        /// Words of which one must be in the reason it gives.
        reasons: Vec<String>,
    },
    /// A partition refused to go on.
    Stopped {
        /// The scenario.
        scenario: String,
        /// The reason it gave.
        reason: String,
    },
    /// A scenario in which a process may also heal itself: it did, and said so.
    Healed {
        /// The scenario.
        scenario: String,
        /// What it said.
        how: String,
    },
}
