//! Setting and adjusting stock.

use std::borrow::Cow;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use holdfast_contracts::command::{AdjustStock, BatchBuilder, Command, SetStock};
use holdfast_contracts::decision::Reason;
use holdfast_contracts::limits::{STOCK_MAX, TEXT_BYTES_MAX};
use holdfast_contracts::{PartitionId, ReservationId};
use serde::Deserialize;

use super::availability::write_figures;
use super::call::{Call, InPath, json, sku_in_path, tell};
use crate::answer::{Answer, Reply as Waited};
use crate::auth::Principal;
use crate::headers;
use crate::ids::{Operation, random};
use crate::json::{Write, read};
use crate::metrics::Route;
use crate::problem::{OUTCOME_UNKNOWN, OVERLOADED, Problem, UNAVAILABLE};
use crate::reserve::refused;
use crate::respond::{About, Reply, write_decided};
use crate::shard::{current, not_written};
use crate::trace::hex;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBody<'a> {
    on_hand: u64,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    reference: Cow<'a, str>,
    #[serde(default)]
    expected: Option<u64>,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdjustBody<'a> {
    #[serde(default)]
    delta: i64,
    #[serde(default)]
    set_aside: i64,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    reference: Cow<'a, str>,
}

pub(super) async fn set(InPath(sku): InPath<String>, request: Request) -> Response {
    tell(request, Route::Admin, |call| set_stock(call, sku)).await
}

pub(super) async fn adjust(InPath(sku): InPath<String>, request: Request) -> Response {
    tell(request, Route::Admin, |call| adjust_stock(call, sku)).await
}

/// The id of an operator's command: a repetition with the same key is recognised; without a key nothing is.
pub(super) fn command_id(
    call: &Call,
    principal: &Principal,
    operation: Operation,
    about: &str,
    partition: PartitionId,
) -> Result<ReservationId, Problem> {
    match headers::idempotency_key(&call.headers)? {
        Some(key) => {
            let ids = current().shared.ids.clone();
            Ok(ids.attempt(operation, &principal.subject, about.as_bytes(), &key, partition))
        }
        None => random().ok_or_else(|| Problem::plain(&UNAVAILABLE)),
    }
}

fn check_texts(reason: &str, reference: &str) -> Result<(), Problem> {
    if reason.is_empty() || reason.len() > TEXT_BYTES_MAX {
        return Err(Problem::at("/reason", format!("1 to {TEXT_BYTES_MAX} bytes")));
    }
    if reference.len() > TEXT_BYTES_MAX {
        return Err(Problem::at("/reference", format!("at most {TEXT_BYTES_MAX} bytes")));
    }
    Ok(())
}

async fn set_stock(call: Call, sku: String) -> Result<Reply, Problem> {
    let principal = call.admin()?;
    sku_in_path(&sku)?;
    let partition = current().shared.partition(&sku);
    let command_id = command_id(&call, &principal, Operation::SetStock, &sku, partition)?;
    let (about, until) = (call.about, call.until);
    let bytes = call.json().await?;
    let body: SetBody<'_> = read(&bytes)?;
    if body.on_hand > STOCK_MAX {
        return Err(Problem::at("/on_hand", format!("at most {STOCK_MAX} units")));
    }
    if body.expected.is_some_and(|expected| expected > STOCK_MAX) {
        return Err(Problem::at("/expected", format!("at most {STOCK_MAX} units")));
    }
    check_texts(&body.reason, &body.reference)?;
    let write = |builder: &mut BatchBuilder| {
        let sku = builder.sku(&sku);
        builder.push(&Command::SetStock(SetStock {
            command_id,
            sku,
            on_hand: body.on_hand,
            expected: body.expected,
            force: body.force,
            reason: &body.reason,
            reference: &body.reference,
        }));
    };
    changed(about, until, &sku, partition, write).await
}

async fn adjust_stock(call: Call, sku: String) -> Result<Reply, Problem> {
    let principal = call.admin()?;
    sku_in_path(&sku)?;
    let partition = current().shared.partition(&sku);
    let command_id = command_id(&call, &principal, Operation::AdjustStock, &sku, partition)?;
    let (about, until) = (call.about, call.until);
    let bytes = call.json().await?;
    let body: AdjustBody<'_> = read(&bytes)?;
    for (pointer, units) in [("/delta", body.delta), ("/set_aside", body.set_aside)] {
        if units.unsigned_abs() > STOCK_MAX {
            return Err(Problem::at(pointer, format!("at most {STOCK_MAX} units either way")));
        }
    }
    if body.delta == 0 && body.set_aside == 0 {
        return Err(Problem::at("/delta", "not 0, unless units are set aside"));
    }
    check_texts(&body.reason, &body.reference)?;
    let write = |builder: &mut BatchBuilder| {
        let sku = builder.sku(&sku);
        builder.push(&Command::AdjustStock(AdjustStock {
            command_id,
            sku,
            delta: body.delta,
            set_aside: body.set_aside,
            reason: &body.reason,
            reference: &body.reference,
        }));
    };
    changed(about, until, &sku, partition, write).await
}

async fn changed(
    about: About,
    until: Instant,
    sku: &str,
    partition: PartitionId,
    write: impl FnOnce(&mut BatchBuilder),
) -> Result<Reply, Problem> {
    let wait = current().submit(partition, until, write)?;
    let decided = match wait.await {
        Waited::Decided(decided) => decided,
        Waited::NotWritten(why) => return Err(not_written(why)),
        // With the same key it can be repeated safely.
        Waited::Late | Waited::Unknown => return Err(Problem::plain(&OUTCOME_UNKNOWN)),
        Waited::Proceed | Waited::SoldOut(_) | Waited::Remembered => return Err(Problem::plain(&OVERLOADED)),
    };
    let (figures, cancel_first) = match &decided.answer {
        Answer::Stock { figures, cancel_first } => (figures, cancel_first),
        Answer::Refused { reason, sku, value } => {
            let mut problem = refused(*reason, sku.clone(), *value, None, &decided);
            if *reason == Reason::Invalid {
                // All else was checked before; only the machine knows how much there is already.
                let detail = format!("on hand would be more than {STOCK_MAX} units");
                problem.faults = Problem::at("/delta", detail).faults;
            }
            return Err(problem);
        }
        _ => return Err(Problem::plain(&OUTCOME_UNKNOWN)),
    };
    let mut reply = json(&about, 200, |out| {
        out.text("{\"sku\":");
        out.string(sku);
        out.text(",");
        write_figures(out, figures);
        for (at, id) in cancel_first.iter().enumerate() {
            out.text(if at == 0 { ",\"cancel_first\":[\"" } else { "\",\"" });
            out.extend_from_slice(&hex(id.0));
        }
        out.text(if cancel_first.is_empty() { "," } else { "\"]," });
        write_decided(out, decided.position, crate::problem::DecidedBy::Sequencer);
        out.text("}");
    });
    if decided.replay {
        crate::respond::mark_replay(&mut reply);
    }
    Ok(reply)
}
