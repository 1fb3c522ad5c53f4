//! Section 6: sales.

use std::collections::BTreeSet;

use holdfast_contracts::command::DefineSale;
use holdfast_contracts::decision::{Reason, SaleState};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{ReservationId, SaleTerms};

use super::memory::{Answered, Content, Known};
use super::state::Sale;
use super::{Model, no};
use crate::answer::{Decision, Outcome, Refusal, Sku};
use crate::marks::Mark;

const SALE_ID_BYTES_MAX: usize = 64;
const SALE_SKUS_MAX: usize = 4_096;
const DAYS_30: u32 = 2_592_000_000;
const EXTEND_MAX: u32 = 15;

impl Model {
    pub(super) fn define_sale(&mut self, it: &DefineSale<'_>, skus: &[&str]) -> Decision {
        let id = it.command_id;
        let wanted: BTreeSet<Sku> = it.skus.iter().map(|index| self.name(index, skus)).collect();
        let content = Content::DefineSale {
            sale_id: it.sale_id.to_owned(),
            terms: Box::new(it.terms),
            skus: wanted.iter().cloned().collect(),
        };
        match self.known(id, &content) {
            Known::Same(answer) => return self.replay_define(id, it.sale_id, answer),
            Known::OtherContent => {
                return self.decision(Some(id), false, Err(Refusal::plain(Reason::IdReused)));
            }
            Known::Unknown => {}
        }
        let outcome = self.judge_definition(it, &wanted).map(|()| self.put_definition(it, &wanted));
        let answer = match &outcome {
            Ok(_) => Answered::Done,
            Err(refusal) => Answered::Refused(refusal.clone()),
        };
        self.remember(id, content, answer);
        self.decision(Some(id), false, outcome)
    }

    fn replay_define(&mut self, id: ReservationId, sale_id: &str, answer: Answered) -> Decision {
        let outcome = match answer {
            Answered::Refused(refusal) => {
                self.marks.hit(Mark::ReplayOfSaleRefusal);
                Err(refusal)
            }
            Answered::Done | Answered::Reservation(_) => {
                self.marks.hit(Mark::ReplayOfSaleDefinition);
                let state = self.sales[self.sale_numbers[sale_id]].state;
                Ok(Outcome::SaleChanged { state, unchanged: true })
            }
        };
        self.decision(Some(id), true, outcome)
    }

    /// Each check is made for all SKUs, by bytes, before the next. The refusal names the SKU.
    fn judge_definition(&self, it: &DefineSale<'_>, wanted: &BTreeSet<Sku>) -> Result<(), Refusal> {
        let names_valid = (1..=SALE_ID_BYTES_MAX).contains(&it.sale_id.len()) && !wanted.contains("");
        if !names_valid || it.skus.len() > SALE_SKUS_MAX || !terms_are_valid(&it.terms) {
            return Err(Refusal::plain(Reason::Invalid));
        }
        let number = self.sale_numbers.get(it.sale_id).copied();
        if number.is_some_and(|number| self.sales[number].state == SaleState::Closed) {
            return Err(Refusal::plain(Reason::SaleState));
        }
        let of = |reason, sku: &Sku| Err(Refusal::of_sku(reason, Sku::clone(sku), 0));
        let foreign = |sku: &&Sku| partition_of(sku, self.settings.partitions) != self.settings.partition;
        if let Some(sku) = wanted.iter().find(foreign) {
            return of(Reason::UnknownSku, sku);
        }
        let in_other_sale = |sku: &&Sku| {
            let its = self.skus.get(*sku).and_then(|state| state.sale);
            its.is_some_and(|its| Some(its) != number && self.sales[its].state != SaleState::Closed)
        };
        if let Some(sku) = wanted.iter().find(in_other_sale) {
            return of(Reason::SkuInOtherSale, sku);
        }
        if let Some(number) = number
            && let Some(sku) =
                self.sales[number].skus.difference(wanted).find(|sku| self.is_in_use(number, sku))
        {
            return of(Reason::SkuInUse, sku);
        }
        Ok(())
    }

    /// Whether a SKU has units held, paying or waiting in a sale.
    ///
    /// Reading: units count, not holds; an empty line of a partial grant does not keep a SKU in use. A hold that is over
    /// but has not expired yet does.
    fn is_in_use(&self, sale: usize, sku: &Sku) -> bool {
        self.in_use.contains_key(&(sale, Sku::clone(sku)))
    }

