//! Memory per live hold and per remembered refusal, everything counted: what the process grew by, pages that tables
//! asked for and have not filled included.

use std::collections::HashMap;

use holdfast_benches::pipeline::Result;
use holdfast_benches::work::{Kind, Work, splitmix64};

use super::machine::Fed;
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const HOLD: &[&str] = &["memory_live_hold"];
pub(crate) const REFUSAL: &[&str] = &["memory_refusal"];

/// How often memory is looked at while a table grows.
const LOOKS: u64 = 40;

/// Bytes of memory that this process occupies.
fn resident() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find(|line| line.starts_with("Rss:")).ok_or("no Rss in smaps_rollup")?;
    let kib = line.split_whitespace().nth(1).ok_or("no number after Rss")?;
    Ok(kib.parse::<u64>()? << 10)
}

/// Bytes each, as seen from outside and as the machine says.
#[derive(Default)]
struct Bytes {
    resident: f64,
    /// The most at any look in the second half of the way: tables are emptiest just after they have grown.
    worst: f64,
    said: f64,
}

/// Feeds a machine of its own, which stays: what it would free, the comparison after it would use again.
///
/// `expected` is how many ids it was told of beforehand: all of them, or none.
fn grow(kind: Kind, requests: u64, expected: u64) -> Result<(Bytes, Fed)> {
    let before = resident()?;
    let holds = if kind == Kind::Soldout { 0 } else { expected };
    let (mut fed, mut work) = (Fed::expecting(expected, holds)?, Work::new(kind, 1));
    // Twice as many, so that the last records find units whatever their size is rounded to.
    for record in work.opening(if kind == Kind::Soldout { 0 } else { 2 * requests }) {
        fed.feed(&record)?;
    }
    let mut bytes = Bytes::default();
    for look in 1..=LOOKS {
        fed.feed_from(&mut work, requests / LOOKS)?;
        let sizes = fed.machine.sizes();
        let each = |bytes: u64| bytes as f64 / sizes.ids as f64;
        bytes.resident = each(resident()?.saturating_sub(before));
        bytes.said = each(sizes.memory_bytes);
        if look >= LOOKS / 2 {
            bytes.worst = bytes.worst.max(bytes.resident).max(bytes.said);
        }
    }
    Ok((bytes, fed))
}

/// The same in hash maps of the standard library: id to value, and customer to units when there is a hold.
fn hash_maps<const VALUE: usize>(count: u64, customers: bool) -> Result<f64> {
    let before = resident()?;
    let (mut ids, mut accounts) = (HashMap::new(), HashMap::new());
    for n in 0..count {
        let random = splitmix64(n);
        ids.insert((random, splitmix64(random)), [1u8; VALUE]);
        if customers {
            accounts.insert(random, 1u32);
        }
    }
    let each = resident()?.saturating_sub(before) as f64 / count as f64;
    assert_eq!((ids.len() as u64, accounts.is_empty()), (count, !customers), "all are there");
    Ok(each)
}

/// Both machines are measured: the one that was told how many to expect, and the one that was not.
struct Both {
    told: Bytes,
    untold: Bytes,
}

fn row(name: &'static str, both: &Both, fed: &Fed, peer: (&'static str, f64), goal: f64) -> Row {
    let Both { told, untold } = both;
    Measured::new(name, told.resident.max(told.said), "B")
        .peer(peer.0, peer.1)
        .with("of_the_process", told.resident)
        .with("as_the_machine_says", told.said)
        .with("not_told_what_to_expect", untold.resident.max(untold.said))
        .with("not_told_worst_since_half_as_many", untold.worst)
        .with("ids_remembered", fed.machine.sizes().ids)
        .with("units_held", fed.held())
        .goals(&[Goal::AtMost(goal)])
}

const fn count(setup: &Setup) -> u64 {
    setup.size(10_000_000, 1_000_000)
}

pub(crate) fn measure_hold(setup: &Setup) -> Result<Vec<Row>> {
    let (told, fed) = grow(Kind::Accept, count(setup), count(setup))?;
    let (untold, _stays) = grow(Kind::Accept, count(setup), 0)?;
    // Two administrative commands are remembered as well.
    if fed.held() + 2 < fed.machine.sizes().ids {
        return Err(format!("only {} units are held", fed.held()).into());
    }
    let peer =
        ("std HashMaps: id to a hold of 40 B, customer to units", hash_maps::<40>(count(setup), true)?);
    Ok(vec![row(HOLD[0], &Both { told, untold }, &fed, peer, 96.0)])
}

pub(crate) fn measure_refusal(setup: &Setup) -> Result<Vec<Row>> {
    let (told, fed) = grow(Kind::Soldout, count(setup), count(setup))?;
    let (untold, _stays) = grow(Kind::Soldout, count(setup), 0)?;
    if fed.held() != 0 {
        return Err(format!("{} units are held", fed.held()).into());
    }
    let peer = ("std HashMap: id to an answer of 8 B", hash_maps::<8>(count(setup), false)?);
    Ok(vec![row(REFUSAL[0], &Both { told, untold }, &fed, peer, 32.0)])
}
