//! Sections 5.1, 5.2 and 5.4: what is due, units that come back, and the limit.

use holdfast_contracts::decision::HoldState;

use super::state::{FirstAnswer, SoldOutThen};
use super::{Model, Place, Twist};
use crate::answer::{Sku, What};
use crate::marks::Mark;

impl Model {
    pub(super) fn work_is_left(&self) -> bool {
        self.turn.work_done < u64::from(self.rules.work_per_record_max)
    }

    /// Section 5.1.
    pub(super) fn do_due_work(&mut self) {
        if self.twisted(Twist::WorksLinesFirst) {
            self.serve_listed_lines();
        }
        self.expire_due();
        self.serve_listed_lines();
        self.end_waits_of_closed_sales();
    }

    /// 5.1.1.
    fn expire_due(&mut self) {
        let mut before: Option<(u64, Place)> = None;
        while let Some((deadline, place)) = self.next_due() {
            if !self.work_is_left() {
                self.marks.hit(Mark::WorkCarriedOver);
                return;
            }
            self.turn.work_done += 1;
            if let Some((deadline_before, _)) = before {
                self.marks.hit(Mark::SeveralExpiriesInOneRecord);
                self.marks.hit_if(deadline_before == deadline, Mark::ExpiryTieBrokenByPosition);
            }
            before = Some((deadline, place));
            self.marks.hit_if(deadline == self.now(), Mark::ExpiredExactlyAtDeadline);
            self.marks.hit_if(deadline < self.now(), Mark::ExpiredLate);
            self.expire(place);
        }
    }

    /// The first reservation, by deadline and then by the place of its decision, that is over and not frozen.
    fn next_due(&self) -> Option<(u64, Place)> {
        let over = |deadline: u64| {
            if self.twisted(Twist::ExpiresAfterDeadline) {
                deadline < self.now()
            } else {
                deadline <= self.now()
            }
        };
        let mut due = self.due.iter().copied().take_while(|(deadline, _)| over(*deadline));
        if self.twisted(Twist::ExpiresByPlace) { due.min_by_key(|(_, place)| *place) } else { due.next() }
    }

    /// 5.1.2.
    fn serve_listed_lines(&mut self) {
        while self.work_is_left() {
            let Some(sku) = self.needs_service.pop_front() else { return };
            let before = self.turn.work_done;
            self.serve(&sku, Mark::OfferMadeFromTheList);
            self.marks.hit_if(self.needs_service.back() == Some(&sku), Mark::LineWentBackToTheList);
            self.marks.hit_if(self.turn.work_done == before, Mark::LineOnTheListNeededNothing);
        }
    }

    /// 5.1.3.
    fn end_waits_of_closed_sales(&mut self) {
        while let Some(sale) = self.closing.front().copied() {
            let Some(place) = self.first_waiting_in(sale) else {
                self.closing.pop_front();
                continue;
            };
            if !self.work_is_left() {
                self.marks.hit(Mark::ClosedSaleWaitsCarriedOver);
                return;
            }
            self.turn.work_done += 1;
            self.marks.hit(Mark::ClosedSaleEndedAWait);
            self.expire(place);
        }
    }

    /// The first in the line of the first SKU, by bytes, in which anybody waits.
    fn first_waiting_in(&self, sale: usize) -> Option<Place> {
        let from = (sale, Sku::from(""));
        let ((of_sale, _), line) = self.lines.range(from..).next()?;
        if *of_sale == sale { line.keys().next().copied() } else { None }
    }

    /// Ends a live reservation by time.
    pub(super) fn expire(&mut self, place: Place) {
        let reservation = self.reservation(place);
        let was_waiting = reservation.state == HoldState::Waiting;
        let was_offered = !was_waiting && reservation.first_answer == FirstAnswer::Waiting;
        let (id, lines, deadline) = (reservation.id, reservation.told_lines(), reservation.deadline);
        self.marks.hit_if(was_offered, Mark::OfferExpired);
        self.marks
            .hit_if(was_waiting && deadline.is_some_and(|d| d <= self.now()), Mark::WaitEndedByItsDeadline);
        self.end(place, HoldState::Expired);
        self.event(What::Expired { id, lines, was_waiting });
        if was_waiting {
            self.leave_line(place);
        } else {
            self.give_back(place, Mark::OfferMadeByExpiry);
        }
    }

    /// Section 5.2: the units of a hold that ended.
    pub(super) fn give_back(&mut self, place: Place, reason: Mark) {
        let reservation = self.reservation(place);
        let (sale, customer, lines) = (reservation.sale, reservation.customer, reservation.lines.clone());
        for line in lines {
            // Reading: an empty line of a partial grant brings no units back, so it serves nobody.
            if line.granted == 0 {
                continue;
            }
            let units = u64::from(line.granted);
            let ignores_shortfall = self.twisted(Twist::IgnoresShortfall);
            let state = self.sku_mut(&line.sku);
            state.held -= units;
            let absorbed = if ignores_shortfall { 0 } else { units.min(state.shortfall) };
            state.shortfall -= absorbed;
            state.on_hand -= absorbed;
            state.available += units - absorbed;
            let moved_on = state.sale != Some(sale);
            if state.available > 0 && state.sold_out_then == SoldOutThen::SoldOut {
                state.sold_out_then = SoldOutThen::Returned;
            }
            self.marks.hit_if(absorbed > 0, Mark::ShortfallTakesReturnedUnits);
            self.marks.hit_if(absorbed > 0 && absorbed < units, Mark::ShortfallTakesPartOfReturnedUnits);
            self.marks.hit_if(moved_on, Mark::OldSalesHoldReturned);
            self.take_from_account(sale, &line.sku, customer, line.granted);
            self.serve(&line.sku, reason);
        }
    }
}
