//! What an answer on the wire says.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::Reply;
use crate::books::{Answer, Ask, Body, Code, DecidedBy, Position, Sku, State, Told};
use crate::generator::Head;

/// No more of an unexpected answer is kept.
const EXCERPT_CHARS_MAX: usize = 200;

/// Every field that any answer to a buyer has. Which of them belong together, the status says.
#[derive(Deserialize)]
struct Wire<'a> {
    reservation_id: Option<String>,
    state: Option<Standing>,
    #[serde(borrow)]
    lines: Option<Vec<Line<'a>>>,
    position: Option<Position>,
    decided_by: Option<By>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
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

/// What was said, wherever its bytes are.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    status: u16,
    is_replay: bool,
    body: &'a [u8],
}

impl<'a> From<&'a Reply> for Said<'a> {
    fn from(reply: &'a Reply) -> Self {
        Self { status: reply.status.as_u16(), is_replay: reply.is_replay, body: &reply.body }
    }
}

impl<'a> From<(&'a Head, &'a [u8])> for Said<'a> {
    fn from((head, body): (&'a Head, &'a [u8])) -> Self {
        Self { status: head.status, is_replay: head.is_replay, body }
    }
}

/// The free units of a SKU and what became of the others, as the server counts them.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Availability {
    pub(crate) available: u64,
    pub(crate) held: u64,
    pub(crate) committed: u64,
    #[serde(default)]
    as_of: AsOf,
}

/// How old the counters were when they were told.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct AsOf {
    #[serde(default)]
    age_ms: u64,
}

impl Availability {
    /// How old the counters were when they were told.
    pub(crate) const fn age(&self) -> Duration {
        Duration::from_millis(self.as_of.age_ms)
    }
}

/// Reads an answer about a SKU's availability.
pub(crate) fn availability<'a>(said: impl Into<Said<'a>>) -> Option<Availability> {
    let said = said.into();
    if said.status == 200 { serde_json::from_slice(said.body).ok() } else { None }
}

/// What a buyer understands of the reply to a question. `skus` are the names of the SKUs, by number.
pub(crate) fn answer_to<'a>(ask: &Ask, said: impl Into<Said<'a>>, skus: &[String]) -> Answer {
    let said = said.into();
    let status = said.status;
    let wire: Option<Wire<'_>> = serde_json::from_slice(said.body).ok();
    match status {
        202 => return Answer::Pending,
        // The one 503 after which something may have been decided.
        503 if wire.as_ref().and_then(|it| it.code.as_deref()) == Some("OUTCOME_UNKNOWN") => {
            return Answer::Pending;
        }
        429 | 503 => return Answer::Busy,
        _ => {}
    }
    let understood = wire.and_then(|wire| understand(ask, said, wire, skus));
    understood.unwrap_or_else(|| {
        let what = String::from_utf8_lossy(said.body).chars().take(EXCERPT_CHARS_MAX).collect();
        Answer::Odd { status, what }
    })
}

