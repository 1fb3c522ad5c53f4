//! What a machine says to one record, in plain owned structs: SKUs by name, nothing borrowed, nothing encoded.

use std::rc::Rc;

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::{FirstDecided, HoldState, Reason, SaleState, StockFigures};

/// Name of a SKU. The empty name stands for a dictionary index that does not exist.
pub type Sku = Rc<str>;

/// The output of one record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Log time after the record's append time was taken in, before its commands.
    pub log_time_ms: u64,
    /// Echo of the command record; 0 if it is malformed.
    pub intake_id: u64,
    /// Echo of the command record; 0 if it is malformed.
    pub first_request_tag: u64,
    /// What time or a command brought about for other reservations, in the order it happened.
    pub events: Vec<Event>,
    /// One per command.
    pub decisions: Vec<Decision>,
    /// The record is no command batch: the code of the decoder's error.
    pub malformed: Option<u32>,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// The reservation or command asked about.
    pub id: Option<ReservationId>,
    /// It is the first answer again.
    pub replay: bool,
    /// The answer; a tick has none.
    pub outcome: Option<Outcome>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The SKU.
    pub sku: Sku,
    /// Units asked for.
    pub quantity: u32,
    /// Units asked for but not granted.
    pub missing: u32,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Units are set aside.
    Reserved {
        /// Life of the hold as first promised.
        expires_after_ms: u64,
        /// What was granted.
        lines: Vec<Line>,
        /// For a replay.
        first: FirstDecided,
    },
    /// The buyer stands in line.
    Waiting {
        /// What is wanted.
        line: Line,
        /// For a replay.
        first: FirstDecided,
    },
    /// No.
    Refused(Refusal),
    /// A reservation moved or stays.
    Moved {
        /// Its state now.
        state: HoldState,
        /// Time left for a live hold.
        expires_after_ms: u64,
        /// Its lines.
        lines: Vec<Line>,
        /// It was so before.
        unchanged: bool,
        /// Confirmed after its end.
        late: bool,
    },
    /// Stock was set or adjusted.
    StockChanged {
        /// The SKU.
        sku: Sku,
        /// Its counters.
        figures: StockFigures,
        /// Reservations to cancel after a forced cut.
        cancel_first: Vec<ReservationId>,
    },
    /// A sale was defined, opened, paused or closed.
    SaleChanged {
        /// Its state now.
        state: SaleState,
        /// It was so before.
        unchanged: bool,
    },
    /// New rules hold.
    RulesActivated {
        /// Their version.
        version: u32,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// The SKU to blame.
    pub sku: Option<Sku>,
    /// What the reason says it is.
    pub value: u64,
}

/// Something that happened besides the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Index of the command that brought it about; `None` is time.
    pub cause: Option<u32>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A reservation ended by its deadline, or with its sale while it waited.
    Expired {
        /// The reservation.
        id: ReservationId,
        /// Its lines.
        lines: Vec<Line>,
        /// It held no units.
        was_waiting: bool,
    },
    /// A waiting reservation got its units.
    Offered {
        /// The reservation.
        id: ReservationId,
        /// Time to take the offer.
        expires_after_ms: u64,
        /// What was granted.
        line: Line,
    },
    /// Log time stands still.
    ClockSuspect {
        /// The append time that raised it.
        append_time_ms: u64,
    },
    /// Log time moves again.
    ClockTrusted {
        /// How far it moved at once.
        step_ms: u64,
    },
}

impl Refusal {
    /// A refusal that blames no SKU and has no number to tell.
    #[must_use]
    pub const fn plain(reason: Reason) -> Self {
        Self { reason, sku: None, value: 0 }
    }

    /// A refusal because of one SKU.
    #[must_use]
    pub const fn of_sku(reason: Reason, sku: Sku, value: u64) -> Self {
        Self { reason, sku: Some(sku), value }
    }
}

impl Expected {
    /// Whether there is nothing to say: such a record has no output.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.events.is_empty()
            && self.malformed.is_none()
            && self.decisions.iter().all(|decision| *decision == Decision::default())
    }
}
