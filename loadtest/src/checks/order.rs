//! First come, first served: whoever was answered before somebody else asked has the smaller place.

use std::collections::BTreeMap;

use super::history::{Decision, Entry, History};
use crate::books::{Moment, Position, Sku};

/// Together with the checks of the stock, which follow the places, this says that units went out in the order in which
/// people came, as far as anybody outside can tell.
pub(super) fn out_of_order(history: &History) -> Vec<String> {
    let placed: Vec<(Position, &Entry, &Decision)> = history
        .placed
        .iter()
        .filter_map(|index| {
            let entry = &history.entries[*index];
            let decision = entry.of_the_sale()?;
            Some((decision.position()?, entry, decision))
        })
        .collect();
    let mut faults = Vec::new();
    for partition in placed.chunk_by(|one, other| one.0.partition == other.0.partition) {
        // From the back: the earliest answer to anybody who stands behind.
        let mut behind: Option<(Moment, Position)> = None;
        for (position, entry, decision) in partition.iter().rev() {
            if let Some((told, other)) = behind
                && told < entry.first_sent
            {
                faults.push(format!(
                    "{:?} asked after the one at {other:?} was answered, and stands before it at {position:?}",
                    entry.key
                ));
            }
            if behind.is_none_or(|(told, _)| decision.first_told < told) {
                behind = Some((decision.first_told, *position));
            }
        }
    }
    faults.extend(in_two_partitions(&placed));
    faults
}

/// Places compare within a partition only, so a SKU that is decided in two has no order at all.
fn in_two_partitions(placed: &[(Position, &Entry, &Decision)]) -> Vec<String> {
    let mut homes: BTreeMap<Sku, u32> = BTreeMap::new();
    let mut faults = Vec::new();
    for (position, entry, _) in placed {
        for (sku, _) in entry.body.lines().iter() {
            let home = *homes.entry(sku).or_insert(position.partition);
            if home != position.partition {
                faults.push(format!("SKU {} was decided in partition {home} and at {position:?}", sku.0));
            }
        }
    }
    faults
}
