//! Reserve: promise units to a buyer until a deadline, or say why not.

use holdfast_contracts::command::Reserve;
use holdfast_contracts::decision::{FirstDecided, Granted, HoldState, Reason};
use holdfast_contracts::{LogTime, ReservationId};

use crate::ahead::Ahead;
use crate::answer::{Answer, NO_LINE};
use crate::clock;
use crate::groups::Home;
use crate::holds::{Hold, NEVER, NONE, NewHold};
use crate::ids::{Entry, EntryRef};
use crate::lines::HoldLine;
use crate::machine::{Context, Machine};
use crate::wants::{Want, content, is_valid, numbered, over_limit, short};

/// The answer to a reserve request, before anything has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The same request was answered before.
    Known(EntryRef),
    /// The id was used for something else.
    IdReused,
    /// No memory for another id or hold.
    Full,
    /// A refusal, to be remembered.
    Refused(Answer),
    /// A place in line.
    Waits { listing: u32 },
    /// The units, as many as there are if partial is allowed.
    Granted { ttl_ms: u32 },
}

impl Machine {
    /// Answers a reserve request and folds the answer into the state.
    #[inline]
    pub(crate) fn reserve(&mut self, context: &mut Context<'_, '_>, it: &Reserve<'_>, ahead: &Ahead) {
        match it.lines.single() {
            // An array of one: the compiler makes a copy of everything below without a loop.
            Some(line) => {
                let wants = [self.want(context, it, line, ahead)];
                self.reserve_wants(context, it, &wants, ahead);
            }
            None => self.reserve_several(context, it, ahead),
        }
    }

    #[cold]
    fn reserve_several(&mut self, context: &mut Context<'_, '_>, it: &Reserve<'_>, ahead: &Ahead) {
        let mut wants = std::mem::take(&mut context.wants);
        self.merge(context, it, ahead, &mut wants);
        self.reserve_wants(context, it, &wants, ahead);
        context.wants = wants;
    }

    #[inline(always)]
    fn reserve_wants(
        &mut self,
        context: &mut Context<'_, '_>,
        it: &Reserve<'_>,
        wants: &[Want],
        ahead: &Ahead,
    ) {
        let content = content(it, wants);
        let home = ahead.id;
        self.make_room_at(home);
        match self.judge(it, wants, home, content) {
            Verdict::Granted { ttl_ms } => self.grant(context, it, wants, home, content, ttl_ms),
            Verdict::Refused(answer) => {
                self.remember(it.reservation_id, home, content, answer);
                self.say_refusal(context, it.reservation_id, Said::First, answer, wants);
            }
            Verdict::Waits { listing } => self.stand_in_line(context, it, wants[0], home, content, listing),
            Verdict::Known(at) => self.answer_again(context, it.reservation_id, at, wants),
            Verdict::IdReused => {
                context.say().refused(Some(it.reservation_id), false, Reason::IdReused, None, 0);
            }
            Verdict::Full => context.say().refused(Some(it.reservation_id), false, Reason::Full, None, 0),
        }
    }

    /// Answers a reserve request. Reads only.
    ///
    /// A retry is pointed at the answer it already got: buyers retry when an answer is slow, and a retry that was decided
    /// again would take units nobody will pay for.
    #[inline(always)]
    fn judge(&self, it: &Reserve<'_>, wants: &[Want], home: Home, content: u32) -> Verdict {
        let refuse = |reason, line, value| Verdict::Refused(Answer::Refused { reason, line, value });

        if !cfg!(feature = "mutant-03")
            && let Some(at) = self.known(it.reservation_id, home)
        {
            let entry = self.ids.entry(at);
            let same = entry.fingerprint == content && Answer::unpack(entry.word) != Answer::Done;
            return if same { Verdict::Known(at) } else { Verdict::IdReused };
        }
        if !self.has_room() {
            return Verdict::Full;
        }
        if !is_valid(it, wants) {
            return refuse(Reason::Invalid, NO_LINE, 0);
        }
        for (line, want) in numbered(wants) {
            if want.sku == NONE {
                return refuse(Reason::UnknownSku, line, 0);
            }
        }
        let sale = match self.common_sale(wants) {
            Ok(sale) => self.sales.sale(sale),
            Err((reason, line)) => return refuse(reason, line, 0),
        };
        let total: u64 = wants.iter().map(|want| want.quantity).sum();
        let per_reservation = u64::from(sale.terms.units_per_reservation_max);
        #[cfg(feature = "mutant-17")]
        let per_reservation = per_reservation.min(self.config.id_bins as u64 / 8);
        if per_reservation != 0 && total > per_reservation {
            return refuse(Reason::PurchaseLimit, NO_LINE, per_reservation);
        }
        if let Some((line, left)) = over_limit(wants, sale.terms.units_per_customer_max) {
            return refuse(Reason::PurchaseLimit, line, left);
        }
        if let Some((line, offered)) = short(it, wants) {
            if it.join_waitlist && sale.terms.waitlist {
                return Verdict::Waits { listing: wants[0].listing };
            }
            return refuse(Reason::InsufficientStock, line, offered);
        }

        // Every check is above this line; from here the reservation succeeds.
        Verdict::Granted { ttl_ms: sale.terms.hold_ttl_ms }
    }

