//! What a scenario must be like beyond its form.

use toml::Spanned;

use super::fault;
use super::file::{Popularity, Scenario, Shape, Stage};
use super::place;
use crate::drive::Template;

/// Longest run.
pub(super) const DURATION_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
/// More requests per second than any machine that this runs on can send.
const RATE_MAX: f64 = 5_000_000.0;
const CONNECTIONS_MAX: u32 = 60_000;

/// Where, and what.
pub(super) type Wrong = (usize, String);

/// The first thing that is wrong: where, and what.
pub(super) fn check(scenario: &Scenario) -> Result<(), Wrong> {
    within(&scenario.connections, 1, CONNECTIONS_MAX, "connections")?;
    sale(scenario)?;
    buyers(scenario)?;
    within(&scenario.client.timeout_ms, 1, 600_000, "timeout_ms")?;
    within(&scenario.client.retries, 0, 1_000, "retries")?;
    within(&scenario.client.backoff_ms, 0, 600_000, "backoff_ms")?;
    let after = &scenario.after;
    share(&after.confirm, "confirm")?;
    share(&after.release, "release")?;
    if after.confirm.get_ref() + after.release.get_ref() > 1.0 {
        return Err((
            place(&after.release),
            "confirm and release are shares of one: together at most 1".to_owned(),
        ));
    }
    range(&after.delay_ms, "delay_ms")?;
    share(&scenario.readers.share, "share")?;
    if let Some(api) = &scenario.api {
        Template::new(api, "host")?;
    }
    for threshold in &scenario.thresholds {
        threshold.read().map_err(|what| (place(&threshold.that), what))?;
    }
    let length_ms = stages(&scenario.stages)?;
    fault::check(&scenario.faults, length_ms)
}

fn sale(scenario: &Scenario) -> Result<(), Wrong> {
    let sale = &scenario.sale;
    within(&sale.skus, 1, u16::MAX, "skus")?;
    within(&sale.units, 0, 1_000_000_000_000, "units")?;
    within(&sale.units_per_customer_max, 1, 1_000_000, "units_per_customer_max")?;
    within(&sale.hold_ttl_ms, 1_000, 86_400_000, "hold_ttl_ms")
}

fn buyers(scenario: &Scenario) -> Result<(), Wrong> {
    let buyers = &scenario.buyers;
    within(&buyers.customers, 1, 1_000_000, "customers")?;
    match *buyers.popularity.get_ref() {
        Popularity::Hot { share } if !(0.0..=1.0).contains(&share) => {
            return Err((place(&buyers.popularity), format!("share is {share}; it lies between 0 and 1")));
        }
        Popularity::Zipf { s } if !(s > 0.0 && s <= 10.0) => {
            return Err((place(&buyers.popularity), format!("s is {s}; it lies above 0 and is at most 10")));
        }
        Popularity::Hot { .. } | Popularity::Zipf { .. } | Popularity::Uniform => {}
    }
    let [least, most] = *buyers.units.get_ref();
    if least == 0 || least > most {
        return Err((
            place(&buyers.units),
            format!("units [{least}, {most}] names no range of at least 1 unit"),
        ));
    }
    range(&buyers.double_click_ms, "double_click_ms")?;
    for (value, name) in [
        (&buyers.multi_line, "multi_line"),
        (&buyers.partial, "partial"),
        (&buyers.double_click, "double_click"),
        (&buyers.key_reuse, "key_reuse"),
        (&buyers.bots, "bots"),
        (&buyers.bot_requests, "bot_requests"),
    ] {
        share(value, name)?;
    }
    if *buyers.multi_line.get_ref() > 0.0 && *scenario.sale.skus.get_ref() < 2 {
        return Err((place(&buyers.multi_line), "several lines need several SKUs: raise skus".to_owned()));
    }
    Ok(())
}

/// How long they take together.
fn stages(stages: &Spanned<Vec<Stage>>) -> Result<u64, Wrong> {
    let all = stages.get_ref();
    if all.is_empty() {
        return Err((place(stages), "there is no stage: add [[stage]] with duration_ms and rate".to_owned()));
    }
    let mut total: u64 = 0;
    for stage in all {
        within(&stage.duration_ms, 1, DURATION_MAX_MS, "duration_ms")?;
        total = total.saturating_add(*stage.duration_ms.get_ref());
        if total > DURATION_MAX_MS {
            return Err((place(&stage.duration_ms), "the stages take more than a day".to_owned()));
        }
        rate(&stage.rate)?;
        match (stage.shape, &stage.to) {
            (Shape::Linear | Shape::Spike, None) => {
                return Err((
                    place(&stage.duration_ms),
                    "a stage that is linear or a spike says with `to` where the rate goes".to_owned(),
                ));
            }
            (Shape::Const | Shape::Poisson, Some(to)) => {
                return Err((
                    place(to),
                    "only linear stages and spikes go anywhere: leave `to` out".to_owned(),
                ));
            }
            (Shape::Linear | Shape::Spike, Some(to)) => rate(to)?,
            (Shape::Const | Shape::Poisson, None) => {}
        }
    }
    Ok(total)
}

fn rate(value: &Spanned<f64>) -> Result<(), Wrong> {
    let rate = *value.get_ref();
    if (0.0..=RATE_MAX).contains(&rate) {
        return Ok(());
    }
    Err((place(value), format!("a rate of {rate} is not between 0 and {RATE_MAX} per second")))
}

fn share(value: &Spanned<f64>, name: &str) -> Result<(), Wrong> {
    let share = *value.get_ref();
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err((place(value), format!("{name} is {share}; a share lies between 0 and 1")))
}

fn range(value: &Spanned<[u64; 2]>, name: &str) -> Result<(), Wrong> {
    let [least, most] = *value.get_ref();
    if least <= most && most <= DURATION_MAX_MS {
        return Ok(());
    }
    Err((place(value), format!("{name} [{least}, {most}] names no range of milliseconds")))
}

pub(super) fn within<T: PartialOrd + Copy + std::fmt::Display>(
    value: &Spanned<T>,
    least: T,
    most: T,
    name: &str,
) -> Result<(), Wrong> {
    let found = *value.get_ref();
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err((place(value), format!("{name} is {found}; it lies between {least} and {most}")))
}
