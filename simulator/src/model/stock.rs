//! Section 6: stock.

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::{AdjustStock, SetStock};
use holdfast_contracts::decision::{Reason, StockFigures};
use holdfast_contracts::murmur2::partition_of;

use super::memory::{Answered, Content, Known};
use super::state::SoldOutThen;
use super::{Model, SkuState, no};
use crate::answer::{Decision, Outcome, Refusal, Sku};
use crate::marks::Mark;

/// Units of one SKU on hand.
const STOCK_MAX: u64 = 1 << 40;
const CANCEL_LIST_MAX: usize = 100;

impl SkuState {
    pub(super) const fn figures(&self) -> StockFigures {
        StockFigures {
            on_hand: self.on_hand,
            available: self.available,
            held: self.held,
            committed: self.committed,
            unavailable: self.unavailable,
            shortfall: self.shortfall,
        }
    }

    const fn promised(&self) -> u64 {
        self.held + self.committed + self.unavailable
    }
}

impl Model {
    pub(super) fn set_stock(&mut self, it: &SetStock<'_>, skus: &[&str]) -> Decision {
        let sku = self.name(it.sku, skus);
        let content = Content::SetStock {
            sku: Sku::clone(&sku),
            on_hand: it.on_hand,
            expected: it.expected,
            force: it.force,
            texts: [it.reason.to_owned(), it.reference.to_owned()],
        };
        self.once(it.command_id, content, &sku, |model| model.decide_set_stock(it, &sku))
    }

    pub(super) fn adjust_stock(&mut self, it: &AdjustStock<'_>, skus: &[&str]) -> Decision {
        let sku = self.name(it.sku, skus);
        let content = Content::AdjustStock {
            sku: Sku::clone(&sku),
            delta: it.delta,
            set_aside: it.set_aside,
            texts: [it.reason.to_owned(), it.reference.to_owned()],
        };
        self.once(it.command_id, content, &sku, |model| model.decide_adjust_stock(it, &sku))
    }

    /// Decides a stock command, unless its id is known.
    fn once(
        &mut self,
        id: ReservationId,
        content: Content,
        sku: &Sku,
        decide: impl FnOnce(&mut Self) -> Result<Vec<ReservationId>, Refusal>,
    ) -> Decision {
        match self.known(id, &content) {
            Known::Same(Answered::Refused(refusal)) => {
                self.marks.hit(Mark::ReplayOfStockRefusal);
                return self.decision(Some(id), true, Err(refusal));
            }
            Known::Same(_) => {
                self.marks.hit(Mark::ReplayOfStockChange);
                // Reading: the figures are told as they are now, the cancel list is not told again.
                let outcome = self.stock_changed(sku, Vec::new());
                return self.decision(Some(id), true, Ok(outcome));
            }
            Known::OtherContent => {
                return self.decision(Some(id), false, Err(Refusal::plain(Reason::IdReused)));
            }
            Known::Unknown => {}
        }
        match decide(self) {
            Ok(cancel_first) => {
                self.remember(id, content, Answered::Done);
                // Reading: the line is served first; the figures are those after the whole command.
                self.serve(sku, Mark::OfferMadeByStock);
                let outcome = self.stock_changed(sku, cancel_first);
                self.decision(Some(id), false, Ok(outcome))
            }
            Err(refusal) => {
                self.remember(id, content, Answered::Refused(refusal.clone()));
                self.decision(Some(id), false, Err(refusal))
            }
        }
    }

    fn stock_changed(&self, sku: &Sku, cancel_first: Vec<ReservationId>) -> Outcome {
        Outcome::StockChanged { sku: Sku::clone(sku), figures: self.sku(sku).figures(), cancel_first }
    }

    /// Reading: refusals because of what a SKU is or has name the SKU; `INVALID` does not.
    fn decide_set_stock(&mut self, it: &SetStock<'_>, sku: &Sku) -> Result<Vec<ReservationId>, Refusal> {
        if sku.is_empty() || it.on_hand > STOCK_MAX {
            return Err(Refusal::plain(Reason::Invalid));
        }
        if partition_of(sku, self.settings.partitions) != self.settings.partition {
            return Err(Refusal::of_sku(Reason::UnknownSku, Sku::clone(sku), 0));
        }
        let before = self.skus.get(sku).cloned().unwrap_or_default();
        if it.expected.is_some_and(|expected| expected != before.on_hand) {
            return Err(Refusal::of_sku(Reason::StockChanged, Sku::clone(sku), before.on_hand));
        }
        self.marks.hit_if(it.expected.is_some(), Mark::ExpectedStockWasRight);
        let promised = before.promised();
        if it.on_hand < promised && !it.force {
            return Err(Refusal::of_sku(Reason::StockBelowPromised, Sku::clone(sku), before.available));
        }
        self.make_known(sku, Mark::SkuCreatedByStock);
        let state = self.sku_mut(sku);
        state.on_hand = it.on_hand.max(promised);
        state.available = state.on_hand - promised;
        state.shortfall = promised.saturating_sub(it.on_hand);
        self.note_return(sku);
        if it.on_hand >= promised {
            self.marks.hit_if(it.on_hand == promised && promised > 0, Mark::StockSetExactlyToPromised);
            self.marks.hit_if(before.shortfall > 0, Mark::ShortfallErasedBySet);
            return Ok(Vec::new());
        }
        self.marks.hit(Mark::ForcedCut);
        Ok(self.cancel_list(sku))
    }

