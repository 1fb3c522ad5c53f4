//! What is certain about when things happened.
//!
//! The log of a partition is one line: what has a smaller place was written earlier. So a decision was made after the
//! sending of every decision before it, and before the answer of every decision behind it.

use super::{CLOCK_SLACK, Decision, EXPIRY_GRACE, Entry, History, Hold, SaleFacts};
use crate::books::{Answer, Ask, Moment, Position, State};

impl History {
    /// Puts the decisions of the sale in order and tightens the bounds of each by its neighbours'.
    pub(super) fn place(&mut self) {
        let mut placed: Vec<(Position, usize)> = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(position) = entry.of_the_sale().and_then(Decision::position) {
                placed.push((position, index));
            }
        }
        placed.sort_unstable();
        for partition in placed.chunk_by(|one, other| one.0.partition == other.0.partition) {
            tighten(&mut self.entries, partition);
        }
        self.placed = placed.into_iter().map(|(_, index)| index).collect();
    }
}

fn tighten(entries: &mut [Entry], partition: &[(Position, usize)]) {
    let mut latest_sent = Moment(0);
    for (_, index) in partition {
        if let Some(decision) = &mut entries[*index].decision {
            latest_sent = latest_sent.max(decision.after);
            decision.after = latest_sent;
        }
    }
    let mut earliest_told = Moment::NEVER;
    for (_, index) in partition.iter().rev() {
        if let Some(decision) = &mut entries[*index].decision {
            earliest_told = earliest_told.min(decision.before);
            decision.before = earliest_told;
        }
    }
}

impl Hold {
    /// Whether its customer was told that it is confirmed.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.replies.iter().any(|it| it.answer.state() == Some(State::Confirmed))
    }

    /// Whether a confirmation was sent whose outcome nobody knows.
    fn may_be_confirmed_unseen(&self) -> bool {
        let asked = self.replies.iter().any(|it| matches!(it.ask, Ask::Confirm { .. }));
        asked && !self.replies.iter().any(|it| it.answer.state().is_some_and(State::is_end))
    }

    /// Works out from what was told how long the hold took up its units, at least and at most.
    pub(super) fn bound(&mut self, facts: &SaleFacts) {
        if self.is_confirmed() {
            self.surely_until = Moment::NEVER;
            self.possibly_until = Moment::NEVER;
            return;
        }
        let released =
            self.replies.iter().filter(|it| matches!(it.ask, Ask::Release { .. })).map(|it| it.sent);
        let not_due_before =
            if facts.clock_trusted { self.after.plus(facts.hold_ttl).minus(CLOCK_SLACK) } else { self.after };
        self.surely_until = released.min().unwrap_or(Moment::NEVER).min(not_due_before);

        let told_ended = self.replies.iter().filter(|it| is_over(&it.answer)).map(|it| it.received).min();
        let due = if facts.clock_trusted && !self.may_be_confirmed_unseen() {
            self.before.plus(facts.hold_ttl).plus(EXPIRY_GRACE)
        } else {
            Moment::NEVER
        };
        self.possibly_until = told_ended.unwrap_or(Moment::NEVER).min(due);
    }
}

fn is_over(answer: &Answer) -> bool {
    matches!(answer.state(), Some(State::Released | State::Expired))
}
