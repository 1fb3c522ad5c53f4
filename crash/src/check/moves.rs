//! Was this reservation to be moved on?

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::Command;
use holdfast_contracts::decision::{HoldState, Reason};

use super::books::{Content, FirstAnswer, Hold};
use super::partition::{OutOfScope, PartitionJudge};
use super::said::{Said, Spoken};
use super::verdict::Promise;

impl PartitionJudge<'_> {
    pub(super) fn moved(&mut self, command: &Command<'_>, said: &Spoken) -> Result<(), OutOfScope> {
        let (id, customer) = match command {
            Command::Confirm { reacquire: true, .. } => {
                return Err(OutOfScope("a confirmation that takes units again"));
            }
            Command::BeginPayment { reservation_id, customer }
            | Command::Confirm { reservation_id, customer, .. }
            | Command::Release { reservation_id, customer }
            | Command::Extend { reservation_id, customer, .. } => (*reservation_id, customer.0),
            _ => return Ok(()),
        };
        if let Command::Extend { by_ms, command_id: Some(key), .. } = command {
            let content = Content::Extend { about: id, customer, by_ms: *by_ms };
            if let Some((first, answer)) = self.books.known.get(key) {
                let (same, answer) = (*first == content, answer.clone());
                self.repeated_extension(id, customer, same, &answer, said);
                return Ok(());
            }
            let first = match &said.said {
                Said::Refused { reason, sku, value } => {
                    FirstAnswer::Refused { reason: *reason, sku: sku.clone(), value: *value }
                }
                _ => FirstAnswer::Done,
            };
            self.books.known.insert(*key, (content, first));
        }
        let want = self.expected_move(command, id, customer);
        if want != *said {
            let what = format!("expected {want:?}, the output says {said:?}");
            self.broken(classify(&want.said, &said.said), &[id], what);
        }
        self.follow_move(command, id, said);
        Ok(())
    }

    fn repeated_extension(
        &mut self,
        id: ReservationId,
        customer: u64,
        same: bool,
        first: &FirstAnswer,
        said: &Spoken,
    ) {
        let want = match (same, first, self.books.holds.get(&id)) {
            (false, ..) => Spoken::refused(id, Reason::IdReused, None, 0),
            (true, FirstAnswer::Refused { reason, sku, value }, _) => Spoken {
                id: Some(id),
                replay: true,
                said: Said::Refused { reason: *reason, sku: sku.clone(), value: *value },
            },
            (true, _, Some(hold)) if customer == 0 || customer == hold.customer => {
                Spoken { id: Some(id), replay: true, said: self.told(hold, self.state_now(hold), true) }
            }
            (true, _, Some(_)) => Spoken::refused(id, Reason::NotOwner, None, 0),
            (true, _, None) => Spoken::refused(id, Reason::UnknownReservation, None, 0),
        };
        if want != *said {
            let what = format!("a repeated extension: expected {want:?}, the output says {said:?}");
            self.broken(Promise::S3, &[id], what);
        }
    }

    /// A hold that is due counts as expired before its turn has come.
    fn state_now(&self, hold: &Hold) -> HoldState {
        if hold.is_live() && self.clock.now() >= hold.deadline { HoldState::Expired } else { hold.state }
    }

    fn told(&self, hold: &Hold, state: HoldState, unchanged: bool) -> Said {
        let live = matches!(state, HoldState::Held | HoldState::Paying);
        let expires_after_ms = if live { hold.deadline.saturating_sub(self.record_ms) } else { 0 };
        Said::Moved { state, expires_after_ms, lines: hold.lines.clone(), unchanged }
    }

    /// The answer of the rules.
    fn expected_move(&self, command: &Command<'_>, id: ReservationId, customer: u64) -> Spoken {
        let refused = |reason, value| Spoken::refused(id, reason, None, value);
        let Some(hold) = self.books.holds.get(&id) else { return refused(Reason::UnknownReservation, 0) };
        if customer != 0 && customer != hold.customer {
            return refused(Reason::NotOwner, 0);
        }
        let state = self.state_now(hold);
        let live = matches!(state, HoldState::Held | HoldState::Paying);
        let said = match (command, state) {
            (Command::Confirm { .. }, _) if live => self.told(hold, HoldState::Confirmed, false),
            (Command::Confirm { .. }, HoldState::Confirmed) => self.told(hold, state, true),
            (Command::Release { .. }, _) if live => self.told(hold, HoldState::Released, false),
            (Command::Release { .. }, HoldState::Released | HoldState::Expired) => {
                self.told(hold, state, true)
            }
            (Command::BeginPayment { .. }, HoldState::Paying) => self.told(hold, state, true),
            (Command::BeginPayment { .. }, HoldState::Held) => {
                let hold = Hold { deadline: self.payment_deadline(hold), ..hold.clone() };
                self.told(&hold, HoldState::Paying, false)
            }
            (Command::Extend { by_ms, .. }, _) if live => match self.extension(hold, *by_ms) {
                Err((reason, value)) => return refused(reason, value),
                Ok(deadline) => self.told(&Hold { deadline, ..hold.clone() }, state, false),
            },
            (_, HoldState::Confirmed) => return refused(Reason::AlreadyConfirmed, 0),
            (_, HoldState::Released) => return refused(Reason::Released, 0),
            _ => return refused(Reason::Expired, 0),
        };
        Spoken::first(id, said)
    }

    fn payment_deadline(&self, hold: &Hold) -> u64 {
        let Some(terms) = self.books.sales.get(&hold.sale).map(|it| it.terms) else { return hold.deadline };
        let window = self.clock.now() + u64::from(terms.payment_window_ms);
        hold.deadline.max(window.min(hold.decided + u64::from(terms.hold_total_max_ms)))
    }

    fn extension(&self, hold: &Hold, by_ms: u32) -> Result<u64, (Reason, u64)> {
        if by_ms == 0 {
            return Err((Reason::Invalid, 0));
        }
        let Some(terms) = self.books.sales.get(&hold.sale).map(|it| it.terms) else {
            return Ok(hold.deadline);
        };
        if hold.extended >= terms.extend_max {
            return Err((Reason::ExtendLimit, 0));
        }
        let latest = hold.decided + u64::from(terms.hold_total_max_ms);
        let deadline = hold.deadline + u64::from(by_ms);
        if deadline > latest {
            Err((Reason::ExtendLimit, latest.saturating_sub(hold.deadline)))
        } else {
            Ok(deadline)
        }
    }

    /// Books what the output says.
    fn follow_move(&mut self, command: &Command<'_>, id: ReservationId, said: &Spoken) {
        let Said::Moved { state, expires_after_ms, unchanged: false, .. } = said.said else { return };
        let Some(hold) = self.books.holds.get(&id) else { return };
        match state {
            HoldState::Confirmed | HoldState::Released if hold.is_live() => {
                let name = if state == HoldState::Confirmed { "confirmed" } else { "released" };
                self.facts.counts.add(name, 1);
                self.books.end(id, state);
            }
            HoldState::Confirmed => {
                let was = hold.state.name();
                self.broken(Promise::S11, &[id], format!("confirmed after it was {was}"));
            }
            HoldState::Held | HoldState::Paying => {
                self.books.move_deadline(id, self.record_ms + expires_after_ms);
                if let Some(hold) = self.books.holds.get_mut(&id) {
                    hold.state = state;
                    hold.extended += u32::from(matches!(command, Command::Extend { .. }));
                }
            }
            _ => {}
        }
    }
}

/// Which promise a wrong answer breaks.
fn classify(want: &Said, said: &Said) -> Promise {
    let reason = |it: &Said| match it {
        Said::Refused { reason, .. } => Some(*reason),
        _ => None,
    };
    let ended = |it: &Said| {
        matches!(reason(it), Some(Reason::Expired | Reason::Released | Reason::AlreadyConfirmed))
            || matches!(it, Said::Moved { unchanged: true, .. })
    };
    match (want, said) {
        // It had ended, and was ended once more.
        (_, Said::Moved { state: HoldState::Confirmed | HoldState::Released, unchanged: false, .. })
            if ended(want) =>
        {
            Promise::S11
        }
        (Said::Moved { .. }, Said::Refused { reason: Reason::Expired, .. }) => Promise::S8,
        (Said::Moved { unchanged: false, .. }, Said::Moved { state: HoldState::Expired, .. }) => Promise::S8,
        (_, _) if ended(want) && !ended(said) => Promise::S11,
        _ => Promise::Rules,
    }
}
