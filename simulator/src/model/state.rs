//! What there is: reservations, SKUs, sales.

use std::collections::BTreeSet;

use holdfast_contracts::decision::{HoldState, SaleState};
use holdfast_contracts::{ReservationId, SaleTerms};

use super::{Model, Place};
use crate::answer::{Line, Sku};
use crate::marks::Mark;

/// A reservation that was granted or stood in line.
#[derive(Debug, Clone)]
pub(super) struct Reservation {
    pub(super) id: ReservationId,
    pub(super) customer: u64,
    pub(super) sale: usize,
    pub(super) lines: Vec<HeldLine>,
    pub(super) state: HoldState,
    /// `None` for one that waits without end, and after the end.
    pub(super) deadline: Option<u64>,
    pub(super) decided_at: u64,
    /// From when `hold_total_max_ms` counts: the decision, or the offer.
    pub(super) lives_since: u64,
    pub(super) extended: u32,
    /// The first answer: the promised life of a grant, or that it waits.
    pub(super) first_answer: FirstAnswer,
    /// It ended while it waited.
    pub(super) ended_waiting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstAnswer {
    Granted { expires_after_ms: u64 },
    Waiting,
}

/// One merged line.
#[derive(Debug, Clone)]
pub(super) struct HeldLine {
    pub(super) sku: Sku,
    pub(super) quantity: u32,
    /// 0 while it waits.
    pub(super) granted: u32,
}

/// One SKU.
#[derive(Debug, Clone, Default)]
pub(super) struct SkuState {
    pub(super) on_hand: u64,
    pub(super) available: u64,
    pub(super) held: u64,
    pub(super) committed: u64,
    pub(super) unavailable: u64,
    pub(super) shortfall: u64,
    /// The sale it is in, which may be closed.
    pub(super) sale: Option<usize>,
    /// For the marks: it was refused as sold out, and after that units came back.
    pub(super) sold_out_then: SoldOutThen,
}

/// A small story that every flash sale should tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SoldOutThen {
    #[default]
    Never,
    SoldOut,
    Returned,
}

/// One sale.
#[derive(Debug, Clone)]
pub(super) struct Sale {
    pub(super) state: SaleState,
    pub(super) terms: SaleTerms,
    pub(super) skus: BTreeSet<Sku>,
    /// When it was paused with `freeze_ttl`.
    pub(super) frozen_at: Option<u64>,
    /// For the marks: SKUs that have left it.
    pub(super) left: BTreeSet<Sku>,
}

impl Reservation {
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Waiting)
    }

    pub(super) const fn holds_units(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }

    /// Units of one of its lines that keep the SKU in use, if it lives.
    const fn units_in_use(&self, line: &HeldLine) -> u32 {
        if matches!(self.state, HoldState::Waiting) { line.quantity } else { line.granted }
    }

    /// Its lines as they are told in answers.
    pub(super) fn told_lines(&self) -> Vec<Line> {
        self.lines.iter().map(HeldLine::told).collect()
    }

    /// Its lines as they were told first.
    pub(super) fn first_lines(&self) -> Vec<Line> {
        let mut lines = self.told_lines();
        if self.first_answer == FirstAnswer::Waiting {
            lines.iter_mut().for_each(|line| line.missing = line.quantity);
        }
        lines
    }
}

impl HeldLine {
    pub(super) fn told(&self) -> Line {
        Line { sku: Sku::clone(&self.sku), quantity: self.quantity, missing: self.quantity - self.granted }
    }
}

impl Model {
    /// Whether the deadlines of this sale stand still.
    pub(super) fn is_frozen(&self, sale: usize) -> bool {
        self.sales[sale].frozen_at.is_some()
    }

    /// Gives a live reservation its deadline.
    pub(super) fn set_deadline(&mut self, place: Place, deadline: Option<u64>) {
        let reservation = self.reservation_mut(place);
        let before = std::mem::replace(&mut reservation.deadline, deadline);
        let sale = reservation.sale;
        let watched = if self.is_frozen(sale) { &mut self.frozen } else { &mut self.due };
        if let Some(before) = before {
            watched.remove(&(before, place));
        }
        if let Some(deadline) = deadline {
            watched.insert((deadline, place));
        }
    }

