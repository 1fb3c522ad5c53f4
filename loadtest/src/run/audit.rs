//! What is asked when the buyers have left: everything once more.
//!
//! Before that the shelves are filled up. Whatever was decided must come back word for word all the
//! same: a grant as the same reservation, a refusal as a refusal, although there is plenty now. And a key of which nobody
//! knows whether it was decided tells so itself: if it had been, the answer is a repetition; if not, it is new.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use super::RunError;
use super::errands::{self, Then};
use crate::books::{Answer, Ask, Customer, DecidedBy, Exchange, Sku, Stopwatch};
use crate::checks::{History, SaleFacts};
use crate::drive::Wording;
use crate::generator::{Head, Times};
use crate::http::answer_to;

/// Somebody's question.
pub(super) type Question = (Customer, Ask);

/// What is to be asked, by the books as they are. They are put in order for that, and not copied.
pub(super) fn asked_of<T>(
    facts: &SaleFacts,
    books: &mut Vec<Exchange>,
    what: impl FnOnce(&History) -> T,
) -> T {
    let history = History::new(facts.clone(), std::mem::take(books));
    let asked = what(&history);
    *books = history.into_exchanges();
    asked
}

/// Every decision, and every key that may have one; and the units of each SKU that could be granted to those who had none.
pub(super) fn keys(history: &History) -> (Vec<Question>, BTreeMap<Sku, u64>) {
    let mut units: BTreeMap<Sku, u64> = BTreeMap::new();
    let mut questions = Vec::new();
    for entry in history.entries.iter().filter(|it| it.decision.is_some() || it.may_be_decided_unseen()) {
        for body in entry.bodies() {
            for (sku, count) in body.lines().iter() {
                *units.entry(sku).or_default() += u64::from(count);
            }
            questions.push((entry.key.customer, Ask::Reserve { key: entry.key, body }));
        }
    }
    (questions, units)
}

/// Every reservation, also those that the keys have brought to light.
pub(super) fn holds(history: &History) -> Vec<Question> {
    history
        .holds
        .iter()
        .map(|hold| (history.entry(hold).key.customer, Ask::Read { reservation: hold.id.clone() }))
        .collect()
}

fn is_nothing(answer: &Answer) -> bool {
    matches!(answer, Answer::Silence | Answer::Busy | Answer::Pending)
}

/// Asks until there is an answer, and writes everything down. What nobody answers stays in the books like that.
pub(super) fn ask(
    address: SocketAddr,
    connections: usize,
    watch: Stopwatch,
    stop: &AtomicBool,
    wording: &Wording,
    questions: &[Question],
    books: &mut Vec<Exchange>,
) -> Result<(), RunError> {
    let write = |number: usize, request: &mut Vec<u8>| {
        let (customer, ask) = &questions[number];
        wording.ask(*customer, ask, request);
    };
    let heard = |number: usize, times: Times, answer: Option<(&Head, &[u8])>| {
        let ask = &questions[number].1;
        let answer = answer.map_or(Answer::Silence, |said| answer_to(ask, said, wording.skus()));
        // The gate has not heard of the new units yet; it decides nothing.
        let by_gate = matches!(answer, Answer::Refused { by: DecidedBy::Gate, .. });
        let then = if is_nothing(&answer) || by_gate { Then::Again } else { Then::Done };
        if !by_gate {
            let (sent, received) = (times.sent, times.done);
            books.push(Exchange { sent, received, ask: ask.clone(), answer });
        }
        then
    };
    errands::run(address, connections, watch, stop, questions.len(), write, heard)?;
    Ok(())
}
