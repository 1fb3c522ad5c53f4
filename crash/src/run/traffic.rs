//! Buyers: they reserve, click twice, use a key for something else, confirm, release, extend, or leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::client::{Client, Told};
use crate::evidence::{Answer, Ask, AskedLine};

/// How long a buyer insists.
const INSIST: Duration = Duration::from_secs(20);
/// A hold lives so long.
pub(super) const HOLD_TTL_MS: u32 = 1_500;
/// Units of one SKU for one customer.
pub(super) const UNITS_PER_CUSTOMER_MAX: u32 = 6;

/// Requests that a buyer remembers, to repeat them later.
const REMEMBERED_MAX: usize = 64;

/// What the buyers share.
pub(super) struct Market {
    pub(super) client: Arc<Client>,
    pub(super) skus: Vec<String>,
    /// Requests per second, all buyers together.
    pub(super) rate: u64,
    pub(super) buyers: u64,
    /// Numbers of customers and keys that were used.
    pub(super) serial: AtomicU64,
}

impl Market {
    /// One buyer after the other, until it is over.
    pub(super) fn buyers(&self, number: u64, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let pause = Duration::from_micros(1_000_000 * self.buyers / self.rate.max(1));
        let mut next = Instant::now();
        let mut subject = self.new_subject();
        let mut earlier: Vec<Ask> = Vec::new();
        while !self.client.is_over() {
            if rng.u8(..100) < 25 {
                subject = self.new_subject();
            }
            // Long after, and perhaps after a few owners: the answer must still be the same.
            let requests = if rng.u8(..100) < 12 && !earlier.is_empty() {
                self.client.attempt(&earlier[rng.usize(..earlier.len())], &mut rng);
                1
            } else {
                self.visit(&subject, &mut earlier, &mut rng)
            };
            // A stretch without answers is not made up for: the load stays bounded.
            next = (next + pause * requests).max(Instant::now());
            std::thread::sleep(
                next.saturating_duration_since(Instant::now()).min(Duration::from_millis(500)),
            );
        }
    }

    fn new_subject(&self) -> String {
        format!("buyer-{}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    fn new_key(&self) -> String {
        format!("key-{}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// One purchase or attempt at one; returns about how many requests it took.
    fn visit(&self, subject: &str, earlier: &mut Vec<Ask>, rng: &mut fastrand::Rng) -> u32 {
        let client = &self.client;
        let sku = rng.choice(&self.skus).cloned().unwrap_or_default();
        if rng.u8(..100) < 4 {
            client.attempt(&Ask::Availability { sku }, rng);
            return 1;
        }
        let quantity = if rng.bool() { 1 } else { rng.u32(1..=3) };
        let reserve = |quantity, key: &str| Ask::Reserve {
            subject: subject.to_owned(),
            key: key.to_owned(),
            lines: vec![AskedLine { sku: sku.clone(), quantity }],
        };
        let key = self.new_key();
        let ask = reserve(quantity, &key);
        let Some(answer) = client.insist(&ask, INSIST, rng) else { return 1 };
        let mut requests = 1;
        // As many of the first ones as of the last ones: some are very old in the end.
        if earlier.len() < REMEMBERED_MAX {
            earlier.push(ask.clone());
        } else if rng.bool() {
            let at = rng.usize(..REMEMBERED_MAX);
            earlier[at] = ask.clone();
        }
        if rng.u8(..100) < 8 {
            client.attempt(&ask, rng);
            requests += 1;
        }
        if rng.u8(..100) < 5 {
            client.attempt(&reserve(quantity + 1, &key), rng);
            requests += 1;
        }
        let held = matches!(answer.status, Some(200 | 201)) && answer.state.as_deref() == Some("held");
        match answer.reservation_id {
            Some(id) if held => requests + self.afterwards(subject, &id, rng),
            _ => requests,
        }
    }

    /// What becomes of a hold.
    fn afterwards(&self, subject: &str, id: &str, rng: &mut fastrand::Rng) -> u32 {
        let client = &self.client;
        let (subject, reservation_id) = (subject.to_owned(), id.to_owned());
        let confirm = Ask::Confirm { subject: subject.clone(), reservation_id: reservation_id.clone() };
        let release = Ask::Release { subject: subject.clone(), reservation_id: reservation_id.clone() };
        match rng.u8(..100) {
            0..35 => {
                client.insist(&confirm, INSIST, rng);
                1
            }
            35..55 => {
                client.insist(&release, INSIST, rng);
                1
            }
            55..65 => {
                let key = self.new_key();
                let extend = Ask::Extend { subject, key, reservation_id, by_ms: 300 };
                client.insist(&extend, INSIST, rng);
                client.attempt(&extend, rng);
                client.insist(&confirm, INSIST, rng);
                3
            }
            65..70 => {
                // Two hands on one mouse: of confirmation and release one is first.
                client.attempt(&confirm, rng);
                client.attempt(&release, rng);
                client.insist(&confirm, INSIST, rng);
                3
            }
            70..74 => {
                // Somebody else tries.
                let theirs = Ask::Confirm { subject: format!("{subject}-not"), reservation_id };
                client.attempt(&theirs, rng);
                1
            }
            // About when the deadline comes, or a little later.
            74..79 => {
                let wait = rng.u64(..u64::from(HOLD_TTL_MS) / 5) + u64::from(HOLD_TTL_MS) - 100;
                std::thread::sleep(Duration::from_millis(wait));
                client.insist(&confirm, INSIST, rng);
                1
            }
            _ => 0,
        }
    }

    /// Buys one SKU to the last unit; says whether it got there.
    pub(super) fn buy_out(&self, sku: &str, within: Duration, rng: &mut fastrand::Rng) -> bool {
        let deadline = Instant::now() + within;
        let mut quantity = UNITS_PER_CUSTOMER_MAX;
        while Instant::now() < deadline {
            let (subject, key) = (self.new_subject(), self.new_key());
            let lines = vec![AskedLine { sku: sku.to_owned(), quantity }];
            let ask = Ask::Reserve { subject: subject.clone(), key, lines };
            let Some(answer) = self.client.insist(&ask, INSIST, rng) else { continue };
            match (answer.status, answer.code.as_deref(), answer.reservation_id) {
                (Some(200 | 201), _, Some(reservation_id)) => {
                    self.client.insist(&Ask::Confirm { subject, reservation_id }, INSIST, rng);
                }
                (_, Some("INSUFFICIENT_STOCK"), _) if quantity == 1 => return true,
                (_, Some("INSUFFICIENT_STOCK"), _) => quantity = 1,
                _ => {}
            }
        }
        false
    }
}

/// What a look at a SKU told: on hand, available, held, committed, unavailable, shortfall.
pub(super) fn figures(client: &Client, sku: &str, rng: &mut fastrand::Rng) -> Option<[u64; 6]> {
    match client.attempt(&Ask::Availability { sku: sku.to_owned() }, rng) {
        Some(Told::Decided(Answer { figures, .. })) => figures,
        _ => None,
    }
}
