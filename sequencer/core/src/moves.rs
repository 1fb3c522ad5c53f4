//! Commands on a reservation that exists: begin payment, confirm, release, extend.

use holdfast_contracts::decision::{HoldState, Moved, Reason};
use holdfast_contracts::{CustomerId, LogTime, ReservationId};

use crate::answer::{Answer, NO_LINE};
use crate::groups::Home;
use crate::hash::Mix;
use crate::holds::Hold;
use crate::lines::HoldLine;
use crate::machine::{Context, Machine};
use crate::reserve::entry_element;

/// What a reservation is for somebody who asks about it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody remembers it.
    Unknown,
    /// It is somebody else's.
    Foreign,
    /// Its number, and its state with a passed deadline taken as expired.
    Own(u32, HoldState),
}

impl Machine {
    fn standing(&self, id: ReservationId, customer: CustomerId) -> Standing {
        let Some(number) = self.find_hold(id) else { return Standing::Unknown };
        let hold = self.holds.get(number);
        if customer.0 != 0 && customer != hold.customer() {
            return Standing::Foreign;
        }
        Standing::Own(number, self.effective_state(hold))
    }

    /// The state of a hold, whose turn to expire may not have come yet. Who still waits stands in line until then.
    pub(crate) fn effective_state(&self, hold: &Hold) -> HoldState {
        let state = hold.state().expect("a remembered id leads to a hold in use");
        let has_deadline = matches!(state, HoldState::Held | HoldState::Paying);
        let over = has_deadline && self.clock.now() >= hold.deadline() && !self.sale_of(hold).is_frozen();
        if over { HoldState::Expired } else { state }
    }

    /// The buyer has gone to pay: the hold must not strike between authorisation and confirmation.
    pub(crate) fn begin_payment(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        customer: CustomerId,
    ) {
        let Some((number, state)) = self.own(context, id, customer) else { return };
        match state {
            HoldState::Held => {
                let deadline = self.payment_deadline(number);
                self.change_hold(number, |hold| {
                    hold.set_state(HoldState::Paying);
                    hold.set_deadline(deadline);
                });
                self.say_moved(context, id, number, HoldState::Paying, Change::Made);
            }
            HoldState::Paying => self.say_moved(context, id, number, state, Change::None),
            _ => refuse_for(context, id, state),
        }
    }

    fn payment_deadline(&self, number: u32) -> LogTime {
        let hold = self.holds.get(number);
        let terms = &self.sale_of(hold).terms;
        let window = self.clock.now().plus_ms(u64::from(terms.payment_window_ms));
        let cap = hold.began().plus_ms(u64::from(terms.hold_total_max_ms));
        hold.deadline().max(window.min(cap))
    }

    /// Sells the held units. The first of confirm, release and expiry in the log wins.
    pub(crate) fn confirm(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        customer: CustomerId,
        reacquire: bool,
    ) {
        let Some((number, state)) = self.own(context, id, customer) else { return };
        let planted = if cfg!(feature = "mutant-09") { self.holds.get(number).state() } else { None };
        let state = planted.unwrap_or(state);
        match state {
            HoldState::Held | HoldState::Paying => {
                self.commit(number);
                self.say_moved(context, id, number, HoldState::Confirmed, Change::Made);
            }
            HoldState::Confirmed => self.say_moved(context, id, number, state, Change::None),
            HoldState::Released | HoldState::Expired if reacquire && self.reacquire(context, number) => {
                self.say_moved(context, id, number, HoldState::Confirmed, Change::Late);
            }
            _ => refuse_for(context, id, state),
        }
    }

    /// Moves a live hold's units from held to committed.
    fn commit(&mut self, number: u32) {
        let hold = *self.holds.get(number);
        self.change_hold(number, |hold| hold.set_state(HoldState::Confirmed));
        let mut commit = |listing: u32, units: u32| {
            if units == 0 {
                return;
            }
            let listing = self.sales.listing_mut(listing);
            listing.live -= 1;
            let sku = self.skus.change(listing.sku);
            sku.held = crate::skus::minus(sku.held, u64::from(units));
            sku.committed += u64::from(units);
            sku.check();
        };
        match hold.listing() {
            Some(listing) => commit(listing, hold.units()),
            None => self.lines.of(&hold).for_each(|line| commit(line.listing, line.granted)),
        }
    }

