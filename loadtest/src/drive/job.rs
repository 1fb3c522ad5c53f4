//! A request of a buyer, before anybody says how it goes over the wire.

use crate::books::{Ask, Customer, Sku};

/// A request of a buyer.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Of the request of the plan that it follows from, or is.
    pub(super) number: u64,
    pub(super) customer: Customer,
    pub(super) what: What,
    /// How often it was sent before.
    pub(super) tries: u32,
    /// What is reserved is this request's to decide about, not that of a copy.
    pub(super) leads: bool,
    /// Units that it is about.
    pub(super) units: u32,
}

impl Job {
    /// Who asks for what; nothing of somebody who only looks.
    pub(crate) const fn ask(&self) -> Option<(Customer, &Ask)> {
        match &self.what {
            What::Ask(ask) => Some((self.customer, ask)),
            What::Look(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Ask(Ask),
    /// What is left of a SKU.
    Look(Sku),
}

/// The kinds of requests that are measured apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reserve,
    Confirm,
    Release,
    Look,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Reserve, Self::Confirm, Self::Release, Self::Look];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Confirm => "confirm",
            Self::Release => "release",
            Self::Look => "look",
        }
    }

    pub(super) fn of(what: &What) -> Self {
        match what {
            What::Ask(Ask::Reserve { .. }) => Self::Reserve,
            What::Ask(Ask::Confirm { .. }) => Self::Confirm,
            What::Ask(Ask::Release { .. }) => Self::Release,
            What::Ask(Ask::Read { .. }) | What::Look(_) => Self::Look,
        }
    }
}
