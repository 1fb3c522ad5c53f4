//! What a spectator may ask: the generator to stand close to the edges, tests to look behind the answers.

use holdfast_contracts::decision::{HoldState, SaleState, StockFigures};
use holdfast_contracts::{ReservationId, SaleTerms};

use super::{Model, Place, SkuState};

/// One reservation, looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservationView {
    /// Whose it is.
    pub customer: u64,
    /// Its state; a hold that is over counts as expired.
    pub state: HoldState,
    /// When it is over, if it lives and that is known.
    pub deadline_ms: Option<u64>,
    /// What `hold_total_max_ms` allows at most, counted from its decision or offer.
    pub latest_deadline_ms: u64,
    /// How often it was extended.
    pub extended: u32,
}

/// One SKU, looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkuView {
    /// Its counters.
    pub figures: StockFigures,
    /// State and terms of the sale it is in.
    pub sale: Option<(SaleState, SaleTerms)>,
    /// How many stand in line.
    pub waiting: usize,
    /// Its line waits for work.
    pub needs_service: bool,
}

impl Model {
    /// Log time; `None` before the first record.
    #[must_use]
    pub fn log_time_ms(&self) -> Option<u64> {
        self.clock.has_begun().then(|| self.now())
    }

    /// Whether log time is not believed.
    #[must_use]
    pub const fn clock_is_suspect(&self) -> bool {
        self.clock.is_suspect()
    }

    /// Length of a generation of ids.
    #[must_use]
    pub const fn generation_ms(&self) -> u64 {
        self.rules.generation_ms()
    }

    /// Version of the rules in force.
    #[must_use]
    pub const fn rules_version(&self) -> u32 {
        self.rules.version
    }

    /// Pieces of work per record.
    #[must_use]
    pub const fn work_per_record_max(&self) -> u32 {
        self.rules.work_per_record_max
    }

    /// The reservation of an id that is remembered.
    #[must_use]
    pub fn reservation_view(&self, id: ReservationId) -> Option<ReservationView> {
        let reservation = self.reservation(self.known_reservation(id)?);
        let total = u64::from(self.sales[reservation.sale].terms.hold_total_max_ms);
        Some(ReservationView {
            customer: reservation.customer,
            state: self.state_now(reservation),
            deadline_ms: reservation.deadline,
            latest_deadline_ms: reservation.lives_since + total,
            extended: reservation.extended,
        })
    }

    /// A known SKU.
    #[must_use]
    pub fn sku_view(&self, name: &str) -> Option<SkuView> {
        let (key, state) = self.skus.get_key_value(name)?;
        let line = state.sale.and_then(|sale| self.lines.get(&(sale, key.clone())));
        Some(SkuView {
            figures: state.figures(),
            sale: state.sale.map(|sale| (self.sales[sale].state, self.sales[sale].terms)),
            waiting: line.map_or(0, |line| line.len()),
            needs_service: self.needs_service.contains(key),
        })
    }

    /// Units of a customer in the sale the SKU is in: held, paying, waiting, confirmed.
    #[must_use]
    pub fn units_of(&self, name: &str, customer: u64) -> u64 {
        let Some((key, SkuState { sale: Some(sale), .. })) = self.skus.get_key_value(name) else { return 0 };
        self.account(*sale, key, customer)
    }

    /// State and terms of a sale.
    #[must_use]
    pub fn sale_view(&self, sale_id: &str) -> Option<(SaleState, SaleTerms)> {
        let sale = &self.sales[*self.sale_numbers.get(sale_id)?];
        Some((sale.state, sale.terms))
    }

    /// The first deadline that is still to come.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let after = (self.log_time_ms()? + 1, Place { offset: 0, index: 0 });
        self.due.range(after..).next().map(|(deadline, _)| *deadline)
    }

    /// How many live reservations are past their deadline and have not ended yet.
    #[must_use]
    pub fn overdue(&self) -> usize {
        let Some(now) = self.log_time_ms() else { return 0 };
        self.due.iter().take_while(|(deadline, _)| *deadline <= now).count()
    }

    /// How many reservations are live.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.len()
    }
}
