//! The checker: judges a run by its evidence.
//!
//! It decodes records with the decoder of the contract and computes everything else by itself, slowly and plainly. It
//! follows the decisions that were made, and asks of each whether it was allowed where it stands.

mod answers;
mod books;
mod clock;
mod digests;
mod enough;
mod facts;
mod ids;
mod moves;
mod order;
mod partition;
mod reads;
mod reserve;
mod said;
mod stock;
mod stops;
mod stream;
#[cfg(test)]
mod tests;
mod verdict;

use crate::evidence::Evidence;
use facts::Facts;
use partition::PartitionJudge;
use verdict::Findings;
pub use verdict::{Breach, Judgement, Promise, Verdict};

/// Judges a run.
#[must_use]
pub fn check(evidence: &Evidence) -> Verdict {
    let mut findings = Findings::default();
    let mut facts = Facts::default();
    if !evidence.settings.settled {
        findings.unmet("the run was not healed and quiet when its evidence was collected");
    }
    for who in &evidence.settings.unclean {
        findings.unmet(format!("{who} did not end in good order when it was asked to"));
    }
    if evidence.settings.partitions == 0 {
        findings.unmet("the settings name no partitions");
    }
    for partition in 0..evidence.settings.partitions {
        let outputs = stream::read(evidence, partition, &mut findings, &mut facts.counts);
        PartitionJudge::new(partition, evidence.settings.partitions, &mut findings, &mut facts)
            .judge(evidence, &outputs);
    }
    answers::check(evidence, &facts, &mut findings);
    order::check(evidence, &facts, &mut findings);
    reads::check(evidence, &facts, &mut findings);
    digests::check(evidence, &mut facts, &mut findings);
    stops::check(evidence, &mut facts.counts, &mut findings);
    enough::check(evidence, &mut facts, &mut findings);
    findings.into_verdict(facts.counts)
}
