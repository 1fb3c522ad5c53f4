//! `POST /v1/reservations`: the hot path. One batch per round of the event loop, no task and no lock per request.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_contracts::command::Line;
use holdfast_contracts::decision::Reason;
use holdfast_contracts::limits::{QUANTITY_MAX, RESERVE_LINES_MAX, SKU_BYTES_MAX};
use holdfast_contracts::{PartitionId, ReservationId};
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::answer::{Answer, Decided, Name, Reply as Waited};
use crate::auth::Principal;
use crate::body::{After, Inflow, Rest};
use crate::gate::Question;
use crate::ids::{Operation, in_partition};
use crate::metrics::{Route, count};
use crate::names::check_name;
use crate::problem::{
    DecidedBy, IDEMPOTENCY_CONFLICT, Kind, LINES_IN_SEVERAL_PARTITIONS, OUTCOME_UNKNOWN, OVERLOADED, Problem,
    Refusal,
};
use crate::respond::{About, Reply, Reservation};
use crate::shard::{Shard, Wait, not_written};
use crate::{body, headers, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow, deserialize_with = "json::objects")]
    lines: SmallVec<[BodyLine<'a>; 2]>,
    #[serde(default)]
    allow_partial: bool,
    #[serde(default)]
    join_waitlist: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyLine<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity: u32,
}

/// Answers a request for a reservation.
pub(crate) async fn post(shard: &Rc<Shard>, request: Request<Incoming>) -> (Reply, After) {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let mut body = Inflow::new(body);
    let mut about = shard.about(&head.headers);
    let reply = match answer(shard, &mut about, &head.headers, &mut body, began).await {
        Ok(reply) => reply,
        Err(problem) => {
            if problem.refusal.as_ref().is_some_and(|refusal| refusal.replay) {
                count(&shard.metrics.replays, 1);
            }
            shard.arena.borrow_mut().problem(&about, &problem)
        }
    };
    shard.metrics.note_answer(Route::Reserve, reply.status().as_u16());
    shard.metrics.note_latency(began.elapsed());
    if body.is_end_stream() {
        return (reply, After::KeepAlive);
    }
    // In a box of its own: every request would carry the room for it.
    let rest = Rest::of(head.headers.get(EXPECT), reply.status());
    let after = Box::pin(body.settle(rest)).await;
    (reply, after)
}

async fn answer(
    shard: &Rc<Shard>,
    about: &mut About,
    head: &hyper::HeaderMap,
    body: &mut Inflow,
    began: Instant,
) -> Result<Reply, Problem> {
    let config = &shard.shared.config;
    let principal = shard.authenticate(head)?;
    shard.throttle(&principal, began)?;
    headers::must_be_json(head)?;
    let key = headers::required_key(head)?;
    let until = began + shard.wait(about, head);
    let patience = Duration::from_millis(config.body_timeout_ms.get());
    let bytes = body::read(body, config.body_bytes_max.get() as usize, patience).await?;
    let wanted: Body<'_> = json::read(&bytes)?;
    let partition = check(shard, &wanted)?;
    let id = shard.shared.ids.attempt(Operation::Reserve, &principal.subject, b"", &key, partition);
    if is_used_elsewhere(shard, partition, id, until).await? {
        return Err(Problem::plain(&IDEMPOTENCY_CONFLICT));
    }
    if let Some(sold_out) = before_gate(shard, &wanted, partition, id, until).await? {
        return Err(sold_out);
    }
    let waited = send(shard, &wanted, partition, id, &principal, until)?.await;
    tell(shard, about, id, waited)
}

/// Checks everything that can be checked without the machine; the partition of the lines.
fn check(shard: &Shard, wanted: &Body<'_>) -> Result<PartitionId, Problem> {
    if wanted.lines.is_empty() || wanted.lines.len() > RESERVE_LINES_MAX {
        return Err(Problem::at("/lines", format!("1 to {RESERVE_LINES_MAX} lines")));
    }
    for (at, line) in wanted.lines.iter().enumerate() {
        check_name(&line.sku, SKU_BYTES_MAX)
            .map_err(|detail| Problem::at(format!("/lines/{at}/sku"), detail))?;
        // Lines of one SKU count as one.
        let before = wanted.lines[..at].iter().filter(|other| other.sku == line.sku);
        let sum = before.fold(u64::from(line.quantity), |sum, other| sum + u64::from(other.quantity));
        if line.quantity == 0 || sum > u64::from(QUANTITY_MAX) {
            let detail = format!("1 to {QUANTITY_MAX} units of one SKU");
            return Err(Problem::at(format!("/lines/{at}/quantity"), detail));
        }
    }
    if wanted.allow_partial && wanted.join_waitlist {
        return Err(Problem::at("/join_waitlist", "not together with allow_partial"));
    }
    let first = &wanted.lines[0];
    if wanted.join_waitlist && wanted.lines.iter().any(|line| line.sku != first.sku) {
        return Err(Problem::at("/join_waitlist", "only with lines of one SKU"));
    }
    let partition = shard.shared.partition(&first.sku);
    match wanted.lines.iter().position(|line| shard.shared.partition(&line.sku) != partition) {
        None => Ok(partition),
        Some(at) => {
            let detail = "The SKUs are kept in different partitions; reserve them one by one.";
            Err(Problem::at(format!("/lines/{at}/sku"), detail).told_as(&LINES_IN_SEVERAL_PARTITIONS))
        }
    }
}

