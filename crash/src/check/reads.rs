//! What was read, and what the gate refused without asking the log.

use std::collections::HashMap;

use super::answers::partition_asked;
use super::facts::Facts;
use super::ids::partition_of;
use super::verdict::{Findings, Promise};
use crate::evidence::{Answer, Ask, Evidence, Operation, Outcome, Place};

/// Append times and the clock of the clients are one machine's; this much they may differ.
const CLOCK_SLACK_MS: u64 = 1_000;

pub(super) fn check(evidence: &Evidence, facts: &Facts, findings: &mut Findings) {
    let known = Known::of(evidence);
    for operation in &evidence.operations {
        match (&operation.invoke.ask, &operation.outcome) {
            (Ask::Availability { sku }, Outcome::Ok(answer)) => {
                availability(sku, operation, answer, facts, findings);
            }
            (Ask::Reserve { lines, .. }, Outcome::Fail(answer))
                if answer.decided_by.as_deref() == Some("gate") =>
            {
                // A request of several SKUs is refused for one of them; which, the others do not tell.
                if let [line] = &lines[..] {
                    gate(evidence, &line.sku, u64::from(line.quantity), operation, &known, facts, findings);
                }
            }
            _ => {}
        }
    }
    for sku in &evidence.settings.bought_out {
        let last = facts.figures.get(sku).and_then(|it| it.last_key_value()).map(|(_, figures)| *figures);
        let place = Place { partition: partition_of(sku, evidence.settings.partitions), offset: 0, index: 0 };
        match last {
            Some([on_hand, 0, 0, committed, unavailable, _]) if committed + unavailable == on_hand => {}
            Some(figures) => {
                let what = format!(
                    "undersold: buyers asked for {sku} until nothing was left, and {figures:?} is what there is"
                );
                findings.broken(Promise::S10, Some(place), &[], what);
            }
            None => findings.unmet(format!("{sku} was to be bought out, but is in no record")),
        }
    }
}

/// The counters of a SKU after a record.
fn figures_at(facts: &Facts, sku: &str, offset: u64) -> Option<[u64; 6]> {
    facts.figures.get(sku)?.range(..=offset).next_back().map(|(_, figures)| *figures)
}

fn availability(sku: &str, operation: &Operation, answer: &Answer, facts: &Facts, findings: &mut Findings) {
    let (Some(place), Some(told)) = (answer.position, answer.figures) else { return };
    if !facts.followed.contains(&place.partition) {
        return;
    }
    let computed = figures_at(facts, sku, place.offset);
    if computed != Some(told) {
        let what = format!(
            "operation {} read {told:?} of {sku} as of this offset; it was {computed:?} then",
            operation.invoke.op
        );
        findings.broken(Promise::S16, Some(place), &[], what);
    }
}

/// The largest offset that each life of an intake had told of, over time.
struct Known(HashMap<(String, u32), Vec<(u64, u64)>>);

impl Known {
    fn of(evidence: &Evidence) -> Self {
        let mut known: HashMap<(String, u32), Vec<(u64, u64)>> = HashMap::new();
        for operation in &evidence.operations {
            let Outcome::Ok(answer) = &operation.outcome else { continue };
            if let Some(place) = answer.position
                && partition_asked(&operation.invoke.ask, evidence.settings.partitions)
                    == Some(place.partition)
            {
                let at = (operation.invoke.intake.clone(), place.partition);
                known.entry(at).or_default().push((answer.at_us, place.offset));
            }
        }
        for told in known.values_mut() {
            told.sort_unstable();
            let mut most = 0;
            for (_, offset) in told.iter_mut() {
                most = most.max(*offset);
                *offset = most;
            }
        }
        Self(known)
    }

    /// What this intake must know when a request is sent to it.
    fn before(&self, intake: &str, partition: u32, at_us: u64) -> u64 {
        let Some(told) = self.0.get(&(intake.to_owned(), partition)) else { return 0 };
        let before = told.partition_point(|it| it.0 < at_us);
        before.checked_sub(1).map_or(0, |at| told[at].1)
    }
}

/// A refusal by the gate: between what this intake had told before and the end of the request there must have been a
/// moment with fewer units than asked for.
fn gate(
    evidence: &Evidence,
    sku: &str,
    quantity: u64,
    operation: &Operation,
    known: &Known,
    facts: &Facts,
    findings: &mut Findings,
) {
    let partition = partition_of(sku, evidence.settings.partitions);
    let Some(ended_us) = operation.ended_us().filter(|_| facts.followed.contains(&partition)) else { return };
    let from = known.before(&operation.invoke.intake, partition, operation.invoke.at_us);
    let ended_ms = evidence.settings.started_wall_ms + ended_us / 1_000 + CLOCK_SLACK_MS;
    let there = |offset: u64| figures_at(facts, sku, offset).map_or(0, |figures| figures[1]);
    let in_time =
        |offset: &u64| facts.appended_ms.get(&(partition, *offset)).is_some_and(|at| *at <= ended_ms);
    let changes =
        facts.figures.get(sku).map(|it| it.range(from..).map(|(offset, _)| *offset)).into_iter().flatten();
    let scarce = there(from) < quantity || changes.filter(in_time).any(|offset| there(offset) < quantity);
    if !scarce {
        let what = format!(
            "operation {} was refused by the gate, but at least {quantity} of {sku} were there all the time",
            operation.invoke.op
        );
        let place = Place { partition, offset: from, index: 0 };
        findings.broken(Promise::S10, Some(place), &[], what);
    }
}
