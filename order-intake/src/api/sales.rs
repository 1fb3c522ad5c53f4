//! Defining, opening, pausing and closing sales. A sale may have SKUs in every partition, so every partition is told.

use std::collections::BTreeSet;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use bytes::BytesMut;
use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, SkuList};
use holdfast_contracts::decision::SaleState;
use holdfast_contracts::limits::{SALE_SKUS_MAX, SKU_BYTES_MAX};
use holdfast_contracts::{LogTime, PartitionId, SaleTerms};
use holdfast_core::SaleView;
use serde::Deserialize;

use super::call::{Call, InPath, json, look, sale_in_path, tell};
use super::stock::command_id;
use crate::answer::{Answer, Reply as Waited};
use crate::ids::Operation;
use crate::json::{Write, read};
use crate::metrics::Route;
use crate::names::check_name;
use crate::problem::{NOT_FOUND, OUTCOME_UNKNOWN, OVERLOADED, Problem, UNKNOWN_SALE};
use crate::reserve::refused;
use crate::respond::{About, Reply};
use crate::shard::{Wait, current, not_written};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsBody {
    skus: Vec<String>,
    hold_ttl_ms: Option<u32>,
    payment_window_ms: Option<u32>,
    units_per_customer_max: Option<u32>,
    units_per_reservation_max: Option<u32>,
    extend_max: Option<u32>,
    hold_total_max_ms: Option<u32>,
    offer_ttl_ms: Option<u32>,
    opens_at: Option<u64>,
    closes_at: Option<u64>,
    waitlist: Option<bool>,
}

impl TermsBody {
    /// The terms, with whatever was left out as it fits the rest.
    fn terms(&self) -> SaleTerms {
        let default = SaleTerms::default();
        let hold_ttl_ms = self.hold_ttl_ms.unwrap_or(default.hold_ttl_ms);
        let offer_ttl_ms = self.offer_ttl_ms.unwrap_or(hold_ttl_ms);
        let total = default.hold_total_max_ms.max(hold_ttl_ms).max(offer_ttl_ms);
        SaleTerms {
            hold_ttl_ms,
            payment_window_ms: self.payment_window_ms.unwrap_or(default.payment_window_ms),
            units_per_customer_max: self.units_per_customer_max.unwrap_or(default.units_per_customer_max),
            units_per_reservation_max: self
                .units_per_reservation_max
                .unwrap_or(default.units_per_reservation_max),
            extend_max: self.extend_max.unwrap_or(default.extend_max),
            hold_total_max_ms: self.hold_total_max_ms.unwrap_or(total),
            offer_ttl_ms,
            opens_at: LogTime(self.opens_at.unwrap_or(0)),
            closes_at: LogTime(self.closes_at.unwrap_or(0)),
            waitlist: self.waitlist.unwrap_or(default.waitlist),
        }
    }

