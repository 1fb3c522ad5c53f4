//! The verdict: what must hold of everything the buyers were told.
//!
//! Each check reads the [`History`] that was made from the books and returns one sentence per fault. A check must be
//! *sound*: when buyers can be told these things by a correct server, it is silent. Where only an interval is known,
//! it takes the end of the interval that speaks for the server. And it must be *alive*: its tests hold a history that
//! it condemns.

mod deadlines;
mod decisions;
mod history;
mod ledger;
mod limits;
mod order;
pub(crate) mod plain;
mod silence;
mod stock;
mod surprises;
mod takings;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use history::{Counted, EXPIRY_GRACE, History, Hold, Reply, SaleFacts};

/// A server that was away for longer may distrust its clock, and then holds no deadlines for a while.
pub(crate) const AWAY_MAX: Duration = Duration::from_secs(8);
/// Clocks further apart say nothing about deadlines.
pub(crate) const CLOCK_MOVED_MS_MAX: u64 = 200;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Units promised or sold beyond the stock.
    Oversold,
    /// Units refused to somebody while they were free, or left at the end.
    Undersold,
    /// An answer that was given and is gone, or never came.
    LostAnswers,
    /// One request with two decisions, or one reservation with two ends.
    DoubleDecisions,
    /// Somebody who came later was placed before somebody who was already answered.
    OutOfOrder,
    /// A customer with more units than the limit, or refused for a limit that was not reached.
    LimitExceeded,
    /// A hold that ended before its deadline, or lived on after it.
    WrongDeadlines,
    /// An answer that the contract does not have for that request.
    UnexpectedAnswers,
    /// Counters of the server that disagree with what it told.
    Ledger,
}

impl Check {
    /// As it stands in results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Oversold => "oversold",
            Self::Undersold => "undersold",
            Self::LostAnswers => "lost_answers",
            Self::DoubleDecisions => "double_decisions",
            Self::OutOfOrder => "out_of_order",
            Self::LimitExceeded => "limit_exceeded",
            Self::WrongDeadlines => "wrong_deadlines",
            Self::UnexpectedAnswers => "unexpected_answers",
            Self::Ledger => "ledger",
        }
    }
}

/// The names of all checks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(check, _)| check.name())
}

/// Tells the faults of a history, one sentence each.
type Judge = fn(&History) -> Vec<String>;

/// Every check, in the order in which they are reported.
pub(crate) const CHECKS: [(Check, Judge); 9] = [
    (Check::Oversold, stock::oversold),
    (Check::Undersold, stock::undersold),
    (Check::LostAnswers, silence::lost_answers),
    (Check::DoubleDecisions, decisions::double_decisions),
    (Check::OutOfOrder, order::out_of_order),
    (Check::LimitExceeded, limits::limit_exceeded),
    (Check::WrongDeadlines, deadlines::wrong_deadlines),
    (Check::UnexpectedAnswers, surprises::unexpected_answers),
    (Check::Ledger, ledger::ledger),
];
