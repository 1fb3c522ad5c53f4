//! The handle on an append: asks what became of it, or waits for that.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_contracts::{LogTime, Offset};

use super::{AppendFailure, Subscription};
use crate::doorbell::{Doorbell, doorbell};

/// Where and when an append landed. Known once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the stream.
    pub offset: Offset,
    /// When the log took it, by the log's own clock.
    pub append_time: LogTime,
}

/// What became of an append.
pub(crate) type Outcome = Result<Appended, AppendFailure>;

/// The side of an adapter that knows what became of its appends.
///
/// `place` is whatever the adapter put into the ticket, so that a ticket costs no allocation where an offset is
/// known from the start, and one where only a delivery report brings it.
pub(crate) trait Settlement: Send + Sync {
    /// What became of the append, `None` while it is open. Never changes once it is there.
    fn outcome(&self, place: Appended) -> Option<Outcome>;

    /// Rings the bell whenever an outcome may have appeared, until the subscription is dropped.
    fn watch(&self, bell: &Doorbell) -> Subscription;
}

/// The handle on an accepted append. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct Ticket {
    settlement: Arc<dyn Settlement>,
    place: Appended,
}

impl Ticket {
    pub(crate) fn new(settlement: Arc<dyn Settlement>, place: Appended) -> Self {
        Self { settlement, place }
    }

    /// What became of the append: `None` until it is durable or has failed.
    ///
    /// # Errors
    ///
    /// The inner result tells why it was not acknowledged.
    #[must_use]
    pub fn result(&self) -> Option<Result<Appended, AppendFailure>> {
        self.settlement.outcome(self.place)
    }

    /// Like [`result`](Self::result), but blocks this thread until there is one or `timeout` has passed.
    ///
    /// # Errors
    ///
    /// The inner result tells why it was not acknowledged.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Option<Result<Appended, AppendFailure>> {
        if let Some(outcome) = self.result() {
            return Some(outcome);
        }
        let deadline = Instant::now().checked_add(timeout);
        let (bell, mut listener) = doorbell();
        // Watching before the next look: an outcome that appears in between rings.
        let _watch = self.settlement.watch(&bell);
        loop {
            if let Some(outcome) = self.result() {
                return Some(outcome);
            }
            match deadline {
                Some(deadline) => {
                    if !listener.wait_until(deadline) {
                        return self.result();
                    }
                }
                None => listener.wait(),
            }
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.result()).finish()
    }
}