    fn check(&self) -> Result<SaleTerms, Problem> {
        if self.skus.is_empty() {
            return Err(Problem::at("/skus", "at least one SKU"));
        }
        let mut seen = BTreeSet::new();
        for (at, sku) in self.skus.iter().enumerate() {
            check_name(sku, SKU_BYTES_MAX).map_err(|detail| Problem::at(format!("/skus/{at}"), detail))?;
            if !seen.insert(sku) {
                return Err(Problem::at(format!("/skus/{at}"), "named twice"));
            }
        }
        let terms = self.terms();
        let alone = |one: SaleTerms| one.are_valid();
        let default = SaleTerms {
            hold_total_max_ms: holdfast_contracts::limits::DURATION_MS_MAX,
            ..SaleTerms::default()
        };
        // Which of them does not fit by itself; what is left is how they relate.
        let each = [
            ("/hold_ttl_ms", SaleTerms { hold_ttl_ms: terms.hold_ttl_ms, ..default }),
            ("/payment_window_ms", SaleTerms { payment_window_ms: terms.payment_window_ms, ..default }),
            ("/offer_ttl_ms", SaleTerms { offer_ttl_ms: terms.offer_ttl_ms, ..default }),
            ("/extend_max", SaleTerms { extend_max: terms.extend_max, ..default }),
            ("/closes_at", SaleTerms { opens_at: terms.opens_at, closes_at: terms.closes_at, ..default }),
        ];
        match each.into_iter().find(|(_, one)| !alone(*one)) {
            Some((pointer, _)) => Err(Problem::at(
                pointer,
                "out of its range: durations are 1 ms to 30 days, \
                 extend_max is at most 15, and a sale closes after it opens",
            )),
            None if !terms.are_valid() => Err(Problem::at(
                "/hold_total_max_ms",
                "1 ms to 30 days, and not below hold_ttl_ms or offer_ttl_ms",
            )),
            None => Ok(terms),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    #[serde(default)]
    freeze_ttl: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoBody {}

pub(super) async fn define(InPath(id): InPath<String>, request: Request) -> Response {
    tell(request, Route::Admin, |call| defined(call, id)).await
}

pub(super) async fn change(InPath((id, action)): InPath<(String, String)>, request: Request) -> Response {
    tell(request, Route::Admin, |call| changed(call, id, action)).await
}

pub(super) async fn show(InPath(id): InPath<String>, request: Request) -> Response {
    tell(request, Route::Admin, |call| shown(call, id)).await
}

async fn defined(call: Call, id: String) -> Result<Reply, Problem> {
    let principal = call.admin()?;
    sale_in_path(&id)?;
    // One id for all partitions: each remembers its own part of the definition under it.
    let command_id = command_id(&call, &principal, Operation::DefineSale, &id, PartitionId(0))?;
    let (about, until) = (call.about, call.until);
    let bytes = call.json().await?;
    let body: TermsBody = read(&bytes)?;
    let terms = body.check()?;
    let partitions = current().shared.partitions;
    let mut skus: Vec<Vec<&str>> = vec![Vec::new(); partitions as usize];
    for sku in &body.skus {
        skus[current().shared.partition(sku).0 as usize].push(sku);
    }
    if skus.iter().any(|skus| skus.len() > SALE_SKUS_MAX) {
        return Err(Problem::at("/skus", format!("at most {SALE_SKUS_MAX} in one partition")));
    }
    tell_all(about, until, &id, |partition, builder| {
        let skus = &skus[partition.0 as usize];
        let indexes: Vec<u32> = skus.iter().map(|sku| builder.sku(sku)).collect();
        builder.push(&Command::DefineSale(DefineSale {
            command_id,
            sale_id: &id,
            terms,
            skus: SkuList::of(&indexes),
        }));
    })
    .await
}

async fn changed(call: Call, id: String, action: String) -> Result<Reply, Problem> {
    call.admin()?;
    sale_in_path(&id)?;
    let (about, until) = (call.about, call.until);
    let body = call.optional_json().await?;
    let command = match action.as_str() {
        "pause" => {
            let body = body.map_or(Ok(PauseBody::default()), |body| read::<PauseBody>(&body))?;
            Command::PauseSale { sale_id: &id, freeze_ttl: body.freeze_ttl }
        }
        "open" | "close" => {
            if let Some(body) = body {
                read::<NoBody>(&body)?;
            }
            if action == "open" {
                Command::OpenSale { sale_id: &id }
            } else {
                Command::CloseSale { sale_id: &id }
            }
        }
        _ => return Err(Problem::plain(&NOT_FOUND)),
    };
    tell_all(about, until, &id, |_, builder| builder.push(&command)).await
}

/// Sends a command to every partition and waits for all decisions. The first refusal is the answer; what other
/// partitions did stays done, and the same command can be repeated.
async fn tell_all(
    about: About,
    until: Instant,
    sale: &str,
    mut write: impl FnMut(PartitionId, &mut BatchBuilder),
) -> Result<Reply, Problem> {
    let waits: Vec<Wait> = {
        let shard = current();
        let partitions = (0..shard.shared.partitions).map(PartitionId);
        partitions.clone().try_for_each(|partition| shard.admit(partition)).and_then(|()| {
            partitions
                .map(|partition| shard.submit_large(partition, until, |builder| write(partition, builder)))
                .collect()
        })?
    };
    let mut refusal = None;
    let mut state = SaleState::Draft;
    for wait in waits {
        let problem = match wait.await {
            Waited::Decided(decided) => match &decided.answer {
                Answer::Sale { state: now } => {
                    state = *now;
                    continue;
                }
                Answer::Refused { reason, sku, value } => {
                    refused(*reason, sku.clone(), *value, None, &decided)
                }
                _ => Problem::plain(&OUTCOME_UNKNOWN),
            },
            Waited::NotWritten(why) => not_written(why),
            Waited::Late | Waited::Unknown => Problem::plain(&OUTCOME_UNKNOWN),
            Waited::Proceed | Waited::SoldOut(_) | Waited::Remembered => Problem::plain(&OVERLOADED),
        };
        refusal = refusal.or(Some(problem));
    }
    match refusal {
        Some(problem) => Err(problem),
        None => Ok(json(&about, 200, |out| {
            out.text("{\"sale_id\":");
            out.string(sale);
            out.text(",\"state\":\"");
            out.text(state.name());
            out.text("\"}");
        })),
    }
}

async fn shown(call: Call, id: String) -> Result<Reply, Problem> {
    call.admin()?;
    sale_in_path(&id)?;
    let mut whole: Option<SaleView> = None;
    let partitions = current().shared.partitions;
    for partition in (0..partitions).map(PartitionId) {
        let name = id.clone();
        let part = look(partition, call.until, move |machine, _| machine.view_sale(&name)).await?;
        match (&mut whole, part) {
            (Some(whole), Some(part)) => whole.skus.extend(part.skus),
            (None, part) => whole = part,
            (_, None) => {}
        }
    }
    let mut sale = whole.ok_or_else(|| Problem::plain(&UNKNOWN_SALE))?;
    sale.skus.sort_unstable();
    Ok(json(&call.about, 200, |out| write_sale(out, &sale)))
}

fn write_sale(out: &mut BytesMut, sale: &SaleView) {
    out.text("{\"sale_id\":");
    out.string(&sale.id);
    out.text(",\"state\":\"");
    out.text(sale.state.name());
    out.text("\",\"skus\":[");
    for (at, sku) in sale.skus.iter().enumerate() {
        if at > 0 {
            out.text(",");
        }
        out.string(sku);
    }
    out.text("]");
    let terms = &sale.terms;
    let numbers = [
        ("hold_ttl_ms", u64::from(terms.hold_ttl_ms)),
        ("payment_window_ms", u64::from(terms.payment_window_ms)),
        ("units_per_customer_max", u64::from(terms.units_per_customer_max)),
        ("units_per_reservation_max", u64::from(terms.units_per_reservation_max)),
        ("extend_max", u64::from(terms.extend_max)),
        ("hold_total_max_ms", u64::from(terms.hold_total_max_ms)),
        ("offer_ttl_ms", u64::from(terms.offer_ttl_ms)),
        ("opens_at", terms.opens_at.0),
        ("closes_at", terms.closes_at.0),
    ];
    for (name, value) in numbers {
        out.text(",\"");
        out.text(name);
        out.text("\":");
        out.number(value);
    }
    out.text(",\"waitlist\":");
    out.text(if terms.waitlist { "true}" } else { "false}" });
}
