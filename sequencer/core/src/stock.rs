//! Commands on stock: set and adjust.

use std::cmp::Reverse;

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::{AdjustStock, SetStock};
use holdfast_contracts::decision::Reason;
use holdfast_contracts::limits::{CANCEL_LIST_MAX, STOCK_MAX};

use crate::answer::Answer;
use crate::hash::{Mix, hash_bytes};
use crate::holds::NONE;
use crate::ids::hash_of;
use crate::machine::{Context, DictionaryEntry, Machine};
use crate::moves::Known;
use crate::skus::Sku;

/// A refusal: why, and the value that comes with it.
type Refusal = (Reason, u64);

impl Machine {
    /// Sets the units on hand of a SKU.
    pub(crate) fn set_stock(&mut self, context: &mut Context<'_, '_>, it: &SetStock<'_>) {
        let content = Mix::new(6)
            .with(sku_hash(context, it.sku))
            .with(it.on_hand)
            .with(it.expected.map_or(u64::MAX, |n| n))
            .with(u64::from(it.expected.is_some()) | u64::from(it.force) << 1)
            .with(hash_bytes(it.reason.as_bytes()))
            .with(hash_bytes(it.reference.as_bytes()))
            .low32();
        if !self.is_new_command(context, it.command_id, content, Some(it.sku)) {
            return;
        }
        let judged = self.judge_set_stock(context, it);
        self.remember_command(it.command_id, content, &judged);
        match judged {
            Ok(()) => {
                let number = context.make_known(&mut self.skus, it.sku);
                let sku = self.skus.change(number);
                let promised = promised(sku);
                sku.shortfall = promised.saturating_sub(it.on_hand);
                sku.on_hand = it.on_hand.max(promised);
                sku.available = sku.on_hand - promised;
                sku.check();
                let cut = sku.shortfall;
                let cancel = if it.force && cut > 0 { self.newest_holds(number, cut) } else { Vec::new() };
                self.serve_sku(context, number);
                self.say_stock(context, it.command_id, number, false, &cancel);
            }
            Err(refusal) => self.refuse_stock(context, it.command_id, Some(it.sku), false, refusal),
        }
    }

    /// Reads only.
    fn judge_set_stock(&self, context: &Context<'_, '_>, it: &SetStock<'_>) -> Result<(), Refusal> {
        let entry = context.dictionary.get(it.sku as usize).ok_or((Reason::Invalid, 0u64))?;
        if it.on_hand > STOCK_MAX {
            return Err((Reason::Invalid, 0));
        }
        if !self.owns(context.names[it.sku as usize]) {
            return Err((Reason::UnknownSku, 0));
        }
        let now = (entry.sku != NONE).then(|| *self.skus.get(entry.sku));
        let on_hand = now.map_or(0, |sku| sku.on_hand);
        if it.expected.is_some_and(|expected| expected != on_hand) {
            return Err((Reason::StockChanged, on_hand));
        }
        match now {
            Some(sku) if it.on_hand < promised(&sku) && !it.force => {
                Err((Reason::StockBelowPromised, sku.available))
            }
            _ => Ok(()),
        }
    }

    /// Live holds of a SKU, newest decision first, until their units cover `units`.
    fn newest_holds(&self, sku: u32, mut units: u64) -> Vec<ReservationId> {
        let mut found: Vec<_> = self
            .holds
            .numbers()
            .map(|number| self.holds.get(number))
            .filter(|hold| hold.is_live() && !hold.is_waiting())
            .filter_map(|hold| {
                let lines = self.lines.of(hold).filter(|line| self.sales.listing(line.listing).sku == sku);
                let granted: u64 = lines.map(|line| u64::from(line.granted)).sum();
                (granted > 0).then(|| (hold.decided_at(), granted, hold.entry()))
            })
            .collect();
        found.sort_unstable_by_key(|(decided_at, ..)| Reverse(*decided_at));
        let mut ids = Vec::new();
        for (_, granted, entry) in found.into_iter().take(CANCEL_LIST_MAX) {
            if units == 0 {
                break;
            }
            units = units.saturating_sub(granted);
            ids.push(self.ids.entry(entry).id());
        }
        ids
    }

    /// Changes the units on hand of a known SKU.
    pub(crate) fn adjust_stock(&mut self, context: &mut Context<'_, '_>, it: &AdjustStock<'_>) {
        let content = Mix::new(7)
            .with(sku_hash(context, it.sku))
            .with(it.delta.cast_unsigned())
            .with(it.set_aside.cast_unsigned())
            .with(hash_bytes(it.reason.as_bytes()))
            .with(hash_bytes(it.reference.as_bytes()))
            .low32();
        if !self.is_new_command(context, it.command_id, content, Some(it.sku)) {
            return;
        }
        let judged = self.judge_adjust_stock(context, it);
        self.remember_command(it.command_id, content, &judged);
        match judged {
            Ok(after) => {
                let number = context.dictionary[it.sku as usize].sku;
                *self.skus.change(number) = after;
                after.check();
                self.serve_sku(context, number);
                self.say_stock(context, it.command_id, number, false, &[]);
            }
            Err(refusal) => self.refuse_stock(context, it.command_id, Some(it.sku), false, refusal),
        }
    }

