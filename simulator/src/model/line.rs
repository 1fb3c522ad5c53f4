//! Section 5.3: the waitlist.

use holdfast_contracts::decision::HoldState;

use super::{Model, Place, Twist};
use crate::answer::{Sku, What};
use crate::marks::Mark;

/// How many in line are looked at under rules 2.
const LOOKED_AT: usize = 64;

impl Model {
    /// What the public may take of a SKU.
    pub(super) fn offered(&mut self, sku: &Sku) -> u64 {
        // Reading: a line needs service from the moment it enters the list until its turn in 5.1.2, even if nobody is
        // left in it meanwhile.
        if self.needs_service.contains(sku) {
            return 0;
        }
        let available = self.sku(sku).available;
        if !self.somebody_waits(sku) {
            return available;
        }
        if self.rules.version == 1 {
            return 0;
        }
        self.marks.hit_if(available > 0, Mark::NobodyFitsUnderRules2);
        available
    }

    /// Whether anybody stands in the line of the SKU's sale.
    pub(super) fn somebody_waits(&self, sku: &Sku) -> bool {
        let Some(sale) = self.sku(sku).sale else { return false };
        self.lines.contains_key(&(sale, Sku::clone(sku)))
    }

    /// Who would be served next, if the line can be served at all.
    fn fitting(&mut self, sku: &Sku) -> Option<Place> {
        let sale = self.sku(sku).sale?;
        let line = self.lines.get(&(sale, Sku::clone(sku)))?;
        let available = self.sku(sku).available;
        let looked_at = if self.rules.version == 1 { 1 } else { LOOKED_AT };
        let fits = |(_, quantity): &(&Place, &u32)| u64::from(**quantity) <= available;
        let found = line.iter().take(looked_at).find(fits).map(|(place, _)| *place);
        let skipped = found.is_some_and(|place| line.keys().next() != Some(&place));
        let second = line.iter().nth(1).filter(fits).map(|(place, _)| *place);
        if found.is_none() && available > 0 {
            let beyond = line.iter().skip(LOOKED_AT).take(LOOKED_AT).any(|one| fits(&one));
            self.marks.hit_if(beyond && self.rules.version == 2, Mark::FitBeyondTheLeading64);
            self.marks.hit_if(self.rules.version == 1, Mark::FirstInLineTooBigUnderRules1);
        }
        if self.sale_is_open(Some(sale)).is_err() {
            return None;
        }
        self.marks.hit_if(skipped, Mark::SkippedInLineUnderRules2);
        if self.twisted(Twist::ServesSecondFirst) && second.is_some() { second } else { found }
    }

    /// Serves the line of the SKU's sale as long as there is somebody to serve and work left. Says how many it served.
    pub(super) fn serve(&mut self, sku: &Sku, reason: Mark) {
        while let Some(place) = self.fitting(sku) {
            if !self.work_is_left() {
                self.put_on_list(sku);
                return;
            }
            self.turn.work_done += 1;
            self.marks.hit(reason);
            self.offer(place);
        }
    }

    /// Remembers that a line could not be served for lack of work.
    fn put_on_list(&mut self, sku: &Sku) {
        self.marks.hit(Mark::LineWentToTheList);
        if !self.needs_service.contains(sku) {
            self.needs_service.push_back(Sku::clone(sku));
        }
    }

    fn offer(&mut self, place: Place) {
        let now = self.now();
        let reservation = self.reservation_mut(place);
        reservation.state = HoldState::Held;
        reservation.lives_since = now;
        let line = &mut reservation.lines[0];
        line.granted = line.quantity;
        let (id, sale, line) = (reservation.id, reservation.sale, reservation.lines[0].clone());
        let expires_after_ms = u64::from(self.sales[sale].terms.offer_ttl_ms);

        self.remove_from_line(place);
        self.take_available(&line.sku, line.granted);
        self.sku_mut(&line.sku).held += u64::from(line.granted);
        self.set_deadline(place, Some(now + expires_after_ms));
        self.event(What::Offered { id, expires_after_ms, line: line.told() });
    }

    /// A reservation that ended while it waited leaves its line and gives its place in the account back.
    pub(super) fn leave_line(&mut self, place: Place) {
        let reservation = self.reservation(place);
        let (sale, customer, line) = (reservation.sale, reservation.customer, reservation.lines[0].clone());
        let was_first = self.remove_from_line(place);
        self.take_from_account(sale, &line.sku, customer, line.quantity);
        let state = self.sku(&line.sku);
        if was_first && state.available > 0 && state.sale == Some(sale) {
            self.serve(&line.sku, Mark::OfferMadeBecauseTheFirstLeft);
        }
    }

    /// Says whether it was the first.
    fn remove_from_line(&mut self, place: Place) -> bool {
        let reservation = self.reservation(place);
        let key = (reservation.sale, Sku::clone(&reservation.lines[0].sku));
        let line = self.lines.get_mut(&key).expect("who waits stands in a line");
        let was_first = line.keys().next() == Some(&place);
        line.remove(&place);
        if line.is_empty() {
            self.lines.remove(&key);
        }
        was_first
    }
}
