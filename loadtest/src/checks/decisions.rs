//! One key, one decision; one reservation, one end.

use std::collections::{BTreeMap, HashMap};

use super::history::{Decision, Entry, History, Hold, Outcome, Reply};
use crate::books::{Answer, Code, DecidedBy, Position, ReservationId, State, Told};

/// Every telling of a decision is the same decision, nobody else has it, and what it granted ended once.
pub(super) fn double_decisions(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    for entry in &history.entries {
        faults.extend(decided_otherwise(entry));
        faults.extend(stranger_decided(entry));
    }
    faults.extend(shared(history));
    faults.extend(history.holds.iter().filter_map(ended_twice));
    faults
}

fn decided_otherwise(entry: &Entry) -> Vec<String> {
    let Some(decision) = &entry.decision else { return Vec::new() };
    let mut faults = Vec::new();
    for reply in &entry.replies {
        let otherwise = match &reply.answer {
            Answer::Granted { reservation, units, position, .. } => {
                let (reservation, units, position) = (reservation.clone(), *units, *position);
                decision.outcome != Outcome::Granted { reservation, units, position }
            }
            Answer::Refused { code: Code::IdempotencyConflict, .. } => {
                // If another body was on its way, that one may have been the first.
                !entry.strangers.iter().any(|stranger| stranger.sent <= decision.first_told)
            }
            Answer::Refused { by: DecidedBy::Gate, .. } => {
                is_granted(decision) && reply.sent > decision.before
            }
            Answer::Refused { code, position, told, .. } if reply.answer.is_decision() => {
                let elsewhere = *told == Told::First && decision.position() != *position;
                !decision.refused_for(code) || elsewhere
            }
            _ => false,
        };
        if otherwise {
            faults.push(format!(
                "{:?} was decided {:?}, and answered {:?}",
                entry.key, decision.outcome, reply.answer
            ));
        }
    }
    faults
}

fn is_granted(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Granted { .. })
}

/// Another body under a used key must change nothing.
fn stranger_decided(entry: &Entry) -> Vec<String> {
    let decided = |it: &&Reply| it.answer.is_decision();
    entry
        .strangers
        .iter()
        .filter(|_| entry.decision.is_some())
        .filter(decided)
        .map(|it| format!("{:?} was decided, and again for another body: {:?}", entry.key, it.answer))
        .collect()
}

/// Two keys never share a reservation or a place.
fn shared(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids: HashMap<&ReservationId, &Entry> = HashMap::new();
    let mut places: BTreeMap<Position, &Entry> = BTreeMap::new();
    for entry in &history.entries {
        let Some(decision) = &entry.decision else { continue };
        if let Outcome::Granted { reservation, .. } = &decision.outcome
            && let Some(other) = ids.insert(reservation, entry)
        {
            faults.push(format!("{:?} and {:?} were both granted {reservation}", other.key, entry.key));
        }
        if let Some(position) = decision.position()
            && let Some(other) = places.insert(position, entry)
        {
            faults.push(format!("{:?} and {:?} were both decided at {position:?}", other.key, entry.key));
        }
    }
    faults
}

fn ended_twice(hold: &Hold) -> Option<String> {
    let mut ends: Vec<State> = Vec::new();
    for state in hold.replies.iter().filter_map(|it| it.answer.state()).filter(|it| it.is_end()) {
        if !ends.contains(&state) {
            ends.push(state);
        }
    }
    (ends.len() > 1).then(|| format!("{} ended as {ends:?}", hold.id))
}
