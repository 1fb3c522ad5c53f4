//! Work that is due: holds expire, lines are served, waits end. Bounded in every record, the rest carried over.

use std::collections::VecDeque;

use holdfast_contracts::LogTime;
use holdfast_contracts::decision::{Granted, HoldState, SaleState};

use crate::clock::ClockEvent;
use crate::holds::Hold;
use crate::machine::{Context, Machine};
use crate::wheel::Due;

#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Pieces of work done in this record.
    used: u32,
    /// SKUs whose line could still be served when the limit was reached.
    pub(crate) to_serve: VecDeque<u32>,
    /// Closed sales in which somebody may still wait.
    pub(crate) ending: VecDeque<u32>,
}

impl Work {
    pub(crate) const fn begin_record(&mut self) {
        self.used = 0;
    }
}

impl Machine {
    /// Takes note of what happened to the clock.
    pub(crate) fn after_clock(
        &mut self,
        context: &mut Context<'_, '_>,
        before: LogTime,
        event: Option<ClockEvent>,
    ) {
        match event {
            Some(ClockEvent::Suspect) => {
                let (cause, appended) = (context.cause, context.appended);
                context.say().clock_suspect(cause, appended);
            }
            Some(ClockEvent::Trusted { step_ms, decided_since }) => {
                let cause = context.cause;
                context.say().clock_trusted(cause, step_ms);
                if let Some(since) = decided_since {
                    self.move_deadlines(step_ms, |_, hold| hold.decided_at().0 >= since);
                }
            }
            None => {}
        }
        if self.clock.now() != before {
            self.pass_generations();
        }
    }

    fn pass_generations(&mut self) {
        let length = self.rules.generation_ms();
        let passed = self.clock.now().ms_since(self.generation_began) / length;
        if passed > 0 {
            self.generation_began = self.generation_began.plus_ms(passed * length);
            self.ids.roll(passed);
            self.sweep.begin(self.ids.bins());
        }
    }

    /// Moves the deadlines of live holds that were decided on a wrong time, or frozen.
    pub(crate) fn move_deadlines(&mut self, by_ms: u64, concerns: impl Fn(&Self, &Hold) -> bool) {
        for number in self.holds.numbers() {
            let hold = self.holds.get(number);
            if !hold.is_live() || !concerns(self, hold) {
                continue;
            }
            let parked = hold.is_parked();
            let deadline = hold.deadline().plus_ms(by_ms);
            self.change_hold(number, |hold| hold.set_deadline(deadline));
            if parked {
                self.holds.change_derived(number).set_parked(false);
                self.wheel.add(number, &mut self.holds);
            }
        }
    }

    fn work_left(&self) -> bool {
        self.work.used < self.rules.work_per_record_max
    }

    /// Does what is due at the start of a record.
    #[inline]
    pub(crate) fn do_due_work(&mut self, context: &mut Context<'_, '_>) {
        let now = self.clock.now();
        self.wheel.advance(now, &mut self.holds);
        while self.work_left()
            && let Some(due) = self.wheel.pop_due(now)
        {
            self.strike(context, due);
        }
        while self.work_left()
            && let Some(sku) = self.work.to_serve.pop_front()
        {
            self.skus.change(sku).set_needs_service(false);
            self.serve_sku(context, sku);
        }
        while self.work_left() && !self.work.ending.is_empty() {
            self.end_a_wait(context);
        }
    }

    /// A deadline has come, unless the hold has ended or its deadline has moved.
    fn strike(&mut self, context: &mut Context<'_, '_>, due: Due) {
        let hold = self.holds.get(due.hold);
        let sold = cfg!(feature = "mutant-10") && hold.state() == Some(HoldState::Confirmed);
        if !(hold.is_live() || sold) || hold.is_parked() {
            return;
        }
        if Due::of(due.hold, hold) != due {
            self.wheel.add(due.hold, &mut self.holds);
        } else if self.sale_of(hold).is_frozen() {
            self.holds.change_derived(due.hold).set_parked(true);
        } else {
            self.work.used += 1;
            self.expire(context, due.hold);
        }
    }

    /// Ends a hold whose deadline has passed.
    pub(crate) fn expire(&mut self, context: &mut Context<'_, '_>, number: u32) {
        let hold = *self.holds.get(number);
        let was_waiting = hold.state() == Some(HoldState::Waiting);
        let id = self.ids.entry(hold.entry()).id();
        self.say_hold_lines(context, &hold);
        let granted = std::mem::take(&mut context.granted);
        let cause = context.cause;
        context.say().expired(cause, id, &granted, was_waiting);
        context.granted = granted;
        self.end(context, number, HoldState::Expired);
    }

    /// Ends a live hold or wait and gives back its units.
    pub(crate) fn end(&mut self, context: &mut Context<'_, '_>, number: u32, state: HoldState) {
        let hold = *self.holds.get(number);
        let was_waiting = hold.state() == Some(HoldState::Waiting);
        self.change_hold(number, |hold| {
            hold.set_state(state);
            if was_waiting {
                hold.set_ended_waiting();
            }
        });
        match hold.listing() {
            Some(listing) if was_waiting => self.leave_line(context, number, listing),
            Some(listing) => self.give_back(context, &hold, listing, hold.units()),
            None => {
                let lines: Vec<_> = self.lines.of(&hold).collect();
                for line in lines {
                    self.give_back(context, &hold, line.listing, line.granted);
                }
            }
        }
    }

