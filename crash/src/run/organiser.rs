//! Sets the sale up, puts more on the shelf, and closes in the end so that everything can be counted.

use std::time::{Duration, Instant};

use super::RunError;
use super::client::{Client, Told, operator};
use super::traffic::{HOLD_TTL_MS, Market, UNITS_PER_CUSTOMER_MAX, figures};
use crate::evidence::{Ask, AskedLine, Terms};

const SALE: &str = "crash";
/// Units of each SKU in the beginning.
const UNITS: u64 = 60;
/// How long each step may take when nothing disturbs.
const STEP_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn must(what: &str, done: Option<u16>) -> Result<(), RunError> {
    match done {
        Some(200 | 201) => Ok(()),
        other => Err(RunError::Failed(format!("{what} was answered {other:?}"))),
    }
}

/// Stock for every SKU, one sale over all of them, and a last SKU of each partition that nobody buys.
pub(super) fn open_sale(market: &Market, last: &[String], rng: &mut fastrand::Rng) -> Result<(), RunError> {
    let client = &market.client;
    let all: Vec<String> = market.skus.iter().chain(last).cloned().collect();
    for sku in &all {
        let on_hand = if last.contains(sku) { 1_000_000 } else { UNITS };
        let (subject, key) = (operator().to_owned(), format!("stock-{sku}"));
        let ask = Ask::SetStock { subject, key, sku: sku.clone(), on_hand };
        must("setting stock", client.insist(&ask, STEP_WITHIN, rng).and_then(|it| it.status))?;
    }
    let (subject, key, sale_id) = (operator().to_owned(), "sale".to_owned(), SALE.to_owned());
    let terms = Terms { hold_ttl_ms: HOLD_TTL_MS, units_per_customer_max: UNITS_PER_CUSTOMER_MAX };
    let define = Ask::DefineSale { subject, key, sale_id: sale_id.clone(), skus: all, terms };
    must("defining the sale", client.insist(&define, STEP_WITHIN, rng).and_then(|it| it.status))?;
    must(
        "opening the sale",
        client.insist(&Ask::OpenSale { sale_id }, STEP_WITHIN, rng).and_then(|it| it.status),
    )
}

/// Puts a few units on the shelf now and then, and sets some aside, until it is over.
pub(super) fn restock(market: &Market, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let client = &market.client;
    let mut number = 0u64;
    while !client.is_over() {
        number += 1;
        let sku = rng.choice(&market.skus).cloned().unwrap_or_default();
        let (delta, set_aside) = match rng.u8(..10) {
            0 => (-1, 0),
            1 => (3, 1),
            2 => (0, -1),
            _ => (rng.i64(5..40), 0),
        };
        let (subject, key) = (operator().to_owned(), format!("more-{number}"));
        let ask = Ask::AdjustStock { subject, key, sku, delta, set_aside };
        client.insist(&ask, STEP_WITHIN, &mut rng);
        std::thread::sleep(Duration::from_millis(rng.u64(50..250)));
    }
}

/// When nothing disturbs any more: everything is bought out, every intake's last request in every partition is decided,
/// and no hold is left.
pub(super) fn close(
    market: &Market,
    last: &[String],
    rng: &mut fastrand::Rng,
) -> Result<Vec<String>, RunError> {
    wait_for_no_holds(market, last, rng)?;
    let mut bought_out = Vec::new();
    for sku in &market.skus {
        if market.buy_out(sku, STEP_WITHIN, rng) {
            bought_out.push(sku.clone());
        }
    }
    // What an intake sent before lies before this, so nothing that clients do not know of is still on its way.
    for (life, address) in market.client.targets.all() {
        for sku in last {
            last_word(market, &life, address, sku)?;
        }
    }
    wait_for_no_holds(market, last, rng)?;
    Ok(bought_out)
}

fn last_word(market: &Market, life: &str, address: std::net::SocketAddr, sku: &str) -> Result<(), RunError> {
    let deadline = Instant::now() + STEP_WITHIN;
    let (subject, key) = (format!("last-{life}"), format!("last-{life}-{sku}"));
    let lines = vec![AskedLine { sku: sku.to_owned(), quantity: 1 }];
    let mut ask = Ask::Reserve { subject: subject.clone(), key, lines };
    while Instant::now() < deadline {
        if let Told::Decided(answer) = market.client.send(life, address, &ask) {
            match (&ask, answer.reservation_id) {
                (Ask::Reserve { .. }, Some(reservation_id)) => {
                    ask = Ask::Release { subject: subject.clone(), reservation_id };
                }
                _ => return Ok(()),
            }
        } else {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Err(RunError::Failed(format!("intake {life} does not decide about {sku} although nothing disturbs")))
}

fn wait_for_no_holds(market: &Market, last: &[String], rng: &mut fastrand::Rng) -> Result<(), RunError> {
    let deadline = Instant::now() + STEP_WITHIN;
    for sku in market.skus.iter().chain(last) {
        loop {
            match figures(&market.client, sku, rng) {
                Some([_, _, 0, ..]) => break,
                _ if Instant::now() > deadline => {
                    return Err(RunError::Failed(format!(
                        "holds of {sku} do not end although nothing disturbs"
                    )));
                }
                _ => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
    Ok(())
}

/// So many SKUs, and for each partition one that nobody buys.
pub(super) fn skus(
    partitions: u32,
    each: u32,
    partition_of: impl Fn(&str) -> u32,
) -> (Vec<String>, Vec<String>) {
    let (mut skus, mut last) = (Vec::new(), Vec::new());
    for partition in 0..partitions {
        let here: Vec<String> = (0..)
            .map(|n: u32| format!("SKU-{n}"))
            .filter(|sku| partition_of(sku) == partition)
            .take(each as usize + 1)
            .collect();
        skus.extend_from_slice(&here[1..]);
        last.push(here[0].clone());
    }
    (skus, last)
}

/// Whether buyers are being answered: waits for so many more answers.
pub(super) fn wait_for_acks(client: &Client, more: u64, within: Duration) -> bool {
    let (deadline, wanted) = (Instant::now() + within, client.recorder.acks() + more);
    while client.recorder.acks() < wanted {
        if Instant::now() > deadline || client.is_over() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}
