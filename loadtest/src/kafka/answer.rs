//! What a decision says, in the words of the books.
//!
//! Each gets the status and the code that HTTP gives it, so that runs over both can be laid side by side.

use holdfast_contracts::decision::{Decision, GrantedLines, HoldState, Outcome, Reason};

use super::asking::Heard;
use crate::books::{Answer, Ask, Body, Code, DecidedBy, Position, Sku, State, Told};

/// What somebody who asked this is told by the decision that stands at `position`. `names` is the dictionary of its record,
/// `skus` are the names of the SKUs, by number.
pub(super) fn heard(
    ask: &Ask,
    decision: &Decision<'_>,
    position: Position,
    names: &[&str],
    skus: &[String],
) -> Heard {
    let told = if decision.replay { Told::Again } else { Told::First };
    let reservation = decision.id.map(|id| id.to_string().into());
    match (ask, &decision.outcome, reservation) {
        (Ask::Reserve { body, .. }, Some(Outcome::Reserved { lines, first, .. }), Some(reservation)) => {
            let position = match told {
                Told::First => position,
                Told::Again => Position { offset: first.offset, index: first.index, ..position },
            };
            let answer = Answer::Granted {
                reservation,
                units: lines.iter().fold(0, |sum, line| line.granted().saturating_add(sum)),
                as_asked: is_as_asked(body, *lines, names, skus),
                position,
                told,
            };
            Heard { status: if decision.replay { 200 } else { 201 }, code: None, answer }
        }
        (
            Ask::Confirm { .. } | Ask::Release { .. },
            Some(Outcome::Moved { state, .. }),
            Some(reservation),
        ) => {
            let answer = Answer::Stands { reservation, state: state_of(*state) };
            Heard { status: 200, code: None, answer }
        }
        (_, Some(Outcome::Refused { reason, .. }), _) => refused(*reason, position, told),
        (_, outcome, _) => odd(&format!("{outcome:?}")),
    }
}

/// An answer that the contract does not have for what was asked.
pub(super) fn odd(what: &str) -> Heard {
    const STATUS: u16 = 500;
    Heard { status: STATUS, code: None, answer: Answer::Odd { status: STATUS, what: what.to_owned() } }
}

fn refused(reason: Reason, position: Position, told: Told) -> Heard {
    let (status, name, code) = told_as(reason);
    let answer = match code {
        Some(code) => Answer::Refused { code, by: DecidedBy::Sequencer, position: Some(position), told },
        // Nothing was decided, and the id is as new as before.
        None if status == 503 => Answer::Busy,
        None => Answer::Odd { status, what: name.to_owned() },
    };
    Heard { status, code: Some(name), answer }
}

/// Status and code over HTTP, and what it means to buyers if they can meet it.
fn told_as(reason: Reason) -> (u16, &'static str, Option<Code>) {
    match reason {
        Reason::Invalid => (400, "INVALID_REQUEST", None),
        Reason::UnknownSku => (404, "UNKNOWN_SKU", None),
        Reason::SaleNotOpen => (425, "SALE_NOT_OPEN", None),
        Reason::SalePaused => (425, "SALE_PAUSED", None),
        Reason::SaleClosed => (410, "SALE_CLOSED", None),
        Reason::DifferentSales => (409, "DIFFERENT_SALES", None),
        Reason::PurchaseLimit => (409, "PURCHASE_LIMIT", Some(Code::PurchaseLimit)),
        Reason::InsufficientStock => (422, "INSUFFICIENT_STOCK", Some(Code::InsufficientStock)),
        Reason::IdReused => (409, "IDEMPOTENCY_CONFLICT", Some(Code::IdempotencyConflict)),
        Reason::UnknownReservation => (404, "UNKNOWN_RESERVATION", Some(Code::NotFound)),
        Reason::NotOwner => (403, "NOT_OWNER", None),
        Reason::Expired => (410, "EXPIRED", Some(Code::Expired)),
        Reason::Released => (410, "RELEASED", Some(Code::Released)),
        Reason::AlreadyConfirmed => (409, "ALREADY_CONFIRMED", Some(Code::AlreadyConfirmed)),
        Reason::StillWaiting => (409, "STILL_WAITING", None),
        Reason::ExtendLimit => (409, "EXTEND_LIMIT", None),
        Reason::StockChanged => (409, "STOCK_CHANGED", None),
        Reason::StockBelowPromised => (409, "STOCK_BELOW_PROMISED", None),
        Reason::UnknownSale => (404, "UNKNOWN_SALE", None),
        Reason::SkuInOtherSale => (409, "SKU_IN_OTHER_SALE", None),
        Reason::SkuInUse => (409, "SKU_IN_USE", None),
        Reason::SaleState => (409, "SALE_STATE", None),
        Reason::Full => (503, "MEMORY_FULL", None),
        Reason::UnauthenticatedControl => (503, "UNAUTHENTICATED_CONTROL", None),
    }
}

/// The state of a reservation, in the words of the books.
pub(super) const fn state_of(state: HoldState) -> State {
    match state {
        HoldState::Held => State::Held,
        HoldState::Paying => State::Paying,
        HoldState::Confirmed => State::Confirmed,
        HoldState::Released => State::Released,
        HoldState::Expired => State::Expired,
        HoldState::Waiting => State::Waiting,
    }
}

fn is_as_asked(body: &Body, lines: GrantedLines<'_>, names: &[&str], skus: &[String]) -> bool {
    let number = |index: u32| {
        let name = names.get(usize::try_from(index).ok()?)?;
        let of = |sku: &Sku| skus.get(usize::from(sku.0)).is_some_and(|it| it == name);
        body.lines().iter().map(|line| line.0).find(of)
    };
    let known: Option<Vec<(Sku, u32)>> =
        lines.iter().map(|line| Some((number(line.sku)?, line.granted()))).collect();
    known.is_some_and(|lines| body.is_met_by(lines))
}
