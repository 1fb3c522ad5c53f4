//! The work that every measurement does: N requests for one unit each, every one with a random 128-bit id and a customer
//! of its own, holds of ten minutes, at most two units per customer.

use bytes::Bytes;
use holdfast_contracts::command::{AdjustStock, BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::limits::{SALE_SKUS_MAX, STOCK_MAX};
use holdfast_contracts::{CustomerId, IntakeId, RequestTag, ReservationId, SaleTerms};

/// SKUs of the Zipf work.
const ZIPF_SKUS: u32 = 10_000;

/// Which stock the requests meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One SKU, enough for all.
    Accept,
    /// One SKU, enough for one request in a hundred.
    Soldout,
    /// 10,000 SKUs, asked for as Zipf's law with exponent 1 has it, enough of each.
    Zipf,
    /// Two SKUs: every tenth request asks for one of which there is enough, the others for one that is gone. What a
    /// partition looks like after a sale: many refusals to remember, some holds that live.
    Mixed,
}

impl Kind {
    /// Those of the tables, in their order.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Soldout, Self::Zipf];

    /// The name in the rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Soldout => "soldout",
            Self::Zipf => "zipf",
            Self::Mixed => "mixed",
        }
    }

    /// How many of so many requests are granted, when there is stock for so many requests.
    #[must_use]
    pub const fn granted(self, requests: u64) -> u64 {
        match self {
            Self::Accept | Self::Zipf => requests,
            Self::Soldout => requests / 100,
            Self::Mixed => requests.div_ceil(10),
        }
    }

    const fn skus(self) -> u32 {
        match self {
            Self::Accept | Self::Soldout => 1,
            Self::Mixed => 2,
            Self::Zipf => ZIPF_SKUS,
        }
    }

    /// Units of a SKU for so many requests.
    fn units(self, sku: usize, requests: u64) -> u64 {
        if self == Self::Mixed && sku > 0 { 0 } else { self.granted(requests).min(STOCK_MAX) }
    }
}

/// A stream of requests of one kind, the same for the same seed.
#[derive(Debug)]
pub struct Work {
    kind: Kind,
    seed: u64,
    requests: u64,
    names: Vec<String>,
    /// Up to which share of all requests each SKU and those before it go.
    shares: Vec<f64>,
    builder: BatchBuilder,
}

/// One step of splitmix64: different numbers give different results.
#[must_use]
pub const fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Work {
    /// The requests of this kind and seed.
    #[must_use]
    pub fn new(kind: Kind, seed: u64) -> Self {
        let skus = kind.skus();
        let weights = (1..=skus).map(|rank| 1.0 / f64::from(rank));
        let total: f64 = weights.clone().sum();
        let shares = weights.scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        });
        Self {
            kind,
            seed: splitmix64(seed),
            requests: 0,
            names: (0..skus).map(|n| format!("SNEAKER-{n:05}")).collect(),
            shares: shares.collect(),
            builder: BatchBuilder::default(),
        }
    }

    /// Its SKUs.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Records that bring the stock for so many requests and open the sale.
    pub fn opening(&mut self, requests: u64) -> Vec<Bytes> {
        let kind = self.kind;
        let mut records = Vec::new();
        let mut units = (0..self.names.len()).map(|sku| kind.units(sku, requests));
        for (number, names) in (0u64..).zip(self.names.chunks(SALE_SKUS_MAX)) {
            let builder = &mut self.builder;
            let sale_id = format!("sale-{number}");
            builder.start(IntakeId(0), RequestTag(0));
            let skus: Vec<u32> = names.iter().map(|name| builder.sku(name)).collect();
            for ((place, sku), on_hand) in (0u64..).zip(&skus).zip(units.by_ref()) {
                builder.push(&Command::SetStock(SetStock {
                    command_id: command_id(number << 32 | place),
                    sku: *sku,
                    on_hand,
                    expected: None,
                    force: false,
                    reason: "opening",
                    reference: "",
                }));
            }
            builder.push(&Command::DefineSale(DefineSale {
                command_id: command_id(number << 32 | 1 << 31),
                sale_id: &sale_id,
                terms: SaleTerms { units_per_customer_max: 2, ..SaleTerms::default() },
                skus: SkuList::of(&skus),
            }));
            builder.push(&Command::OpenSale { sale_id: &sale_id });
            records.push(Bytes::copy_from_slice(builder.bytes()));
        }
        records
    }

    /// A record that adds units of the first SKU.
    pub fn restock(&mut self, units: u32) -> Bytes {
        self.builder.start(IntakeId(0), RequestTag(0));
        let sku = self.builder.sku(&self.names[0]);
        self.builder.push(&Command::AdjustStock(AdjustStock {
            command_id: command_id(1 << 63 | self.requests),
            sku,
            delta: i64::from(units),
            set_aside: 0,
            reason: "more",
            reference: "",
        }));
        Bytes::copy_from_slice(self.builder.bytes())
    }

    /// The next record, of so many requests. It is overwritten by the next call.
    pub fn record(&mut self, requests: u32) -> &[u8] {
        self.builder.start(IntakeId(1), RequestTag(self.requests));
        for _ in 0..requests {
            let random = splitmix64(self.seed ^ self.requests.wrapping_mul(3));
            let sku = self.pick(random);
            let (id, customer) = self.identify();
            let sku = self.builder.sku(&self.names[sku]);
            self.builder.reserve_one(id, customer, Line { sku, quantity: 1 });
            self.requests += 1;
        }
        self.builder.bytes()
    }

    /// The next records, together of so many requests.
    pub fn records(&mut self, requests: u64, per_record: u32) -> Vec<Bytes> {
        let mut left = requests;
        let mut records = Vec::new();
        while left > 0 {
            let count = u32::try_from(left).unwrap_or(per_record).min(per_record);
            records.push(Bytes::copy_from_slice(self.record(count)));
            left -= u64::from(count);
        }
        records
    }

    /// Id and customer of the next request. Both are one-to-one with its number, so none comes twice.
    fn identify(&self) -> (ReservationId, CustomerId) {
        let first = splitmix64(self.seed.wrapping_add(self.requests));
        let second = splitmix64(first ^ 0x5851_f42d_4c95_7f2d);
        let id = (u128::from(first) << 64) | u128::from(second);
        let customer = splitmix64(first.rotate_left(32)).max(1);
        (ReservationId(id.to_le_bytes()), CustomerId(customer))
    }

    fn pick(&self, random: u64) -> usize {
        match self.kind {
            Kind::Accept | Kind::Soldout => return 0,
            Kind::Mixed => return usize::from(!self.requests.is_multiple_of(10)),
            Kind::Zipf => {}
        }
        let share = (random >> 11) as f64 / (1u64 << 53) as f64;
        self.shares.partition_point(|until| *until <= share).min(self.shares.len() - 1)
    }
}

