//! What buyers and their requests are called in the log.

use holdfast_contracts::{CustomerId, IntakeId, PartitionId, ReservationId};

use crate::books::{Customer, Key};

/// The names of one run. The same key has the same id whenever it is asked for; other runs have others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    run: u64,
}

impl Ids {
    pub(super) const fn of(run: u64) -> Self {
        Self { run: mixed(run) }
    }

    /// The partition stands in the first two bytes, as in the intake's ids, so that whoever confirms finds it.
    pub(super) fn reservation(self, key: Key, partition: PartitionId) -> ReservationId {
        let plain = u64::from(key.customer.0) << 32 | u64::from(key.serial);
        // A mixed number is another for each number, so no two keys of a run share an id.
        let low = mixed(plain ^ self.run);
        let high = mixed(low ^ mixed(self.run));
        let mut id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        let [_, _, bytes @ ..] = partition.0.to_be_bytes();
        id[..2].copy_from_slice(&bytes);
        ReservationId(id)
    }

    /// Never 0, which is the system itself.
    pub(super) fn customer(self, customer: Customer) -> CustomerId {
        let high = mixed(self.run ^ 1) | 1 << 63;
        CustomerId(high >> 32 << 32 | u64::from(customer.0))
    }

    /// By this readers know which decisions are theirs. Never 0, which is nobody.
    pub(super) const fn intake(self, number: u64) -> IntakeId {
        IntakeId(mixed(self.run ^ mixed(2 + number)) | 1)
    }
}

/// The partition that an id names.
pub(super) fn partition_of(id: ReservationId) -> PartitionId {
    PartitionId(u32::from(u16::from_be_bytes([id.0[0], id.0[1]])))
}

/// Spreads numbers over all 64 bits. Every step can be undone, so no two numbers become one.
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(customer: u32, serial: u32) -> Key {
        Key { customer: Customer(customer), serial }
    }

    #[test]
    fn a_key_has_one_id_and_shares_it_with_no_other() {
        let ids = Ids::of(7);
        let all: BTreeSet<ReservationId> = (0..100)
            .flat_map(|customer| {
                (0..100).map(move |serial| ids.reservation(key(customer, serial), PartitionId(3)))
            })
            .collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.contains(&Ids::of(7).reservation(key(99, 99), PartitionId(3))));
        assert!(!all.contains(&Ids::of(8).reservation(key(99, 99), PartitionId(3))));
    }

    #[test]
    fn an_id_tells_its_partition() {
        for partition in [0, 1, 255, 256, 1_023].map(PartitionId) {
            assert_eq!(partition_of(Ids::of(1).reservation(key(1, 2), partition)), partition);
        }
    }

    #[test]
    fn customers_are_nobody_elses_and_never_the_system() {
        let all: BTreeSet<CustomerId> =
            (0..100).flat_map(|run| (0..100).map(move |it| Ids::of(run).customer(Customer(it)))).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|it| it.0 != 0));
        assert_ne!(Ids::of(1).intake(0), Ids::of(1).intake(1));
    }
}
