//! From the books to the verdict.

use std::collections::BTreeMap;

use crate::books::{Answer, Code, Key, Sku};
use crate::checks::plain::{self, PlainAnswer, PlainExchange};
use crate::checks::{CHECKS, Check, History};
use crate::results::{CheckRow, SkuRow};

/// No more faults of one kind are told one by one.
const EXAMPLES_MAX: usize = 10;

/// Holds the history against every rule.
pub(super) fn judge(history: &History) -> Vec<CheckRow> {
    CHECKS.iter().map(|(check, judge)| row(*check, judge(history))).collect()
}

/// The same for somebody else's interface, of which less is known.
pub(super) fn judge_plain(supply: &BTreeMap<Sku, u64>, exchanges: &[PlainExchange]) -> Vec<CheckRow> {
    plain::judge(supply, exchanges).into_iter().map(|(check, faults)| row(check, faults)).collect()
}

/// Adds what was seen to be broken by other means than the books.
pub(super) fn blame(rows: &mut [CheckRow], check: Check, faults: &[String]) {
    for row in rows.iter_mut().filter(|it| it.name == check.name()) {
        row.faults += faults.len() as u64;
        let room = EXAMPLES_MAX.saturating_sub(row.examples.len());
        row.examples.extend(faults.iter().take(room).cloned());
    }
}

fn row(check: Check, mut examples: Vec<String>) -> CheckRow {
    let faults = examples.len() as u64;
    examples.truncate(EXAMPLES_MAX);
    CheckRow { name: check.name().to_owned(), faults, examples }
}

/// What became of each SKU of somebody else's interface, most asked for first.
pub(super) fn plain_sku_rows(names: &[String], units: u64, exchanges: &[PlainExchange]) -> Vec<SkuRow> {
    let row = |name: &String| SkuRow { sku: name.clone(), units, ..SkuRow::default() };
    let mut rows: Vec<SkuRow> = names.iter().map(row).collect();
    let mut keys: BTreeMap<Key, bool> = BTreeMap::new();
    for exchange in exchanges {
        let row = &mut rows[usize::from(exchange.sku.0)];
        let was_granted = keys.entry(exchange.key).or_insert_with(|| {
            row.asked += 1;
            false
        });
        match exchange.answer {
            PlainAnswer::Granted { units } if !std::mem::replace(was_granted, true) => {
                row.granted += u64::from(units);
            }
            PlainAnswer::SoldOut => row.sold_out += 1,
            _ => {}
        }
    }
    by_demand(rows)
}

fn by_demand(mut rows: Vec<SkuRow>) -> Vec<SkuRow> {
    rows.sort_by(|one, other| other.asked.cmp(&one.asked).then_with(|| one.sku.cmp(&other.sku)));
    rows
}

/// What became of each SKU, most asked for first.
pub(super) fn sku_rows(history: &History, names: &[String]) -> Vec<SkuRow> {
    let row = |(number, name): (usize, &String)| {
        let sku = Sku(u16::try_from(number).unwrap_or(u16::MAX));
        let counts = history.facts.counted.get(&sku);
        SkuRow {
            sku: name.clone(),
            units: history.facts.supply.get(&sku).copied().unwrap_or_default(),
            free: counts.map(|it| it.available),
            held: counts.map(|it| it.held),
            committed: counts.map(|it| it.committed),
            ..SkuRow::default()
        }
    };
    let mut rows: Vec<SkuRow> = names.iter().enumerate().map(row).collect();
    for entry in &history.entries {
        let gate = |it: &crate::checks::Reply| {
            matches!(it.answer, Answer::Refused { code: Code::InsufficientStock, .. })
        };
        let is_sold_out = entry.replies.iter().any(gate);
        for (sku, _) in entry.body.lines().iter() {
            let row = &mut rows[usize::from(sku.0)];
            row.asked += 1;
            row.sold_out += u64::from(is_sold_out);
        }
    }
    for hold in &history.holds {
        let is_confirmed = hold.is_confirmed();
        for (sku, units) in hold.lines.iter() {
            let row = &mut rows[usize::from(sku.0)];
            row.granted += u64::from(units);
            row.confirmed += if is_confirmed { u64::from(units) } else { 0 };
        }
    }
    by_demand(rows)
}
