//! Whether requests are answered, and what is in the way if they are not.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use holdfast_contracts::PartitionId;

/// What the intake last saw of a partition or of the log. Refreshed several times a second, read on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Condition {
    /// Not there yet.
    Starting = 0,
    /// It answers.
    Good = 1,
    /// It stands still until somebody does something about it.
    Stopped = 2,
    /// There is no room for new commands.
    Full = 3,
    /// Commands are taken, and nobody decides them.
    Undecided = 4,
    /// What is known of it is too old.
    Behind = 5,
    /// It does not answer, and may again at any time.
    Away = 6,
}

impl Condition {
    /// Whether commands may be sent: they will be decided, sooner or later.
    pub(crate) const fn takes_commands(self) -> bool {
        matches!(self, Self::Good | Self::Undecided | Self::Behind)
    }

    /// What is in the way, in a word or two.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Good => "good",
            Self::Stopped => "stopped",
            Self::Full => "full",
            Self::Undecided => "undecided",
            Self::Behind => "behind",
            Self::Away => "away",
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Good,
            2 => Self::Stopped,
            3 => Self::Full,
            4 => Self::Undecided,
            5 => Self::Behind,
            6 => Self::Away,
            _ => Self::Starting,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Health {
    partitions: Vec<AtomicU8>,
    log: AtomicU8,
    started: AtomicBool,
    draining: AtomicBool,
    was_ready: Mutex<bool>,
    becomes_ready: Condvar,
}

impl Health {
    pub(crate) fn new(partitions: u32) -> Self {
        Self {
            partitions: (0..partitions).map(|_| AtomicU8::new(Condition::Starting as u8)).collect(),
            log: AtomicU8::new(Condition::Good as u8),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            was_ready: Mutex::new(false),
            becomes_ready: Condvar::new(),
        }
    }

    pub(crate) fn partition(&self, partition: PartitionId) -> Condition {
        Condition::from_code(self.partitions[partition.0 as usize].load(Ordering::Relaxed))
    }

    pub(crate) fn set_partition(&self, partition: PartitionId, condition: Condition) {
        self.partitions[partition.0 as usize].store(condition as u8, Ordering::Relaxed);
    }

    pub(crate) fn log(&self) -> Condition {
        Condition::from_code(self.log.load(Ordering::Relaxed))
    }

    pub(crate) fn set_log(&self, condition: Condition) {
        self.log.store(condition as u8, Ordering::Relaxed);
    }

    /// Every partition was brought to where it can answer, or stands still.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    pub(crate) fn set_started(&self) {
        self.started.store(true, Ordering::Release);
        self.announce();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.announce();
    }

    pub(crate) fn is_ready(&self) -> bool {
        let good = |code: &AtomicU8| Condition::from_code(code.load(Ordering::Relaxed)) == Condition::Good;
        self.is_started() && !self.is_draining() && good(&self.log) && self.partitions.iter().all(good)
    }

    /// Lets whoever waits for readiness look again.
    pub(crate) fn announce(&self) {
        *self.was_ready.lock().unwrap_or_else(PoisonError::into_inner) = self.is_ready();
        self.becomes_ready.notify_all();
    }

    pub(crate) fn wait_until_ready(&self, deadline: Instant) -> bool {
        let mut was_ready = self.was_ready.lock().unwrap_or_else(PoisonError::into_inner);
        while !*was_ready && !self.is_draining() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.becomes_ready.wait_timeout(was_ready, left);
            was_ready = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *was_ready
    }
}
