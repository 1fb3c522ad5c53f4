//! The small parts of the state: one page, written whole with every checkpoint.

use holdfast_contracts::decision::SaleState;
use holdfast_contracts::{ControlFingerprint, ControlKey, LogTime, Offset, SaleTerms};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Suspicion};
use crate::hash::{Mix, element, hash_bytes};
use crate::machine::Machine;
use crate::pages::RestoreError;
use crate::rules::Rules;
use crate::sales::Sale;

/// Layout of all pages. A checkpoint of another format is not read; the state is then built from the log.
pub(super) const FORMAT: u32 = 1;
/// The same where there is a control key: its fingerprint follows the meta page. A build that knows of no keys refuses it.
pub(super) const FORMAT_WITH_KEY: u32 = 2;

/// Everything small.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) format: u32,
    pub(super) partition: u32,
    pub(super) partitions: u32,
    now: Option<u64>,
    suspicion: Option<(u64, bool, u32)>,
    rules: (u32, u64, u32),
    generation_began: u64,
    pub(super) generation: u64,
    pub(super) oldest_generation: u64,
    sales: Vec<MetaSale>,
    /// SKU and sale.
    listings: Vec<(u32, u32)>,
    to_serve: Vec<u32>,
    ending: Vec<u32>,
    pub(super) digest: u128,
}

#[derive(Debug, Serialize, Deserialize)]
struct MetaSale {
    id: String,
    durations: [u32; 4],
    maxima: [u32; 3],
    window: (u64, u64),
    waitlist: bool,
    state: u32,
    frozen_since: Option<u64>,
    listings: Vec<u32>,
}

impl MetaSale {
    fn of(sale: &Sale) -> Self {
        let terms = &sale.terms;
        Self {
            id: sale.id.clone(),
            durations: [
                terms.hold_ttl_ms,
                terms.payment_window_ms,
                terms.hold_total_max_ms,
                terms.offer_ttl_ms,
            ],
            maxima: [terms.units_per_customer_max, terms.units_per_reservation_max, terms.extend_max],
            window: (terms.opens_at.0, terms.closes_at.0),
            waitlist: terms.waitlist,
            state: sale.state as u32,
            frozen_since: sale.frozen_since.map(|time| time.0),
            listings: sale.listings.clone(),
        }
    }

    fn sale(self) -> Option<Sale> {
        let [hold_ttl_ms, payment_window_ms, hold_total_max_ms, offer_ttl_ms] = self.durations;
        let [units_per_customer_max, units_per_reservation_max, extend_max] = self.maxima;
        let terms = SaleTerms {
            hold_ttl_ms,
            payment_window_ms,
            units_per_customer_max,
            units_per_reservation_max,
            extend_max,
            hold_total_max_ms,
            offer_ttl_ms,
            opens_at: LogTime(self.window.0),
            closes_at: LogTime(self.window.1),
            waitlist: self.waitlist,
        };
        Some(Sale {
            id: self.id,
            terms,
            state: SaleState::from_code(self.state)?,
            frozen_since: self.frozen_since.map(LogTime),
            listings: self.listings,
        })
    }
}

impl Machine {
    fn meta(&self) -> Meta {
        Meta {
            format: if self.config.control_key.is_some() { FORMAT_WITH_KEY } else { FORMAT },
            partition: self.config.partition.0,
            partitions: self.config.partitions,
            now: self.clock.started().map(|now| now.0),
            suspicion: self.clock.suspicion().map(|s| (s.since.0, s.tick_disagreed, s.sane_ticks)),
            rules: (self.rules.version, self.rules.dedupe_window_ms, self.rules.work_per_record_max),
            generation_began: self.generation_began.0,
            generation: self.ids.generations.number(),
            oldest_generation: self.ids.generations.sums().next().map_or(0, |(number, _)| number),
            sales: self.sales.sales.iter().map(MetaSale::of).collect(),
            listings: self.sales.listings.iter().map(|listing| (listing.sku, listing.sale)).collect(),
            to_serve: self.work.to_serve.iter().copied().collect(),
            ending: self.work.ending.iter().copied().collect(),
            digest: 0,
        }
    }

    /// The meta page of a checkpoint of the state as it is now.
    pub(super) fn meta_page(&self) -> Vec<u8> {
        self.encode(&Meta { digest: self.digest().0, ..self.meta() })
    }

    /// The element of everything small in the digest.
    ///
    /// The oldest generation in the window follows from the number of the current one, as far as anybody can tell.
    pub(crate) fn small_element(&self) -> u128 {
        let bytes = self.encode(&Meta { oldest_generation: 0, ..self.meta() });
        element(4, [hash_bytes(&bytes), Mix::new(4).with(bytes.len() as u64).finish()])
    }

    fn encode(&self, meta: &Meta) -> Vec<u8> {
        let mut bytes = postcard::to_stdvec(meta).expect("writing to a vector does not fail");
        if let Some(key) = self.fingerprint() {
            bytes.extend_from_slice(&key.0);
        }
        bytes
    }

    /// What tells the control key in force from others.
    pub(super) fn fingerprint(&self) -> Option<ControlFingerprint> {
        self.config.control_key.as_ref().map(ControlKey::fingerprint)
    }

    /// Takes over a meta page. Everything else is loaded after it.
    pub(super) fn restore_meta(&mut self, meta: Meta) -> Result<(), RestoreError> {
        let suspicion = meta.suspicion.map(|(since, tick_disagreed, sane_ticks)| Suspicion {
            since: Offset(since),
            tick_disagreed,
            sane_ticks,
        });
        self.clock = Clock::restored(meta.now.map(LogTime), suspicion);
        let (version, dedupe_window_ms, work_per_record_max) = meta.rules;
        self.rules = Rules { version, dedupe_window_ms, work_per_record_max };
        self.generation_began = LogTime(meta.generation_began);
        for sale in meta.sales {
            let sale = sale.sale().ok_or(RestoreError::Contradiction("a sale in an unknown state"))?;
            self.sales.add(sale);
        }
        for (sku, sale) in meta.listings {
            if sale as usize >= self.sales.sales.len() {
                return Err(RestoreError::Contradiction("a listing without its sale"));
            }
            self.sales.add_listing(sku, sale);
        }
        self.work.to_serve = meta.to_serve.into();
        self.work.ending = meta.ending.into();
        Ok(())
    }
}

/// The page, and the fingerprint of the control key that was in force.
pub(super) fn decode(bytes: &[u8]) -> Result<(Meta, Option<ControlFingerprint>), RestoreError> {
    let bad = RestoreError::BadPage { kind: crate::pages::kind::META, page: 0 };
    let (meta, rest) = postcard::take_from_bytes::<Meta>(bytes).map_err(|_| bad)?;
    let key = match (meta.format, rest) {
        (FORMAT, []) => None,
        (FORMAT_WITH_KEY, key) => Some(ControlFingerprint(key.try_into().map_err(|_| bad)?)),
        (FORMAT, _) => return Err(bad),
        (found, _) => return Err(RestoreError::Format { found, known: FORMAT_WITH_KEY }),
    };
    Ok((meta, key))
}
