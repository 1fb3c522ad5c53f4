//! The verdict for an API of which only this is known: what it grants, and what it refuses for want of stock.
//!
//! It has no places, no states and no reservations that could be asked for, so the order of decisions and what becomes
//! of them is not judged. And silence is not held against it: nobody can tell a lost answer from a late one without a
//! way to ask again that changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Check;
use super::takings::Sums;
use crate::books::{Key, Moment, Sku};

/// One request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlainExchange {
    pub(crate) key: Key,
    pub(crate) sku: Sku,
    /// What was asked for.
    pub(crate) units: u32,
    /// Taken before the first byte left.
    pub(crate) sent: Moment,
    /// Taken after the last byte came, or when nobody listened any more.
    pub(crate) received: Moment,
    pub(crate) answer: PlainAnswer,
}

impl PlainExchange {
    /// As [`crate::books::Exchange::shifted`].
    #[must_use]
    pub(crate) fn shifted(self, by: i64, uncertain: Duration) -> Self {
        let (sent, received) = (self.sent.shifted(by), self.received.shifted(by));
        Self { sent: sent.minus(uncertain), received: received.plus(uncertain), ..self }
    }
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PlainAnswer {
    /// So many units; as many as were asked for, if the answer does not say.
    Granted { units: u32 },
    /// There is not enough left.
    SoldOut,
    /// Come again: nothing was said of the request itself.
    Busy,
    /// Anything that the template has no name for.
    Other { status: u16 },
    /// None came, or nobody waited for it.
    Silence,
}

/// Tells the faults, by rule; a rule that is kept has none.
///
/// - Units granted to different keys are within the stock.
/// - Nobody is refused while, whatever is not known, enough was left. Units that come back only leave more.
/// - A key is granted or refused, however often it is asked, and always as many units.
/// - A grant is of what was asked for, and a key that was answered was not answered with nonsense only.
pub(crate) fn judge(supply: &BTreeMap<Sku, u64>, exchanges: &[PlainExchange]) -> Vec<(Check, Vec<String>)> {
    let keys = Keys::of(exchanges);
    vec![
        (Check::Oversold, keys.oversold(supply)),
        (Check::Undersold, keys.undersold(supply)),
        (Check::DoubleDecisions, keys.double_decisions()),
        (Check::UnexpectedAnswers, keys.unexpected_answers()),
    ]
}

/// All exchanges, those of a key together in the order in which they were sent.
struct Keys<'a>(Vec<&'a PlainExchange>);

impl<'a> Keys<'a> {
    fn of(exchanges: &'a [PlainExchange]) -> Self {
        let mut sorted: Vec<&PlainExchange> = exchanges.iter().collect();
        sorted.sort_by_key(|it| (it.key, it.sent));
        Self(sorted)
    }

    fn each(&self) -> impl Iterator<Item = &[&'a PlainExchange]> {
        self.0.chunk_by(|one, other| one.key == other.key)
    }

    fn oversold(&self, supply: &BTreeMap<Sku, u64>) -> Vec<String> {
        let mut granted: BTreeMap<Sku, u64> = BTreeMap::new();
        for (first, units) in self.each().filter_map(granted_to) {
            *granted.entry(first.sku).or_default() += u64::from(units);
        }
        let above = |(sku, granted): (&Sku, &u64)| {
            let supply = supply.get(sku).filter(|supply| granted > supply)?;
            Some(format!("{granted} of {supply} units of SKU {} were granted", sku.0))
        };
        granted.iter().filter_map(above).collect()
    }

    fn undersold(&self, supply: &BTreeMap<Sku, u64>) -> Vec<String> {
        // Whatever was asked for and not refused may have been granted from its first request on.
        let mut asked: BTreeMap<Sku, Vec<(Moment, u64)>> = BTreeMap::new();
        for exchanges in self.each() {
            let first = exchanges[0];
            let units = match granted_to(exchanges) {
                Some((_, units)) => units,
                None if exchanges.iter().any(|it| it.answer == PlainAnswer::SoldOut) => continue,
                None => exchanges.iter().map(|it| it.units).max().unwrap_or_default(),
            };
            asked.entry(first.sku).or_default().push((first.sent, u64::from(units)));
        }
        let taken: BTreeMap<Sku, Sums<Moment>> =
            asked.into_iter().map(|(sku, pairs)| (sku, Sums::new(pairs.into_iter()))).collect();
        let refused = self.0.iter().filter(|it| it.answer == PlainAnswer::SoldOut);
        let wrongly = |it: &&PlainExchange| {
            let taken = taken.get(&it.sku).map_or(0, |sums| sums.below(&it.received));
            let free = supply.get(&it.sku)?.saturating_sub(taken);
            (free >= u64::from(it.units)).then(|| {
                format!("{:?} was refused {} units while at least {free} were free", it.key, it.units)
            })
        };
        refused.filter_map(wrongly).collect()
    }