fn command_id(number: u64) -> ReservationId {
    ReservationId((u128::from(number) << 64 | 0x0a11).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_contracts::command::decode_batch;
    use std::collections::{BTreeMap, BTreeSet};

    fn requests(kind: Kind, count: u64) -> Vec<(ReservationId, CustomerId, String)> {
        let mut found = Vec::new();
        for record in Work::new(kind, 1).records(count, 1000) {
            let (mut skus, mut commands) = (Vec::new(), Vec::new());
            decode_batch(&record, &mut skus, &mut commands).expect("our own record");
            for command in commands {
                let Command::Reserve(it) = command else { panic!("{command:?}") };
                let line = it.lines.single().expect("one line");
                assert_eq!(line.quantity, 1);
                found.push((it.reservation_id, it.customer, skus[line.sku as usize].to_owned()));
            }
        }
        found
    }

    #[test]
    fn no_two_requests_share_an_id_or_a_customer() {
        let all = requests(Kind::Accept, 20_500);
        assert_eq!(all.len(), 20_500);
        assert_eq!(all.iter().map(|it| it.0).collect::<BTreeSet<_>>().len(), 20_500);
        assert_eq!(all.iter().map(|it| it.1).collect::<BTreeSet<_>>().len(), 20_500);
    }

    #[test]
    fn zipf_asks_for_each_sku_as_often_as_its_rank_says() {
        let mut counts = BTreeMap::new();
        for (_, _, sku) in requests(Kind::Zipf, 100_000) {
            *counts.entry(sku).or_insert(0u32) += 1;
        }
        // The sum of 1/n up to 10,000 is 9.79: the first gets 10.2 %, the tenth a tenth of that.
        let of = |rank: u32| counts[&format!("SNEAKER-{:05}", rank - 1)];
        assert!((9_700..10_800).contains(&of(1)), "{}", of(1));
        assert!((850..1_200).contains(&of(10)), "{}", of(10));
        assert!(counts.len() > 5_000, "{}", counts.len());
    }

    #[test]
    fn an_opening_keeps_to_the_bounds_of_the_contract() {
        for kind in [Kind::Accept, Kind::Soldout, Kind::Zipf, Kind::Mixed] {
            for record in Work::new(kind, 1).opening(1_000_000) {
                decode_batch(&record, &mut Vec::new(), &mut Vec::new()).expect("a valid record");
            }
        }
    }
}
