//! One decision per id: what was answered first is answered again.

use std::collections::BTreeMap;

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::Command;
use holdfast_contracts::decision::Reason;

use super::{Auditor, Check};
use crate::answer::{Decision, Outcome, Refusal};

/// What was first answered to each reserve command.
#[derive(Debug, Clone)]
pub(super) struct FirstAnswers {
    by_id: BTreeMap<ReservationId, First>,
    window_ms: u64,
    /// Since when the window is what it is.
    window_since: u64,
}

#[derive(Debug, Clone)]
struct First {
    outcome: Outcome,
    decided_at: u64,
    offset: u64,
    /// Who asked for how many units of what: enough to tell one request from another.
    customer: u64,
}

impl Default for FirstAnswers {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), window_ms: 86_400_000, window_since: 0 }
    }
}

impl FirstAnswers {
    pub(super) fn window_changed(&mut self, now: u64, window_ms: u64) {
        if window_ms != 0 && window_ms != self.window_ms {
            self.window_ms = window_ms;
            self.window_since = now;
        }
    }

    /// Whether this answer must still be known. Careful: only when the window was the same all the time, and time had
    /// moved since it was set.
    fn must_be_known(&self, first: &First, now: u64) -> bool {
        first.decided_at > self.window_since && now - first.decided_at <= self.window_ms / 4 * 4
    }
}

impl Auditor {
    pub(super) fn one_answer_per_id(
        &mut self,
        command: &Command<'_>,
        decision: &Decision,
        skus: &[&str],
    ) -> Check {
        let Command::Reserve(it) = command else { return Ok(()) };
        let Some(outcome) = &decision.outcome else { return Err("a reserve without an answer".to_owned()) };
        if decision.id != Some(it.reservation_id) {
            return Err(format!("an answer to {:?} about {:?}", it.reservation_id, decision.id));
        }
        let id = it.reservation_id;
        if let Outcome::Refused(Refusal { reason: Reason::IdReused | Reason::Full, .. }) = outcome {
            return Ok(());
        }
        let now = self.now;
        if !decision.replay {
            if self.answers.by_id.get(&id).is_some_and(|first| self.answers.must_be_known(first, now)) {
                return Err(format!("{id} was decided afresh while it must be remembered ({skus:?})"));
            }
            let (outcome, customer) = (outcome.clone(), it.customer.0);
            let first = First { outcome, decided_at: now, offset: self.offset, customer };
            self.answers.by_id.insert(id, first);
            return Ok(());
        }
        let first =
            self.answers.by_id.get(&id).ok_or_else(|| format!("{id} replayed, but never answered before"))?;
        let same = it.customer.0 == first.customer && says_the_same(first, outcome, now);
        if same { Ok(()) } else { Err(format!("{id} was answered {first:?}, replayed as {outcome:?}")) }
    }
}

fn says_the_same(before: &First, replayed: &Outcome, now: u64) -> bool {
    match (&before.outcome, replayed) {
        (
            Outcome::Reserved { expires_after_ms: a, lines: b, .. },
            Outcome::Reserved { expires_after_ms, lines, first },
        ) => {
            a == expires_after_ms
                && b == lines
                && first.offset == before.offset
                && first.ago_ms == now - before.decided_at
        }
        (Outcome::Waiting { line: a, .. }, Outcome::Waiting { line, first }) => {
            a == line && first.offset == before.offset
        }
        (Outcome::Refused(a), Outcome::Refused(b)) => {
            a.reason == b.reason && a.sku == b.sku && a.value.min(1_048_575) == b.value
        }
        _ => false,
    }
}
