//! Real time: an answer that came before another request was sent has the smaller offset.

use super::answers::partition_asked;
use super::facts::Facts;
use super::verdict::{Findings, Promise};
use crate::evidence::{Ask, Evidence, Outcome, Place};

/// One answered operation.
struct Answered {
    op: u64,
    sent_us: u64,
    answered_us: u64,
    place: Place,
    /// The place is that of this attempt's own command, not of an earlier one's.
    own: bool,
}

pub(super) fn check(evidence: &Evidence, facts: &Facts, findings: &mut Findings) {
    for partition in 0..evidence.settings.partitions {
        let mut answered = answered(evidence, facts, partition);
        let mut by_end: Vec<usize> = (0..answered.len()).collect();
        by_end.sort_by_key(|at| answered[*at].answered_us);
        let by_end: Vec<(u64, u64, u64)> = by_end
            .into_iter()
            .map(|at| (answered[at].answered_us, answered[at].place.offset, answered[at].op))
            .collect();
        answered.sort_by_key(|it| it.sent_us);
        let mut ends = by_end.into_iter().peekable();
        // The largest offset of all that was answered before.
        let mut known: Option<(u64, u64)> = None;
        for it in answered.iter().filter(|it| it.own) {
            while let Some((_, offset, op)) = ends.next_if(|end| end.0 < it.sent_us) {
                if known.is_none_or(|(most, _)| offset > most) {
                    known = Some((offset, op));
                }
            }
            if let Some((offset, op)) = known
                && it.place.offset <= offset
            {
                let what = format!(
                    "operation {} was sent after operation {op} had been answered, but lies at offset {} and that at {offset}",
                    it.op, it.place.offset
                );
                findings.broken(Promise::S10, Some(it.place), &[], what);
            }
        }
    }
}

fn answered(evidence: &Evidence, facts: &Facts, partition: u32) -> Vec<Answered> {
    let mut answered = Vec::new();
    for operation in &evidence.operations {
        let Outcome::Ok(answer) = &operation.outcome else { continue };
        let ask = &operation.invoke.ask;
        if partition_asked(ask, evidence.settings.partitions) != Some(partition)
            || matches!(ask, Ask::Availability { .. })
        {
            continue;
        }
        // A repeated grant tells where the first one is; the answer still came after that.
        let Some(place) = answer.position.filter(|it| facts.commands.contains_key(it)) else { continue };
        let first_time = facts.commands[&place].spoken.as_ref().is_some_and(|it| !it.replay);
        let own = !answer.replay && first_time;
        answered.push(Answered {
            op: operation.invoke.op,
            sent_us: operation.invoke.at_us,
            answered_us: answer.at_us,
            place,
            own,
        });
    }
    answered
}