    /// Stops the deadlines of a sale.
    pub(super) fn freeze(&mut self, sale: usize) {
        let its: Vec<_> =
            self.due.iter().copied().filter(|(_, place)| self.reservation(*place).sale == sale).collect();
        for entry in its {
            self.due.remove(&entry);
            self.frozen.insert(entry);
        }
        self.sales[sale].frozen_at = Some(self.now());
    }

    /// Lets the deadlines of a sale run again, later by as long as they stood. Says whether they stood.
    pub(super) fn unfreeze(&mut self, sale: usize) -> bool {
        let Some(frozen_at) = self.sales[sale].frozen_at.take() else { return false };
        let by_ms = self.now() - frozen_at;
        let its: Vec<_> =
            self.frozen.iter().copied().filter(|(_, place)| self.reservation(*place).sale == sale).collect();
        for (deadline, place) in its {
            self.frozen.remove(&(deadline, place));
            self.set_deadline(place, Some(deadline + by_ms));
        }
        true
    }

    /// Begins a live reservation.
    pub(super) fn begin(&mut self, place: Place, reservation: Reservation) {
        for line in &reservation.lines {
            let units = u64::from(reservation.units_in_use(line));
            if units > 0 {
                *self.in_use.entry((reservation.sale, Sku::clone(&line.sku))).or_default() += units;
            }
        }
        self.live.insert(place);
        self.reservations.insert(place, reservation);
    }

    /// Ends a live reservation. Its units, its place in line and its account are the caller's business.
    pub(super) fn end(&mut self, place: Place, state: HoldState) {
        self.set_deadline(place, None);
        self.live.remove(&place);
        let reservation =
            self.reservations.get_mut(&place).expect("a place that is kept has its reservation");
        for line in &reservation.lines {
            let key = (reservation.sale, Sku::clone(&line.sku));
            let units = u64::from(reservation.units_in_use(line));
            if let Some(left) = self.in_use.get_mut(&key) {
                *left -= units;
                if *left == 0 {
                    self.in_use.remove(&key);
                }
            }
        }
        reservation.ended_waiting = reservation.state == HoldState::Waiting;
        reservation.state = state;
    }

    /// Moves the deadlines of what was decided at or after a record. Says whether there was any.
    pub(super) fn move_deadlines_since(&mut self, offset: u64, by_ms: u64) -> bool {
        let watched = self.due.iter().chain(&self.frozen).copied();
        let chosen: Vec<_> = watched.filter(|(_, place)| place.offset >= offset).collect();
        for (deadline, place) in &chosen {
            self.set_deadline(*place, Some(deadline + by_ms));
        }
        !chosen.is_empty()
    }

    /// Units of a customer in a SKU of a sale: held, paying, waiting, confirmed.
    pub(super) fn account(&self, sale: usize, sku: &Sku, customer: u64) -> u64 {
        self.accounts.get(&(sale, Sku::clone(sku), customer)).copied().unwrap_or(0)
    }

    pub(super) fn add_to_account(&mut self, sale: usize, sku: &Sku, customer: u64, units: u32) {
        if units > 0 {
            *self.accounts.entry((sale, Sku::clone(sku), customer)).or_default() += u64::from(units);
        }
    }

    pub(super) fn take_from_account(&mut self, sale: usize, sku: &Sku, customer: u64, units: u32) {
        let key = (sale, Sku::clone(sku), customer);
        if units == 0 {
            return;
        }
        let account = self.accounts.get_mut(&key).expect("what is given back was counted before");
        *account -= u64::from(units);
        if *account == 0 {
            self.accounts.remove(&key);
        }
    }

    /// Takes units of a SKU out of what is free, for the marks' sake with the story of its sold-out days.
    pub(super) fn take_available(&mut self, sku: &Sku, units: u32) {
        let state = self.sku_mut(sku);
        state.available -= u64::from(units);
        let (left, story) = (state.available, state.sold_out_then);
        if units > 0 && story == SoldOutThen::Returned {
            state.sold_out_then = SoldOutThen::Never;
            self.marks.hit(Mark::SoldOutThenReturnedThenSold);
        }
        self.marks.hit_if(units > 0 && left == 0, Mark::TookTheLastUnit);
    }
}
