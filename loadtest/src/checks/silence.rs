//! No answer is lost: everybody got one in the end, and what was told once can be read again.

use super::history::{Decision, Entry, History, Hold, Reply};
use crate::books::{Answer, Ask, Code, Moment, State, Told};

/// Whatever was told holds for every request that was sent afterwards, a restart of the server in between or not.
pub(super) fn lost_answers(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    let insist = history.facts.buyers_insist;
    for entry in &history.entries {
        let was_told = |it: &Reply| is_answer(&it.answer) || (!insist && it.answer == Answer::Busy);
        if !entry.replies.iter().any(was_told) {
            faults.push(format!("{:?} was never answered", entry.key));
        }
        if let Some(decision) = &entry.decision {
            faults.extend(decided_anew(entry, decision));
            faults.extend(not_read_back(entry, decision, history.facts.ended));
        }
    }
    for hold in &history.holds {
        faults.extend(insist.then(|| never_answered(hold)).flatten());
        faults.extend(forgotten(hold, history.entry(hold)));
        if !read_after(hold, history.facts.ended) {
            faults.push(format!("{} could not be read at the end", hold.id));
        }
    }
    faults
}

fn is_answer(answer: &Answer) -> bool {
    !matches!(answer, Answer::Silence | Answer::Busy | Answer::Pending)
}

/// A key that was asked again after its answer had come is told *again*.
fn decided_anew(entry: &Entry, decision: &Decision) -> Vec<String> {
    entry
        .replies
        .iter()
        .filter(|it| it.sent > decision.first_told)
        .filter(|it| {
            matches!(
                it.answer,
                Answer::Granted { told: Told::First, .. } | Answer::Refused { told: Told::First, .. }
            ) && it.answer.is_decision()
        })
        .map(|it| {
            format!("{:?} had been answered, and was answered as if it were new: {:?}", entry.key, it.answer)
        })
        .collect()
}

/// When the sale is over, every decision is asked for once more. A decision of the audit itself has been.
fn not_read_back(entry: &Entry, decision: &Decision, ended: Moment) -> Option<String> {
    let read = entry.replies.iter().any(|it| it.sent >= ended && it.answer.is_decision());
    (!read).then(|| format!("{:?}, decided {:?}, could not be read back", entry.key, decision.outcome))
}

fn read_after(hold: &Hold, ended: Moment) -> bool {
    let read = |it: &Reply| matches!(it.ask, Ask::Read { .. }) && it.sent >= ended;
    hold.replies.iter().any(|it| read(it) && matches!(it.answer, Answer::Stands { .. }))
}

/// A confirmation or a release that was tried and never answered.
fn never_answered(hold: &Hold) -> Option<String> {
    let kinds: [fn(&Ask) -> bool; 2] =
        [|ask| matches!(ask, Ask::Confirm { .. }), |ask| matches!(ask, Ask::Release { .. })];
    kinds
        .iter()
        .any(|kind| {
            let mut tries = hold.replies.iter().filter(|it| kind(&it.ask)).peekable();
            tries.peek().is_some() && !tries.any(|it| is_answer(&it.answer))
        })
        .then(|| format!("a request about {} was never answered", hold.id))
}

/// A reservation that was told of is known ever after, and one that was told to have ended is not open again.
fn forgotten(hold: &Hold, entry: &Entry) -> Vec<String> {
    let granted_told = entry.decision.as_ref().map_or(Moment::NEVER, |it| it.first_told);
    let end_told = hold
        .replies
        .iter()
        .filter(|it| it.answer.state().is_some_and(State::is_end))
        .map(|it| it.received)
        .min();
    let mut faults = Vec::new();
    for reply in &hold.replies {
        let unknown = matches!(reply.answer, Answer::Refused { code: Code::NotFound, .. });
        if unknown && reply.sent > granted_told {
            faults.push(format!("{} was granted and is unknown", hold.id));
        }
        let open = reply.answer.state().is_some_and(|state| !state.is_end());
        if open && end_told.is_some_and(|told| reply.sent > told) {
            faults.push(format!("{} had ended and is open again: {:?}", hold.id, reply.answer));
        }
    }
    faults
}
