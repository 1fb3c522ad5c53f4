//! Section 8, and all else that can be counted a second time.

use std::collections::BTreeMap;

use holdfast_contracts::decision::{HoldState, SaleState};

use super::{Model, SkuState};
use crate::answer::Sku;

impl Model {
    /// Conservation of every SKU the command touched.
    pub(super) fn check_touched(&mut self) {
        while let Some(sku) = self.turn.touched.pop() {
            conserved(&sku, self.sku(&sku));
        }
    }

    /// Counts everything again from the reservations and compares.
    ///
    /// # Panics
    /// If the model contradicts itself.
    pub fn verify(&self) {
        let mut held: BTreeMap<&Sku, u64> = BTreeMap::new();
        let mut in_use: BTreeMap<(usize, Sku), u64> = BTreeMap::new();
        let mut accounts: BTreeMap<(usize, &Sku, u64), u64> = BTreeMap::new();
        for (place, reservation) in &self.reservations {
            assert_eq!(reservation.is_live(), self.live.contains(place), "{place:?} is in the wrong list");
            let deadline = reservation.deadline;
            let watched = if self.is_frozen(reservation.sale) { &self.frozen } else { &self.due };
            assert!(
                deadline.is_none_or(|ms| reservation.is_live() && watched.contains(&(ms, *place))),
                "{place:?} has a deadline that nobody watches"
            );
            for line in &reservation.lines {
                if reservation.holds_units() {
                    *held.entry(&line.sku).or_default() += u64::from(line.granted);
                }
                let units = match reservation.state {
                    HoldState::Waiting => line.quantity,
                    HoldState::Held | HoldState::Paying => line.granted,
                    _ => 0,
                };
                if units > 0 {
                    let key = (reservation.sale, Sku::clone(&line.sku));
                    *in_use.entry(key).or_default() += u64::from(units);
                }
                *accounts.entry((reservation.sale, &line.sku, reservation.customer)).or_default() +=
                    u64::from(units);
            }
        }
        assert_eq!(in_use, self.in_use, "units in use");
        for (sku, state) in &self.skus {
            conserved(sku, state);
            assert_eq!(state.held, held.get(sku).copied().unwrap_or(0), "units held of {sku}");
        }
        for ((sale, sku, customer), units) in accounts {
            // Confirmed units are in the account as well, and only there once their reservation is forgotten.
            assert!(units <= self.account(sale, sku, customer), "account of {customer} in {sku}");
        }
        let deadlines = self.live.iter().filter(|place| self.reservation(**place).deadline.is_some()).count();
        assert_eq!(deadlines, self.due.len() + self.frozen.len(), "deadlines watched");
        let waiting: usize = self.lines.values().map(|line| line.len()).sum();
        let should_wait =
            self.live.iter().filter(|place| self.reservation(**place).state == HoldState::Waiting).count();
        assert_eq!(waiting, should_wait, "reservations in line");
        for (number, sale) in self.sales.iter().enumerate() {
            assert!(sale.frozen_at.is_none() || sale.state == SaleState::Paused, "frozen and not paused");
            assert!(sale.skus.iter().all(|sku| self.sku(sku).sale == Some(number)), "a SKU in two sales");
        }
    }
}

fn conserved(sku: &Sku, state: &SkuState) {
    assert_eq!(
        state.on_hand,
        state.available + state.held + state.committed + state.unavailable,
        "units of {sku} appeared or vanished: {state:?}"
    );
}
