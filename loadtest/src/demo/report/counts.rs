//! How often what was asked and answered in a sale.

use serde::Serialize;

use crate::books::{Answer, Ask, Code, DecidedBy, State, Told};
use crate::checks::{History, Hold, Reply};

/// Figures of the sale without its audit, but for the last.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) units_sold: u64,
    pub(super) requests: usize,
    pub(super) keys: usize,
    pub(super) granted: usize,
    pub(super) confirmed: usize,
    pub(super) released: usize,
    pub(super) expired: usize,
    pub(super) sold_out_by_sequencer: usize,
    pub(super) sold_out_by_gate: usize,
    pub(super) limit_refusals: usize,
    pub(super) key_conflicts: usize,
    pub(super) told_again: usize,
    pub(super) unanswered_tries: usize,
    pub(super) pending: usize,
    pub(super) busy: usize,
    /// Decisions and reservations that were asked for once more at the end.
    pub(super) read_back: usize,
}

impl Counts {
    pub(super) fn of(history: &History) -> Self {
        let mut counts = Self { units_sold: history.sold().values().sum(), ..Self::default() };
        for entry in &history.entries {
            counts.keys += usize::from(entry.first_sent < history.facts.ended);
            for reply in entry.replies.iter().chain(&entry.strangers) {
                counts.add(reply, history);
            }
        }
        for hold in &history.holds {
            counts.granted += 1;
            hold.replies.iter().for_each(|it| counts.add(it, history));
            match end_of(hold) {
                Some(State::Confirmed) => counts.confirmed += 1,
                Some(State::Released) => counts.released += 1,
                Some(State::Expired) => counts.expired += 1,
                _ => {}
            }
        }
        counts
    }

    fn add(&mut self, reply: &Reply, history: &History) {
        if reply.sent >= history.facts.ended {
            let is_read_back = reply.answer.is_decision() || matches!(reply.ask, Ask::Read { .. });
            self.read_back += usize::from(is_read_back);
            return;
        }
        self.requests += 1;
        match &reply.answer {
            Answer::Silence => self.unanswered_tries += 1,
            Answer::Pending => self.pending += 1,
            Answer::Busy => self.busy += 1,
            Answer::Granted { told: Told::Again, .. } | Answer::Refused { told: Told::Again, .. } => {
                self.told_again += 1;
            }
            Answer::Refused { code: Code::InsufficientStock, by: DecidedBy::Gate, .. } => {
                self.sold_out_by_gate += 1;
            }
            Answer::Refused { code: Code::InsufficientStock, .. } => self.sold_out_by_sequencer += 1,
            Answer::Refused { code: Code::PurchaseLimit, .. } => self.limit_refusals += 1,
            Answer::Refused { code: Code::IdempotencyConflict, .. } => self.key_conflicts += 1,
            _ => {}
        }
    }
}

fn end_of(hold: &Hold) -> Option<State> {
    hold.replies.iter().filter_map(|it| it.answer.state()).find(|it| it.is_end())
}
