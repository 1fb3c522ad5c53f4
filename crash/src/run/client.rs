//! Requests over HTTP, each written down before it is sent and after it is answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

use super::recorder::Recorder;
use super::tokens::Issuer;
use crate::evidence::{Answer, Ask, Event, GrantedLine, Place};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two attempts.
const AGAIN_MS: std::ops::Range<u64> = 20..200;

/// Where requests can be sent: intakes that have said their address and were not ended.
#[derive(Debug, Default)]
pub(super) struct Targets(Mutex<Vec<(String, SocketAddr)>>);

impl Targets {
    pub(super) fn add(&self, life: String, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((life, address));
    }

    pub(super) fn remove(&self, life: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|it| it.0 != life);
    }

    pub(super) fn all(&self) -> Vec<(String, SocketAddr)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn any(&self, number: usize) -> Option<(String, SocketAddr)> {
        let targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!targets.is_empty()).then(|| targets[number % targets.len()].clone())
    }
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Decided(Answer),
    /// Nothing was done, and the same request may be sent again.
    Nothing(Answer),
    Unknown,
}

/// Sends requests. Shared by all threads.
pub(super) struct Client {
    agent: Agent,
    pub(super) recorder: Arc<Recorder>,
    pub(super) targets: Arc<Targets>,
    issuer: Issuer,
    /// Nobody begins anything any more.
    pub(super) over: AtomicBool,
}

/// The members of all answers that are of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    code: Option<String>,
    decided_by: Option<String>,
    reservation_id: Option<String>,
    position: Option<Place>,
    as_of: Option<Place>,
    state: Option<String>,
    lines: Vec<GrantedLine>,
    on_hand: Option<u64>,
    available: Option<u64>,
    held: Option<u64>,
    committed: Option<u64>,
    unavailable: Option<u64>,
    shortfall: Option<u64>,
}

impl Client {
    pub(super) fn new(recorder: Arc<Recorder>, targets: Arc<Targets>, issuer: Issuer) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_connections(256)
            .max_idle_connections_per_host(64)
            .proxy(None)
            .max_redirects(0)
            .build()
            .new_agent();
        Self { agent, recorder, targets, issuer, over: AtomicBool::new(false) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.recorder.broken.load(Ordering::Relaxed)
    }

    /// One attempt, at any intake. `None` while there is none.
    pub(super) fn attempt(&self, ask: &Ask, rng: &mut fastrand::Rng) -> Option<Told> {
        let (life, address) = self.targets.any(rng.usize(..))?;
        Some(self.send(&life, address, ask))
    }

    /// Repeats a request until it is decided, or refused by the gate, or `within` has passed.
    pub(super) fn insist(&self, ask: &Ask, within: Duration, rng: &mut fastrand::Rng) -> Option<Answer> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline && !self.recorder.broken.load(Ordering::Relaxed) {
            match self.attempt(ask, rng) {
                Some(Told::Decided(answer)) => return Some(answer),
                Some(Told::Nothing(answer)) if is_refusal(&answer) => return Some(answer),
                Some(Told::Nothing(_) | Told::Unknown) | None => {}
            }
            std::thread::sleep(Duration::from_millis(rng.u64(AGAIN_MS)));
        }
        None
    }

    /// One attempt at one intake.
    pub(super) fn send(&self, life: &str, address: SocketAddr, ask: &Ask) -> Told {
        let op = self.recorder.invoke(life, ask);
        let base = Answer { op, ..Answer::default() };
        let (answer, kind) = match self.exchange(address, ask) {
            Ok((status, replay, text)) => read(base, ask, status, replay, &text),
            Err(error) => {
                let kind = if was_not_sent(&error) { Kind::Nothing } else { Kind::Unknown };
                (Answer { error: Some(error.to_string()), ..base }, kind)
            }
        };
        let event = match kind {
            Kind::Decided => Event::Ok,
            Kind::Nothing => Event::Fail,
            Kind::Unknown => Event::Unknown,
        };
        self.recorder.end(event, answer.clone());
        match kind {
            Kind::Decided => Told::Decided(answer),
            Kind::Nothing => Told::Nothing(answer),
            Kind::Unknown => Told::Unknown,
        }
    }

    fn exchange(&self, address: SocketAddr, ask: &Ask) -> Result<(u16, bool, String), ureq::Error> {
        let wire = Wire::of(ask);
        let (subject, scope) = wire.who;
        let mut request = Request::builder()
            .method(wire.method)
            .uri(format!("http://{address}{}", wire.path))
            .header("Authorization", self.issuer.bearer(subject, scope));
        if let Some(key) = wire.key {
            request = request.header("Idempotency-Key", key);
        }
        if wire.body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let body = wire.body.map(|it| it.to_string()).unwrap_or_default();
        let response = self.agent.run(request.body(body.into_bytes())?)?;
        let status = response.status().as_u16();
        let replay = response.headers().contains_key("idempotent-replay");
        let text = response.into_body().read_to_string()?;
        Ok((status, replay, text))
    }
}

