//! From exchanges to a history.

use std::collections::HashMap;

use super::{Decision, Entry, History, Hold, Outcome, Reply, SaleFacts};
use crate::books::{Answer, Ask, Body, Exchange, Key, Moment, ReservationId, Told};

impl History {
    /// Sorts out who asked what and what came of it.
    pub(crate) fn new(facts: SaleFacts, mut exchanges: Vec<Exchange>) -> Self {
        exchanges.sort_by_key(|it| it.sent);
        let mut entries: Vec<Entry> = Vec::new();
        let mut by_key: HashMap<Key, usize> = HashMap::new();
        let mut about: HashMap<ReservationId, Vec<Reply>> = HashMap::new();
        for exchange in exchanges {
            let Exchange { sent, received, ask, answer, .. } = exchange;
            match ask {
                Ask::Reserve { key, body } => {
                    let index = *by_key.entry(key).or_insert_with(|| {
                        entries.push(Entry::opened(key, body, sent));
                        entries.len() - 1
                    });
                    entries[index].replies.push(Reply { ask, sent, received, answer });
                }
                Ask::Confirm { ref reservation }
                | Ask::Release { ref reservation }
                | Ask::Read { ref reservation } => {
                    let page = about.entry(reservation.clone()).or_default();
                    page.push(Reply { ask, sent, received, answer });
                }
            }
        }
        for entry in &mut entries {
            entry.tell_strangers();
            entry.decision = entry.decide(&facts);
        }
        let mut history = Self { facts, entries, holds: Vec::new(), placed: Vec::new(), astray: Vec::new() };
        history.place();
        history.gather_holds(&mut about);
        history.astray = about.into_values().flatten().collect();
        history
    }

    fn gather_holds(&mut self, about: &mut HashMap<ReservationId, Vec<Reply>>) {
        for (index, entry) in self.entries.iter().enumerate() {
            let Some(decision) = &entry.decision else { continue };
            let Outcome::Granted { reservation, units, position } = &decision.outcome else { continue };
            let replies = about.remove(reservation).unwrap_or_default();
            if decision.of_the_audit {
                continue;
            }
            let mut hold = Hold {
                entry: index,
                id: reservation.clone(),
                lines: entry.body.granted(*units),
                position: *position,
                after: decision.after,
                before: decision.before,
                replies,
                surely_until: decision.after,
                possibly_until: Moment::NEVER,
            };
            hold.bound(&self.facts);
            self.holds.push(hold);
        }
        self.holds.sort_by_key(|it| it.position);
    }
}

impl Entry {
    fn opened(key: Key, body: Body, sent: Moment) -> Self {
        Self { key, body, first_sent: sent, replies: Vec::new(), strangers: Vec::new(), decision: None }
    }

    /// Sets apart what was asked with another body than the one that the key stands for. That is the decided one: of two
    /// that were under way together, the second may have come first.
    fn tell_strangers(&mut self) {
        let first = self.body;
        if self.replies.iter().all(|it| body_of(it) == Some(first)) {
            return;
        }
        self.body = self.first_told().and_then(body_of).unwrap_or(first);
        let own = |it: &Reply| body_of(it) == Some(self.body);
        let (replies, strangers) = std::mem::take(&mut self.replies).into_iter().partition(own);
        (self.replies, self.strangers) = (replies, strangers);
        self.first_sent = self.replies.first().map_or(self.first_sent, |it| it.sent);
    }

    fn first_told(&self) -> Option<&Reply> {
        self.replies.iter().filter(|it| it.answer.is_decision()).min_by_key(|it| it.received)
    }

    /// The decision that was told first. Whether the others agree is a check's business.
    fn decide(&self, facts: &SaleFacts) -> Option<Decision> {
        let told = self.first_told()?;
        let (outcome, how) = match &told.answer {
            Answer::Granted { reservation, units, position, told, .. } => {
                let (reservation, units, position) = (reservation.clone(), *units, *position);
                (Outcome::Granted { reservation, units, position }, *told)
            }
            Answer::Refused { code, told, .. } => {
                (Outcome::Refused { code: *code, position: self.place_of_refusal() }, *told)
            }
            _ => return None,
        };
        Some(Decision {
            outcome,
            after: self.first_sent,
            before: told.received,
            first_told: told.received,
            of_the_audit: how == Told::First && told.sent >= facts.ended,
        })
    }

    /// A repeated refusal is told with the place of the repetition, or with none; so only the first telling counts.
    fn place_of_refusal(&self) -> Option<crate::books::Position> {
        self.replies.iter().find_map(|it| match &it.answer {
            Answer::Refused { position, told: Told::First, .. } if it.answer.is_decision() => *position,
            _ => None,
        })
    }
}

fn body_of(reply: &Reply) -> Option<Body> {
    match reply.ask {
        Ask::Reserve { body, .. } => Some(body),
        _ => None,
    }
}
