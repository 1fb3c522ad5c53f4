//! What may be asked of the inventory machine, as it is read from and written to a command record.

mod batch;
mod lines;
mod read;
mod write;

pub(crate) use batch::sku as sku_of;
pub use batch::{BatchHeader, BatchScratch, decode_batch};
pub use lines::{Line, Lines, SkuList};
pub use write::BatchBuilder;

use crate::{CustomerId, LogId, LogTime, ReservationId, SaleTerms};

/// A command, borrowed from its record. SKUs are indexes into the record's dictionary and may be out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Set units aside for a customer.
    Reserve(Reserve<'a>),
    /// The buyer has gone to pay.
    BeginPayment {
        /// The hold.
        reservation_id: ReservationId,
        /// Who asks; 0 is the system.
        customer: CustomerId,
    },
    /// Sell the held units.
    Confirm {
        /// The hold.
        reservation_id: ReservationId,
        /// Who asks; 0 is the system.
        customer: CustomerId,
        /// Take the units again if the hold has ended and they are free.
        reacquire: bool,
    },
    /// Give the units back.
    Release {
        /// The hold.
        reservation_id: ReservationId,
        /// Who asks; 0 is the system.
        customer: CustomerId,
    },
    /// Move the deadline.
    Extend {
        /// The hold.
        reservation_id: ReservationId,
        /// Who asks; 0 is the system.
        customer: CustomerId,
        /// Milliseconds added to the deadline.
        by_ms: u32,
        /// Makes a retry safe.
        command_id: Option<ReservationId>,
    },
    /// Set the units on hand of a SKU.
    SetStock(SetStock<'a>),
    /// Change the units on hand of a SKU.
    AdjustStock(AdjustStock<'a>),
    /// Make a sale known or change its terms.
    DefineSale(DefineSale<'a>),
    /// Start or resume a sale.
    OpenSale {
        /// The sale.
        sale_id: &'a str,
    },
    /// Pause a sale.
    PauseSale {
        /// The sale.
        sale_id: &'a str,
        /// Deadlines stand still meanwhile.
        freeze_ttl: bool,
    },
    /// End a sale.
    CloseSale {
        /// The sale.
        sale_id: &'a str,
    },
    /// Let time pass.
    Tick {
        /// The ticker's wall clock.
        wall: LogTime,
        /// The log the ticker believes to write to.
        log_id: Option<LogId>,
    },
    /// New rules from here on.
    ActivateRules {
        /// Version of the rules.
        version: u32,
        /// How long ids are remembered; 0 keeps what is set.
        dedupe_window_ms: u64,
        /// Pieces of due work per record; 0 keeps what is set.
        work_per_record_max: u32,
    },
}

impl Command<'_> {
    /// Whether this is not a buyer's command: it lets time pass, or it is for operators to give. With a control key, only
    /// a record that is authenticated may have it.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        match self {
            Self::Reserve(_)
            | Self::BeginPayment { .. }
            | Self::Confirm { .. }
            | Self::Release { .. }
            | Self::Extend { .. } => false,
            Self::SetStock(_)
            | Self::AdjustStock(_)
            | Self::DefineSale(_)
            | Self::OpenSale { .. }
            | Self::PauseSale { .. }
            | Self::CloseSale { .. }
            | Self::Tick { .. }
            | Self::ActivateRules { .. } => true,
        }
    }

    /// The id that an operator gave this command, if commands of its kind have one.
    #[must_use]
    pub const fn control_id(&self) -> Option<ReservationId> {
        match self {
            Self::SetStock(it) => Some(it.command_id),
            Self::AdjustStock(it) => Some(it.command_id),
            Self::DefineSale(it) => Some(it.command_id),
            _ => None,
        }
    }
}

/// A request to set units aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve<'a> {
    /// Unique per attempt.
    pub reservation_id: ReservationId,
    /// The buyer; 0 is invalid.
    pub customer: CustomerId,
    /// What is wanted, as it was sent: not merged, not sorted.
    pub lines: Lines<'a>,
    /// Take what there is of each line.
    pub allow_partial: bool,
    /// Stand in line when there is not enough.
    pub join_waitlist: bool,
}

/// Sets the units on hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetStock<'a> {
    /// Unique per attempt.
    pub command_id: ReservationId,
    /// Dictionary index.
    pub sku: u32,
    /// Units on hand from now on.
    pub on_hand: u64,
    /// Only if on hand is this now.
    pub expected: Option<u64>,
    /// Cut below what is promised.
    pub force: bool,
    /// Why, for people.
    pub reason: &'a str,
    /// The document behind it, for people.
    pub reference: &'a str,
}

/// Changes the units on hand, or sets some of them aside as not for sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjustStock<'a> {
    /// Unique per attempt.
    pub command_id: ReservationId,
    /// Dictionary index.
    pub sku: u32,
    /// Added to on hand and available.
    pub delta: i64,
    /// Moved from available to unavailable.
    pub set_aside: i64,
    /// Why, for people.
    pub reason: &'a str,
    /// The document behind it, for people.
    pub reference: &'a str,
}

/// Makes a sale known or changes its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefineSale<'a> {
    /// Unique per attempt.
    pub command_id: ReservationId,
    /// The sale.
    pub sale_id: &'a str,
    /// Its terms, not yet checked.
    pub terms: SaleTerms,
    /// Dictionary indexes of its SKUs in this partition.
    pub skus: SkuList<'a>,
}
