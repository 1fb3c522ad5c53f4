//! What the ticket of a simulated append knows.

use std::sync::{Arc, OnceLock};

use crate::{
    doorbell::Doorbell,
    port::{AppendFailure, Appended, Outcome, Settlement, Subscription, WakerSet},
};

/// The outcome of one append, once there is one.
pub(super) struct Slot {
    outcome: OnceLock<Outcome>,
    settled: Arc<WakerSet>,
}

impl Slot {
    pub(super) fn new(settled: Arc<WakerSet>) -> Self {
        Self { outcome: OnceLock::new(), settled }
    }

    /// The first outcome stays: a ticket that failed does not turn good when a late retry lands.
    pub(super) fn settle(&self, outcome: Outcome) {
        let _first_stays = self.outcome.set(outcome);
    }

    pub(super) fn fail_unknown(&self, reason: &str) {
        self.settle(Err(AppendFailure::Unknown { reason: reason.into() }));
    }
}

impl Settlement for Slot {
    fn outcome(&self, _place: Appended) -> Option<Outcome> {
        self.outcome.get().cloned()
    }

    fn watch(&self, bell: &Doorbell) -> Subscription {
        self.settled.subscribe(bell.waker())
    }
}

/// Settles tickets of appends that were durable before they returned, without an allocation for each.
pub(super) struct AlwaysDurable {
    pub(super) settled: Arc<WakerSet>,
}

impl Settlement for AlwaysDurable {
    fn outcome(&self, place: Appended) -> Option<Outcome> {
        Some(Ok(place))
    }

    fn watch(&self, bell: &Doorbell) -> Subscription {
        self.settled.subscribe(bell.waker())
    }
}
