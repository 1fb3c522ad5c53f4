//! The order of decision records. Several owners may have written, so numbers come twice, go back, or leave a gap that
//! somebody fills later.

use std::collections::VecDeque;

use holdfast_contracts::{Chain, OutSeq};

/// Records whose chain is kept, to be compared with that of a copy.
const KEPT_MAX: usize = 1_024;

/// What a record is to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The next one: to be taken.
    Next,
    /// A copy of one that was taken.
    Again,
    /// Some before it are missing. It is not taken: when they come, it comes again after them.
    BeyondGap {
        /// Nothing was missing before.
        is_first: bool,
    },
    /// Its number was taken with another history.
    Contradiction,
}

/// What a reader has taken.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Option<OutSeq>,
    /// The chains of the last ones, the newest at the end.
    chains: VecDeque<Chain>,
    in_gap: bool,
}

impl Order {
    /// What this record is. The first one is taken wherever it stands.
    pub(super) fn place(&mut self, seq: OutSeq, chain: Chain) -> Place {
        if let Some(last) = self.last {
            if seq <= last {
                return self.compare(last.0 - seq.0, chain);
            }
            if seq.0 != last.0 + 1 {
                let is_first = !std::mem::replace(&mut self.in_gap, true);
                return Place::BeyondGap { is_first };
            }
        }
        self.in_gap = false;
        self.last = Some(seq);
        if self.chains.len() == KEPT_MAX {
            self.chains.pop_front();
        }
        self.chains.push_back(chain);
        Place::Next
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

    const fn chain(of: u8) -> Chain {
        Chain([of; 16])
    }

    #[test]
    fn copies_are_dropped_and_a_gap_waits_until_it_is_filled() {
        let mut order = Order::default();
        let steps = [
            (5, Place::Next),
            (6, Place::Next),
            (5, Place::Again),
            (8, Place::BeyondGap { is_first: true }),
            (9, Place::BeyondGap { is_first: false }),
            (6, Place::Again),
            (7, Place::Next),
            (8, Place::Next),
            (11, Place::BeyondGap { is_first: true }),
            (9, Place::Next),
            // From before the first one: nobody knows any more.
            (3, Place::Again),
        ];
        for (number, expected) in steps {
            assert_eq!(order.place(OutSeq(u64::from(number)), chain(number)), expected, "{number}");
        }
    }

    #[test]
    fn a_copy_with_another_history_is_noticed_as_long_as_it_is_kept() {
        let mut order = Order::default();
        for number in 1..=2_000_u64 {
            assert_eq!(order.place(OutSeq(number), chain(1)), Place::Next);
        }
        assert_eq!(order.place(OutSeq(2_000), chain(2)), Place::Contradiction);
        assert_eq!(order.place(OutSeq(1_999), chain(1)), Place::Again);
        assert_eq!(order.place(OutSeq(2_001 - KEPT_MAX as u64), chain(2)), Place::Contradiction);
        assert_eq!(order.place(OutSeq(2_000 - KEPT_MAX as u64), chain(2)), Place::Again);
        assert_eq!(order.chains.len(), KEPT_MAX);
    }
}