    /// The one sale that all lines are in and that is open, or the first line that spoils it.
    #[inline(always)]
    fn common_sale(&self, wants: &[Want]) -> Result<u32, (Reason, u8)> {
        let mut common = NONE;
        for (line, want) in numbered(wants) {
            if want.listing == NONE {
                return Err((Reason::SaleNotOpen, line));
            }
            let number = self.sales.listing(want.listing).sale;
            if let Some(reason) = self.sales.sale(number).refusal(self.clock.now()) {
                return Err((reason, line));
            }
            if common != NONE && common != number {
                return Err((Reason::DifferentSales, line));
            }
            common = number;
        }
        Ok(common)
    }

    /// Takes the units. The verdict has made sure that they are there.
    #[inline(always)]
    fn grant(
        &mut self,
        context: &mut Context<'_, '_>,
        it: &Reserve<'_>,
        wants: &[Want],
        home: Home,
        content: u32,
        ttl_ms: u32,
    ) {
        let id = it.reservation_id;
        match wants {
            [want] if want.offered >= want.quantity => {
                let units = units(want.quantity);
                let at = Place { place: want.listing, is_multi: false, units };
                self.open(context, it, home, content, at, ttl_ms);
                self.hold_units(want, it, units);
                let sku = self.skus.say(want.sku, &mut context.out);
                context.say().reserved_one(id, ttl_ms, sku, units);
            }
            _ => {
                let lines: Vec<HoldLine> = wants
                    .iter()
                    .map(|want| HoldLine {
                        listing: want.listing,
                        quantity: units(want.quantity),
                        granted: units(want.quantity.min(want.offered)),
                    })
                    .collect();
                let place = self.lines.add(&lines);
                self.open(context, it, home, content, Place { place, is_multi: true, units: 0 }, ttl_ms);
                for (want, line) in wants.iter().zip(&lines) {
                    self.hold_units(want, it, line.granted);
                }
                self.say_lines(context, lines.into_iter());
                let granted = std::mem::take(&mut context.granted);
                context.say().reserved(id, u64::from(ttl_ms), &granted, None);
                context.granted = granted;
            }
        }
    }

    /// Makes the hold of a granted reservation.
    #[inline(always)]
    fn open(
        &mut self,
        context: &Context<'_, '_>,
        it: &Reserve<'_>,
        home: Home,
        content: u32,
        at: Place,
        ttl_ms: u32,
    ) {
        let deadline = self.clock.now().plus_ms(u64::from(ttl_ms));
        let new = self.new_hold(context, it, at, HoldState::Held, ttl_ms, deadline);
        self.add_hold(it.reservation_id, home, content, new);
    }

    #[inline(always)]
    fn new_hold(
        &self,
        context: &Context<'_, '_>,
        it: &Reserve<'_>,
        at: Place,
        state: HoldState,
        ttl_ms: u32,
        deadline: LogTime,
    ) -> NewHold {
        NewHold {
            customer: it.customer,
            entry: EntryRef::default(),
            place: at.place,
            is_multi: at.is_multi,
            units: at.units,
            state,
            ttl_ms,
            deadline,
            offset: context.offset,
            index: context.index(),
        }
    }

    /// Stores a hold, remembers its id and its deadline.
    #[inline(always)]
    fn add_hold(&mut self, id: ReservationId, home: Home, content: u32, mut new: NewHold) -> u32 {
        let number = self.holds.next_number().expect("the verdict made sure that there is room");
        let entry = Entry::new(id, content, Answer::Hold(number));
        new.entry = self.ids.insert(entry, home);
        let mut hold = Hold::new(new);
        self.live_sum.add(self.element_of(&hold, &entry));
        if new.deadline != NEVER {
            self.wheel.take_in(number, &mut hold);
        }
        self.holds.add(hold)
    }

