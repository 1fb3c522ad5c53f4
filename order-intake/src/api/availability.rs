//! How much there is of a SKU.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::response::Response;
use holdfast_contracts::decision::StockFigures;
use holdfast_contracts::{LogTime, Offset, Position};

use super::call::{Call, InPath, json, look, sku_in_path, tell};
use crate::json::Write;
use crate::metrics::Route;
use crate::problem::{Problem, UNKNOWN_SKU};
use crate::respond::Reply;
use crate::shard::current;

pub(super) async fn show(InPath(sku): InPath<String>, request: Request) -> Response {
    tell(request, Route::Buyer, |call| shown(call, sku)).await
}

async fn shown(call: Call, sku: String) -> Result<Reply, Problem> {
    call.principal()?;
    sku_in_path(&sku)?;
    let partition = current().shared.partition(&sku);
    let name = sku.clone();
    let found = look(partition, call.until, move |machine, status| {
        (machine.view_sku(&name), status.next_offset, status.log_time)
    });
    let (view, next, log_time) = found.await?;
    let view = view.ok_or_else(|| Problem::plain(&UNKNOWN_SKU))?;
    let position = Position { partition, offset: Offset(next.0.saturating_sub(1)), index: 0 };
    Ok(json(&call.about, 200, |out| {
        out.text("{\"sku\":");
        out.string(&sku);
        out.text(",");
        write_figures(out, &view.figures);
        out.text(",\"offered\":");
        out.number(view.offered);
        out.text(",\"waiting\":");
        out.number(view.waiting);
        if let Some(sale) = &view.sale {
            out.text(",\"sale\":");
            out.string(sale);
        }
        out.text(",\"as_of\":{\"partition\":");
        out.number(position.partition.0);
        out.text(",\"offset\":");
        out.number(position.offset.0);
        out.text(",\"age_ms\":");
        out.number(now().ms_since(log_time));
        out.text("}}");
    }))
}

/// The counters of a SKU, as members.
pub(super) fn write_figures(out: &mut bytes::BytesMut, figures: &StockFigures) {
    let counters = [
        ("on_hand", figures.on_hand),
        ("available", figures.available),
        ("held", figures.held),
        ("committed", figures.committed),
        ("unavailable", figures.unavailable),
        ("shortfall", figures.shortfall),
    ];
    for (at, (name, value)) in counters.into_iter().enumerate() {
        out.text(if at == 0 { "\"" } else { ",\"" });
        out.text(name);
        out.text("\":");
        out.number(value);
    }
}

fn now() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
