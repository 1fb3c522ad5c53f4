//! The order in which decisions are taken: by their number, each once.

use std::collections::VecDeque;

use holdfast_contracts::{Chain, OutSeq};

/// Records whose chain is kept, to be compared with that of a copy.
const KEPT_MAX: usize = 4_096;

/// What a record is to whoever follows a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The next one: to be taken.
    Next,
    /// One that was taken, written again by somebody who took over, or who did not know that he was replaced.
    Again,
    /// Some before it are missing. Nothing is taken until they come.
    BeyondGap,
    /// Its number was taken with another history.
    Contradiction,
}

/// What was taken of one partition.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Option<OutSeq>,
    /// The chains of the last ones, the newest at the end.
    chains: VecDeque<Chain>,
    /// The first that came although others before it are missing.
    beyond: Option<OutSeq>,
}

impl Order {
    /// What this record is. The first one is taken wherever it stands.
    pub(super) fn place(&mut self, seq: OutSeq, chain: Chain) -> Place {
        if let Some(last) = self.last {
            if seq <= last {
                return self.compare(last.0 - seq.0, chain);
            }
            if seq.0 != last.0 + 1 {
                self.beyond.get_or_insert(seq);
                return Place::BeyondGap;
            }
        }
        self.beyond = None;
        self.last = Some(seq);
        if self.chains.len() == KEPT_MAX {
            self.chains.pop_front();
        }
        self.chains.push_back(chain);
        Place::Next
    }

    /// The last one that was taken.
    pub(super) fn last(&self) -> Option<(OutSeq, Chain)> {
        Some((self.last?, *self.chains.back()?))
    }

    /// The last one before a gap that nobody has filled, and the first one behind it.
    pub(super) fn gap(&self) -> Option<(OutSeq, OutSeq)> {
        Some((self.last?, self.beyond?))
    }

    /// The chain stands for the record and all before it.
    fn compare(&self, back: u64, chain: Chain) -> Place {
        let back = usize::try_from(back).unwrap_or(usize::MAX);
        let kept = self.chains.len().checked_sub(back.saturating_add(1)).and_then(|at| self.chains.get(at));
        if kept.is_none_or(|kept| *kept == chain) { Place::Again } else { Place::Contradiction }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(steps: &[(u64, u8)]) -> (Vec<Place>, Order) {
        let mut order = Order::default();
        let places = steps.iter().map(|(seq, chain)| order.place(OutSeq(*seq), Chain([*chain; 16])));
        (places.collect(), order)
    }

    #[test]
    fn what_comes_again_is_dropped_and_must_be_the_same() {
        use Place::{Again, Contradiction, Next};
        let (places, order) = places(&[(5, 5), (6, 6), (5, 5), (6, 6), (7, 7), (6, 9), (1, 1)]);
        assert_eq!(places, [Next, Next, Again, Again, Next, Contradiction, Again]);
        assert_eq!(order.last(), Some((OutSeq(7), Chain([7; 16]))));
        assert_eq!(order.gap(), None);
    }

    #[test]
    fn nothing_is_taken_behind_a_gap_until_it_is_filled() {
        use Place::{BeyondGap, Next};
        let (first, order) = places(&[(1, 1), (3, 3), (4, 4)]);
        assert_eq!(first, [Next, BeyondGap, BeyondGap]);
        assert_eq!(order.gap(), Some((OutSeq(1), OutSeq(3))));
        let (filled, order) = places(&[(1, 1), (3, 3), (2, 2), (3, 3)]);
        assert_eq!(filled, [Next, BeyondGap, Next, Next]);
        assert_eq!(order.gap(), None);
    }
}