fn understand(ask: &Ask, said: Said<'_>, wire: Wire<'_>, skus: &[String]) -> Option<Answer> {
    let Said { status, is_replay, .. } = said;
    let told = if is_replay { Told::Again } else { Told::First };
    match (ask, status) {
        // A decision is 201 when it is new and 200 when it is told again, never otherwise.
        (Ask::Reserve { body, .. }, 200 | 201) if (status == 200) == is_replay => {
            let lines = wire.lines?;
            Some(Answer::Granted {
                reservation: wire.reservation_id?.into(),
                units: lines.iter().fold(0, |sum, line| line.granted.saturating_add(sum)),
                as_asked: is_as_asked(body, &lines, skus),
                position: wire.position?,
                told,
            })
        }
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

/// Looks for each line among those that were asked for: their names need no place in a table that all names have.
fn is_as_asked(body: &Body, lines: &[Line<'_>], skus: &[String]) -> bool {
    let number = |name: &str| {
        let of = |sku: &Sku| skus.get(usize::from(sku.0)).is_some_and(|it| it == name);
        body.lines().iter().map(|line| line.0).find(of)
    };
    let known: Option<Vec<(Sku, u32)>> =
        lines.iter().map(|line| Some((number(&line.sku)?, line.granted))).collect();
    known.is_some_and(|lines| body.is_met_by(lines))
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hyper::StatusCode;

    use crate::books::{Customer, Key};

    fn reserve() -> Ask {
        reserve_for(Body::one(Sku(0), 1))
    }

    fn reserve_for(body: Body) -> Ask {
        Ask::Reserve { key: Key { customer: Customer(1), serial: 0 }, body }
    }

    fn answer_to(ask: &Ask, reply: &Reply) -> Answer {
        super::answer_to(ask, reply, &["A1".to_owned(), "B2".to_owned(), "C3".to_owned()])
    }

    fn reply(status: u16, is_replay: bool, body: &'static str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, is_replay, retry_after: None, body: Bytes::from_static(body.as_bytes()) }
    }

    const HELD: &str = r#"{"reservation_id":"abc","state":"held","lines":[{"sku":"A1","quantity":1,"granted":1}],
        "expires_in_ms":3000,"position":{"partition":3,"offset":17,"index":2},"decided_by":"sequencer"}"#;

    fn held(told: Told) -> Answer {
        let position = Position { partition: 3, offset: 17, index: 2 };
        Answer::Granted { reservation: "abc".into(), units: 1, as_asked: true, position, told }
    }

    fn refused(code: Code, by: DecidedBy, told: Told) -> Answer {
        Answer::Refused { code, by, position: None, told }
    }

    #[test]
    fn a_grant_is_new_with_201_and_repeated_with_200() {
        assert_eq!(answer_to(&reserve(), &reply(201, false, HELD)), held(Told::First));
        assert_eq!(answer_to(&reserve(), &reply(200, true, HELD)), held(Told::Again));
        for (status, is_replay) in [(201, true), (200, false)] {
            let answer = answer_to(&reserve(), &reply(status, is_replay, HELD));
            assert!(matches!(answer, Answer::Odd { .. }), "{status} {is_replay}: {answer:?}");
        }
    }

    #[test]
    fn a_grant_of_other_lines_is_told_from_one_that_was_asked_for() {
        let of = |body, reply: &Reply| match answer_to(&reserve_for(body), reply) {
            Answer::Granted { units, as_asked, .. } => (units, as_asked),
            other => panic!("{other:?}"),
        };
        let granted = |lines: &str| {
            let text = format!(
                r#"{{"reservation_id":"abc","lines":[{lines}],"position":{{"partition":0,"offset":1,"index":0}}}}"#
            );
            Reply {
                status: StatusCode::CREATED,
                is_replay: false,
                retry_after: None,
                body: Bytes::from(text.into_bytes()),
            }
        };
        let [a2, a1, b1, c1] = [("A1", 2), ("A1", 1), ("B2", 1), ("C3", 1)]
            .map(|(sku, granted)| format!(r#"{{"sku":"{sku}","quantity":{granted},"granted":{granted}}}"#));
        let both = Body::of(&[(Sku(0), 1), (Sku(1), 1)]);
        assert_eq!(of(both, &granted(&format!("{a1},{b1}"))), (2, true));
        assert_eq!(of(both, &granted(&a2)), (2, false));
        assert_eq!(of(both, &granted(&format!("{a1},{c1}"))), (2, false));
        assert_eq!(of(Body::one(Sku(0), 2), &granted(&a1)), (1, false));
        assert_eq!(of(Body::up_to(Sku(0), 2), &granted(&a1)), (1, true));
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_by_who_decided() {
        let of = |status, replay, body| answer_to(&reserve(), &reply(status, replay, body));
        let sold_out =
            r#"{"status":422,"code":"INSUFFICIENT_STOCK","decided_by":"sequencer","trace_id":"0"}"#;
        let (sequencer, gate) = (DecidedBy::Sequencer, DecidedBy::Gate);
        assert_eq!(of(422, false, sold_out), refused(Code::InsufficientStock, sequencer, Told::First));
        assert_eq!(of(422, true, sold_out), refused(Code::InsufficientStock, sequencer, Told::Again));
        let by_gate = r#"{"code":"INSUFFICIENT_STOCK","decided_by":"gate"}"#;
        assert_eq!(of(422, false, by_gate), refused(Code::InsufficientStock, gate, Told::First));
        let conflict = r#"{"code":"IDEMPOTENCY_CONFLICT"}"#;
        assert_eq!(of(409, false, conflict), refused(Code::IdempotencyConflict, sequencer, Told::First));
    }

    #[test]
    fn a_code_under_another_status_is_odd() {
        for (status, body) in [
            (409, r#"{"code":"INSUFFICIENT_STOCK"}"#),
            (422, r#"{"code":"PURCHASE_LIMIT"}"#),
            (500, r#"{"code":"EXPIRED"}"#),
            (422, "sold out"),
            (404, r#"{"code":"UNKNOWN_SKU"}"#),
        ] {
            let answer = answer_to(&reserve(), &reply(status, false, body));
            assert!(matches!(answer, Answer::Odd { .. }), "{status} {body}: {answer:?}");
        }
    }

    #[test]
    fn what_decides_nothing_is_told_from_what_may_have() {
        let of = |status, body| answer_to(&reserve(), &reply(status, false, body));
        assert_eq!(of(202, r#"{"status":"pending"}"#), Answer::Pending);
        assert_eq!(of(503, r#"{"code":"OUTCOME_UNKNOWN"}"#), Answer::Pending);
        assert_eq!(of(503, r#"{"code":"OVERLOADED"}"#), Answer::Busy);
        assert_eq!(of(429, ""), Answer::Busy);
    }

    #[test]
    fn how_a_reservation_stands_is_told_to_everything_else() {
        let ask = Ask::Read { reservation: "abc".into() };
        let body = r#"{"reservation_id":"abc","state":"expired"}"#;
        let stands = Answer::Stands { reservation: "abc".into(), state: State::Expired };
        assert_eq!(answer_to(&ask, &reply(200, false, body)), stands);
        let unknown = r#"{"code":"UNKNOWN_RESERVATION"}"#;
        let not_found = refused(Code::NotFound, DecidedBy::Sequencer, Told::First);
        assert_eq!(answer_to(&ask, &reply(404, false, unknown)), not_found);
    }

    #[test]
    fn availability_is_read_from_a_200_only() {
        let body = r#"{"sku":"A1","available":1,"held":2,"committed":3,"as_of":{}}"#;
        let counts = availability(&reply(200, false, body)).unwrap();
        assert_eq!((counts.available, counts.held, counts.committed), (1, 2, 3));
        assert!(availability(&reply(503, false, body)).is_none());
    }
}
