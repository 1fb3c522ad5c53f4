//! Looking at the state without changing it.

use holdfast_contracts::decision::{HoldState, Reason, SaleState, StockFigures};
use holdfast_contracts::{CustomerId, LogTime, Position, ReservationId, SaleTerms};

use crate::answer::Answer;
use crate::holds::NONE;
use crate::ids::hash_of;
use crate::machine::Machine;

/// A line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineView {
    /// The SKU.
    pub sku: String,
    /// Units asked for.
    pub quantity: u32,
    /// Units granted; 0 while it waits.
    pub granted: u32,
}

/// What is remembered of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdView {
    /// A reservation that was granted or waits.
    Reservation(ReservationView),
    /// The request was refused.
    Refused {
        /// Why.
        reason: Reason,
        /// See [`Reason`].
        value: u64,
    },
    /// An administrative command that was done.
    Done,
}

/// A reservation as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationView {
    /// Its state; a passed deadline counts as expired.
    pub state: HoldState,
    /// Whose it is.
    pub customer: CustomerId,
    /// Its lines, in order of SKU.
    pub lines: Vec<LineView>,
    /// Milliseconds of log time left, rounded down; 0 unless held or paying.
    pub expires_in_ms: u64,
    /// Where it was decided.
    pub position: Position,
    /// Times it was extended.
    pub extends: u32,
}

/// A SKU as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuView {
    /// Its counters.
    pub figures: StockFigures,
    /// Units that the public may take: less than available while a line is being served.
    pub offered: u64,
    /// The sale it is in.
    pub sale: Option<String>,
    /// Reservations standing in line.
    pub waiting: usize,
}

/// A sale as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleView {
    /// Its id.
    pub id: String,
    /// Its state, without looking at its window.
    pub state: SaleState,
    /// Its terms.
    pub terms: SaleTerms,
    /// Its SKUs in this partition, in byte order.
    pub skus: Vec<String>,
    /// Whether nothing can be reserved now, and why.
    pub refusal: Option<Reason>,
    /// Since when its deadlines stand still.
    pub frozen_since: Option<LogTime>,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Ids remembered for their age.
    pub ids: u64,
    /// Slots of holds in use or free.
    pub hold_slots: u64,
    /// SKUs.
    pub skus: u64,
    /// Sales.
    pub sales: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

impl Machine {
    /// What is remembered of an id.
    #[must_use]
    pub fn view_id(&self, id: ReservationId) -> Option<IdView> {
        let at = self.known(id, self.ids.home(hash_of(id)))?;
        Some(match Answer::unpack(self.ids.entry(at).word) {
            Answer::Hold(number) => IdView::Reservation(self.view_hold(number)),
            Answer::Done => IdView::Done,
            Answer::Refused { reason, value, .. } => IdView::Refused { reason, value },
        })
    }

    fn view_hold(&self, number: u32) -> ReservationView {
        let hold = self.holds.get(number);
        let state = self.effective_state(hold);
        let (offset, index) = hold.decided_at();
        let without_units = hold.is_waiting() || hold.ended_waiting();
        let lines = self.lines.of(hold).map(|line| LineView {
            sku: self.skus.names().name(self.sales.listing(line.listing).sku).to_owned(),
            quantity: line.quantity,
            granted: if without_units { 0 } else { line.granted },
        });
        let has_time = matches!(state, HoldState::Held | HoldState::Paying);
        ReservationView {
            state,
            customer: hold.customer(),
            lines: lines.collect(),
            expires_in_ms: if has_time { hold.deadline().ms_since(self.now()) } else { 0 },
            position: Position { partition: self.config.partition, offset, index },
            extends: hold.extends(),
        }
    }

    /// A SKU, if it is known.
    #[must_use]
    pub fn view_sku(&self, sku: &str) -> Option<SkuView> {
        let number = self.skus.find(sku, crate::hash::hash_bytes(sku.as_bytes()))?;
        let counters = self.skus.get(number);
        let listing = Some(counters.listing).filter(|listing| *listing != NONE);
        Some(SkuView {
            figures: counters.figures(),
            offered: self.offered(number),
            sale: listing.map(|listing| self.sales.sale_of(listing).id.clone()),
            waiting: listing.map_or(0, |listing| self.sales.lines[listing as usize].len()),
        })
    }

    /// Units of a SKU that count toward a customer's limit in the sale the SKU is in: held, paying, waiting and confirmed.
    /// `None` if the SKU is not known or in no sale.
    #[must_use]
    pub fn view_customer_units(&self, sku: &str, customer: CustomerId) -> Option<u32> {
        let number = self.skus.find(sku, crate::hash::hash_bytes(sku.as_bytes()))?;
        let listing = Some(self.skus.get(number).listing).filter(|listing| *listing != NONE)?;
        Some(self.account(listing, customer))
    }

    /// Whether a new reservation of this SKU would be refused for want of stock and for nothing before it: its sale sells, and
    /// the public may take nothing. A customer's limit is not looked at.
    #[must_use]
    pub fn is_sold_out(&self, sku: &str) -> bool {
        let Some(number) = self.skus.find(sku, crate::hash::hash_bytes(sku.as_bytes())) else { return false };
        let listing = self.skus.get(number).listing;
        listing != NONE
            && self.sales.sale_of(listing).refusal(self.now()).is_none()
            && self.offered(number) == 0
    }

    /// Whether anything is remembered of an id.
    #[must_use]
    pub fn remembers(&self, id: ReservationId) -> bool {
        self.known(id, self.ids.home(hash_of(id))).is_some()
    }

    /// All SKUs that are known, in the order in which they became so.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        self.skus.names().numbers().map(|number| self.skus.names().name(number))
    }

    /// A sale, if it is known.
    #[must_use]
    pub fn view_sale(&self, id: &str) -> Option<SaleView> {
        let sale = self.sales.sale(self.sales.find(id)?);
        let name = |listing: &u32| self.skus.names().name(self.sales.listing(*listing).sku).to_owned();
        Some(SaleView {
            id: sale.id.clone(),
            state: sale.state,
            terms: sale.terms,
            skus: sale.listings.iter().map(name).collect(),
            refusal: sale.refusal(self.now()),
            frozen_since: sale.frozen_since,
        })
    }

    /// Ids of all sales, in the order in which they were defined.
    pub fn sales(&self) -> impl Iterator<Item = &str> {
        self.sales.sales.iter().map(|sale| sale.id.as_str())
    }

    /// Version of the rules in force.
    #[must_use]
    pub const fn rules_version(&self) -> u32 {
        self.rules.version
    }

    /// How much there is of everything.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            ids: self.ids.generations.remembered(),
            hold_slots: self.holds.slots.len() as u64,
            skus: self.skus.len() as u64,
            sales: self.sales.sales.len() as u64,
            memory_bytes: self.memory_bytes() as u64,
        }
    }
}
