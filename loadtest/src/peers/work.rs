//! The work that everybody does, as a function of a request's number.

use serde::Serialize;

/// Units that one customer may have.
pub(super) const UNITS_PER_CUSTOMER_MAX: u32 = 2;
/// How long a hold lives.
pub(super) const HOLD_TTL_MS: u64 = 600_000;

/// Customers of a block of requests: each asks twice, and the first of them once more, which is once too often.
const CUSTOMERS_PER_BLOCK: u64 = 50;
const REQUESTS_PER_BLOCK: u64 = CUSTOMERS_PER_BLOCK * 2 + 1;
/// Of so many requests one gets a unit, when there are not enough for all.
const REQUESTS_PER_UNIT: u64 = 100;

/// How much there is of what everybody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// Enough for all.
    Accept,
    /// One unit for a hundred requests.
    SoldOut,
}

impl Workload {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accept, Self::SoldOut];

    /// As it stands in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::SoldOut => "soldout",
        }
    }
}

/// One run's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) requests: u64,
    /// Units on the shelf.
    pub(super) stock: u64,
    /// The ids follow from it.
    pub(super) seed: u64,
}

/// What is asked for: one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: [u8; 16],
    /// From 1 on.
    pub(super) customer: u64,
}

impl Work {
    pub(super) fn new(workload: Workload, requests: u64, seed: u64) -> Self {
        let stock = match workload {
            Workload::Accept => requests,
            Workload::SoldOut => requests.div_ceil(REQUESTS_PER_UNIT),
        };
        Self { requests, stock, seed }
    }

    /// The request with this number. No two have the same id.
    pub(super) fn request(&self, number: u64) -> Request {
        let first = mix(number);
        let second = mix(first ^ self.seed);
        let id = (u128::from(first) << 64) | u128::from(second);
        Request { id: id.to_be_bytes(), customer: customer(number) }
    }

    /// Customers are numbered from 1 to this.
    pub(super) fn customers(&self) -> u64 {
        self.requests.div_ceil(REQUESTS_PER_BLOCK) * CUSTOMERS_PER_BLOCK
    }
}

/// Who asks with this number. The requests of one customer are near each other, so that they meet.
fn customer(number: u64) -> u64 {
    let (block, place) = (number / REQUESTS_PER_BLOCK, number % REQUESTS_PER_BLOCK);
    block * CUSTOMERS_PER_BLOCK + place % CUSTOMERS_PER_BLOCK + 1
}

/// One-to-one: the last step of SplitMix64.
fn mix(number: u64) -> u64 {
    let it = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    it ^ (it >> 31)
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outcome {
    Granted,
    SoldOut,
    OverLimit,
}

impl Outcome {
    pub(super) const ALL: [Self; 3] = [Self::Granted, Self::SoldOut, Self::OverLimit];

    /// What the peers' schema and script write for it.
    pub(super) fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Granted),
            2 => Some(Self::SoldOut),
            3 => Some(Self::OverLimit),
            _ => None,
        }
    }
}

/// What a request was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// Something of a grant that a repetition must tell again: its deadline, or its position. 0 of a refusal.
    pub(super) mark: u64,
    /// It said that it was decided before.
    pub(super) again: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn ids_are_unique_and_one_customer_of_a_block_asks_once_too_often() {
        let work = Work::new(Workload::Accept, REQUESTS_PER_BLOCK * 20, 7);
        let requests: Vec<_> = (0..work.requests).map(|number| work.request(number)).collect();
        let ids: BTreeSet<_> = requests.iter().map(|it| it.id).collect();
        assert_eq!(ids.len() as u64, work.requests);
        let mut asked = BTreeMap::new();
        for it in &requests {
            *asked.entry(it.customer).or_insert(0) += 1;
        }
        assert_eq!((asked.first_key_value(), asked.len() as u64), (Some((&1, &3)), work.customers()));
        assert_eq!(asked.last_key_value(), Some((&work.customers(), &2)));
        assert_eq!(asked.values().filter(|times| **times == 3).count(), 20);
        assert!(asked.values().all(|times| [2, 3].contains(times)));
    }

    #[test]
    fn a_sold_out_shelf_had_a_unit_for_one_of_a_hundred() {
        assert_eq!(Work::new(Workload::SoldOut, 20_000, 1).stock, 200);
        assert_eq!(Work::new(Workload::SoldOut, 101, 1).stock, 2);
        assert_eq!(Work::new(Workload::Accept, 101, 1).stock, 101);
    }
}
