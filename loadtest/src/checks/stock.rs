//! Nothing oversold, nothing undersold.

use std::time::Duration;

use super::history::{Entry, History, Reply};
use super::takings::{AtMost, Refusal, Takings, surely_taken, units_in_all};
use crate::books::{Answer, Code, DecidedBy, Sku};

/// Right after each grant, the units that are surely taken are within the stock. Confirmed units are taken for ever,
/// so this covers selling too much as well as promising too much at any one moment.
pub(super) fn oversold(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    for (sku, shares) in Takings::by(history, |_, sku| sku).each() {
        let Some(supply) = history.facts.supply.get(&sku).copied() else { continue };
        if units_in_all(shares) <= supply {
            continue;
        }
        for ((_, share), taken) in shares.iter().zip(surely_taken(shares)) {
            if taken > supply {
                faults.push(format!(
                    "{taken} of {supply} units of SKU {} were taken when {} was granted at {:?}",
                    sku.0, share.hold.id, share.hold.position
                ));
            }
        }
    }
    faults
}

/// Nobody was refused for want of stock while enough units of all that they wanted were free, whatever is not known;
/// and at the end all units are sold, if the sale is one that sells out.
pub(super) fn undersold(history: &History) -> Vec<String> {
    let mut faults = if history.facts.sells_out { left_over(history) } else { Vec::new() };
    let takings = Takings::by(history, |_, sku| sku);
    let mut at_most = takings.at_most();
    for entry in &history.entries {
        let decided = Refusal::of(entry, &Code::InsufficientStock);
        for refusal in decided.into_iter().chain(turned_away_by_gate(entry)) {
            let Some(free) = all_free(history, entry, &refusal, &mut at_most) else { continue };
            let what: Vec<String> = free
                .iter()
                .map(|(sku, wanted, free)| {
                    format!("{wanted} units of SKU {} while at least {free} were free", sku.0)
                })
                .collect();
            let at = refusal.position;
            faults.push(format!("{:?} was refused at {at:?} {}", entry.key, what.join(", and ")));
        }
    }
    faults
}

fn left_over(history: &History) -> Vec<String> {
    let sold = history.sold();
    let left = |(sku, supply): (&Sku, &u64)| {
        let left = supply.checked_sub(sold[sku]).filter(|left| *left > 0)?;
        Some(format!("{left} of {supply} units of SKU {} were not sold", sku.0))
    };
    history.facts.supply.iter().filter_map(left).collect()
}

/// The lines of a refused request with what was wanted and what was free at least; nothing if any of them may have been
/// the reason for the refusal.
fn all_free(
    history: &History,
    entry: &Entry,
    refusal: &Refusal,
    at_most: &mut AtMost<'_, Sku>,
) -> Option<Vec<(Sku, u64, u64)>> {
    let mut lines = Vec::new();
    for (sku, units) in entry.body.lines().iter() {
        let wanted = if entry.body.allow_partial() { 1 } else { u64::from(units) };
        let free = history.facts.supply.get(&sku)?.saturating_sub(at_most.when(sku, refusal));
        if free < wanted {
            return None;
        }
        lines.push((sku, wanted, free));
    }
    Some(lines)
}

/// How old the published view of what is sold out may be.
const GATE_GRACE: Duration = Duration::from_secs(1);

/// Whoever is turned away by the gate has asked while nothing was left, or shortly after.
fn turned_away_by_gate(entry: &Entry) -> impl Iterator<Item = Refusal> {
    let by_gate = |it: &&Reply| matches!(it.answer, Answer::Refused { by: DecidedBy::Gate, .. });
    entry.replies.iter().filter(by_gate).map(|it| Refusal {
        position: None,
        after: it.sent.minus(GATE_GRACE),
        before: it.received,
    })
}
