//! Looking at a reservation, and moving it on.

use axum::extract::Request;
use axum::response::Response;
use holdfast_contracts::command::Command;
use holdfast_contracts::limits::DURATION_MS_MAX;
use holdfast_contracts::{CustomerId, ReservationId};
use holdfast_core::{IdView, ReservationView};
use holdfast_log::StreamId;
use serde::Deserialize;

use super::call::{Call, InPath, json, look, tell};
use crate::answer::{Answer, LineAnswer, LineAnswers, Reply as Waited};
use crate::headers;
use crate::ids::{Operation, partition_of};
use crate::json::{Write, read};
use crate::metrics::Route;
use crate::problem::{Kind, NOT_OWNER, OUTCOME_UNKNOWN, OVERLOADED, Problem, UNKNOWN_RESERVATION};
use crate::reserve::refused;
use crate::respond::{Reply, Reservation, remaining};
use crate::shard::{current, not_written};
use crate::trace::hex;

/// What may be done with a reservation.
#[derive(Debug, Clone, Copy)]
enum Move {
    Confirm,
    Release,
    Extend { by_ms: u32, command_id: Option<ReservationId> },
}

impl Move {
    const fn command(self, reservation_id: ReservationId, customer: CustomerId) -> Command<'static> {
        match self {
            Self::Confirm => Command::Confirm { reservation_id, customer, reacquire: false },
            Self::Release => Command::Release { reservation_id, customer },
            Self::Extend { by_ms, command_id } => {
                Command::Extend { reservation_id, customer, by_ms, command_id }
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendBody {
    by_ms: u32,
}

/// Nothing may be said about a confirmation or a release.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoBody {}

pub(super) async fn show(InPath(id): InPath<String>, request: Request) -> Response {
    tell(request, Route::Buyer, |call| shown(call, id)).await
}

pub(super) async fn confirm(InPath(id): InPath<String>, request: Request) -> Response {
    tell(request, Route::Buyer, |call| async move { simply(call, &id, Move::Confirm).await }).await
}

pub(super) async fn release(InPath(id): InPath<String>, request: Request) -> Response {
    tell(request, Route::Buyer, |call| async move { simply(call, &id, Move::Release).await }).await
}

pub(super) async fn extend(InPath(id): InPath<String>, request: Request) -> Response {
    tell(request, Route::Buyer, |call| async move { extended(call, &id).await }).await
}

/// An id of ours, with a partition that exists.
fn known_id(text: &str) -> Result<ReservationId, Problem> {
    let id = text.parse::<ReservationId>().map_err(|_| Problem::plain(&UNKNOWN_RESERVATION))?;
    let exists = partition_of(id).0 < current().shared.partitions;
    if exists { Ok(id) } else { Err(Problem::plain(&UNKNOWN_RESERVATION)) }
}

async fn simply(call: Call, id: &str, what: Move) -> Result<Reply, Problem> {
    let (about, until, customer) = (call.about, call.until, call.principal()?.customer);
    let id = known_id(id)?;
    if let Some(body) = call.optional_json().await? {
        read::<NoBody>(&body)?;
    }
    moved(about, until, id, customer, what).await
}

async fn extended(call: Call, id: &str) -> Result<Reply, Problem> {
    let (about, until, principal) = (call.about, call.until, call.principal()?);
    let id = known_id(id)?;
    let command_id = headers::idempotency_key(&call.headers)?.map(|key| {
        let ids = current().shared.ids.clone();
        ids.attempt(Operation::Extend, &principal.subject, &id.0, &key, partition_of(id))
    });
    let by_ms = read::<ExtendBody>(&call.json().await?)?.by_ms;
    if !(1..=DURATION_MS_MAX).contains(&by_ms) {
        return Err(Problem::at("/by_ms", format!("1 to {DURATION_MS_MAX} milliseconds")));
    }
    moved(about, until, id, principal.customer, Move::Extend { by_ms, command_id }).await
}

async fn moved(
    about: crate::respond::About,
    until: std::time::Instant,
    id: ReservationId,
    customer: CustomerId,
    what: Move,
) -> Result<Reply, Problem> {
    let wait =
        current().submit(partition_of(id), until, |builder| builder.push(&what.command(id, customer)))?;
    let decided = match wait.await {
        Waited::Decided(decided) => decided,
        Waited::Late => return Ok(current().arena.borrow_mut().pending(&about, id)),
        Waited::NotWritten(why) => return Err(not_written(why)),
        Waited::Unknown => return Err(Problem::plain(&OUTCOME_UNKNOWN)),
        Waited::Proceed | Waited::SoldOut(_) | Waited::Remembered => return Err(Problem::plain(&OVERLOADED)),
    };
    match &decided.answer {
        Answer::Moved { state, expires_in_ms, lines, late } => {
            let told = Reservation {
                id,
                state: state.name(),
                lines,
                expires_in_ms: remaining(*state, *expires_in_ms),
                position: decided.position,
                replay: decided.replay,
                late: *late,
            };
            Ok(current().arena.borrow_mut().reservation(&about, 200, &told))
        }
        Answer::Refused { reason, sku, value } => {
            Err(refused(*reason, sku.clone(), *value, Some(id), &decided))
        }
        _ => Err(Problem::plain(&OUTCOME_UNKNOWN)),
    }
}

/// What a look at a reservation found.
enum Found {
    Reservation(ReservationView),
    Refused(&'static Kind),
    /// It may be among the commands that the machine has not come to.
    Behind,
    Nothing,
}

async fn shown(call: Call, id: String) -> Result<Reply, Problem> {
    let principal = call.principal()?;
    let id = known_id(&id)?;
    let log = std::sync::Arc::clone(&current().shared.log);
    let partition = partition_of(id);
    let found = look(partition, call.until, move |machine, status| match machine.view_id(id) {
        Some(IdView::Reservation(view)) => Found::Reservation(view),
        Some(IdView::Refused { reason, .. }) => Found::Refused(Kind::of(reason)),
        Some(IdView::Done) => Found::Nothing,
        None if status.next_offset < log.watermarks(StreamId::inventory_commands(partition)).end => {
            Found::Behind
        }
        None => Found::Nothing,
    });
    match found.await? {
        Found::Reservation(view) if view.customer != principal.customer => Err(Problem::plain(&NOT_OWNER)),
        Found::Reservation(view) => {
            let lines: LineAnswers = view
                .lines
                .into_iter()
                .map(|line| LineAnswer {
                    sku: line.sku.into(),
                    quantity: line.quantity,
                    granted: line.granted,
                })
                .collect();
            let told = Reservation {
                id,
                state: view.state.name(),
                lines: &lines,
                expires_in_ms: remaining(view.state, view.expires_in_ms),
                position: view.position,
                replay: false,
                late: false,
            };
            Ok(current().arena.borrow_mut().reservation(&call.about, 200, &told))
        }
        // A refusal says nothing about anybody, and its id is known only to whom it was told.
        Found::Refused(kind) => Ok(json(&call.about, 200, |out| {
            out.text("{\"reservation_id\":\"");
            out.extend_from_slice(&hex(id.0));
            out.text("\",\"state\":\"refused\",\"code\":\"");
            out.text(kind.code);
            out.text("\",\"decided_by\":\"sequencer\"}");
        })),
        Found::Behind => Ok(current().arena.borrow_mut().pending(&call.about, id)),
        Found::Nothing => Err(Problem::plain(&UNKNOWN_RESERVATION)),
    }
}
