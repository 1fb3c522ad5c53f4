//! Whether a run was right: what was told, what was told again, and what the server has stored must be one story.

use std::collections::BTreeMap;

use super::told::Told;
use super::work::{Answer, Outcome, UNITS_PER_CUSTOMER_MAX, Work};

/// Ids of each outcome that are asked about once more.
const SAMPLE_MAX: usize = 200;

/// What a server itself says, once nothing is under way. Nothing where it has no way to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Ids that it remembers a decision of.
    pub(super) decided: Option<u64>,
    /// Units that are held.
    pub(super) held: u64,
    /// Units that are free.
    pub(super) left: u64,
    /// Holds whose expiry is registered, in the future.
    pub(super) deadlines: Option<u64>,
    /// Customers with more units than one may have.
    pub(super) above_limit: Option<u64>,
}

/// Requests of a run that are to be asked about again: some of each outcome, from everywhere in the run.
pub(super) fn sample(told: &Told) -> Vec<u64> {
    let mut sample = Vec::new();
    for outcome in Outcome::ALL {
        let all: Vec<u64> =
            told.answers.iter().filter(|(_, it)| it.outcome == outcome).map(|(number, _)| *number).collect();
        sample.extend(all.iter().step_by(all.len().div_ceil(SAMPLE_MAX).max(1)));
    }
    sample
}

/// Everything that is wrong with a run, in sentences.
pub(super) fn faults(work: &Work, told: &Told, again: &Told, stored: &Stored) -> Vec<String> {
    let mut faults = Vec::new();
    answered(told, &mut faults);
    units(work, told, &mut faults);
    repeated(told, again, &mut faults);
    agrees(work, told, stored, &mut faults);
    faults
}

fn count(told: &Told, outcome: Outcome) -> u64 {
    told.answers.iter().filter(|(_, it)| it.outcome == outcome).count() as u64
}

fn answered(told: &Told, faults: &mut Vec<String>) {
    if told.failed > 0 {
        let first = told.failure.as_deref().unwrap_or("no answer");
        faults.push(format!("{} requests failed, the first: {first}", told.failed));
    }
    if told.answers.is_empty() {
        faults.push("nothing was answered".to_owned());
    }
    let stale = told.answers.iter().filter(|(_, it)| it.again).count();
    if stale > 0 {
        faults.push(format!("{stale} new requests were told that they had been decided before"));
    }
}

/// The stock and the limits, from what was told alone.
fn units(work: &Work, told: &Told, faults: &mut Vec<String>) {
    // Of each customer: asked, granted, refused by the limit.
    let mut customers: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
    for (number, answer) in &told.answers {
        let [asked, granted, refused] = customers.entry(work.request(*number).customer).or_default();
        *asked += 1;
        *granted += u64::from(answer.outcome == Outcome::Granted);
        *refused += u64::from(answer.outcome == Outcome::OverLimit);
    }
    let limit = u64::from(UNITS_PER_CUSTOMER_MAX);
    let granted = count(told, Outcome::Granted);
    if granted > work.stock {
        faults.push(format!("oversold: {granted} units of {} were granted", work.stock));
    }
    let possible = work.stock.min(customers.values().map(|[asked, ..]| limit.min(*asked)).sum());
    if granted < possible {
        faults.push(format!("undersold: {granted} units were granted, {possible} were possible"));
    }
    let above = customers.values().filter(|[_, granted, _]| *granted > limit).count();
    if above > 0 {
        faults.push(format!("{above} customers were granted more than {limit} units"));
    }
    let wronged = customers.values().filter(|[_, granted, refused]| *refused > 0 && *granted < limit).count();
    if wronged > 0 {
        faults.push(format!("{wronged} customers were told of a limit that they had not reached"));
    }
}

/// The same id again gets the same answer.
fn repeated(told: &Told, again: &Told, faults: &mut Vec<String>) {
    if again.failed > 0 {
        let first = again.failure.as_deref().unwrap_or("no answer");
        faults.push(format!("{} repetitions failed, the first: {first}", again.failed));
    }
    let first: BTreeMap<u64, Answer> = told.answers.iter().copied().collect();
    let other = |(number, it): &&(u64, Answer)| {
        !it.again || first.get(number).is_none_or(|was| (was.outcome, was.mark) != (it.outcome, it.mark))
    };
    let changed = again.answers.iter().filter(other).count();
    if changed > 0 {
        faults.push(format!("{changed} of {} ids were told something else again", again.answers.len()));
    }
}

fn agrees(work: &Work, told: &Told, stored: &Stored, faults: &mut Vec<String>) {
    let granted = count(told, Outcome::Granted);
    let left = work.stock.saturating_sub(granted);
    let rows = [
        ("ids decided", stored.decided, told.answers.len() as u64),
        ("units held", Some(stored.held), granted),
        ("units left", Some(stored.left), left),
        ("expiries registered", stored.deadlines, granted),
        ("customers above the limit", stored.above_limit, 0),
    ];
    for (what, has, told) in rows {
        if let Some(has) = has.filter(|has| *has != told) {
            faults.push(format!("{what}: the server has {has}, its answers say {told}"));
        }
    }
}