    fn put_definition(&mut self, it: &DefineSale<'_>, wanted: &BTreeSet<Sku>) -> Outcome {
        let number = match self.sale_numbers.get(it.sale_id) {
            Some(number) => {
                self.marks.hit_if(self.sales[*number].terms != it.terms, Mark::TermsChanged);
                *number
            }
            None => {
                self.sales.push(Sale {
                    state: SaleState::Draft,
                    terms: it.terms,
                    skus: BTreeSet::new(),
                    frozen_at: None,
                    left: BTreeSet::new(),
                });
                self.sale_numbers.insert(it.sale_id.to_owned(), self.sales.len() - 1);
                self.sales.len() - 1
            }
        };
        self.sales[number].terms = it.terms;
        let before = std::mem::replace(&mut self.sales[number].skus, wanted.clone());
        for sku in before.difference(wanted) {
            self.marks.hit(Mark::SkuLeftASale);
            self.sku_mut(sku).sale = None;
            self.sales[number].left.insert(Sku::clone(sku));
        }
        for sku in wanted.difference(&before) {
            self.enter_sale(number, sku);
        }
        // Reading: every accepted definition counts as a change of terms.
        self.serve_all(number, Mark::OfferMadeByTerms);
        Outcome::SaleChanged { state: self.sales[number].state, unchanged: false }
    }

    fn enter_sale(&mut self, number: usize, sku: &Sku) {
        self.make_known(sku, Mark::SkuCreatedBySale);
        let from = self.sku_mut(sku).sale.replace(number);
        if let Some(closed) = from {
            self.marks.hit(Mark::SkuCameFromAClosedSale);
            self.sales[closed].skus.remove(sku);
        }
        let first_key = (number, Sku::clone(sku), 0);
        let keys: Vec<_> = self
            .accounts
            .range(first_key..)
            .map(|(key, _)| key.clone())
            .take_while(|(sale, name, _)| *sale == number && name == sku)
            .collect();
        let came_back = self.sales[number].left.remove(sku);
        self.marks.hit_if(came_back && !keys.is_empty(), Mark::SkuCameBackWithFreshAccounts);
        for key in keys {
            self.accounts.remove(&key);
        }
    }

    pub(super) fn open_sale(&mut self, sale_id: &str) -> Result<Outcome, Refusal> {
        let number = self.sale_number(sale_id)?;
        match self.sales[number].state {
            SaleState::Open => Ok(self.sale_unchanged(number)),
            SaleState::Closed => no(Reason::SaleState),
            before @ (SaleState::Draft | SaleState::Paused) => {
                let resumed = before == SaleState::Paused;
                self.marks.hit(if resumed { Mark::SaleResumed } else { Mark::SaleOpened });
                self.sales[number].state = SaleState::Open;
                let was_frozen = self.unfreeze(number);
                self.marks.hit_if(was_frozen, Mark::FreezeEndedByOpening);
                self.serve_all(number, Mark::OfferMadeByOpening);
                Ok(Outcome::SaleChanged { state: SaleState::Open, unchanged: false })
            }
        }
    }

    pub(super) fn pause_sale(&mut self, sale_id: &str, freeze_ttl: bool) -> Result<Outcome, Refusal> {
        let number = self.sale_number(sale_id)?;
        match self.sales[number].state {
            SaleState::Draft | SaleState::Closed => no(Reason::SaleState),
            SaleState::Paused => Ok(self.sale_unchanged(number)),
            SaleState::Open => {
                self.sales[number].state = SaleState::Paused;
                if freeze_ttl {
                    self.marks.hit(Mark::SaleFrozen);
                    self.freeze(number);
                }
                Ok(Outcome::SaleChanged { state: SaleState::Paused, unchanged: false })
            }
        }
    }

    pub(super) fn close_sale(&mut self, sale_id: &str) -> Result<Outcome, Refusal> {
        let number = self.sale_number(sale_id)?;
        if self.sales[number].state == SaleState::Closed {
            return Ok(self.sale_unchanged(number));
        }
        self.sales[number].state = SaleState::Closed;
        let was_frozen = self.unfreeze(number);
        self.marks.hit_if(was_frozen, Mark::FreezeEndedByClosing);
        self.closing.push_back(number);
        Ok(Outcome::SaleChanged { state: SaleState::Closed, unchanged: false })
    }

    fn sale_number(&self, sale_id: &str) -> Result<usize, Refusal> {
        self.sale_numbers.get(sale_id).copied().ok_or(Refusal::plain(Reason::UnknownSale))
    }

    fn sale_unchanged(&mut self, number: usize) -> Outcome {
        self.marks.hit(Mark::SaleStateUnchanged);
        Outcome::SaleChanged { state: self.sales[number].state, unchanged: true }
    }

    fn serve_all(&mut self, number: usize, mark: Mark) {
        for sku in self.sales[number].skus.clone() {
            self.serve(&sku, mark);
        }
    }
}

/// The bounds of the rules page, written down a second time.
fn terms_are_valid(terms: &SaleTerms) -> bool {
    let durations = [terms.hold_ttl_ms, terms.payment_window_ms, terms.offer_ttl_ms, terms.hold_total_max_ms];
    durations.iter().all(|ms| (1..=DAYS_30).contains(ms))
        && terms.hold_ttl_ms <= terms.hold_total_max_ms
        && terms.offer_ttl_ms <= terms.hold_total_max_ms
        && terms.extend_max <= EXTEND_MAX
        && (terms.closes_at.0 == 0 || terms.closes_at > terms.opens_at)
}
