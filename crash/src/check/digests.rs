//! Equal offsets, equal digests.

use std::collections::HashMap;

use super::facts::Facts;
use super::verdict::{Findings, Promise};
use crate::evidence::{Evidence, Place};

pub(super) fn check(evidence: &Evidence, facts: &mut Facts, findings: &mut Findings) {
    let carried = facts.digests.iter().map(|(at, digest)| (*at, ("an output".to_owned(), digest.clone())));
    let mut known: HashMap<(u32, u64), (String, String)> = carried.collect();
    for told in &evidence.digests {
        let at = (told.partition, told.next_offset);
        let Some((who, digest)) = known.get(&at) else {
            known.insert(at, (told.who.clone(), told.digest.clone()));
            continue;
        };
        if *who != told.who {
            facts.counts.add("digests_compared", 1);
        }
        if *digest != told.digest {
            let what =
                format!("{} has digest {} before this offset, {who} has {digest}", told.who, told.digest);
            let place = Place { partition: told.partition, offset: told.next_offset, index: 0 };
            findings.broken(Promise::S6, Some(place), &[], what);
        }
    }
}