    /// Takes the units of an ended hold once more, straight to committed, if nobody is wronged by it.
    fn reacquire(&mut self, context: &mut Context<'_, '_>, number: u32) -> bool {
        let hold = *self.holds.get(number);
        if hold.ended_waiting() || hold.state() == Some(HoldState::Waiting) {
            return false;
        }
        if hold.is_live() {
            // It is due, and its turn would come anyway: its own units are the ones it asks for.
            self.expire(context, number);
        }
        let lines: Vec<HoldLine> = self.lines.of(&hold).collect();
        if !lines.iter().all(|line| self.can_reacquire(&hold, line)) {
            return false;
        }
        for line in lines.iter().filter(|line| line.granted > 0) {
            let sku = self.skus.change(self.sales.listing(line.listing).sku);
            sku.available = crate::skus::minus(sku.available, u64::from(line.granted));
            sku.committed += u64::from(line.granted);
            sku.check();
            self.account_add(line.listing, hold.customer(), line.granted);
        }
        self.change_hold(number, |hold| hold.set_state(HoldState::Confirmed));
        true
    }

    fn can_reacquire(&self, hold: &Hold, line: &HoldLine) -> bool {
        let listing = self.sales.listing(line.listing);
        let sale = self.sales.sale(listing.sale);
        let max = sale.terms.units_per_customer_max;
        let has = u64::from(self.account(line.listing, hold.customer())) + u64::from(line.granted);
        self.skus.get(listing.sku).listing == line.listing
            && sale.refusal(self.clock.now()).is_none()
            && (max == 0 || has <= u64::from(max))
            && self.sales.lines[line.listing as usize].is_empty()
            && self.offered(listing.sku) >= u64::from(line.granted)
    }

    /// Gives the units back, or leaves the line.
    pub(crate) fn release(&mut self, context: &mut Context<'_, '_>, id: ReservationId, customer: CustomerId) {
        let Some((number, state)) = self.own(context, id, customer) else { return };
        match state {
            HoldState::Held | HoldState::Paying | HoldState::Waiting => {
                self.end(context, number, HoldState::Released);
                self.say_moved(context, id, number, HoldState::Released, Change::Made);
            }
            HoldState::Released | HoldState::Expired => {
                self.say_moved(context, id, number, state, Change::None);
            }
            HoldState::Confirmed => refuse_for(context, id, state),
        }
    }

    /// Moves a live hold's deadline, as often and as far as the sale allows.
    pub(crate) fn extend(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        customer: CustomerId,
        by_ms: u32,
        command_id: Option<ReservationId>,
    ) {
        let Some(command_id) = command_id else {
            let judged = self.judge_extend(id, customer, by_ms);
            self.answer_extend(context, id, judged);
            return;
        };
        let home = self.make_room(command_id);
        let (low, high) = crate::hash::id_words(id);
        let content = Mix::new(5).with(low).with(high).with(customer.0).with(u64::from(by_ms)).low32();
        match self.known_command(command_id, home, content) {
            Known::New => {
                let judged = self.judge_extend(id, customer, by_ms);
                let answer = match judged {
                    Ok(_) => Answer::Done,
                    Err((reason, value)) => Answer::Refused { reason, line: NO_LINE, value },
                };
                self.remember(command_id, home, content, answer);
                self.answer_extend(context, id, judged);
            }
            Known::Done => {
                if let Some((number, state)) = self.own(context, id, customer) {
                    self.say_moved(context, id, number, state, Change::Replay);
                }
            }
            Known::Refused(reason, _, value) => context.say().refused(Some(id), true, reason, None, value),
            Known::No(reason) => context.say().refused(Some(id), false, reason, None, 0),
        }
    }

