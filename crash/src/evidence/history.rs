//! What clients asked, when, and what they were told.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// One line of a client history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A request is about to be sent.
    Invoke(Invoke),
    /// An answer came that says what was decided.
    Ok(Answer),
    /// It is certain that this request did nothing.
    Fail(Answer),
    /// Nobody can tell: the client heard nothing, or that it is not known.
    Unknown(Answer),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoke {
    /// Number of this attempt; no two have the same.
    pub op: u64,
    /// Just before it was sent, in microseconds since the run began.
    pub at_us: u64,
    /// The life of the intake process it was sent to.
    pub intake: String,
    /// What was asked.
    #[serde(flatten)]
    pub ask: Ask,
}

/// One line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AskedLine {
    /// The SKU.
    pub sku: String,
    /// Units.
    pub quantity: u32,
}

/// Terms of a sale, as far as a run sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terms {
    /// Life of a hold.
    pub hold_ttl_ms: u32,
    /// Units of one SKU for one customer; 0 is no limit.
    pub units_per_customer_max: u32,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Units for a customer.
    Reserve {
        /// Subject of the customer's token.
        subject: String,
        /// The `Idempotency-Key`.
        key: String,
        /// What is wanted.
        lines: Vec<AskedLine>,
    },
    /// To sell the held units.
    Confirm {
        /// Subject of the customer's token.
        subject: String,
        /// The reservation.
        reservation_id: String,
    },
    /// To give them back.
    Release {
        /// Subject of the customer's token.
        subject: String,
        /// The reservation.
        reservation_id: String,
    },
    /// To move the deadline.
    Extend {
        /// Subject of the customer's token.
        subject: String,
        /// The `Idempotency-Key`.
        key: String,
        /// The reservation.
        reservation_id: String,
        /// Milliseconds.
        by_ms: u32,
    },
    /// To set the units on hand.
    SetStock {
        /// Subject of the operator's token.
        subject: String,
        /// The `Idempotency-Key`.
        key: String,
        /// The SKU.
        sku: String,
        /// Units.
        on_hand: u64,
    },
    /// To change the units on hand.
    AdjustStock {
        /// Subject of the operator's token.
        subject: String,
        /// The `Idempotency-Key`.
        key: String,
        /// The SKU.
        sku: String,
        /// Units to add.
        delta: i64,
        /// Units to take out of the sale.
        set_aside: i64,
    },
    /// To make a sale known.
    DefineSale {
        /// Subject of the operator's token.
        subject: String,
        /// The `Idempotency-Key`.
        key: String,
        /// The sale.
        sale_id: String,
        /// Its SKUs.
        skus: Vec<String>,
        /// Its terms.
        terms: Terms,
    },
    /// To start a sale.
    OpenSale {
        /// The sale.
        sale_id: String,
    },
    /// What there is of a SKU. Writes nothing.
    Availability {
        /// The SKU.
        sku: String,
    },
}

/// The place of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Partition.
    pub partition: u32,
    /// Record.
    pub offset: u64,
    /// Command in the record.
    #[serde(default)]
    pub index: u32,
}

/// One line of a granted reservation as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedLine {
    /// The SKU.
    pub sku: String,
    /// Units asked for.
    pub quantity: u32,
    /// Units granted.
    pub granted: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The attempt.
    pub op: u64,
    /// Just after the answer was read, in microseconds since the run began.
    pub at_us: u64,
    /// HTTP status, if an answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// BLAKE3 of the body, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_digest: Option<String>,
    /// Problem code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `sequencer` or `gate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// It was said to be a repetition of the first answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// The reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<String>,
    /// Where it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Place>,
    /// State of the reservation or sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Its lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<GrantedLine>,
    /// on hand, available, held, committed, unavailable, shortfall, if they were told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<[u64; 6]>,
    /// What went wrong, if no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Decided.
    Ok(Answer),
    /// Nothing happened.
    Fail(Answer),
    /// Nobody can tell; an attempt that has no end in the history is one of these.
    Unknown(Option<Answer>),
}

/// An attempt with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The request.
    pub invoke: Invoke,
    /// How it ended.
    pub outcome: Outcome,
}

impl Operation {
    /// When it ended, if it did.
    #[must_use]
    pub fn ended_us(&self) -> Option<u64> {
        match &self.outcome {
            Outcome::Ok(answer) | Outcome::Fail(answer) | Outcome::Unknown(Some(answer)) => {
                Some(answer.at_us)
            }
            Outcome::Unknown(None) => None,
        }
    }
}

/// Joins requests with their ends. An end without a request is left out: it says nothing that can be checked.
pub(super) fn operations(events: Vec<Event>) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for event in events {
        let (answer, end): (Answer, fn(Answer) -> Outcome) = match event {
            Event::Invoke(invoke) => {
                places.insert(invoke.op, operations.len());
                operations.push(Operation { invoke, outcome: Outcome::Unknown(None) });
                continue;
            }
            Event::Ok(answer) => (answer, Outcome::Ok),
            Event::Fail(answer) => (answer, Outcome::Fail),
            Event::Unknown(answer) => (answer, |answer| Outcome::Unknown(Some(answer))),
        };
        if let Some(at) = places.get(&answer.op) {
            operations[*at].outcome = end(answer);
        }
    }
    operations
}