    fn double_decisions(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for exchanges in self.each() {
            let mut decided = exchanges
                .iter()
                .map(|it| it.answer)
                .filter(|it| matches!(it, PlainAnswer::Granted { .. } | PlainAnswer::SoldOut));
            let Some(first) = decided.next() else { continue };
            if let Some(other) = decided.find(|it| *it != first) {
                faults.push(format!("{:?} was told {first:?}, and {other:?}", exchanges[0].key));
            }
        }
        faults
    }

    fn unexpected_answers(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for exchanges in self.each() {
            let otherwise = |it: &&PlainExchange| matches!(it.answer, PlainAnswer::Granted { units } if units != it.units);
            let is_told = |it: &&PlainExchange| it.answer != PlainAnswer::Silence;
            let is_other = |it: &PlainExchange| matches!(it.answer, PlainAnswer::Other { .. });
            let mut told = exchanges.iter().copied().filter(is_told).peekable();
            let nonsense = told.peek().copied().filter(|_| told.all(is_other));
            for it in nonsense.into_iter().chain(exchanges.iter().copied().filter(otherwise)) {
                faults
                    .push(format!("{:?} asked for {} units and was told {:?}", it.key, it.units, it.answer));
            }
        }
        faults
    }
}

/// The first grant to a key.
fn granted_to<'a>(exchanges: &[&'a PlainExchange]) -> Option<(&'a PlainExchange, u32)> {
    exchanges.iter().find_map(|it| match it.answer {
        PlainAnswer::Granted { units } => Some((*it, units)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Customer;

    const GRANTED: PlainAnswer = PlainAnswer::Granted { units: 1 };

    fn asks(customer: u32, (sent, received): (u64, u64), answer: PlainAnswer) -> PlainExchange {
        let key = Key { customer: Customer(customer), serial: 0 };
        let (sent, received) = (Moment(sent), Moment(received));
        PlainExchange { key, sku: Sku(0), units: 1, sent, received, answer }
    }

    /// The rules that are broken, of a sale of so many units.
    fn broken(units: u64, exchanges: &[PlainExchange]) -> Vec<Check> {
        let judged = judge(&BTreeMap::from([(Sku(0), units)]), exchanges);
        judged.into_iter().filter(|it| !it.1.is_empty()).map(|it| it.0).collect()
    }

    #[test]
    fn a_good_sale_passes() {
        let sale = [
            asks(1, (0, 10), GRANTED),
            asks(1, (1, 11), GRANTED),
            asks(2, (9, 20), PlainAnswer::SoldOut),
            asks(3, (9, 20), PlainAnswer::Silence),
            asks(3, (30, 40), PlainAnswer::Busy),
            asks(4, (9, 20), PlainAnswer::Other { status: 500 }),
            asks(4, (30, 40), PlainAnswer::SoldOut),
        ];
        assert_eq!(broken(1, &sale), []);
    }

    #[test]
    fn granting_more_than_there_is_is_condemned() {
        let sale = [asks(1, (0, 10), GRANTED), asks(2, (0, 10), GRANTED), asks(2, (20, 30), GRANTED)];
        assert_eq!(broken(1, &sale), [Check::Oversold]);
        assert_eq!(broken(2, &sale), []);
    }

    #[test]
    fn refusing_what_is_left_is_condemned() {
        let sale = [asks(1, (0, 10), GRANTED), asks(2, (20, 30), PlainAnswer::SoldOut)];
        assert_eq!(broken(2, &sale), [Check::Undersold]);
        // The one who was never answered may have the other unit, if it had asked by then.
        let silent = |sent| [sale.to_vec(), vec![asks(3, (sent, 99), PlainAnswer::Silence)]].concat();
        assert_eq!(broken(2, &silent(29)), []);
        assert_eq!(broken(2, &silent(30)), [Check::Undersold]);
    }

    #[test]
    fn a_key_that_is_told_two_things_is_condemned() {
        let sale = [asks(1, (0, 10), GRANTED), asks(1, (0, 11), PlainAnswer::SoldOut)];
        assert_eq!(broken(1, &sale), [Check::DoubleDecisions]);
        let other = PlainAnswer::Granted { units: 2 };
        let twice = [asks(1, (0, 10), GRANTED), asks(1, (0, 11), other)];
        assert_eq!(broken(5, &twice), [Check::DoubleDecisions, Check::UnexpectedAnswers]);
    }

    #[test]
    fn another_clock_shifts_both_moments_and_widens_what_is_between() {
        let uncertain = Duration::from_nanos(10);
        assert_eq!(asks(1, (100, 200), GRANTED).shifted(-50, uncertain), asks(1, (40, 160), GRANTED));
        assert_eq!(asks(1, (5, u64::MAX), GRANTED).shifted(1, uncertain), asks(1, (0, u64::MAX), GRANTED));
    }

    #[test]
    fn nonsense_alone_is_condemned() {
        let other = PlainAnswer::Other { status: 404 };
        let sale = [asks(1, (0, 10), other), asks(1, (20, 30), other)];
        assert_eq!(broken(1, &sale), [Check::UnexpectedAnswers]);
        assert_eq!(
            broken(1, &[asks(1, (0, 10), PlainAnswer::Granted { units: 2 })]),
            [Check::Oversold, Check::UnexpectedAnswers]
        );
    }
}