/// Whether the key of this request was used for SKUs of another partition.
async fn is_used_elsewhere(
    shard: &Shard,
    partition: PartitionId,
    id: ReservationId,
    until: Instant,
) -> Result<bool, Problem> {
    let question = |other| Question { id: in_partition(id, other), sku: None };
    let elsewhere = shard.elsewhere(partition);
    let waits: Result<SmallVec<[Wait; 4]>, Problem> =
        elsewhere.map(|other| shard.ask(other, until, question(other))).collect();
    for wait in waits? {
        if matches!(wait.await, Waited::Remembered) {
            return Ok(true);
        }
    }
    shard.shared.note_reserved_in(partition);
    Ok(false)
}

/// Asks the machine about a request of which a SKU's gate is closed. A problem if it is refused.
async fn before_gate(
    shard: &Rc<Shard>,
    wanted: &Body<'_>,
    partition: PartitionId,
    id: ReservationId,
    until: Instant,
) -> Result<Option<Problem>, Problem> {
    if wanted.allow_partial || wanted.join_waitlist {
        return Ok(None);
    }
    let Some(line) = wanted.lines.iter().find(|line| shard.is_gate_closed(&line.sku)) else {
        return Ok(None);
    };
    let question = Question { id, sku: Some(Bytes::copy_from_slice(line.sku.as_bytes())) };
    match shard.ask(partition, until, question)?.await {
        Waited::SoldOut(position) => {
            count(&shard.metrics.gate_refusals, 1);
            let sku = Some(line.sku.clone().into_owned().into());
            let mut refusal = Refusal::of(Reason::InsufficientStock, sku, 0);
            refusal.decided = Some((position, DecidedBy::Gate));
            Ok(Some(Problem::refused(Reason::InsufficientStock, refusal)))
        }
        _ => {
            shard.open_gate(&line.sku);
            Ok(None)
        }
    }
}

fn send(
    shard: &Shard,
    wanted: &Body<'_>,
    partition: PartitionId,
    id: ReservationId,
    principal: &Principal,
    until: Instant,
) -> Result<Wait, Problem> {
    shard.submit(partition, until, |builder| {
        let lines = wanted.lines.iter();
        let lines: SmallVec<[Line; 2]> =
            lines.map(|line| Line { sku: builder.sku(&line.sku), quantity: line.quantity }).collect();
        builder.reserve(id, principal.customer, &lines, wanted.allow_partial, wanted.join_waitlist);
    })
}

fn tell(shard: &Shard, about: &About, id: ReservationId, waited: Waited) -> Result<Reply, Problem> {
    match waited {
        Waited::Decided(decided) => told(shard, about, id, &decided),
        Waited::Late => Ok(shard.arena.borrow_mut().pending(about, id)),
        Waited::NotWritten(why) => Err(not_written(why)),
        Waited::Unknown => Err(Problem::plain(&OUTCOME_UNKNOWN)),
        Waited::Proceed | Waited::SoldOut(_) | Waited::Remembered => Err(Problem::plain(&OVERLOADED)),
    }
}

fn told(shard: &Shard, about: &About, id: ReservationId, decided: &Decided) -> Result<Reply, Problem> {
    let (state, lines, expires_in_ms) = match &decided.answer {
        Answer::Reserved { expires_in_ms, lines } => ("held", lines, Some(*expires_in_ms)),
        Answer::Waiting { lines } => ("waiting", lines, None),
        Answer::Refused { reason, sku, value } => {
            return Err(refused(*reason, sku.clone(), *value, Some(id), decided));
        }
        _ => return Err(Problem::plain(&OUTCOME_UNKNOWN)),
    };
    if decided.replay {
        count(&shard.metrics.replays, 1);
    }
    let told = Reservation {
        id,
        state,
        lines,
        expires_in_ms,
        position: decided.position,
        replay: decided.replay,
        late: false,
    };
    let status = if decided.replay { 200 } else { 201 };
    Ok(shard.arena.borrow_mut().reservation(about, status, &told))
}

/// A refusal of the machine as it is told.
///
/// The place of a refusal is not remembered: a repetition is told where it was repeated.
pub(crate) fn refused(
    reason: Reason,
    sku: Option<Name>,
    value: u64,
    id: Option<ReservationId>,
    decided: &Decided,
) -> Problem {
    let is_remembered = Kind::of(reason).is_remembered();
    let mut problem = Problem::refused(
        reason,
        Refusal {
            reservation: id.filter(|_| is_remembered),
            decided: Some((decided.position, DecidedBy::Sequencer)),
            replay: decided.replay,
            ..Refusal::of(reason, sku, value)
        },
    );
    if reason == Reason::Invalid {
        problem.faults = Problem::at("", "The sequencer does not take this request.").faults;
    }
    problem
}
