//! Partitions that must refuse to go on, and did, for the right reason; and what processes say that they never should.

use super::verdict::{Counts, Findings, Promise};
use crate::evidence::{Evidence, Fault};

pub(super) fn check(evidence: &Evidence, counts: &mut Counts, findings: &mut Findings) {
    for line in &evidence.faults {
        if let Fault::Complained { who, what } = &line.fault {
            findings.broken(
                Promise::S14,
                None,
                &[],
                format!("{who} says, though nobody harmed its files: {what}"),
            );
        }
        let Fault::MustStop { scenario, reasons } = &line.fault else { continue };
        let ends: Vec<(&str, &str)> =
            evidence.faults.iter().filter_map(|it| end(&it.fault, scenario)).collect();
        match ends[..] {
            [] => {
                let what =
                    format!("{scenario}: the partition had to refuse ({}) and went on", reasons.join(" or "));
                findings.broken(Promise::S13, None, &[], what);
            }
            [(_, said), ..] if !reasons.iter().any(|reason| said.contains(reason.as_str())) => {
                let what = format!("{scenario}: it said {said:?}, not {}", reasons.join(" or "));
                findings.broken(Promise::S13, None, &[], what);
            }
            [(counted, _), ..] => counts.add(if counted == "stopped" { "stops" } else { "heals" }, 1),
        }
    }
}

fn end<'a>(fault: &'a Fault, of: &str) -> Option<(&'static str, &'a str)> {
    match fault {
        Fault::Stopped { scenario, reason } if scenario == of => Some(("stopped", reason)),
        Fault::Healed { scenario, how } if scenario == of => Some(("healed", how)),
        _ => None,
    }
}
