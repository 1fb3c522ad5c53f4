//! What a reserve request wants: its lines, one for each SKU, and what has to be known of each to judge it.

use holdfast_contracts::command::{Line, Reserve};
use holdfast_contracts::limits::QUANTITY_MAX;

use crate::accounts::Found;
use crate::ahead::Ahead;
use crate::hash::{Mix, hash_bytes};
use crate::holds::NONE;
use crate::machine::{Context, Machine};
use crate::skus::Sku;

/// What is wanted of one SKU, lines of the same SKU added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    /// Index into the record's dictionary; may not exist.
    pub(crate) entry: u32,
    /// Hash of the SKU's name.
    pub(crate) hash: u64,
    /// The SKU's number, [`NONE`] if nobody made it known, [`MISSING`] if the index names nothing.
    pub(crate) sku: u32,
    /// The SKU's listing, [`NONE`] if it has none.
    pub(crate) listing: u32,
    pub(crate) quantity: u64,
    /// Units that the public may take.
    pub(crate) offered: u64,
    /// What the customer has of it so far.
    pub(crate) account: Found,
}

/// The index of a line is not in the record's dictionary.
pub(crate) const MISSING: u32 = NONE - 1;

impl Machine {
    #[inline(always)]
    pub(crate) fn want(
        &self,
        context: &Context<'_, '_>,
        it: &Reserve<'_>,
        line: Line,
        ahead: &Ahead,
    ) -> Want {
        let (hash, sku) = match context.dictionary.get(line.sku as usize) {
            Some(found) => (found.hash, found.sku),
            None => (hash_bytes(b""), MISSING),
        };
        let (listing, offered) = match sku {
            NONE | MISSING => (NONE, 0),
            sku => {
                let counters = self.skus.get(sku);
                (counters.listing, self.offered_of(counters))
            }
        };
        let account = match ahead.listing {
            seen if seen == listing => self.accounts.find_at(ahead.account, listing, it.customer),
            // The SKU has come to another listing since, or there are several lines.
            _ => self.accounts.find(listing, it.customer),
        };
        Want { entry: line.sku, hash, sku, listing, quantity: u64::from(line.quantity), offered, account }
    }

    /// One want per SKU, in order of the bytes of the SKU. An index that names nothing stands for an empty name.
    pub(crate) fn merge(
        &self,
        context: &Context<'_, '_>,
        it: &Reserve<'_>,
        ahead: &Ahead,
        wants: &mut Vec<Want>,
    ) {
        wants.clear();
        wants.extend(it.lines.iter().map(|line| self.want(context, it, line, ahead)));
        let name = |want: &Want| context.name(want.entry);
        wants.sort_by(|a, b| name(a).cmp(name(b)));
        wants.dedup_by(|next, kept| {
            let same = name(next) == name(kept);
            if same {
                kept.quantity += next.quantity;
            }
            same
        });
        #[cfg(feature = "mutant-16")]
        in_map_order(wants);
    }

    /// Units of a SKU that the public may take.
    #[inline(always)]
    pub(crate) fn offered(&self, sku: u32) -> u64 {
        self.offered_of(self.skus.get(sku))
    }

    #[inline(always)]
    fn offered_of(&self, counters: &Sku) -> u64 {
        if counters.needs_service() {
            return 0;
        }
        let nobody_waits = counters.listing == NONE || self.sales.lines[counters.listing as usize].is_empty();
        let free = counters.available + u64::from(cfg!(feature = "mutant-01"));
        if nobody_waits || self.rules.public_passes_line() { free } else { 0 }
    }
}

/// What a bug could make of lines that are collected in a map.
#[cfg(feature = "mutant-16")]
#[expect(clippy::disallowed_types, reason = "that is the bug")]
fn in_map_order(wants: &mut Vec<Want>) {
    let map: std::collections::HashMap<u64, Want> = wants.drain(..).map(|want| (want.hash, want)).collect();
    wants.extend(map.into_values());
}

/// 32 bits over everything that makes two requests the same.
#[inline(always)]
pub(crate) fn content(it: &Reserve<'_>, wants: &[Want]) -> u32 {
    let flags = u64::from(it.allow_partial) | u64::from(it.join_waitlist) << 1;
    let mut mix = Mix::new(1).with(it.customer.0).with(flags);
    for want in wants {
        mix = mix.with(want.hash).with(want.quantity);
    }
    mix.low32()
}

/// The first line that would give the customer too many units, and how many are still allowed.
#[inline(always)]
pub(crate) fn over_limit(wants: &[Want], max: u32) -> Option<(u8, u64)> {
    if max == 0 {
        return None;
    }
    for (line, want) in numbered(wants) {
        let left = u64::from(max.saturating_sub(want.account.units));
        if want.quantity > left {
            return Some((line, left));
        }
    }
    None
}

/// The line for which there is not enough, and how much there is.
#[inline(always)]
pub(crate) fn short(it: &Reserve<'_>, wants: &[Want]) -> Option<(u8, u64)> {
    if it.allow_partial {
        let nothing = wants.iter().all(|want| want.offered == 0);
        return nothing.then_some((0, 0));
    }
    for (line, want) in numbered(wants) {
        let last_unit = cfg!(feature = "mutant-27") && want.offered == want.quantity;
        if want.offered < want.quantity || last_unit {
            return Some((line, want.offered));
        }
    }
    None
}

#[inline(always)]
pub(crate) fn is_valid(it: &Reserve<'_>, wants: &[Want]) -> bool {
    it.customer.0 != 0
        && !wants.is_empty()
        && wants
            .iter()
            .all(|want| want.sku != MISSING && (1..=u64::from(QUANTITY_MAX)).contains(&want.quantity))
        && !(it.allow_partial && it.join_waitlist)
        && (!it.join_waitlist || wants.len() == 1)
        && (wants.len() == it.lines.len() || it.lines.iter().all(|line| line.quantity > 0))
}

/// Wants with the numbers of their lines.
#[inline(always)]
pub(crate) fn numbered(wants: &[Want]) -> impl Iterator<Item = (u8, &Want)> {
    wants.iter().enumerate().map(|(line, want)| {
        #[expect(clippy::cast_possible_truncation, reason = "a reservation has at most 32 lines")]
        (line as u8, want)
    })
}
