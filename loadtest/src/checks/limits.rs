//! Nobody has more than the limit, and nobody is refused for a limit that was not reached.

use std::collections::BTreeMap;

use super::history::{Entry, History, Hold};
use super::stock::{Refusal, TakenAtMost, surely_taken};
use crate::books::{Code, Customer, Sku};

/// What a customer did with a SKU.
#[derive(Default)]
struct Account<'a> {
    entries: Vec<&'a Entry>,
    /// In order of position.
    holds: Vec<&'a Hold>,
}

/// Held and confirmed units count together; what expired or was released counts no more.
pub(super) fn limit_exceeded(history: &History) -> Vec<String> {
    let mut accounts: BTreeMap<(Customer, Sku), Account> = BTreeMap::new();
    let owner = |entry: &Entry| (entry.key.customer, entry.body.sku);
    for entry in &history.entries {
        accounts.entry(owner(entry)).or_default().entries.push(entry);
    }
    for hold in &history.holds {
        accounts.entry(owner(history.entry(hold))).or_default().holds.push(hold);
    }
    let limit = u64::from(history.facts.units_per_customer_max);
    accounts.values().flat_map(|it| it.above(limit).into_iter().chain(it.refused_below(limit))).collect()
}

impl Account<'_> {
    fn above(&self, limit: u64) -> Vec<String> {
        let mut faults = Vec::new();
        for (hold, taken) in self.holds.iter().zip(surely_taken(&self.holds)) {
            if taken > limit {
                faults.push(format!(
                    "a customer had {taken} of at most {limit} units when {} was granted at {:?}",
                    hold.id, hold.position
                ));
            }
        }
        faults
    }

    fn refused_below(&self, limit: u64) -> Vec<String> {
        let mut faults = Vec::new();
        let taken = TakenAtMost::new(&self.holds, &self.entries);
        for entry in &self.entries {
            let Some(refusal) = Refusal::of(entry, &Code::PurchaseLimit) else { continue };
            let had = taken.when(&refusal);
            let asked = u64::from(entry.body.units);
            if had + asked <= limit {
                faults.push(format!(
                    "{:?} was refused {asked} units for the limit of {limit} with at most {had} taken",
                    entry.key
                ));
            }
        }
        faults
    }
}
