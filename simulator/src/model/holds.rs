//! Section 4: begin payment, confirm and release.

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::{HoldState, Reason};

use super::state::{FirstAnswer, Reservation};
use super::{Model, Place, Twist, no};
use crate::answer::{Outcome, Refusal};
use crate::marks::{Mark, Verb};

impl Model {
    pub(super) fn begin_payment(&mut self, id: ReservationId, customer: u64) -> Result<Outcome, Refusal> {
        let (place, state) = self.find(id, customer, Verb::BeginPayment)?;
        match state {
            HoldState::Held => {
                let now = self.now();
                let reservation = self.reservation(place);
                let terms = &self.sales[reservation.sale].terms;
                let total = reservation.lives_since + u64::from(terms.hold_total_max_ms);
                let window = now + u64::from(terms.payment_window_ms);
                let before = reservation.deadline.expect("a hold has a deadline");
                let was_offered = reservation.first_answer == FirstAnswer::Waiting;
                self.marks.hit_if(window > total, Mark::PaymentWindowCutByTotalLife);
                self.marks.hit_if(before > window.min(total), Mark::PaymentKeepsALaterDeadline);
                self.marks.hit_if(was_offered, Mark::PaidOffer);
                self.set_deadline(place, Some(before.max(window.min(total))));
                self.reservation_mut(place).state = HoldState::Paying;
                Ok(self.moved(place, false, false))
            }
            HoldState::Paying => Ok(self.moved(place, true, false)),
            HoldState::Waiting => no(Reason::StillWaiting),
            HoldState::Confirmed => no(Reason::AlreadyConfirmed),
            HoldState::Released => no(Reason::Released),
            HoldState::Expired => no(Reason::Expired),
        }
    }

    pub(super) fn confirm(
        &mut self,
        id: ReservationId,
        customer: u64,
        reacquire: bool,
    ) -> Result<Outcome, Refusal> {
        let (place, state) = self.find(id, customer, Verb::Confirm)?;
        match state {
            HoldState::Held | HoldState::Paying => {
                let reservation = self.reservation(place);
                let was_offered = reservation.first_answer == FirstAnswer::Waiting;
                let last_moment = reservation.deadline == Some(self.now() + 1);
                self.marks.hit_if(was_offered, Mark::OfferConfirmed);
                self.marks.hit_if(last_moment, Mark::ConfirmOneBeforeTheDeadline);
                self.end(place, HoldState::Confirmed);
                for line in self.reservation(place).lines.clone() {
                    let state = self.sku_mut(&line.sku);
                    state.held -= u64::from(line.granted);
                    state.committed += u64::from(line.granted);
                }
                Ok(self.moved(place, false, false))
            }
            HoldState::Confirmed => Ok(self.moved(place, true, false)),
            HoldState::Waiting => no(Reason::StillWaiting),
            HoldState::Released | HoldState::Expired => {
                let at_the_deadline = self.reservation(place).deadline == Some(self.now());
                self.marks.hit_if(at_the_deadline, Mark::ConfirmAtTheDeadline);
                let refusal = if state == HoldState::Released { Reason::Released } else { Reason::Expired };
                if reacquire && self.reacquire(place) {
                    // Reading: only the answer that takes the units again is `late`; a repeated confirm of it is
                    // an ordinary unchanged one.
                    return Ok(self.moved(place, false, true));
                }
                no(refusal)
            }
        }
    }

    pub(super) fn release(&mut self, id: ReservationId, customer: u64) -> Result<Outcome, Refusal> {
        let customer = if self.twisted(Twist::SkipsOwnerOnRelease) { 0 } else { customer };
        let (place, state) = self.find(id, customer, Verb::Release)?;
        match state {
            HoldState::Held | HoldState::Paying => {
                let was_offered = self.reservation(place).first_answer == FirstAnswer::Waiting;
                self.marks.hit_if(was_offered, Mark::OfferReleased);
                self.end(place, HoldState::Released);
                self.give_back(place, Mark::OfferMadeByRelease);
                Ok(self.moved(place, false, false))
            }
            HoldState::Waiting => {
                self.end(place, HoldState::Released);
                self.leave_line(place);
                Ok(self.moved(place, false, false))
            }
            HoldState::Confirmed => no(Reason::AlreadyConfirmed),
            HoldState::Released | HoldState::Expired => Ok(self.moved(place, true, false)),
        }
    }

    /// What all commands on a reservation begin with.
    pub(super) fn find(
        &mut self,
        id: ReservationId,
        customer: u64,
        verb: Verb,
    ) -> Result<(Place, HoldState), Refusal> {
        let place = self.known_reservation(id).ok_or(Refusal::plain(Reason::UnknownReservation))?;
        let reservation = self.reservation(place);
        if customer != 0 && customer != reservation.customer {
            self.marks.hit(Mark::ForeignCustomerRefused);
            return Err(Refusal::plain(Reason::NotOwner));
        }
        let (state, deadline, sale) = (reservation.state, reservation.deadline, reservation.sale);
        let state_now = self.state_now(self.reservation(place));
        let over = deadline.is_some_and(|deadline| deadline <= self.now());
        self.marks.hit_if(customer == 0, Mark::SystemMovedAReservation);
        self.marks.hit_if(state != state_now, Mark::DueHoldCountsAsExpired);
        self.marks.hit_if(over && state_now == HoldState::Waiting, Mark::DueWaitingStillWaits);
        self.marks.hit_if(over && self.is_frozen(sale), Mark::FrozenDeadlinePassed);
        self.marks.hit_cell(verb, state_now);
        Ok((place, state_now))
    }

    /// Its state, or expired for a hold that is over but whose turn to expire has not come.
    ///
    /// Reading: a hold is held or paying. A waiting reservation that is over still waits until its turn comes.
    pub(super) fn state_now(&self, reservation: &Reservation) -> HoldState {
        let last = if self.twisted(Twist::ExpiresAfterDeadline) { self.now() } else { self.now() + 1 };
        let over = reservation.deadline.is_some_and(|deadline| deadline < last);
        if reservation.holds_units() && over && !self.is_frozen(reservation.sale) {
            HoldState::Expired
        } else {
            reservation.state
        }
    }

    /// The answer that tells how a reservation stands.
    pub(super) fn moved(&self, place: Place, unchanged: bool, late: bool) -> Outcome {
        let reservation = self.reservation(place);
        let state = self.state_now(reservation);
        let expires_after_ms = match state {
            // Reading: never below 0, although the deadline of a frozen hold may lie behind.
            HoldState::Held | HoldState::Paying => {
                reservation.deadline.expect("a hold has a deadline").saturating_sub(self.now())
            }
            _ => 0,
        };
        Outcome::Moved { state, expires_after_ms, lines: reservation.told_lines(), unchanged, late }
    }
}
