//! What was asked and what was answered, written down by those who asked.
//!
//! The checks read nothing else. An entry is one HTTP request with the instants between which the server must have
//! worked on it, so that "before" and "after" are facts and not guesses.

mod body;
mod clock;
mod ledger;
#[cfg(test)]
mod tests;

pub(crate) use body::{Body, LINES_MAX, Lines};
pub(crate) use clock::{ClockWatch, Moment, Stopwatch};
pub(crate) use ledger::{Alarm, Books};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A customer, by number. Each has a subject and a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Customer(pub(crate) u32);

/// An item of the sale, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Sku(pub(crate) u16);

/// An idempotency key: the customer it belongs to, and a number that no other key of the run has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) customer: Customer,
    pub(crate) serial: u32,
}

/// As it ends on the wire, so that it can be looked for; before that stands the run.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key …-{}-{}", self.customer.0, self.serial)
    }
}

/// The place of a decision. Smaller is earlier; comparable within one partition only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) index: u32,
}

/// The id of a reservation, as the server wrote it.
pub(crate) type ReservationId = Arc<str>;

/// One request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// Taken before the first byte left.
    pub(crate) sent: Moment,
    /// Taken after the last byte came, or when the buyer stopped listening.
    pub(crate) received: Moment,
    pub(crate) ask: Ask,
    pub(crate) answer: Answer,
}

impl Exchange {
    /// The same, told by the clock of somebody else: `by` nanoseconds later, and known only within `uncertain` either
    /// way. The interval grows by that on both sides, so whatever follows from it stays true. Saturates at the
    /// beginning of the run and at [`Moment::NEVER`].
    #[must_use]
    pub(crate) fn shifted(self, by: i64, uncertain: Duration) -> Self {
        let (sent, received) = (self.sent.shifted(by), self.received.shifted(by));
        Self { sent: sent.minus(uncertain), received: received.plus(uncertain), ..self }
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Reserve { key: Key, body: Body },
    Confirm { reservation: ReservationId },
    Release { reservation: ReservationId },
    Read { reservation: ReservationId },
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A reservation: 201, or 200 when it is told again.
    Granted {
        reservation: ReservationId,
        /// Of all lines together.
        units: u32,
        /// The lines are those of the request, each granted whole or, where that is allowed, in part. Told apart here
        /// because a sum does not tell it.
        as_asked: bool,
        position: Position,
        told: Told,
    },
    /// A refusal that decides something.
    Refused { code: Code, by: DecidedBy, position: Option<Position>, told: Told },
    /// How a reservation stands, in answer to anything but a reserve.
    Stands { reservation: ReservationId, state: State },
    /// 202, or a 503 that says that the outcome is unknown: ask again.
    Pending,
    /// 429, or any other 503: nothing was decided.
    Busy,
    /// The connection broke, or the buyer's patience ended: nothing is known.
    Silence,
    /// Something the contract has no place for.
    Odd { status: u16, what: String },
}

/// Whether a decision is told for the first time, or repeated (`Idempotent-Replay: true`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    First,
    Again,
}

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DecidedBy {
    Sequencer,
    /// The published view of what is sold out. Decides nothing: the key may still be used.
    Gate,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Code {
    InsufficientStock,
    PurchaseLimit,
    IdempotencyConflict,
    Expired,
    Released,
    AlreadyConfirmed,
    NotFound,
}

/// The state of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum State {
    Held,
    Paying,
    Confirmed,
    Released,
    Expired,
    Waiting,
}

impl State {
    /// A reservation ends once, in one of these.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Confirmed | Self::Released | Self::Expired)
    }
}

impl Answer {
    /// Whether this is the sequencer's word on a reserve, which must never change.
    pub(crate) fn is_decision(&self) -> bool {
        match self {
            Self::Granted { .. } => true,
            Self::Refused { by, code, .. } => {
                *by == DecidedBy::Sequencer && matches!(code, Code::InsufficientStock | Code::PurchaseLimit)
            }
            _ => false,
        }
    }

    /// The state that this answer says a reservation has, if it says one. A refusal says it by its code.
    pub(crate) fn state(&self) -> Option<State> {
        match self {
            Self::Stands { state, .. } => Some(*state),
            Self::Refused { code: Code::Expired, .. } => Some(State::Expired),
            Self::Refused { code: Code::Released, .. } => Some(State::Released),
            Self::Refused { code: Code::AlreadyConfirmed, .. } => Some(State::Confirmed),
            _ => None,
        }
    }
}
