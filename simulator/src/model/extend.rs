//! Section 4: extend.

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::{HoldState, Reason};

use super::memory::{Answered, Content, Known};
use super::{Model, no};
use crate::answer::{Decision, Outcome, Refusal};
use crate::marks::{Mark, Verb};

impl Model {
    /// Reading: the decision's id is the reservation's, with or without a command id.
    pub(super) fn extend(
        &mut self,
        id: ReservationId,
        customer: u64,
        by_ms: u32,
        command_id: Option<ReservationId>,
    ) -> Decision {
        let content = Content::Extend { reservation_id: id, customer, by_ms };
        if let Some(command_id) = command_id {
            match self.known(command_id, &content) {
                Known::Same(answer) => return self.replay_extend(id, customer, answer),
                Known::OtherContent => {
                    return self.decision(Some(id), false, Err(Refusal::plain(Reason::IdReused)));
                }
                Known::Unknown => {}
            }
        }
        let outcome = self.decide_extend(id, customer, by_ms);
        if let Some(command_id) = command_id {
            let answer = match &outcome {
                Ok(_) => Answered::Done,
                Err(refusal) => Answered::Refused(refusal.clone()),
            };
            self.remember(command_id, content, answer);
        }
        self.decision(Some(id), false, outcome)
    }

    fn decide_extend(&mut self, id: ReservationId, customer: u64, by_ms: u32) -> Result<Outcome, Refusal> {
        let (place, state) = self.find(id, customer, Verb::Extend)?;
        match state {
            HoldState::Held | HoldState::Paying => {}
            HoldState::Waiting => return no(Reason::StillWaiting),
            HoldState::Confirmed => return no(Reason::AlreadyConfirmed),
            HoldState::Released => return no(Reason::Released),
            HoldState::Expired => return no(Reason::Expired),
        }
        if by_ms == 0 {
            return no(Reason::Invalid);
        }
        let reservation = self.reservation(place);
        let terms = &self.sales[reservation.sale].terms;
        let deadline = reservation.deadline.expect("a hold has a deadline");
        let latest = reservation.lives_since + u64::from(terms.hold_total_max_ms);
        let wanted = deadline + u64::from(by_ms);
        if reservation.extended >= terms.extend_max {
            self.marks.hit(Mark::ExtendRefusedByCount);
            return no(Reason::ExtendLimit);
        }
        if wanted > latest {
            self.marks.hit(Mark::ExtendRefusedByTotalLife);
            let value = latest.saturating_sub(deadline);
            return Err(Refusal { reason: Reason::ExtendLimit, sku: None, value });
        }
        self.marks.hit_if(wanted == latest, Mark::ExtendedExactlyToTotalLife);
        self.set_deadline(place, Some(wanted));
        self.reservation_mut(place).extended += 1;
        Ok(self.moved(place, false, false))
    }

    fn replay_extend(&mut self, id: ReservationId, customer: u64, answer: Answered) -> Decision {
        if let Answered::Refused(refusal) = answer {
            self.marks.hit(Mark::ReplayOfExtensionRefusal);
            return self.decision(Some(id), true, Err(refusal));
        }
        self.marks.hit(Mark::ReplayOfExtension);
        // Reading: when the reservation is not remembered any more, or its id belongs to somebody else's by now,
        // there is no "as it is now" to tell, and the answer is the refusal that any command would get. It is not
        // the first answer, so not a replay.
        let place = match self.known_reservation(id) {
            Some(place) if customer == 0 || self.reservation(place).customer == customer => place,
            Some(_) => return self.decision(Some(id), false, no(Reason::NotOwner)),
            None => {
                self.marks.hit(Mark::ReplayOfExtensionOfForgottenReservation);
                return self.decision(Some(id), false, no(Reason::UnknownReservation));
            }
        };
        let live = self.reservation(place).holds_units();
        self.marks.hit_if(!live, Mark::ReplayOfExtensionAfterTheEnd);
        let outcome = self.moved(place, true, false);
        self.decision(Some(id), true, Ok(outcome))
    }
}
