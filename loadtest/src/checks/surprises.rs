//! Answers that the contract does not have for what was asked.

use super::history::{History, Reply};
use crate::books::{Answer, Ask, Code, DecidedBy, State};

/// Anything but the answers that a buyer of this kind of sale can get.
pub(super) fn unexpected_answers(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    let mut note = |reply: &Reply| faults.push(format!("{:?} was answered {:?}", reply.ask, reply.answer));
    for entry in &history.entries {
        entry.replies.iter().filter(|it| !fits(it)).for_each(&mut note);
        let decided = entry.decision.as_ref().map(|it| it.first_told);
        for stranger in &entry.strangers {
            // Only once its own body is decided is the key used for certain.
            let is_used = decided.is_some_and(|told| told < stranger.sent);
            if is_used && !is_conflict(&stranger.answer) && !is_no_answer(&stranger.answer) {
                note(stranger);
            }
        }
    }
    for hold in &history.holds {
        for reply in &hold.replies {
            if !fits(reply) || !explained(reply, &hold.replies) {
                note(reply);
            }
        }
    }
    history.astray.iter().for_each(&mut note);
    faults
}

fn is_no_answer(answer: &Answer) -> bool {
    matches!(answer, Answer::Silence | Answer::Busy | Answer::Pending)
}

fn is_conflict(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused { code: Code::IdempotencyConflict, .. })
}

fn fits(reply: &Reply) -> bool {
    if is_no_answer(&reply.answer) {
        return true;
    }
    match (&reply.ask, &reply.answer) {
        (Ask::Reserve { body, .. }, Answer::Granted { units, as_asked, .. }) => {
            let asked = body.units();
            *as_asked && (*units == asked || (body.allow_partial() && (1..asked).contains(units)))
        }
        // The double-decision check judges a conflict under one's own body.
        (Ask::Reserve { .. }, Answer::Refused { code, by, .. }) => match code {
            Code::InsufficientStock => true,
            Code::PurchaseLimit | Code::IdempotencyConflict => *by == DecidedBy::Sequencer,
            _ => false,
        },
        (
            Ask::Confirm { reservation: asked }
            | Ask::Release { reservation: asked }
            | Ask::Read { reservation: asked },
            Answer::Stands { reservation, .. },
        ) => asked == reservation,
        (Ask::Confirm { .. }, Answer::Refused { code, .. }) => matches!(code, Code::Expired | Code::Released),
        (Ask::Release { .. }, Answer::Refused { code, .. }) => *code == Code::AlreadyConfirmed,
        _ => false,
    }
}

/// Whether somebody asked for the state that a reservation is told to be in. Only time ends one unasked.
fn explained(reply: &Reply, all: &[Reply]) -> bool {
    let asked = |kind: fn(&Ask) -> bool| all.iter().any(|it| kind(&it.ask) && it.sent <= reply.received);
    match reply.answer.state() {
        Some(State::Confirmed) => asked(|ask| matches!(ask, Ask::Confirm { .. })),
        Some(State::Released) => asked(|ask| matches!(ask, Ask::Release { .. })),
        Some(State::Waiting | State::Paying) => false,
        Some(State::Held) => !matches!(reply.ask, Ask::Confirm { .. } | Ask::Release { .. }),
        Some(State::Expired) | None => true,
    }
}
