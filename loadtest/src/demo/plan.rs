//! What each buyer is like. Follows from the seed and the buyer's number alone.

use std::time::Duration;

use fastrand::Rng;

/// Within this time everybody has come to the door.
const ARRIVAL_MS: u64 = 1_000;
/// How long people think before they pay or let go.
const THINKING_MS: std::ops::Range<u64> = 20..400;
/// A restless buyer waits so long for an answer, the first few times.
const PATIENCE_MS: std::ops::Range<u64> = 1..25;
/// How long people stay away after they were refused.
const PAUSE_MS: std::ops::Range<u64> = 800..2_500;
/// How often those come who do not come until the end.
const VISITS: std::ops::RangeInclusive<u32> = 1..=3;

/// How somebody shops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Asks, pays.
    Plain,
    /// Does not wait long for an answer, and asks again with the same key.
    Restless,
    /// Sends everything twice at once.
    DoubleClick,
    /// Uses a key again for another order.
    KeyReuse,
    /// Wants more than the limit, with another reservation.
    Greedy,
    /// Never pays; the hold lapses.
    NoShow,
    /// Lets go of what was reserved.
    Releases,
    /// Pays when it is too late, and has to begin again.
    Late,
}

/// How many of a hundred shop in each manner.
const MIX: [(Manner, u32); 8] = [
    (Manner::Plain, 34),
    (Manner::Restless, 14),
    (Manner::DoubleClick, 12),
    (Manner::KeyReuse, 8),
    (Manner::Greedy, 8),
    (Manner::NoShow, 11),
    (Manner::Releases, 6),
    (Manner::Late, 7),
];

/// One buyer.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) manner: Manner,
    /// Units per reservation.
    pub(crate) wants: u32,
    pub(crate) arrives_after: Duration,
    /// How often this buyer comes when refused, at most; nothing means: until the sale is over.
    pub(crate) visits_max: Option<u32>,
    rng: Rng,
}

impl Plan {
    /// The plan of a buyer. Of all buyers, at least `stay_percent` come until the sale is over.
    pub(crate) fn draw(seed: u64, buyer: u32, stay_percent: u32) -> Self {
        // Neighbouring seeds give generators that begin alike, so the first draws are thrown away by spreading them.
        let mut rng = Rng::with_seed(seed ^ u64::from(buyer).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let manner = manner(rng.u32(0..100));
        let stays = rng.u32(0..100) < stay_percent;
        Self {
            manner,
            wants: rng.u32(1..=2),
            arrives_after: Duration::from_millis(rng.u64(0..ARRIVAL_MS)),
            visits_max: (!stays).then(|| rng.u32(VISITS)),
            rng,
        }
    }

    /// Time to think before the next step.
    pub(crate) fn thinking(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(THINKING_MS))
    }

    /// Time away after a refusal.
    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(PAUSE_MS))
    }

    /// How long a restless buyer waits for an answer.
    pub(crate) fn short_patience(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(PATIENCE_MS))
    }
}

fn manner(drawn: u32) -> Manner {
    let mut left = drawn;
    for (manner, share) in MIX {
        if left < share {
            return manner;
        }
        left -= share;
    }
    Manner::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_adds_up_and_everybody_is_there() {
        assert_eq!(MIX.iter().map(|it| it.1).sum::<u32>(), 100);
        for (manner, share) in MIX {
            let found = (0..10_000).filter(|buyer| Plan::draw(7, *buyer, 10).manner == manner).count();
            let wanted = usize::try_from(share * 100).unwrap();
            assert!(found.abs_diff(wanted) < 250, "{manner:?}: {found} of {wanted}");
        }
    }

    #[test]
    fn a_plan_follows_from_the_seed() {
        let plan = |seed| {
            let mut plan = Plan::draw(seed, 17, 10);
            (format!("{plan:?}"), plan.thinking(), plan.pause())
        };
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }
}
