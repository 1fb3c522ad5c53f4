//! What the inventory machine answered, as it is read from and written to a decision record.

mod batch;
mod events;
mod lines;
mod read;
mod write;

pub use batch::{DecisionBatch, decode_decisions, split_chain};
pub use lines::{Granted, GrantedLines};
pub use write::{BodyWriter, Envelope, Moved, write_chain, write_digest, write_envelope};

use crate::ReservationId;

/// Why something was refused. A refusal is a decision, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The request breaks a rule whatever the state is.
    Invalid = 1,
    /// Nobody made this SKU known.
    UnknownSku = 2,
    /// No sale, a draft, or before its first moment.
    SaleNotOpen = 3,
    /// The sale is paused.
    SalePaused = 4,
    /// The sale is over.
    SaleClosed = 5,
    /// The lines belong to different sales.
    DifferentSales = 6,
    /// More units than one customer, or one reservation, may have. Value: units still allowed.
    PurchaseLimit = 7,
    /// Fewer units than asked for. Value: units there are.
    InsufficientStock = 8,
    /// The id was used before with other content.
    IdReused = 9,
    /// No such reservation is remembered.
    UnknownReservation = 10,
    /// The reservation is somebody else's.
    NotOwner = 11,
    /// The deadline has passed.
    Expired = 12,
    /// The units were given back.
    Released = 13,
    /// The units are sold.
    AlreadyConfirmed = 14,
    /// The reservation still stands in line.
    StillWaiting = 15,
    /// No further extension. Value: milliseconds still allowed.
    ExtendLimit = 16,
    /// The stock is not what the caller expected. Value: units on hand.
    StockChanged = 17,
    /// The cut goes below what is promised. Value: units that could be taken away.
    StockBelowPromised = 18,
    /// Nobody made this sale known.
    UnknownSale = 19,
    /// The SKU is in another sale that is not closed.
    SkuInOtherSale = 20,
    /// The SKU leaves the sale while units of it are held.
    SkuInUse = 21,
    /// The sale is in a state from which this cannot be done.
    SaleState = 22,
    /// The machine's memory limits are reached; not remembered.
    Full = 23,
    /// An operator's command, or a tick, in a record without a valid authentication code; not remembered.
    UnauthenticatedControl = 24,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 24] = [
        Self::Invalid,
        Self::UnknownSku,
        Self::SaleNotOpen,
        Self::SalePaused,
        Self::SaleClosed,
        Self::DifferentSales,
        Self::PurchaseLimit,
        Self::InsufficientStock,
        Self::IdReused,
        Self::UnknownReservation,
        Self::NotOwner,
        Self::Expired,
        Self::Released,
        Self::AlreadyConfirmed,
        Self::StillWaiting,
        Self::ExtendLimit,
        Self::StockChanged,
        Self::StockBelowPromised,
        Self::UnknownSale,
        Self::SkuInOtherSale,
        Self::SkuInUse,
        Self::SaleState,
        Self::Full,
        Self::UnauthenticatedControl,
    ];

    /// The reason with this wire number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.get(code.checked_sub(1)? as usize).copied()
    }

    /// The wire number.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}

/// State of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HoldState {
    /// Units set aside.
    Held = 1,
    /// Units set aside, the buyer is paying.
    Paying = 2,
    /// Units sold.
    Confirmed = 3,
    /// Units given back.
    Released = 4,
    /// Ended by its deadline.
    Expired = 5,
    /// Stands in line.
    Waiting = 6,
}

impl HoldState {
    /// The state with this wire number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Held,
            2 => Self::Paying,
            3 => Self::Confirmed,
            4 => Self::Released,
            5 => Self::Expired,
            6 => Self::Waiting,
            _ => return None,
        })
    }

    /// The lower-case name used in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paying => "paying",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Waiting => "waiting",
        }
    }
}

/// State of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SaleState {
    /// Defined, never opened.
    Draft = 1,
    /// Selling, within its window.
    Open = 2,
    /// Stopped for a while.
    Paused = 3,
    /// Over for good.
    Closed = 4,
}

impl SaleState {
    /// The state with this wire number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Draft,
            2 => Self::Open,
            3 => Self::Paused,
            4 => Self::Closed,
            _ => return None,
        })
    }

    /// The lower-case name used in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }
}

/// Where and when a replayed answer was first given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FirstDecided {
    /// Milliseconds of log time since then (0 for a waiting reservation, where it does not matter).
    pub ago_ms: u64,
    /// Offset of the command record.
    pub offset: u64,
    /// Index of the command in it.
    pub index: u32,
}

/// The counters of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockFigures {
    /// available + held + committed + unavailable.
    pub on_hand: u64,
    /// Free to promise.
    pub available: u64,
    /// Set aside for buyers.
    pub held: u64,
    /// Sold, not shipped.
    pub committed: u64,
    /// Not for sale: damaged, safety stock, quality control.
    pub unavailable: u64,
    /// Promised, but taken away by a forced cut.
    pub shortfall: u64,
}

/// The answer to one command, borrowed from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The reservation or command asked about.
    pub id: Option<ReservationId>,
    /// This is the first answer again.
    pub replay: bool,
    /// The answer; a tick has none.
    pub outcome: Option<Outcome<'a>>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Units are set aside.
    Reserved {
        /// From the (first) decision to the first deadline.
        expires_after_ms: u64,
        /// What was granted.
        lines: GrantedLines<'a>,
        /// For a replay.
        first: FirstDecided,
    },
    /// The buyer stands in line.
    Waiting {
        /// What is wanted; all of it missing.
        line: Granted,
        /// For a replay.
        first: FirstDecided,
    },
    /// No.
    Refused {
        /// Why.
        reason: Reason,
        /// The SKU to blame, if one is.
        sku: Option<u32>,
        /// See [`Reason`].
        value: u64,
    },
    /// A reservation moved, or stays as it is.
    Moved {
        /// Its state now.
        state: HoldState,
        /// Time left, for a live hold.
        expires_after_ms: u64,
        /// Its lines.
        lines: GrantedLines<'a>,
        /// It was so before.
        unchanged: bool,
        /// Confirmed after its end.
        late: bool,
    },
    /// Stock was set or adjusted.
    StockChanged {
        /// Dictionary index.
        sku: u32,
        /// Counters after it.
        figures: StockFigures,
        /// Reservations to cancel after a forced cut, 16 bytes each.
        cancel_first: CancelList<'a>,
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

/// Something that happened to a reservation, or to time, without a command about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Index of the command that brought it about; `None` is time.
    pub cause: Option<u32>,
    /// What happened.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// A reservation ended by its deadline, or with its sale while it waited.
    Expired {
        /// The reservation.
        id: ReservationId,
        /// Its lines.
        lines: GrantedLines<'a>,
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
        line: Granted,
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

/// Reservations to cancel, newest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct CancelList<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) count: u32,
}

impl<'a> CancelList<'a> {
    /// How many there are, at most 100.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The ids.
    pub fn iter(&self) -> impl Iterator<Item = ReservationId> + use<'a> {
        read::cancel_list(self.message)
    }
}

impl PartialEq for CancelList<'_> {
    /// Equal ids in equal order, whatever stands around them in the record.
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for CancelList<'_> {}