    /// The hold to extend and its new deadline. Reads only.
    fn judge_extend(
        &self,
        id: ReservationId,
        customer: CustomerId,
        by_ms: u32,
    ) -> Result<(u32, LogTime), (Reason, u64)> {
        let (number, state) = match self.standing(id, customer) {
            Standing::Unknown => return Err((Reason::UnknownReservation, 0)),
            Standing::Foreign => return Err((Reason::NotOwner, 0)),
            Standing::Own(number, state) => (number, state),
        };
        if !matches!(state, HoldState::Held | HoldState::Paying) {
            return Err((reason_for(state), 0));
        }
        if by_ms == 0 {
            return Err((Reason::Invalid, 0));
        }
        let hold = self.holds.get(number);
        let terms = &self.sale_of(hold).terms;
        if hold.extends() >= terms.extend_max {
            return Err((Reason::ExtendLimit, 0));
        }
        let cap = hold.began().plus_ms(u64::from(terms.hold_total_max_ms));
        let deadline = hold.deadline().plus_ms(u64::from(by_ms));
        if deadline > cap {
            return Err((Reason::ExtendLimit, cap.ms_since(hold.deadline())));
        }
        Ok((number, deadline))
    }

    fn answer_extend(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        judged: Result<(u32, LogTime), (Reason, u64)>,
    ) {
        match judged {
            Ok((number, deadline)) => {
                self.change_hold(number, |hold| {
                    hold.set_deadline(deadline);
                    hold.count_extend();
                });
                let state = self.effective_state(self.holds.get(number));
                self.say_moved(context, id, number, state, Change::Made);
            }
            Err((reason, value)) => context.say().refused(Some(id), false, reason, None, value),
        }
    }

    /// The caller's own reservation, or the refusal is said.
    fn own(
        &self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        customer: CustomerId,
    ) -> Option<(u32, HoldState)> {
        let reason = match self.standing(id, customer) {
            Standing::Own(number, state) => return Some((number, state)),
            Standing::Unknown => Reason::UnknownReservation,
            Standing::Foreign => Reason::NotOwner,
        };
        context.say().refused(Some(id), false, reason, None, 0);
        None
    }

    fn say_moved(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        number: u32,
        state: HoldState,
        change: Change,
    ) {
        let hold = *self.holds.get(number);
        self.say_hold_lines(context, &hold);
        let has_time = matches!(state, HoldState::Held | HoldState::Paying);
        let left = hold.deadline().ms_since(self.clock.now());
        let moved = Moved {
            state,
            expires_after_ms: if has_time { left } else { 0 },
            unchanged: matches!(change, Change::None | Change::Replay),
            late: change == Change::Late,
            replay: change == Change::Replay,
        };
        let granted = std::mem::take(&mut context.granted);
        context.say().moved(id, moved, &granted);
        context.granted = granted;
    }

    /// What is known of the id of an administrative command.
    pub(crate) fn known_command(&self, id: ReservationId, home: Home, content: u32) -> Known {
        let Some(at) = self.known(id, home) else {
            return if self.has_room() { Known::New } else { Known::No(Reason::Full) };
        };
        let entry = self.ids.entry(at);
        match Answer::unpack(entry.word) {
            _ if entry.fingerprint != content => Known::No(Reason::IdReused),
            Answer::Hold(_) => Known::No(Reason::IdReused),
            Answer::Done => Known::Done,
            Answer::Refused { reason, line, value } => Known::Refused(reason, line, value),
        }
    }

    /// Adds the remembered answers that are no holds to their generation's sum, after loading.
    pub(crate) fn restore_entry_sum(&mut self, at: crate::ids::EntryRef) {
        let entry = *self.ids.entry(at);
        if let Some(number) = self.ids.generation_of(at)
            && let Some(sum) = self.ids.generations.sum_of(number)
        {
            sum.add(entry_element(&entry));
        }
    }
}

/// What is known of the id of an administrative command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: decide it.
    New,
    /// It was done.
    Done,
    /// It was refused: why, the line to blame, the value.
    Refused(Reason, u8, u64),
    /// It cannot be decided under this id.
    No(Reason),
}

/// How an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Made,
    None,
    Late,
    Replay,
}

/// Why a reservation in this state cannot do what was asked.
const fn reason_for(state: HoldState) -> Reason {
    match state {
        HoldState::Waiting => Reason::StillWaiting,
        HoldState::Confirmed => Reason::AlreadyConfirmed,
        HoldState::Released => Reason::Released,
        HoldState::Expired => Reason::Expired,
        HoldState::Held | HoldState::Paying => Reason::Invalid,
    }
}

fn refuse_for(context: &mut Context<'_, '_>, id: ReservationId, state: HoldState) {
    context.say().refused(Some(id), false, reason_for(state), None, 0);
}
