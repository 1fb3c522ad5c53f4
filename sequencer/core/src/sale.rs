//! Commands on sales: define, open, pause, close.

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::DefineSale;
use holdfast_contracts::decision::{Reason, SaleState};
use holdfast_contracts::limits::{SALE_ID_BYTES_MAX, SALE_SKUS_MAX};

use crate::answer::VALUE_MAX;
use crate::hash::{Mix, hash_bytes};
use crate::holds::NONE;
use crate::machine::{Context, Machine};
use crate::moves::Known;
use crate::sales::Sale;
use crate::state::any_listing;

/// Why a sale cannot be defined so, and the SKU to blame.
type DefineRefusal = (Reason, Blame);

/// The SKU to blame for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    Nobody,
    /// A dictionary index of the command.
    Entry(u32),
    /// A SKU that the command does not name.
    Sku(u32),
}

impl Blame {
    /// A number to remember it by, for a sale with these SKUs.
    fn remembered(self, entries: &[u32]) -> u64 {
        let number = match self {
            Self::Nobody => None,
            Self::Entry(entry) => entries.iter().position(|e| *e == entry).map(|at| at as u64),
            Self::Sku(sku) => Some(u64::from(sku)).filter(|sku| *sku < VALUE_MAX),
        };
        number.map_or(0, |number| number + 1)
    }

    fn recalled(reason: Reason, value: u64, entries: &[u32]) -> Self {
        let Some(number) = value.checked_sub(1).and_then(|number| u32::try_from(number).ok()) else {
            return Self::Nobody;
        };
        match reason {
            Reason::SkuInUse => Self::Sku(number),
            _ => entries.get(number as usize).map_or(Self::Nobody, |entry| Self::Entry(*entry)),
        }
    }
}

impl Machine {
    /// Makes a sale known or changes its terms.
    pub(crate) fn define_sale(&mut self, context: &mut Context<'_, '_>, it: &DefineSale<'_>) {
        let entries = sorted_entries(context, it);
        let content = define_content(context, it, &entries);
        let home = self.make_room(it.command_id);
        match self.known_command(it.command_id, home, content) {
            Known::New => {}
            Known::Done => {
                let number = self.sales.find(it.sale_id).expect("a sale that was defined is known");
                let state = self.sales.sale(number).state;
                return context.say().sale_changed(Some(it.command_id), true, state, true);
            }
            Known::Refused(reason, _, value) => {
                let blame = Blame::recalled(reason, value, &entries);
                return self.refuse_sale(context, it.command_id, true, (reason, blame));
            }
            Known::No(reason) => return context.say().refused(Some(it.command_id), false, reason, None, 0),
        }
        let judged = self.judge_define(context, it, &entries);
        let remembered = judged.map_err(|(reason, blame)| (reason, blame.remembered(&entries)));
        self.remember_command(it.command_id, content, &remembered);
        match judged {
            Ok(()) => self.define(context, it, &entries),
            Err(refusal) => self.refuse_sale(context, it.command_id, false, refusal),
        }
    }

    /// Reads only. Each check is made for all SKUs in byte order before the next one.
    fn judge_define(
        &self,
        context: &Context<'_, '_>,
        it: &DefineSale<'_>,
        entries: &[u32],
    ) -> Result<(), DefineRefusal> {
        let exist = entries.iter().all(|entry| (*entry as usize) < context.names.len());
        let named = (1..=SALE_ID_BYTES_MAX).contains(&it.sale_id.len());
        if !exist || !named || it.skus.len() > SALE_SKUS_MAX || !it.terms.are_valid() {
            return Err((Reason::Invalid, Blame::Nobody));
        }
        let number = self.sales.find(it.sale_id);
        if number.is_some_and(|number| self.is_closed(number)) {
            return Err((Reason::SaleState, Blame::Nobody));
        }
        if let Some(entry) = entries.iter().find(|entry| !self.owns(context.names[**entry as usize])) {
            return Err((Reason::UnknownSku, Blame::Entry(*entry)));
        }
        let elsewhere = |entry: &&u32| {
            let listing = self.entry_listing(context, **entry);
            listing.is_some_and(|listing| {
                let other = self.sales.listing(listing).sale;
                Some(other) != number && !self.is_closed(other)
            })
        };
        if let Some(entry) = entries.iter().find(elsewhere) {
            return Err((Reason::SkuInOtherSale, Blame::Entry(*entry)));
        }
        let leaves_in_use = |listing: &u32| {
            let stays = entries.iter().any(|entry| self.entry_listing(context, *entry) == Some(*listing));
            !stays && self.sales.listing(*listing).live > 0
        };
        let listings = number.map_or(&[][..], |number| &self.sales.sale(number).listings);
        match listings.iter().find(|listing| leaves_in_use(listing)) {
            Some(listing) => Err((Reason::SkuInUse, Blame::Sku(self.sales.listing(*listing).sku))),
            None => Ok(()),
        }
    }

    /// The current listing of a dictionary entry's SKU.
    fn entry_listing(&self, context: &Context<'_, '_>, entry: u32) -> Option<u32> {
        let sku = context.dictionary[entry as usize].sku;
        if sku == NONE {
            return None;
        }
        Some(self.skus.get(sku).listing).filter(|listing| *listing != NONE)
    }

