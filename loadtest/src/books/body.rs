//! What a reservation is for: up to four SKUs, in a form that is copied and compared without a thought.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Sku;

/// No request of a load test has more lines.
pub(crate) const LINES_MAX: usize = 4;

/// Units of one or more SKUs: one line for each, in order of their numbers.
///
/// However the same units are written down, the lines are equal: the server merges the lines of one SKU, too.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Lines {
    skus: [Sku; LINES_MAX],
    /// The first without units ends the list.
    units: [u32; LINES_MAX],
}

impl Lines {
    /// # Panics
    /// Without lines, with more than [`LINES_MAX`] SKUs, and with a line without units.
    pub(crate) fn of(lines: &[(Sku, u32)]) -> Self {
        assert!(!lines.is_empty(), "whoever reserves wants something");
        let mut all = Self::default();
        for (sku, units) in lines {
            assert!(*units > 0, "a line is for at least one unit");
            all.add(*sku, *units);
        }
        all
    }

    fn add(&mut self, sku: Sku, units: u32) {
        let count = self.len();
        match self.skus[..count].binary_search(&sku) {
            Ok(at) => self.units[at] = self.units[at].saturating_add(units),
            Err(at) => {
                assert!(count < LINES_MAX, "at most {LINES_MAX} SKUs");
                self.skus[at..=count].rotate_right(1);
                self.units[at..=count].rotate_right(1);
                (self.skus[at], self.units[at]) = (sku, units);
            }
        }
    }

    /// Different SKUs.
    pub(crate) fn len(&self) -> usize {
        self.units.iter().take_while(|units| **units > 0).count()
    }

    /// In order of SKU, each with at least one unit.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Sku, u32)> + use<> {
        self.skus.into_iter().zip(self.units).take_while(|(_, units)| *units > 0)
    }

    /// Of one SKU; 0 if it is not among them.
    pub(crate) fn units_of(&self, sku: Sku) -> u32 {
        self.iter().find(|line| line.0 == sku).map_or(0, |line| line.1)
    }

    /// Of all SKUs together.
    pub(crate) fn units(&self) -> u32 {
        self.iter().fold(0, |sum, (_, units)| sum.saturating_add(units))
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What a reservation request asks for. Two requests with equal bodies are the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Body {
    lines: Lines,
    allow_partial: bool,
}

impl Body {
    /// Units of one SKU, all or none.
    ///
    /// # Panics
    /// For no units.
    pub(crate) fn one(sku: Sku, units: u32) -> Self {
        Self::of(&[(sku, units)])
    }

    /// Units of several SKUs, all or none.
    ///
    /// # Panics
    /// As [`Lines::of`].
    pub(crate) fn of(lines: &[(Sku, u32)]) -> Self {
        Self { lines: Lines::of(lines), allow_partial: false }
    }

    /// Units of one SKU, or fewer if there are no more. With several SKUs it is always all or none.
    ///
    /// # Panics
    /// For no units.
    pub(crate) fn up_to(sku: Sku, units: u32) -> Self {
        Self { allow_partial: true, ..Self::one(sku, units) }
    }

    /// The same with one unit more in the first line, which makes it another request.
    pub(crate) fn with_one_more(self) -> Self {
        let mut body = self;
        body.lines.units[0] = body.lines.units[0].saturating_add(1);
        body
    }

    /// One for each SKU, in order of their numbers.
    pub(crate) const fn lines(&self) -> Lines {
        self.lines
    }

    /// Asked of one SKU; 0 if it is not among them.
    pub(crate) fn units_of(&self, sku: Sku) -> u32 {
        self.lines.units_of(sku)
    }

    /// Asked in all lines together.
    pub(crate) fn units(&self) -> u32 {
        self.lines.units()
    }

    /// Whether fewer units than asked for are as good. Never with several lines.
    pub(crate) const fn allow_partial(&self) -> bool {
        self.allow_partial
    }

    /// What a grant of so many units takes up: of a single SKU as many as that, of several all that was asked for.
    pub(crate) fn granted(&self, units: u32) -> Lines {
        match self.lines.len() {
            1 => Lines {
                skus: self.lines.skus,
                units: std::array::from_fn(|at| if at == 0 { units } else { 0 }),
            },
            _ => self.lines,
        }
    }

    /// Whether these granted units, one item for each line of a grant, are what was asked for or, where that is
    /// allowed, fewer.
    pub(crate) fn is_met_by(&self, granted: impl IntoIterator<Item = (Sku, u32)>) -> bool {
        let mut lines = 0;
        let all = granted.into_iter().all(|(sku, units)| {
            lines += 1;
            let asked = self.units_of(sku);
            asked > 0 && (units == asked || (self.allow_partial && (1..asked).contains(&units)))
        });
        all && lines == self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_equal_however_they_are_written() {
        let body = Body::of(&[(Sku(3), 1), (Sku(1), 2), (Sku(3), 4)]);
        assert_eq!(body, Body::of(&[(Sku(1), 2), (Sku(3), 5)]));
        assert_eq!(body.lines().iter().collect::<Vec<_>>(), [(Sku(1), 2), (Sku(3), 5)]);
        assert_eq!((body.units(), body.units_of(Sku(3)), body.units_of(Sku(2))), (7, 5, 0));
        assert_ne!(body, body.with_one_more());
        assert_ne!(Body::one(Sku(1), 2), Body::up_to(Sku(1), 2));
    }

    #[test]
    #[should_panic(expected = "at most 4 SKUs")]
    fn a_fifth_sku_has_no_room() {
        let lines: Vec<_> = (0..5).map(|number| (Sku(number), 1)).collect();
        let _ = Body::of(&lines);
    }

    #[test]
    fn a_grant_is_held_against_every_line() {
        let both = Body::of(&[(Sku(1), 2), (Sku(2), 1)]);
        assert!(both.is_met_by([(Sku(2), 1), (Sku(1), 2)]));
        for other in [vec![(Sku(1), 2)], vec![(Sku(1), 1), (Sku(2), 2)], vec![(Sku(1), 2), (Sku(3), 1)]] {
            assert!(!both.is_met_by(other.clone()), "{other:?}");
        }
        assert!(!Body::one(Sku(1), 2).is_met_by([(Sku(1), 1)]));
        assert!(Body::up_to(Sku(1), 2).is_met_by([(Sku(1), 1)]));
        assert!(!Body::up_to(Sku(1), 2).is_met_by([(Sku(1), 0)]));
    }

    #[test]
    fn a_grant_of_fewer_units_takes_up_fewer() {
        assert_eq!(Body::up_to(Sku(1), 3).granted(2), Lines::of(&[(Sku(1), 2)]));
        let both = Body::of(&[(Sku(1), 2), (Sku(2), 1)]);
        assert_eq!(both.granted(3), both.lines());
    }
}