    /// The counters as they will be. Reads only.
    fn judge_adjust_stock(&self, context: &Context<'_, '_>, it: &AdjustStock<'_>) -> Result<Sku, Refusal> {
        let entry = context.dictionary.get(it.sku as usize).ok_or((Reason::Invalid, 0u64))?;
        if !self.owns(context.names[it.sku as usize]) || entry.sku == NONE {
            return Err((Reason::UnknownSku, 0));
        }
        let in_range = |n: i64| n.unsigned_abs() <= STOCK_MAX;
        if (it.delta == 0 && it.set_aside == 0) || !in_range(it.delta) || !in_range(it.set_aside) {
            return Err((Reason::Invalid, 0));
        }
        let mut sku = *self.skus.get(entry.sku);
        let moved = |counter: u64, by: i64| counter.checked_add_signed(by);
        // Units that come back go to the shortfall first.
        let back = u64::try_from(it.delta - it.set_aside).unwrap_or(0);
        let absorbed = back.min(sku.shortfall);
        let available = moved(sku.available, it.delta - it.set_aside - absorbed.cast_signed());
        let available = available.ok_or((Reason::StockBelowPromised, sku.available))?;
        let unavailable = moved(sku.unavailable, it.set_aside);
        let unavailable = unavailable.ok_or((Reason::StockBelowPromised, sku.unavailable))?;
        let on_hand = moved(sku.on_hand, it.delta - absorbed.cast_signed());
        let on_hand = on_hand.expect("on hand is at least available and unavailable together");
        if on_hand > STOCK_MAX {
            return Err((Reason::Invalid, 0));
        }
        sku.shortfall -= absorbed;
        let on_hand = if cfg!(feature = "mutant-28") { sku.on_hand } else { on_hand };
        (sku.available, sku.unavailable, sku.on_hand) = (available, unavailable, on_hand);
        Ok(sku)
    }

    /// Whether an administrative command is to be decided now; if its id is known, the answer is said here.
    fn is_new_command(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        content: u32,
        entry: Option<u32>,
    ) -> bool {
        let home = self.make_room(id);
        match self.known_command(id, home, content) {
            Known::New => return true,
            Known::Done => {
                let entry = entry.and_then(|entry| context.dictionary.get(entry as usize)).copied();
                match entry {
                    Some(DictionaryEntry { sku, .. }) if sku != NONE => {
                        self.say_stock(context, id, sku, true, &[]);
                    }
                    _ => unreachable!("a stock command that was done has a known SKU"),
                }
            }
            Known::Refused(reason, _, value) => self.refuse_stock(context, id, entry, true, (reason, value)),
            Known::No(reason) => context.say().refused(Some(id), false, reason, None, 0),
        }
        false
    }

    /// Remembers what an administrative command came to.
    pub(crate) fn remember_command<T>(
        &mut self,
        id: ReservationId,
        content: u32,
        judged: &Result<T, Refusal>,
    ) {
        let answer = match judged {
            Ok(_) => Answer::Done,
            Err((reason, value)) => Answer::Refused { reason: *reason, line: 0, value: *value },
        };
        self.remember(id, self.ids.home(hash_of(id)), content, answer);
    }

    /// Says no. Whoever sent nonsense is not told a SKU.
    fn refuse_stock(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        entry: Option<u32>,
        replay: bool,
        (reason, value): Refusal,
    ) {
        let entry = entry.filter(|_| reason != Reason::Invalid);
        let sku = entry.map(|entry| context.say_entry(&mut self.skus, entry));
        context.say().refused(Some(id), replay, reason, sku, value);
    }

    fn say_stock(
        &mut self,
        context: &mut Context<'_, '_>,
        id: ReservationId,
        number: u32,
        replay: bool,
        cancel_first: &[ReservationId],
    ) {
        let figures = self.skus.get(number).figures();
        let sku = self.skus.say(number, &mut context.out);
        context.say().stock_changed(id, replay, sku, figures, cancel_first);
    }
}

/// Units that a cut cannot take away.
const fn promised(sku: &Sku) -> u64 {
    sku.held + sku.committed + sku.unavailable
}

/// What a dictionary index adds to the content of a command.
fn sku_hash(context: &Context<'_, '_>, entry: u32) -> u64 {
    context.dictionary.get(entry as usize).map_or_else(|| hash_bytes(b""), |found| found.hash)
}
