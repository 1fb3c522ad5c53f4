//! What an answer on the wire says.

use serde::Deserialize;

use super::Reply;
use crate::books::{Answer, Ask, Code, DecidedBy, Position, State, Told};

/// No more of an unexpected answer is kept.
const EXCERPT_CHARS_MAX: usize = 200;

/// Every field that any answer to a buyer has. Which of them belong together, the status says.
#[derive(Deserialize)]
struct Wire {
    reservation_id: Option<String>,
    state: Option<Standing>,
    lines: Option<Vec<Line>>,
    position: Option<Position>,
    decided_by: Option<By>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    granted: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Sequencer,
    Gate,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Held,
    Paying,
    Confirmed,
    Released,
    Expired,
    Waiting,
}

/// The free units of a SKU and what became of the others, as the server counts them.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Availability {
    pub(crate) available: u64,
    pub(crate) held: u64,
    pub(crate) committed: u64,
}

/// Reads an answer about a SKU's availability.
pub(crate) fn availability(reply: &Reply) -> Option<Availability> {
    if reply.status.as_u16() == 200 { serde_json::from_slice(&reply.body).ok() } else { None }
}

/// What a buyer understands of the reply to a question.
pub(crate) fn answer_to(ask: &Ask, reply: &Reply) -> Answer {
    let status = reply.status.as_u16();
    let wire: Option<Wire> = serde_json::from_slice(&reply.body).ok();
    match status {
        202 => return Answer::Pending,
        // The one 503 after which something may have been decided.
        503 if wire.as_ref().and_then(|it| it.code.as_deref()) == Some("OUTCOME_UNKNOWN") => {
            return Answer::Pending;
        }
        429 | 503 => return Answer::Busy,
        _ => {}
    }
    let understood = wire.and_then(|wire| understand(ask, status, reply, wire));
    understood.unwrap_or_else(|| {
        let what = String::from_utf8_lossy(&reply.body).chars().take(EXCERPT_CHARS_MAX).collect();
        Answer::Odd { status, what }
    })
}

fn understand(ask: &Ask, status: u16, reply: &Reply, wire: Wire) -> Option<Answer> {
    let told = if reply.is_replay { Told::Again } else { Told::First };
    match (ask, status) {
        // A decision is 201 when it is new and 200 when it is told again, never otherwise.
        (Ask::Reserve { .. }, 200 | 201) if (status == 200) == reply.is_replay => Some(Answer::Granted {
            reservation: wire.reservation_id?.into(),
            units: wire.lines?.iter().map(|it| it.granted).sum(),
            position: wire.position?,
            told,
        }),
        (Ask::Confirm { .. } | Ask::Release { .. } | Ask::Read { .. }, 200) => {
            Some(Answer::Stands { reservation: wire.reservation_id?.into(), state: wire.state?.into() })
        }
        (_, 400..) => {
            let code = code(status, &wire.code?)?;
            let by = match wire.decided_by {
                Some(By::Gate) => DecidedBy::Gate,
                Some(By::Sequencer) | None => DecidedBy::Sequencer,
            };
            Some(Answer::Refused { code, by, position: wire.position, told })
        }
        _ => None,
    }
}

/// The codes that buyers of a sale can meet, each with its status.
fn code(status: u16, name: &str) -> Option<Code> {
    match (status, name) {
        (422, "INSUFFICIENT_STOCK") => Some(Code::InsufficientStock),
        (409, "PURCHASE_LIMIT") => Some(Code::PurchaseLimit),
        (409, "IDEMPOTENCY_CONFLICT") => Some(Code::IdempotencyConflict),
        (409, "ALREADY_CONFIRMED") => Some(Code::AlreadyConfirmed),
        (410, "EXPIRED") => Some(Code::Expired),
        (409 | 410, "RELEASED") => Some(Code::Released),
        (404, "UNKNOWN_RESERVATION") => Some(Code::NotFound),
        _ => None,
    }
}

impl From<Standing> for State {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Held => Self::Held,
            Standing::Paying => Self::Paying,
            Standing::Confirmed => Self::Confirmed,
            Standing::Released => Self::Released,
            Standing::Expired => Self::Expired,
            Standing::Waiting => Self::Waiting,
        }
    }
}