    /// Live holds of a SKU, newest decision first, until they cover the shortfall.
    ///
    /// Reading: holds that are over but have not expired yet are among them, holds with none of this SKU granted are not.
    fn cancel_list(&mut self, sku: &Sku) -> Vec<ReservationId> {
        let shortfall = self.sku(sku).shortfall;
        let (mut list, mut covered) = (Vec::new(), 0u64);
        for place in self.live.iter().rev() {
            if covered >= shortfall || list.len() == CANCEL_LIST_MAX {
                break;
            }
            let reservation = self.reservation(*place);
            let units: u64 = reservation
                .lines
                .iter()
                .filter(|line| line.sku == *sku && reservation.holds_units())
                .map(|line| u64::from(line.granted))
                .sum();
            if units > 0 {
                covered += units;
                list.push(reservation.id);
            }
        }
        self.marks.hit_if(list.len() > 1, Mark::ForcedCutListsSeveral);
        self.marks.hit_if(list.len() == CANCEL_LIST_MAX, Mark::ForcedCutListIsFull);
        list
    }

    fn decide_adjust_stock(
        &mut self,
        it: &AdjustStock<'_>,
        sku: &Sku,
    ) -> Result<Vec<ReservationId>, Refusal> {
        if sku.is_empty() {
            return Err(Refusal::plain(Reason::Invalid));
        }
        let Some(before) = self.skus.get(sku).cloned() else {
            return Err(Refusal::of_sku(Reason::UnknownSku, Sku::clone(sku), 0));
        };
        let in_bounds = |n: i64| n.unsigned_abs() <= STOCK_MAX;
        if (it.delta == 0 && it.set_aside == 0) || !in_bounds(it.delta) || !in_bounds(it.set_aside) {
            return Err(Refusal::plain(Reason::Invalid));
        }
        let delivered = u64::try_from(it.delta).unwrap_or(0);
        let absorbed = delivered.min(before.shortfall);
        let delta = i128::from(it.delta) - i128::from(absorbed);
        let set_aside = i128::from(it.set_aside);
        let below = |value| Refusal::of_sku(Reason::StockBelowPromised, Sku::clone(sku), value);
        let available = u64::try_from(i128::from(before.available) + delta - set_aside)
            .map_err(|_| below(before.available))?;
        let unavailable = u64::try_from(i128::from(before.unavailable) + set_aside)
            .map_err(|_| below(before.unavailable))?;
        let on_hand = u64::try_from(i128::from(before.on_hand) + delta)
            .expect("on hand is the sum of what was just found not to be negative");
        if on_hand > STOCK_MAX {
            return no(Reason::Invalid).map(|_| Vec::new());
        }
        self.marks.hit_if(absorbed > 0, Mark::ShortfallTakesDelivery);
        self.marks.hit_if(available == 0 && it.delta < 0, Mark::AdjustedToNothing);
        self.marks.hit_if(it.set_aside > 0, Mark::SetAside);
        self.marks.hit_if(it.set_aside < 0, Mark::SetAsideBack);
        let state = self.sku_mut(sku);
        state.shortfall -= absorbed;
        state.available = available;
        state.unavailable = unavailable;
        state.on_hand = on_hand;
        self.note_return(sku);
        Ok(Vec::new())
    }

    fn note_return(&mut self, sku: &Sku) {
        let state = self.sku_mut(sku);
        if state.available > 0 && state.sold_out_then == SoldOutThen::SoldOut {
            state.sold_out_then = SoldOutThen::Returned;
        }
    }

    pub(super) fn make_known(&mut self, sku: &Sku, mark: Mark) {
        if !self.skus.contains_key(sku) {
            self.marks.hit(mark);
            self.skus.insert(Sku::clone(sku), SkuState::default());
        }
    }
}
