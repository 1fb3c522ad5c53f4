//! Answers as HTTP responses. Bodies are written by hand into the thread's buffer.

use bytes::{Bytes, BytesMut};
use holdfast_contracts::decision::HoldState;
use holdfast_contracts::{Position, ReservationId};
use http_body_util::Full;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use crate::answer::LineAnswer;
use crate::headers::{IDEMPOTENT_REPLAY, PREFERENCE_APPLIED, TRACE_ID};
use crate::json::Write;
use crate::problem::{DecidedBy, Elsewhere, Problem, Refusal};
use crate::trace::{Trace, hex};

pub(crate) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What every answer to one request has in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) trace: Trace,
    /// The wait that the client asked for and got, in seconds.
    pub(crate) waited_s: Option<u64>,
}

/// Where bodies and header values are written before they are handed out.
#[derive(Default)]
pub(crate) struct Arena(BytesMut);

/// Room asked for at once: many answers share one piece of memory.
const ARENA_BYTES: usize = 64 << 10;
/// Less room than this is not begun with.
const ANSWER_BYTES: usize = 1 << 10;

impl Arena {
    /// What `write` writes.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        if self.0.capacity() < ANSWER_BYTES {
            self.0 = BytesMut::with_capacity(ARENA_BYTES);
        }
        write(&mut self.0);
        self.0.split().freeze()
    }

    fn header(&mut self, write: impl FnOnce(&mut BytesMut)) -> HeaderValue {
        let bytes = self.write(write);
        HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn finish(&mut self, about: &About, status: u16, kind: HeaderValue, body: Bytes) -> Reply {
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(&TRACE_ID, self.header(|out| out.extend_from_slice(&about.trace.0)));
        if let Some(seconds) = about.waited_s {
            let applied = self.header(|out| {
                out.text("wait=");
                out.number(seconds);
            });
            headers.insert(&PREFERENCE_APPLIED, applied);
        }
        response
    }

    /// A JSON answer.
    pub(crate) fn json(&mut self, about: &About, status: u16, write: impl FnOnce(&mut BytesMut)) -> Reply {
        let body = self.write(write);
        self.finish(about, status, JSON, body)
    }

    /// A reservation as it was decided, or as it is.
    pub(crate) fn reservation(&mut self, about: &About, status: u16, told: &Reservation<'_>) -> Reply {
        let mut response = self.json(about, status, |out| told.write(out));
        if status == 201 {
            self.locate(&mut response, told.id);
        }
        if told.replay {
            response.headers_mut().insert(&IDEMPOTENT_REPLAY, TRUE);
        }
        response
    }

    fn locate(&mut self, response: &mut Reply, id: ReservationId) {
        let location = self.header(|out| {
            out.text("/v1/reservations/");
            out.extend_from_slice(&hex(id.0));
        });
        response.headers_mut().insert(LOCATION, location);
    }

    /// A command is durable and not decided yet.
    pub(crate) fn pending(&mut self, about: &About, id: ReservationId) -> Reply {
        let mut response = self.json(about, 202, |out| {
            out.text("{\"reservation_id\":\"");
            out.extend_from_slice(&hex(id.0));
            out.text("\",\"state\":\"pending\"}");
        });
        self.locate(&mut response, id);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// A problem.
    pub(crate) fn problem(&mut self, about: &About, problem: &Problem) -> Reply {
        let body = self.write(|out| write_problem(out, about, problem));
        let mut response = self.finish(about, problem.kind.status, PROBLEM_JSON, body);
        let headers = response.headers_mut();
        if problem.refusal.as_ref().is_some_and(|refusal| refusal.replay) {
            headers.insert(&IDEMPOTENT_REPLAY, TRUE);
        }
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match problem.kind.status {
            401 => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            415 => {
                headers.insert(ACCEPT, JSON);
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
        response
    }
}

/// A reservation as it is told.
pub(crate) struct Reservation<'a> {
    pub(crate) id: ReservationId,
    pub(crate) state: &'static str,
    pub(crate) lines: &'a [LineAnswer],
    /// For live holds.
    pub(crate) expires_in_ms: Option<u64>,
    pub(crate) position: Position,
    pub(crate) replay: bool,
    /// Confirmed after its end.
    pub(crate) late: bool,
}

impl Reservation<'_> {
    fn write(&self, out: &mut BytesMut) {
        out.text("{\"reservation_id\":\"");
        out.extend_from_slice(&hex(self.id.0));
        out.text("\",\"state\":\"");
        out.text(self.state);
        out.text("\",\"lines\":[");
        for (at, line) in self.lines.iter().enumerate() {
            out.text(if at == 0 { "{\"sku\":" } else { ",{\"sku\":" });
            out.string(line.sku.as_str());
            out.text(",\"quantity\":");
            out.number(line.quantity);
            out.text(",\"granted\":");
            out.number(line.granted);
            out.text("}");
        }
        out.text("]");
        if let Some(ms) = self.expires_in_ms {
            out.text(",\"expires_in_ms\":");
            out.number(ms);
        }
        if self.late {
            out.text(",\"late\":true");
        }
        out.text(",");
        write_decided(out, self.position, DecidedBy::Sequencer);
        out.text("}");
    }
}

/// The remaining time, for states that have one.
pub(crate) fn remaining(state: HoldState, expires_in_ms: u64) -> Option<u64> {
    matches!(state, HoldState::Held | HoldState::Paying).then_some(expires_in_ms)
}

/// `"position":{…},"decided_by":"…"`.
pub(crate) fn write_decided(out: &mut BytesMut, position: Position, by: DecidedBy) {
    write_position(out, position);
    out.text(",\"decided_by\":\"");
    out.text(by.name());
    out.text("\"");
}

/// `"position":{…}`.
pub(crate) fn write_position(out: &mut BytesMut, position: Position) {
    out.text("\"position\":{\"partition\":");
    out.number(position.partition.0);
    out.text(",\"offset\":");
    out.number(position.offset.0);
    out.text(",\"index\":");
    out.number(position.index);
    out.text("}");
}

fn write_problem(out: &mut BytesMut, about: &About, problem: &Problem) {
    let kind = problem.kind;
    out.text("{\"type\":\"/problems/");
    out.text(kind.slug);
    out.text("\",\"title\":\"");
    out.text(kind.title);
    out.text("\",\"status\":");
    out.number(kind.status);
    if !problem.detail.is_empty() {
        out.text(",\"detail\":");
        out.string(&problem.detail);
    }
    out.text(",\"code\":\"");
    out.text(kind.code);
    out.text("\",\"trace_id\":\"");
    out.extend_from_slice(&about.trace.0);
    out.text("\"");
    for (at, fault) in problem.faults.iter().enumerate() {
        out.text(if at == 0 { ",\"errors\":[{\"pointer\":" } else { ",{\"pointer\":" });
        out.string(&fault.pointer);
        if let Some(elsewhere) = &fault.elsewhere {
            let (member, name) = match elsewhere {
                Elsewhere::Header(name) => (",\"header\":", *name),
                Elsewhere::Path(name) => (",\"path\":", name.as_ref()),
            };
            out.text(member);
            out.string(name);
        }
        out.text(",\"detail\":");
        out.string(&fault.detail);
        out.text("}");
    }
    if !problem.faults.is_empty() {
        out.text("]");
    }
    if let Some(seconds) = problem.retry_after_s {
        out.text(",\"retry_after_ms\":");
        out.number(u64::from(seconds) * 1_000);
    }
    if let Some(refusal) = &problem.refusal {
        write_refusal(out, refusal);
    }
    out.text("}");
}

fn write_refusal(out: &mut BytesMut, refusal: &Refusal) {
    if let Some(id) = refusal.reservation {
        out.text(",\"reservation_id\":\"");
        out.extend_from_slice(&hex(id.0));
        out.text("\"");
    }
    if let Some(sku) = &refusal.sku {
        out.text(",\"sku\":");
        out.string(sku.as_str());
    }
    if let Some((name, value)) = refusal.value {
        out.text(",\"");
        out.text(name);
        out.text("\":");
        out.number(value);
    }
    if let Some((position, by)) = refusal.decided {
        out.text(",");
        write_decided(out, position, by);
    }
}

/// Puts the trace id on an answer that was not written here.
pub(crate) fn mark<B>(response: &mut Response<B>, about: &About) {
    let value = HeaderValue::from_bytes(&about.trace.0);
    response.headers_mut().insert::<&HeaderName>(&TRACE_ID, value.expect("hexadecimal digits"));
}

/// Says that an answer is the first one again.
pub(crate) fn mark_replay(reply: &mut Reply) {
    reply.headers_mut().insert(&IDEMPOTENT_REPLAY, TRUE);
}
