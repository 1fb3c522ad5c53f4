//! Nothing oversold, nothing undersold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::history::{Entry, History, Hold, Reply};
use crate::books::{Answer, Code, DecidedBy, Moment, Position, Sku};

/// Right after each grant, the units that are surely taken are within the stock. Confirmed units are taken for ever,
/// so this covers selling too much as well as promising too much at any one moment.
pub(super) fn oversold(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    for (sku, supply) in &history.facts.supply {
        let holds = holds_of(history, *sku);
        for (hold, taken) in holds.iter().zip(surely_taken(&holds)) {
            if taken > *supply {
                faults.push(format!(
                    "{taken} of {supply} units were taken when {} was granted at {:?}",
                    hold.id, hold.position
                ));
            }
        }
    }
    faults
}

fn holds_of(history: &History, sku: Sku) -> Vec<&Hold> {
    history.holds.iter().filter(|it| history.entry(it).body.sku == sku).collect()
}

/// For each of these holds, which stand in order of position: the units that this and earlier ones surely took up when
/// it was granted.
pub(super) fn surely_taken(holds: &[&Hold]) -> Vec<u64> {
    let mut live: BinaryHeap<Reverse<(Moment, u32)>> = BinaryHeap::new();
    let mut taken = 0;
    let mut after_each = Vec::with_capacity(holds.len());
    for hold in holds {
        // The bound grows with the position, so what is over for one is over for those behind it.
        while let Some(Reverse((until, units))) = live.peek().copied()
            && until <= hold.before
        {
            live.pop();
            taken -= u64::from(units);
        }
        // The hold itself is live when it is granted, however late its customer heard of it.
        live.push(Reverse((hold.surely_until, hold.units)));
        taken += u64::from(hold.units);
        after_each.push(taken);
    }
    after_each
}

/// Nobody was refused for want of stock while enough units were free whatever is not known; and at the end all units
/// are sold.
pub(super) fn undersold(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    for (sku, supply) in &history.facts.supply {
        let sold = history.sold()[sku];
        if sold < *supply {
            faults.push(format!("{} of {supply} units of SKU {} were not sold", supply - sold, sku.0));
        }
        let entries: Vec<&Entry> = history.entries.iter().filter(|it| it.body.sku == *sku).collect();
        let taken = TakenAtMost::new(&holds_of(history, *sku), &entries);
        for entry in entries {
            let wanted = if entry.body.allow_partial { 1 } else { entry.body.units };
            let decided = Refusal::of(entry, &Code::InsufficientStock);
            for refusal in decided.into_iter().chain(turned_away_by_gate(entry)) {
                let free = supply.saturating_sub(taken.when(&refusal));
                if free >= u64::from(wanted) {
                    faults.push(format!(
                        "{:?} was refused {wanted} units at {:?} while at least {free} were free",
                        entry.key, refusal.position
                    ));
                }
            }
        }
    }
    faults
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

/// A refusal, and when it was decided.
pub(super) struct Refusal {
    position: Option<Position>,
    after: Moment,
    before: Moment,
}

impl Refusal {
    pub(super) fn of(entry: &Entry, code: &Code) -> Option<Self> {
        let decision = entry.of_the_sale()?;
        decision.refused_for(code).then_some(Self {
            position: decision.position(),
            after: decision.after,
            before: decision.before,
        })
    }
}

/// How many units can have been taken, at most, at any point of the sale.
pub(super) struct TakenAtMost {
    /// (position of the grant, units), and the sums up to each, in order of position.
    by_position: Sums<Position>,
    /// The same by the first moment at which it can have been granted.
    by_start: Sums<Moment>,
    /// The same by the moment from which it surely took up nothing.
    by_end: Sums<Moment>,
    /// Requests that may have been granted without anybody knowing, by when they were first sent.
    unseen: Sums<Moment>,
}

impl TakenAtMost {
    /// Of these holds, and of these entries if they may have become holds unseen.
    pub(super) fn new(holds: &[&Hold], entries: &[&Entry]) -> Self {
        let units = |hold: &Hold| u64::from(hold.units);
        let unseen = entries.iter().filter(|it| it.may_be_decided_unseen());
        Self {
            by_position: Sums::new(holds.iter().map(|it| (it.position, units(it)))),
            by_start: Sums::new(holds.iter().map(|it| (it.after, units(it)))),
            by_end: Sums::new(holds.iter().map(|it| (it.possibly_until, units(it)))),
            unseen: Sums::new(unseen.map(|it| (it.first_sent, u64::from(it.body.units)))),
        }
    }

    /// Granted before the refusal, less what was over before it. Whatever was over before the refusal was even sent
    /// had been granted before it, so the difference counts nothing twice.
    pub(super) fn when(&self, refusal: &Refusal) -> u64 {
        let granted = match refusal.position {
            Some(position) => self.by_position.below(&position),
            None => self.by_start.below(&refusal.before),
        };
        let over = self.by_end.up_to(&refusal.after);
        granted.saturating_sub(over) + self.unseen.below(&refusal.before)
    }
}

/// Running sums over sorted keys.
struct Sums<K>(Vec<(K, u64)>);

impl<K: Ord> Sums<K> {
    fn new(pairs: impl Iterator<Item = (K, u64)>) -> Self {
        let mut pairs: Vec<(K, u64)> = pairs.collect();
        pairs.sort_by(|one, other| one.0.cmp(&other.0));
        let mut sum = 0;
        for pair in &mut pairs {
            sum += pair.1;
            pair.1 = sum;
        }
        Self(pairs)
    }

    fn sum_of_first(&self, count: usize) -> u64 {
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    fn below(&self, key: &K) -> u64 {
        self.sum_of_first(self.0.partition_point(|it| it.0 < *key))
    }

    fn up_to(&self, key: &K) -> u64 {
        self.sum_of_first(self.0.partition_point(|it| it.0 <= *key))
    }
}
