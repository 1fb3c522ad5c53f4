//! Whether there is enough evidence for a clean history to mean anything.

use std::collections::HashMap;

use holdfast_contracts::decision::decode_decisions;

use super::facts::Facts;
use super::verdict::Findings;
use crate::evidence::{Evidence, Fault, Outcome, Role};

/// A killed process writes nothing any more after so long.
const DYING_MS: u64 = 20;

pub(super) fn check(evidence: &Evidence, facts: &mut Facts, findings: &mut Findings) {
    operations(evidence, facts);
    let kills = kills(evidence, facts);
    reemissions(evidence, facts, &kills);
    zombies(evidence, facts);
    let least = &evidence.settings.minimums;
    let counts = &facts.counts;
    let stops = counts.get("stops") + counts.get("heals");
    let digests = counts.get("digests_compared") + counts.get("digests_in_outputs");
    for (name, seen, wanted) in [
        ("kills_mid_traffic", counts.get("kills_mid_traffic"), least.kills_mid_traffic),
        ("acks", counts.get("acks"), least.acks),
        ("unknowns", counts.get("unknowns"), least.unknowns),
        ("duplicate_outputs", counts.get("duplicate_outputs"), least.duplicate_outputs),
        ("zombie_overlaps", counts.get("zombie_overlaps"), least.zombie_overlaps),
        ("expiries", counts.get("expiries"), least.expiries),
        ("sold_out", counts.get("sold_out"), least.sold_out),
        ("replays", counts.get("replays"), least.replays),
        ("id_reused", counts.get("id_reused"), least.id_reused),
        ("reemissions", counts.get("reemissions"), least.reemissions),
        ("digests_compared", digests, least.digests_compared),
        ("broker_failovers", counts.get("broker_failovers"), least.broker_failovers),
        ("stops", stops, least.stops),
    ] {
        if seen < wanted {
            findings.unmet(format!("not enough evidence: {name} is {seen}, at least {wanted} are needed"));
        }
    }
}

fn operations(evidence: &Evidence, facts: &mut Facts) {
    let decided = evidence.operations.iter().filter(|it| matches!(it.outcome, Outcome::Ok(_)));
    let mut answered: Vec<u64> = decided.filter_map(crate::evidence::Operation::ended_us).collect();
    answered.sort_unstable();
    let longest = answered.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    facts.counts.add("longest_silence_ms", longest / 1_000);
    for operation in &evidence.operations {
        let name = match &operation.outcome {
            Outcome::Ok(_) => "acks",
            Outcome::Fail(answer) if answer.decided_by.as_deref() == Some("gate") => "refused_by_gate",
            Outcome::Fail(_) => "failed",
            Outcome::Unknown(_) => "unknowns",
        };
        facts.counts.add(name, 1);
    }
}

/// Kills of Holdfast's processes, in microseconds: counted as in the traffic when a request was under way.
fn kills(evidence: &Evidence, facts: &mut Facts) -> Vec<u64> {
    let mut kills = Vec::new();
    for line in &evidence.faults {
        match &line.fault {
            Fault::Killed { role, .. } => {
                let under_way = |it: &crate::evidence::Operation| {
                    it.invoke.at_us < line.at_us && it.ended_us().is_none_or(|end| end >= line.at_us)
                };
                if evidence.operations.iter().any(under_way) {
                    facts.counts.add("kills_mid_traffic", 1);
                }
                facts.counts.add("kills", 1);
                if matches!(role, Role::Sequencer | Role::Server) {
                    kills.push(line.at_us);
                }
            }
            Fault::BrokerKilled { led, controlled, .. } => {
                facts.counts.add("broker_kills", 1);
                facts.counts.add("broker_failovers", u64::from(*led));
                facts.counts.add("controller_kills", u64::from(*controlled));
            }
            Fault::EndedByItself { .. } => facts.counts.add("ended_by_themselves", 1),
            Fault::DiskFull { .. } => facts.counts.add("disks_full", 1),
            Fault::Doubled { .. } => facts.counts.add("owners_doubled", 1),
            Fault::Paused { .. } => facts.counts.add("pauses", 1),
            _ => {}
        }
    }
    kills
}

/// Commands that lay in the log when a sequencer was killed and were first answered after that.
fn reemissions(evidence: &Evidence, facts: &mut Facts, kills: &[u64]) {
    let started_ms = evidence.settings.started_wall_ms;
    let across = |(appended, answered): &(u64, u64)| {
        kills.iter().any(|at_us| {
            let at_ms = started_ms + at_us / 1_000;
            // What is written within so short a time may be the dying process's own.
            *appended < at_ms && at_ms + DYING_MS < *answered
        })
    };
    let count = facts.answered_ms.values().filter(|it| across(it)).count();
    facts.counts.add("reemissions", count as u64);
}

/// Outputs repeated after a stopped process went on: the first copy was written while it stood still.
fn zombies(evidence: &Evidence, facts: &mut Facts) {
    let started_ms = evidence.settings.started_wall_ms;
    let wall = |at_us: u64| started_ms + at_us / 1_000;
    let mut pauses = Vec::new();
    for (at, line) in evidence.faults.iter().enumerate() {
        let Fault::Paused { who, .. } = &line.fault else { continue };
        let resumed = evidence.faults[at..].iter().find_map(|later| match &later.fault {
            Fault::Resumed { who: resumed, .. } if resumed == who => Some(later.at_us),
            _ => None,
        });
        pauses.extend(resumed.map(|resumed| (wall(line.at_us), wall(resumed))));
    }
    let mut first: HashMap<(u32, u64), u64> = HashMap::new();
    let mut overlaps = 0;
    for record in &evidence.decisions.records {
        let Ok(batch) = decode_decisions(&record.payload) else { continue };
        let at = (record.partition, batch.envelope.out_seq.0);
        let Some(written) = first.get(&at) else {
            first.insert(at, record.append_ms);
            continue;
        };
        let repeated = |(paused, resumed): &(u64, u64)| {
            (*paused..=*resumed).contains(written) && record.append_ms >= *resumed
        };
        overlaps += u64::from(pauses.iter().any(repeated));
    }
    facts.counts.add("zombie_overlaps", overlaps);
}