/// Whether the answer is one that asking again would only repeat.
fn is_refusal(answer: &Answer) -> bool {
    answer.status.is_some_and(|status| (400..500).contains(&status) && status != 429 && status != 408)
}

/// Nobody was there to be told anything.
fn was_not_sent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Decided,
    Nothing,
    Unknown,
}

/// What an answer means.
fn read(base: Answer, ask: &Ask, status: u16, replay: bool, text: &str) -> (Answer, Kind) {
    let body: Body = serde_json::from_str(text).unwrap_or_default();
    let counters =
        [body.on_hand, body.available, body.held, body.committed, body.unavailable, body.shortfall];
    let figures = counters.iter().copied().collect::<Option<Vec<u64>>>();
    let digest = blake3::hash(text.as_bytes()).to_hex();
    let answer = Answer {
        status: Some(status),
        body_digest: Some(digest[..32].to_owned()),
        code: body.code,
        decided_by: body.decided_by,
        replay,
        reservation_id: body.reservation_id,
        position: body.position.or(body.as_of),
        state: body.state,
        lines: body.lines,
        figures: figures.and_then(|it| <[u64; 6]>::try_from(it).ok()),
        ..base
    };
    let code = answer.code.as_deref();
    // What goes to every partition may have reached some of them whatever the answer is.
    let spread = matches!(ask, Ask::DefineSale { .. } | Ask::OpenSale { .. });
    let kind = match (status, code) {
        (200 | 201, _) => Kind::Decided,
        (503, Some("OVERLOADED" | "DISK_FULL" | "UNAVAILABLE")) | (429, _) if !spread => Kind::Nothing,
        (400..=499, _) if answer.decided_by.as_deref() == Some("sequencer") => Kind::Decided,
        (409, Some("IDEMPOTENCY_CONFLICT")) => Kind::Decided,
        (400..=499, _) if !spread => Kind::Nothing,
        _ => Kind::Unknown,
    };
    (answer, kind)
}

/// A request as it goes over the wire.
struct Wire<'a> {
    method: &'static str,
    path: String,
    key: Option<&'a str>,
    who: (&'a str, &'static str),
    body: Option<Value>,
}

const OPERATOR: (&str, &str) = ("crash-operator", "admin");

/// The subject of the operator of a run.
pub(super) const fn operator() -> &'static str {
    OPERATOR.0
}

impl<'a> Wire<'a> {
    fn of(ask: &'a Ask) -> Self {
        let plain = |method, path, who| Self { method, path, key: None, who, body: None };
        match ask {
            Ask::Reserve { subject, key, lines } => Self {
                key: Some(key),
                body: Some(json!({ "lines": lines })),
                ..plain("POST", "/v1/reservations".to_owned(), (subject, ""))
            },
            Ask::Confirm { subject, reservation_id } => {
                plain("POST", format!("/v1/reservations/{reservation_id}/confirm"), (subject, ""))
            }
            Ask::Release { subject, reservation_id } => {
                plain("POST", format!("/v1/reservations/{reservation_id}/release"), (subject, ""))
            }
            Ask::Extend { subject, key, reservation_id, by_ms } => Self {
                key: Some(key),
                body: Some(json!({ "by_ms": by_ms })),
                ..plain("POST", format!("/v1/reservations/{reservation_id}/extend"), (subject, ""))
            },
            Ask::SetStock { key, sku, on_hand, .. } => Self {
                key: Some(key),
                body: Some(json!({ "on_hand": on_hand, "reason": "crash test", "reference": "" })),
                ..plain("PUT", format!("/v1/admin/skus/{sku}/stock"), OPERATOR)
            },
            Ask::AdjustStock { key, sku, delta, set_aside, .. } => Self {
                key: Some(key),
                body: Some(json!({
                    "delta": delta, "set_aside": set_aside, "reason": "crash test", "reference": ""
                })),
                ..plain("POST", format!("/v1/admin/skus/{sku}/adjustments"), OPERATOR)
            },
            Ask::DefineSale { key, sale_id, skus, terms, .. } => Self {
                key: Some(key),
                body: Some(json!({
                    "skus": skus,
                    "hold_ttl_ms": terms.hold_ttl_ms,
                    "units_per_customer_max": terms.units_per_customer_max,
                })),
                ..plain("PUT", format!("/v1/admin/sales/{sale_id}"), OPERATOR)
            },
            Ask::OpenSale { sale_id } => plain("POST", format!("/v1/admin/sales/{sale_id}/open"), OPERATOR),
            Ask::Availability { sku } => plain("GET", format!("/v1/skus/{sku}/availability"), ("reader", "")),
        }
    }
}
