//! Nobody has more than the limit, and nobody is refused for a limit that was not reached.

use super::history::{Entry, History};
use super::takings::{Refusal, Takings, surely_taken, units_in_all};
use crate::books::{Code, Customer, Sku};

/// Held and confirmed units count together; what expired or was released counts no more.
pub(super) fn limit_exceeded(history: &History) -> Vec<String> {
    let limit = u64::from(history.facts.units_per_customer_max);
    let takings = Takings::by(history, |entry, sku| (entry.key.customer, sku));
    let mut faults = above(&takings, limit);
    faults.extend(refused_below(history, &takings, limit));
    faults
}

fn above(takings: &Takings<'_, (Customer, Sku)>, limit: u64) -> Vec<String> {
    let mut faults = Vec::new();
    for ((_, sku), shares) in takings.each().filter(|(_, shares)| units_in_all(shares) > limit) {
        for ((_, share), taken) in shares.iter().zip(surely_taken(shares)) {
            if taken > limit {
                faults.push(format!(
                    "a customer had {taken} of at most {limit} units of SKU {} when {} was granted at {:?}",
                    sku.0, share.hold.id, share.hold.position
                ));
            }
        }
    }
    faults
}

/// One line above the limit is reason enough; so it is a fault when there can have been none.
fn refused_below(history: &History, takings: &Takings<'_, (Customer, Sku)>, limit: u64) -> Vec<String> {
    let mut at_most = takings.at_most();
    let mut below = |entry: &Entry| {
        let refusal = Refusal::of(entry, &Code::PurchaseLimit)?;
        let mut had = Vec::new();
        for (sku, units) in entry.body.lines().iter() {
            let taken = at_most.when((entry.key.customer, sku), &refusal);
            if taken + u64::from(units) > limit {
                return None;
            }
            had.push(format!("{units} units of SKU {} with at most {taken} taken", sku.0));
        }
        let what = had.join(", and ");
        Some(format!("{:?} was refused for the limit of {limit}: {what}", entry.key))
    };
    history.entries.iter().filter_map(&mut below).collect()
}
