//! A hold lives until its deadline and not beyond.

use super::history::{CLOCK_SLACK, EXPIRY_GRACE, History, Hold, SaleFacts};
use crate::books::{Answer, Ask, State};

/// Compares what was told with the buyers' own instants; says nothing if those cannot be compared with deadlines.
pub(super) fn wrong_deadlines(history: &History) -> Vec<String> {
    if !history.facts.clock_trusted {
        return Vec::new();
    }
    history.holds.iter().flat_map(|hold| wrong(hold, &history.facts)).collect()
}

fn wrong(hold: &Hold, facts: &SaleFacts) -> Vec<String> {
    let earliest = hold.after.plus(facts.hold_ttl).minus(CLOCK_SLACK);
    let latest = hold.before.plus(facts.hold_ttl).plus(CLOCK_SLACK);
    let mut faults = Vec::new();
    for reply in &hold.replies {
        if reply.answer.state() == Some(State::Expired) && reply.received < earliest {
            faults.push(format!(
                "{} had expired {:?} before it could",
                hold.id,
                earliest.since(reply.received)
            ));
        }
        let open = matches!(reply.answer, Answer::Stands { state: State::Held | State::Paying, .. });
        let forgotten_at = latest.plus(EXPIRY_GRACE);
        if open && reply.sent > forgotten_at {
            faults.push(format!("{} was open {:?} after its deadline", hold.id, reply.sent.since(latest)));
        }
    }
    // Of several tries, the first may have been the one that counted.
    let confirmed_from =
        hold.replies.iter().filter(|it| matches!(it.ask, Ask::Confirm { .. })).map(|it| it.sent).min();
    if let Some(sent) = confirmed_from
        && hold.is_confirmed()
        && sent > latest
    {
        faults.push(format!("{} was confirmed {:?} after its deadline", hold.id, sent.since(latest)));
    }
    faults
}