    /// Units come back: to the shortfall first, then to whoever is next in line, then to the public.
    fn give_back(&mut self, context: &mut Context<'_, '_>, hold: &Hold, listing: u32, units: u32) {
        if units == 0 {
            return;
        }
        self.accounts.take(listing, hold.customer(), units);
        let number = self.sales.listing(listing).sku;
        self.sales.listing_mut(listing).live -= 1;
        let sku = self.skus.change(number);
        let units = u64::from(units);
        sku.held = crate::skus::minus(sku.held, units);
        let absorbed = units.min(sku.shortfall);
        sku.shortfall -= absorbed;
        sku.on_hand = crate::skus::minus(sku.on_hand, absorbed);
        sku.available += units - absorbed;
        sku.check();
        self.serve_sku(context, number);
    }

    /// Somebody who waited goes without units.
    fn leave_line(&mut self, context: &mut Context<'_, '_>, number: u32, listing: u32) {
        let hold = *self.holds.get(number);
        self.accounts.take(listing, hold.customer(), hold.units());
        self.sales.listing_mut(listing).live -= 1;
        let holds = &self.holds;
        let line = &mut self.sales.lines[listing as usize];
        let place = line.binary_search_by_key(&hold.decided_at(), |waiting| holds.get(*waiting).decided_at());
        line.remove(place.expect("who waits stands in line"));
        self.serve(context, listing);
    }

    /// Serves the line of a SKU, if it has one.
    #[inline]
    pub(crate) fn serve_sku(&mut self, context: &mut Context<'_, '_>, sku: u32) {
        let listing = self.skus.get(sku).listing;
        if listing != crate::holds::NONE && !self.sales.lines[listing as usize].is_empty() {
            self.serve(context, listing);
        }
    }

    /// Gives free units to those in line whom they fit, as far as this record's limit goes.
    pub(crate) fn serve(&mut self, context: &mut Context<'_, '_>, listing: u32) {
        let sku = self.sales.listing(listing).sku;
        while let Some(place) = self.next_to_serve(listing) {
            if !self.work_left() {
                if !self.skus.get(sku).needs_service() {
                    self.skus.change(sku).set_needs_service(true);
                    self.work.to_serve.push_back(sku);
                }
                return;
            }
            self.work.used += 1;
            self.offer(context, listing, place);
        }
    }

    /// The place in line of the first whom the free units fit.
    fn next_to_serve(&self, listing: u32) -> Option<usize> {
        let line = &self.sales.lines[listing as usize];
        if line.is_empty() || self.sales.sale_of(listing).refusal(self.clock.now()).is_some() {
            return None;
        }
        let available = self.skus.get(self.sales.listing(listing).sku).available;
        let fits = |number: &u32| u64::from(self.holds.get(*number).units()) <= available;
        if cfg!(feature = "mutant-26") && line.get(1).is_some_and(fits) {
            return Some(1);
        }
        line.iter().take(self.rules.line_look_max()).position(fits)
    }

    /// Gives units to somebody in line.
    fn offer(&mut self, context: &mut Context<'_, '_>, listing: u32, place: usize) {
        let line = &mut self.sales.lines[listing as usize];
        let number = line.remove(place).expect("the place was found in this line");
        let (now, ttl_ms) = (self.clock.now(), self.sales.sale_of(listing).terms.offer_ttl_ms);
        self.change_hold(number, |hold| hold.offer(now, ttl_ms));
        self.wheel.add(number, &mut self.holds);

        let hold = *self.holds.get(number);
        let counters = self.sales.listing(listing).sku;
        let sku = self.skus.change(counters);
        sku.available = crate::skus::minus(sku.available, u64::from(hold.units()));
        sku.held += u64::from(hold.units());
        sku.check();

        let id = self.ids.entry(hold.entry()).id();
        let sku = self.skus.say(counters, &mut context.out);
        let line = Granted { sku, quantity: hold.units(), missing: 0 };
        let cause = context.cause;
        context.say().offered(cause, id, u64::from(ttl_ms), line);
    }

    /// Ends one wait in the sale that closed first, or finds that nobody waits there any more.
    fn end_a_wait(&mut self, context: &mut Context<'_, '_>) {
        let Some(sale) = self.work.ending.front() else { return };
        let listings = &self.sales.sale(*sale).listings;
        let first = listings.iter().find_map(|listing| self.sales.lines[*listing as usize].front());
        match first.copied() {
            Some(number) => {
                self.work.used += 1;
                self.expire(context, number);
            }
            None => {
                self.work.ending.pop_front();
            }
        }
    }

    /// Whether there is work now that the last record's limit left undone.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        self.wheel.has_due(self.clock.now()) || !self.work.to_serve.is_empty() || !self.work.ending.is_empty()
    }

    /// A log time at which work may become due: never later than the first deadline.
    #[must_use]
    pub fn next_due(&self) -> Option<LogTime> {
        self.wheel.next_time()
    }

    /// Whether log time stands still until ticks agree.
    #[must_use]
    pub const fn clock_is_suspect(&self) -> bool {
        self.clock.suspicion().is_some()
    }

    /// Log time.
    #[must_use]
    pub fn now(&self) -> LogTime {
        self.clock.now()
    }

    /// Whether a sale is closed.
    pub(crate) fn is_closed(&self, sale: u32) -> bool {
        self.sales.sale(sale).state == SaleState::Closed
    }
}
