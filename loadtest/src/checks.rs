//! The verdict: what must hold of everything the buyers were told.
//!
//! Each check reads the [`History`] that was made from the books and returns one sentence per fault. A check must be
//! *sound*: when buyers can be told these things by a correct server, it is silent. Where only an interval is known,
//! it takes the end of the interval that speaks for the server. And it must be *alive*: its tests hold a history that
//! it condemns.

mod deadlines;
mod decisions;
mod history;
mod limits;
mod order;
mod silence;
mod stock;
mod surprises;
#[cfg(test)]
mod tests;

pub(crate) use history::{History, Hold, Reply, SaleFacts};

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
}

/// Tells the faults of a history, one sentence each.
type Judge = fn(&History) -> Vec<String>;

/// Every check, in the order in which they are reported.
pub(crate) const CHECKS: [(Check, Judge); 8] = [
    (Check::Oversold, stock::oversold),
    (Check::Undersold, stock::undersold),
    (Check::LostAnswers, silence::lost_answers),
    (Check::DoubleDecisions, decisions::double_decisions),
    (Check::OutOfOrder, order::out_of_order),
    (Check::LimitExceeded, limits::limit_exceeded),
    (Check::WrongDeadlines, deadlines::wrong_deadlines),
    (Check::UnexpectedAnswers, surprises::unexpected_answers),
];
