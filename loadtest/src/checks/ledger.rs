//! What the server counts agrees with what it told.

use super::history::{Counted, History, Hold};
use super::takings::{Share, Takings, Unseen};
use crate::books::{Ask, Moment, Sku, State};

/// For each SKU that was counted: the counters sum to the stock, and each lies between what buyers were surely told and
/// what may be true besides.
///
/// A confirmation may be under way while the server counts, a hold may just expire, and a grant may have been told to
/// nobody; whatever may be counted in two places is held against neither alone, but against their sum.
pub(super) fn ledger(history: &History) -> Vec<String> {
    if history.facts.counted.is_empty() {
        return Vec::new();
    }
    let takings = Takings::by(history, |_, sku| sku);
    let mut faults = Vec::new();
    for (sku, counted) in &history.facts.counted {
        if let Some(supply) = history.facts.supply.get(sku) {
            faults.extend(off_balance(*sku, counted, *supply));
        }
        let bounds = Bounds::of(&takings, *sku, counted);
        faults.extend(bounds.broken(counted).map(|what| format!("SKU {}: {what}", sku.0)));
    }
    faults
}

fn off_balance(sku: Sku, counted: &Counted, supply: u64) -> Option<String> {
    let Counted { available, held, committed, .. } = *counted;
    let all = available.saturating_add(held).saturating_add(committed);
    (all != supply).then(|| {
        format!("SKU {}: {available} free, {held} held and {committed} sold make {all}, not {supply}", sku.0)
    })
}

/// At least, and at most.
#[derive(Debug, Default)]
struct Span(u64, u64);

impl Span {
    fn add(&mut self, units: u32, surely: bool, possibly: bool) {
        self.0 += if surely { u64::from(units) } else { 0 };
        self.1 += if surely || possibly { u64::from(units) } else { 0 };
    }

    fn broken(&self, found: u64, what: &str) -> Option<String> {
        let Self(least, most) = *self;
        if found < least {
            return Some(format!("{found} units are counted as {what}; buyers were told of {least}"));
        }
        (found > most).then(|| format!("{found} units are counted as {what}; there can be {most} at most"))
    }
}

/// What follows from what buyers were told about the counters of a SKU.
#[derive(Debug, Default)]
struct Bounds {
    committed: Span,
    held: Span,
    /// Both together.
    taken: Span,
}

impl Bounds {
    fn of(takings: &Takings<'_, Sku>, sku: Sku, counted: &Counted) -> Self {
        let mut bounds = Self::default();
        for Share { hold, units } in takings.shares(sku) {
            bounds.add(hold, units, counted);
        }
        for Unseen { first_sent, units } in takings.unseen(sku) {
            let possibly = first_sent < counted.before;
            bounds.held.add(units, false, possibly);
            bounds.taken.add(units, false, possibly);
        }
        bounds
    }

    fn add(&mut self, hold: &Hold, units: u32, counted: &Counted) {
        let Counted { after, before, .. } = *counted;
        let is_sold = was_told_confirmed_by(hold, after);
        let may_be_sold = confirmed_from(hold).is_some_and(|from| from < before);
        let is_live = hold.before <= after && hold.surely_until >= before;
        let may_be_live = hold.after < before && hold.possibly_until > after;
        self.committed.add(units, is_sold, may_be_sold);
        self.held.add(units, is_live && !may_be_sold && !is_sold, may_be_live && !is_sold);
        self.taken.add(units, is_live || is_sold, may_be_live || may_be_sold);
    }

    fn broken(&self, counted: &Counted) -> impl Iterator<Item = String> {
        let Counted { held, committed, .. } = *counted;
        let faults = [
            self.committed.broken(committed, "sold"),
            self.held.broken(held, "held"),
            self.taken.broken(held.saturating_add(committed), "held or sold"),
        ];
        faults.into_iter().flatten()
    }
}

fn was_told_confirmed_by(hold: &Hold, moment: Moment) -> bool {
    hold.replies.iter().any(|it| it.answer.state() == Some(State::Confirmed) && it.received <= moment)
}

/// From when on it may have been confirmed: never if it ended otherwise, whoever asked for it.
fn confirmed_from(hold: &Hold) -> Option<Moment> {
    let ended_otherwise = |state: Option<State>| matches!(state, Some(State::Released | State::Expired));
    if !hold.is_confirmed() && hold.replies.iter().any(|it| ended_otherwise(it.answer.state())) {
        return None;
    }
    let asked =
        hold.replies.iter().filter(|it| matches!(it.ask, Ask::Confirm { .. })).map(|it| it.sent).min();
    // Told without having been asked for: another check's business.
    asked.or_else(|| hold.is_confirmed().then_some(Moment(0)))
}
