//! Which process runs a partition, and as what. Safety does not depend on it: two owners say the same.

use std::time::Duration;

use crate::worker::Role;

/// What a process does for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// Applies and emits.
    Active,
    /// Applies and is ready to take over.
    Standby,
    /// Nothing; it takes no memory.
    None,
}

impl Assignment {
    /// The role of a worker, if there is one.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Active => Some(Role::Active),
            Self::Standby => Some(Role::Standby),
            Self::None => None,
        }
    }
}

/// Counts the assignments of a partition in this process, from 1 on. Nothing is done under one that was replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// How an active worker hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handover {
    /// How long it may take. Reading stops at once; the time is for outputs and the checkpoint to become durable.
    pub patience: Duration,
    /// Whether a checkpoint of everything applied is written first.
    pub checkpoint: bool,
}

impl Handover {
    /// For an owner that has lost the partition already: somebody else may be at work, so nothing is waited for.
    pub const AT_ONCE: Self = Self { patience: Duration::ZERO, checkpoint: false };
    /// Waits a little for outputs in flight.
    pub const ORDERLY: Self = Self { patience: Duration::from_secs(5), checkpoint: false };
}

/// What came of an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The partition is what it was assigned to be. Whatever it said before is durable, and the checkpoint that was asked for
    /// is written.
    Orderly,
    /// The partition is what it was assigned to be, but its time ran out, or its worker failed: the next owner says again what is
    /// missing.
    Abrupt,
    /// Another assignment came before this one took effect.
    Replaced,
    /// The sequencer ended.
    Ended,
}

/// Hears what came of an assignment, on the partition's thread or on the one that made the next assignment.
pub type OnSettled = Box<dyn FnOnce(Settled) + Send>;

/// An assignment that is to be carried out.
pub(crate) struct Order {
    pub(crate) to: Assignment,
    pub(crate) generation: Generation,
    pub(crate) how: Handover,
    /// Told once, at the latest when it is dropped.
    on_settled: Option<OnSettled>,
}

impl Order {
    pub(crate) fn new(to: Assignment, generation: Generation, how: Handover, on_settled: OnSettled) -> Self {
        Self { to, generation, how, on_settled: Some(on_settled) }
    }

    /// Tells whoever ordered it.
    pub(crate) fn tell(&mut self, settled: Settled) {
        if let Some(on_settled) = self.on_settled.take() {
            on_settled(settled);
        }
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.tell(Settled::Ended);
    }
}
