//! How many units were taken when: surely at least, and possibly at most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::history::{Entry, History, Hold};
use crate::books::{Code, Moment, Position, Sku};

/// A hold's units of one SKU.
#[derive(Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) hold: &'a Hold,
    pub(super) units: u32,
}

/// Units of one SKU that may have been granted without anybody knowing.
#[derive(Clone, Copy)]
pub(super) struct Unseen {
    /// When they were first asked for.
    pub(super) first_sent: Moment,
    pub(super) units: u32,
}

/// Everything that took up units, by what it counts against: a SKU, or a customer's part of one.
///
/// Sorted once, for a sale may have as many of either as it has buyers.
pub(super) struct Takings<'a, K> {
    /// In order of key, and of position under each.
    shares: Vec<(K, Share<'a>)>,
    /// In order of key.
    unseen: Vec<(K, Unseen)>,
}

impl<'a, K: Copy + Ord> Takings<'a, K> {
    pub(super) fn by(history: &'a History, key: impl Fn(&Entry, Sku) -> K) -> Self {
        let mut shares = Vec::with_capacity(history.holds.len());
        for hold in &history.holds {
            let entry = history.entry(hold);
            shares.extend(hold.lines.iter().map(|(sku, units)| (key(entry, sku), Share { hold, units })));
        }
        // Stable, so the order of position stays.
        shares.sort_by_key(|it| it.0);
        let mut unseen = Vec::new();
        for entry in history.entries.iter().filter(|it| it.may_be_decided_unseen()) {
            let first_sent = entry.first_sent;
            let lines = entry.lines_at_most().into_iter();
            unseen.extend(lines.map(|(sku, units)| (key(entry, sku), Unseen { first_sent, units })));
        }
        unseen.sort_by_key(|it| it.0);
        Self { shares, unseen }
    }

    /// The holds under each key that has any.
    pub(super) fn each(&self) -> impl Iterator<Item = (K, &[(K, Share<'a>)])> {
        self.shares.chunk_by(|one, other| one.0 == other.0).map(|chunk| (chunk[0].0, chunk))
    }

    pub(super) fn shares(&self, key: K) -> impl Iterator<Item = Share<'a>> {
        under(&self.shares, key)
    }

    pub(super) fn unseen(&self, key: K) -> impl Iterator<Item = Unseen> {
        under(&self.unseen, key)
    }

    /// Tells how much was taken at most. Sums are made for those keys only that are asked about.
    pub(super) fn at_most(&self) -> AtMost<'_, K> {
        AtMost { takings: self, made: BTreeMap::new() }
    }
}

fn under<K: Copy + Ord, T: Copy>(sorted: &[(K, T)], key: K) -> impl Iterator<Item = T> {
    let from = sorted.partition_point(|it| it.0 < key);
    let to = sorted.partition_point(|it| it.0 <= key);
    sorted[from..to].iter().map(|it| it.1)
}

/// The units of these holds together, whether they were taken at one time or not.
pub(super) fn units_in_all<K>(shares: &[(K, Share)]) -> u64 {
    shares.iter().map(|(_, share)| u64::from(share.units)).sum()
}

/// For each of these holds, which stand in order of position: the units that this and earlier ones surely took up when
/// it was granted.
pub(super) fn surely_taken<K>(shares: &[(K, Share)]) -> Vec<u64> {
    let mut live: BinaryHeap<Reverse<(Moment, u32)>> = BinaryHeap::new();
    let mut taken = 0;
    let mut after_each = Vec::with_capacity(shares.len());
    for (_, Share { hold, units }) in shares {
        // The bound grows with the position, so what is over for one is over for those behind it.
        while let Some(Reverse((until, units))) = live.peek().copied()
            && until <= hold.before
        {
            live.pop();
            taken -= u64::from(units);
        }
        // The hold itself is live when it is granted, however late its customer heard of it.
        live.push(Reverse((hold.surely_until, *units)));
        taken += u64::from(*units);
        after_each.push(taken);
    }
    after_each
}

/// A refusal, and when it was decided.
pub(super) struct Refusal {
    pub(super) position: Option<Position>,
    pub(super) after: Moment,
    pub(super) before: Moment,
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
pub(super) struct AtMost<'a, K> {
    takings: &'a Takings<'a, K>,
    made: BTreeMap<K, TakenAtMost>,
}

impl<K: Copy + Ord> AtMost<'_, K> {
    pub(super) fn when(&mut self, key: K, refusal: &Refusal) -> u64 {
        self.made.entry(key).or_insert_with(|| TakenAtMost::new(self.takings, key)).when(refusal)
    }
}

struct TakenAtMost {
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
    fn new<K: Copy + Ord>(takings: &Takings<'_, K>, key: K) -> Self {
        let shares = || takings.shares(key).map(|it| (it.hold, u64::from(it.units)));
        Self {
            by_position: Sums::new(shares().map(|(hold, units)| (hold.position, units))),
            by_start: Sums::new(shares().map(|(hold, units)| (hold.after, units))),
            by_end: Sums::new(shares().map(|(hold, units)| (hold.possibly_until, units))),
            unseen: Sums::new(takings.unseen(key).map(|it| (it.first_sent, u64::from(it.units)))),
        }
    }

    /// Granted before the refusal, less what was over before it. Whatever was over before the refusal was even sent
    /// had been granted before it, so the difference counts nothing twice.
    fn when(&self, refusal: &Refusal) -> u64 {
        let granted = match refusal.position {
            Some(position) => self.by_position.below(&position),
            None => self.by_start.below(&refusal.before),
        };
        let over = self.by_end.up_to(&refusal.after);
        granted.saturating_sub(over) + self.unseen.below(&refusal.before)
    }
}

/// Running sums over sorted keys.
pub(super) struct Sums<K>(Vec<(K, u64)>);

impl<K: Ord> Sums<K> {
    pub(super) fn new(pairs: impl Iterator<Item = (K, u64)>) -> Self {
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

    pub(super) fn below(&self, key: &K) -> u64 {
        self.sum_of_first(self.0.partition_point(|it| it.0 < *key))
    }

    pub(super) fn up_to(&self, key: &K) -> u64 {
        self.sum_of_first(self.0.partition_point(|it| it.0 <= *key))
    }
}