    fn define(&mut self, context: &mut Context<'_, '_>, it: &DefineSale<'_>, entries: &[u32]) {
        let number = self.sales.find(it.sale_id).unwrap_or_else(|| {
            self.sales.add(Sale {
                id: it.sale_id.to_owned(),
                terms: it.terms,
                state: SaleState::Draft,
                frozen_since: None,
                listings: Vec::new(),
            })
        });
        let before = std::mem::take(&mut self.sales.change(number).listings);
        let mut listings = Vec::with_capacity(entries.len());
        for entry in entries {
            let sku = context.make_known(&mut self.skus, *entry);
            let current = self.skus.get(sku).listing;
            if before.contains(&current) {
                listings.push(current);
            } else {
                let listing = self.sales.add_listing(sku, number);
                self.skus.change(sku).listing = listing;
                listings.push(listing);
            }
        }
        for left in before.iter().filter(|listing| !listings.contains(listing)) {
            let sku = self.sales.listing(*left).sku;
            self.skus.change(sku).listing = NONE;
        }
        let sale = self.sales.change(number);
        sale.terms = it.terms;
        sale.listings = listings;
        let state = sale.state;
        self.serve_sale(context, number);
        context.say().sale_changed(Some(it.command_id), false, state, false);
    }

    /// Starts a defined sale or resumes a paused one.
    pub(crate) fn open_sale(&mut self, context: &mut Context<'_, '_>, id: &str) {
        let Some(number) = self.sales.find(id) else { return refuse(context, Reason::UnknownSale) };
        match self.sales.sale(number).state {
            SaleState::Closed => refuse(context, Reason::SaleState),
            SaleState::Open => context.say().sale_changed(None, false, SaleState::Open, true),
            SaleState::Draft | SaleState::Paused => {
                self.sales.change(number).state = SaleState::Open;
                self.thaw(number);
                self.serve_sale(context, number);
                context.say().sale_changed(None, false, SaleState::Open, false);
            }
        }
    }

    /// Stops new holds for a while, and deadlines too if asked.
    pub(crate) fn pause_sale(&mut self, context: &mut Context<'_, '_>, id: &str, freeze_ttl: bool) {
        let Some(number) = self.sales.find(id) else { return refuse(context, Reason::UnknownSale) };
        match self.sales.sale(number).state {
            SaleState::Draft | SaleState::Closed => refuse(context, Reason::SaleState),
            SaleState::Paused => context.say().sale_changed(None, false, SaleState::Paused, true),
            SaleState::Open => {
                let now = self.clock.now();
                let sale = self.sales.change(number);
                sale.state = SaleState::Paused;
                sale.frozen_since = freeze_ttl.then_some(now);
                context.say().sale_changed(None, false, SaleState::Paused, false);
            }
        }
    }

    /// Ends a sale for good.
    pub(crate) fn close_sale(&mut self, context: &mut Context<'_, '_>, id: &str) {
        let Some(number) = self.sales.find(id) else { return refuse(context, Reason::UnknownSale) };
        if self.is_closed(number) {
            return context.say().sale_changed(None, false, SaleState::Closed, true);
        }
        self.sales.change(number).state = SaleState::Closed;
        self.thaw(number);
        self.work.ending.push_back(number);
        context.say().sale_changed(None, false, SaleState::Closed, false);
    }

    /// Lets the deadlines of a frozen sale run again, later by the time they stood still.
    fn thaw(&mut self, number: u32) {
        if let Some(since) = self.sales.change(number).frozen_since.take() {
            let stood_still = self.clock.now().ms_since(since);
            self.move_deadlines(stood_still, |machine, hold| {
                machine.sales.listing(any_listing(hold, &machine.lines)).sale == number
            });
        }
    }

    /// Serves all lines of a sale.
    pub(crate) fn serve_sale(&mut self, context: &mut Context<'_, '_>, number: u32) {
        for at in 0..self.sales.sale(number).listings.len() {
            let listing = self.sales.sale(number).listings[at];
            self.serve(context, listing);
        }
    }

    fn refuse_sale(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        replay: bool,
        (reason, blame): DefineRefusal,
    ) {
        let sku = match blame {
            Blame::Nobody => None,
            Blame::Entry(entry) => Some(context.say_entry(&mut self.skus, entry)),
            Blame::Sku(sku) => Some(self.skus.say(sku, &mut context.out)),
        };
        context.say().refused(Some(id), replay, reason, sku, 0);
    }
}

fn refuse(context: &mut Context<'_, '_>, reason: Reason) {
    context.say().refused(None, false, reason, None, 0);
}

/// The dictionary indexes of a sale's SKUs, each SKU once, in order of the bytes of the SKU. An index that names nothing
/// stands for an empty name.
fn sorted_entries(context: &Context<'_, '_>, it: &DefineSale<'_>) -> Vec<u32> {
    let mut entries: Vec<u32> = it.skus.iter().collect();
    entries.sort_by(|a, b| context.name(*a).cmp(context.name(*b)));
    entries.dedup_by(|a, b| context.name(*a) == context.name(*b));
    entries
}

fn define_content(context: &Context<'_, '_>, it: &DefineSale<'_>, entries: &[u32]) -> u32 {
    let terms = &it.terms;
    let mut mix = Mix::new(8).with(hash_bytes(it.sale_id.as_bytes()));
    for number in [
        terms.hold_ttl_ms,
        terms.payment_window_ms,
        terms.units_per_customer_max,
        terms.units_per_reservation_max,
        terms.extend_max,
        terms.hold_total_max_ms,
        terms.offer_ttl_ms,
        u32::from(terms.waitlist),
    ] {
        mix = mix.with(u64::from(number));
    }
    mix = mix.with(terms.opens_at.0).with(terms.closes_at.0);
    for entry in entries {
        mix = mix.with(hash_bytes(context.name(*entry).as_bytes()));
    }
    mix.low32()
}