    /// Moves units from available to held, on the customer's account.
    #[inline(always)]
    fn hold_units(&mut self, want: &Want, it: &Reserve<'_>, units: u32) {
        let units = if cfg!(feature = "mutant-02") { units.min(1) } else { units };
        let counters = self.skus.change(want.sku);
        counters.available = crate::skus::minus(counters.available, u64::from(units));
        counters.held += u64::from(units);
        counters.check();
        if units > 0 {
            self.sales.listing_mut(want.listing).live += 1;
            self.accounts.add(want.account, want.listing, it.customer, units);
        }
    }

    /// The buyer waits for units to come back.
    fn stand_in_line(
        &mut self,
        context: &mut Context<'_, '_>,
        it: &Reserve<'_>,
        want: Want,
        home: Home,
        content: u32,
        listing: u32,
    ) {
        let closes_at = self.sales.sale_of(listing).terms.closes_at;
        let deadline = if closes_at.0 == 0 { NEVER } else { clock::clamp(closes_at) };
        let at = Place { place: listing, is_multi: false, units: units(want.quantity) };
        let new = self.new_hold(context, it, at, HoldState::Waiting, 0, deadline);
        let number = self.add_hold(it.reservation_id, home, content, new);
        self.sales.lines[listing as usize].push_back(number);
        self.sales.listing_mut(listing).live += 1;
        self.accounts.add(want.account, listing, it.customer, at.units);
        let sku = self.skus.say(want.sku, &mut context.out);
        let line = Granted { sku, quantity: at.units, missing: at.units };
        context.say().waiting(it.reservation_id, line, None);
    }

    /// The first answer once more, whatever became of the reservation since.
    fn answer_again(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        at: EntryRef,
        wants: &[Want],
    ) {
        match Answer::unpack(self.ids.entry(at).word) {
            Answer::Hold(number) => {
                let hold = *self.holds.get(number);
                let (offset, index) = hold.decided_at();
                let mut first = FirstDecided { ago_ms: 0, offset: offset.0, index };
                if hold.waited() {
                    let sku = self.skus.say(wants[0].sku, &mut context.out);
                    let line = Granted { sku, quantity: hold.units(), missing: hold.units() };
                    context.say().waiting(id, line, Some(first));
                    return;
                }
                first.ago_ms = self.clock.now().ms_since(hold.began());
                self.say_hold_lines(context, &hold);
                let granted = std::mem::take(&mut context.granted);
                context.say().reserved(id, u64::from(hold.ttl_ms()), &granted, Some(first));
                context.granted = granted;
            }
            answer => self.say_refusal(context, id, Said::Again, answer, wants),
        }
    }

    #[inline(always)]
    fn say_refusal(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        said: Said,
        answer: Answer,
        wants: &[Want],
    ) {
        let Answer::Refused { reason, line, value } = answer else {
            unreachable!("only refusals are said here")
        };
        let entry = wants.get(line as usize).map(|want| want.entry);
        let sku = entry.map(|entry| context.say_entry(&mut self.skus, entry));
        match said {
            Said::First => context.say().refused_first(id, reason, sku, value),
            Said::Again => context.say().refused(Some(id), true, reason, sku, value),
        }
    }

    /// Remembers an answer that is not a hold.
    #[inline(always)]
    pub(crate) fn remember(&mut self, id: ReservationId, home: Home, content: u32, answer: Answer) {
        if cfg!(feature = "mutant-04") && answer != Answer::Done {
            return;
        }
        let entry = Entry::new(id, content, answer);
        self.ids.insert(entry, home);
        self.ids.generations.current_sum().add(entry_element(&entry));
    }
}

/// Whether a refusal is the answer or repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    First,
    Again,
}

/// Where a hold keeps what it holds.
#[derive(Debug, Clone, Copy)]
struct Place {
    place: u32,
    is_multi: bool,
    units: u32,
}

/// The element of a remembered answer that is not a hold.
pub(crate) fn entry_element(entry: &Entry) -> u128 {
    let (low, high) = entry.words();
    crate::hash::element(1, [low, high, u64::from(entry.fingerprint) << 32 | u64::from(entry.word)])
}

/// A quantity that was checked to be at most a million.
#[inline(always)]
fn units(quantity: u64) -> u32 {
    u32::try_from(quantity).expect("a valid quantity is at most a million")
}
