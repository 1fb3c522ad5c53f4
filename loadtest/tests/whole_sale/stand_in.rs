//! A very small server that keeps the contract as far as a demonstration uses it, or breaks it on purpose.
//!
//! It exists to be caught. State is one table behind one lock; what was decided is written to a journal before it is
//! answered and decided again at the next start.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Mistake {
    None,
    /// Has five units more than it was given.
    Oversells,
    /// Refuses every third request although there is stock.
    RefusesFreeUnits,
    /// Units of holds that lapsed never come back.
    NeverResells,
    /// Does not write down every second decision, so that a restart forgets it.
    Forgets,
    /// Takes a repeated key for a new one.
    DecidesTwice,
    /// Whoever comes later stands before.
    Reorders,
    IgnoresTheLimit,
    /// Holds lapse after a tenth of their time.
    ExpiresEarly,
    /// Lets people pay after the deadline.
    ExpiresLate,
    /// Answers another body under a used key as if it were the first.
    IgnoresTheBody,
    /// Says 500 to a confirmation now and then, having done it.
    Stumbles,
}

/// An Ed25519 key that is good for nothing else; the example of RFC 8410.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

#[derive(serde::Serialize, serde::Deserialize)]
struct Asked {
    at_ms: u64,
    who: String,
    method: String,
    path: String,
    key: String,
    body: Value,
}

struct Answered {
    status: u16,
    replay: bool,
    body: Value,
}

#[derive(Clone)]
struct Held {
    who: String,
    units: u64,
    state: &'static str,
    deadline_ms: u64,
    position: u64,
}

struct Store {
    mistake: Mistake,
    on_hand: u64,
    ttl_ms: u64,
    limit: u64,
    decisions: u64,
    /// By customer and key: the body, the status, and the answer.
    known: HashMap<(String, String), (Value, u16, Value)>,
    holds: HashMap<String, Held>,
}

fn answered(status: u16, body: Value) -> Answered {
    Answered { status, replay: false, body }
}

fn refusal(status: u16, code: &str, position: u64) -> (u16, Value) {
    (status, json!({ "code": code, "decided_by": "sequencer", "position": place(position) }))
}

fn place(offset: u64) -> Value {
    json!({ "partition": 0, "offset": offset, "index": 0 })
}

impl Store {
    fn new(mistake: Mistake) -> Self {
        let (known, holds) = (HashMap::new(), HashMap::new());
        Self { mistake, on_hand: 0, ttl_ms: 0, limit: 0, decisions: 0, known, holds }
    }

    fn units(&self, states: &[&str], of: impl Fn(&Held) -> bool) -> u64 {
        self.holds.values().filter(|it| states.contains(&it.state) && of(it)).map(|it| it.units).sum()
    }

    fn available(&self) -> u64 {
        let mut on_hand = self.on_hand;
        let mut taken = self.units(&["held", "confirmed"], |_| true);
        match self.mistake {
            Mistake::Oversells => on_hand += 5,
            Mistake::NeverResells => taken += self.units(&["expired"], |_| true),
            _ => {}
        }
        on_hand.saturating_sub(taken)
    }

    fn answer(&mut self, asked: &Asked) -> Answered {
        for hold in self.holds.values_mut().filter(|it| it.state == "held") {
            if asked.at_ms >= hold.deadline_ms {
                hold.state = "expired";
            }
        }
        let path: Vec<&str> = asked.path.trim_start_matches("/v1/").split('/').collect();
        match path.as_slice() {
            ["admin", "skus", _, "stock"] => {
                self.on_hand = asked.body["on_hand"].as_u64().unwrap_or(0);
                answered(200, json!({}))
            }
            ["admin", "sales", _] => {
                self.ttl_ms = asked.body["hold_ttl_ms"].as_u64().unwrap_or(0);
                self.limit = asked.body["units_per_customer_max"].as_u64().unwrap_or(0);
                answered(200, json!({}))
            }
            ["admin", ..] => answered(200, json!({})),
            ["skus", ..] => {
                let (held, committed) =
                    (self.units(&["held"], |_| true), self.units(&["confirmed"], |_| true));
                answered(200, json!({ "available": self.available(), "held": held, "committed": committed }))
            }
            ["reservations"] => self.reserve(asked),
            ["reservations", id] => self.stands(id),
            ["reservations", id, verb] => self.change(id, verb),
            _ => answered(404, json!({ "code": "NOT_FOUND" })),
        }
    }

    fn reserve(&mut self, asked: &Asked) -> Answered {
        let known = (asked.who.clone(), asked.key.clone());
        if self.mistake != Mistake::DecidesTwice
            && let Some((body, status, answer)) = self.known.get(&known)
        {
            if *body != asked.body && self.mistake != Mistake::IgnoresTheBody {
                return answered(409, json!({ "code": "IDEMPOTENCY_CONFLICT" }));
            }
            let status = if *status == 201 { 200 } else { *status };
            return Answered { status, replay: true, body: answer.clone() };
        }
        self.decisions += 1;
        let (status, answer) = self.decide(asked);
        self.known.insert(known, (asked.body.clone(), status, answer.clone()));
        answered(status, answer)
    }

    fn decide(&mut self, asked: &Asked) -> (u16, Value) {
        let units = asked.body["lines"][0]["quantity"].as_u64().unwrap_or(0);
        let position = match self.mistake {
            Mistake::Reorders => 1_000_000 - self.decisions,
            _ => self.decisions,
        };
        let has = self.units(&["held", "confirmed"], |it| it.who == asked.who);
        if has + units > self.limit && self.mistake != Mistake::IgnoresTheLimit {
            return refusal(409, "PURCHASE_LIMIT", position);
        }
        let refuses = self.mistake == Mistake::RefusesFreeUnits && self.decisions.is_multiple_of(3);
        if units > self.available() || refuses {
            return refusal(422, "INSUFFICIENT_STOCK", position);
        }
        let ttl_ms = match self.mistake {
            Mistake::ExpiresEarly => self.ttl_ms / 10,
            Mistake::ExpiresLate => self.ttl_ms * 2,
            _ => self.ttl_ms,
        };
        let id = format!("r{}", self.decisions);
        let (who, deadline_ms) = (asked.who.clone(), asked.at_ms + ttl_ms);
        self.holds.insert(id.clone(), Held { who, units, state: "held", deadline_ms, position });
        let Value::Object(answer) = self.stands(&id).body else { return (500, Value::Null) };
        (201, Value::Object(answer))
    }

    fn stands(&self, id: &str) -> Answered {
        let Some(hold) = self.holds.get(id) else {
            return answered(404, json!({ "code": "UNKNOWN_RESERVATION" }));
        };
        answered(
            200,
            json!({
                "reservation_id": id,
                "state": hold.state,
                "lines": [{ "sku": "A1", "quantity": hold.units, "granted": hold.units }],
                "position": place(hold.position),
                "decided_by": "sequencer",
            }),
        )
    }

    fn change(&mut self, id: &str, verb: &str) -> Answered {
        let Some(hold) = self.holds.get_mut(id) else { return self.stands(id) };
        match (verb, hold.state) {
            ("confirm", "held") => hold.state = "confirmed",
            ("release", "held") => hold.state = "released",
            ("release", "confirmed") => return answered(409, json!({ "code": "ALREADY_CONFIRMED" })),
            ("confirm", "released") => return answered(410, json!({ "code": "RELEASED" })),
            ("confirm", "expired") => return answered(410, json!({ "code": "EXPIRED" })),
            _ => {}
        }
        let stumbles = self.mistake == Mistake::Stumbles && hold.position.is_multiple_of(4);
        if stumbles { answered(500, Value::Null) } else { self.stands(id) }
    }
}

/// A repeated request is answered again without a mistake, and decided again with the mistake for it.
pub(crate) fn decides_once() {
    for (mistake, decisions) in [(Mistake::None, 1), (Mistake::DecidesTwice, 2)] {
        let mut store = Store::new(mistake);
        let body = json!({ "lines": [{ "sku": "A1", "quantity": 1 }] });
        let words = |word: &str| word.to_owned();
        let (who, method, path, key) = (words("me"), words("POST"), words("/v1/reservations"), words("k"));
        let asked = Asked { at_ms: 0, who, method, path, key, body };
        (store.on_hand, store.limit) = (9, 9);
        let replays = [store.answer(&asked).replay, store.answer(&asked).replay];
        assert_eq!((store.decisions, replays), (decisions, [false, decisions == 1]));
    }
}

/// Serves until it is killed, or told to end. Prints its address once ready.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn serve(data: &Path, mistake: Mistake) {
    let key = data.join("development-key.pem");
    if !key.exists() {
        std::fs::write(&key, KEY).unwrap();
    }
    let journal = OpenOptions::new().create(true).append(true).read(true).open(data.join("journal")).unwrap();
    let mut store = Store::new(mistake);
    for line in BufReader::new(&journal).lines() {
        // A line that was cut off had not been answered.
        let Ok(asked) = serde_json::from_str::<Asked>(&line.unwrap()) else { break };
        store.answer(&asked);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say_ready(&mut stdout().lock(), listener.local_addr().unwrap());
    let house = Arc::new(Mutex::new((store, journal)));
    let mut told_to_end = signal(SignalKind::terminate()).unwrap();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = told_to_end.recv() => return,
        };
        let house = house.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, house.clone()));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The test harness has begun a line already.
fn say_ready(out: &mut impl Write, address: SocketAddr) {
    writeln!(out, "\nready on http://{address}").unwrap();
}

type House = Arc<Mutex<(Store, std::fs::File)>>;

async fn respond(request: Request<Incoming>, house: House) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|it| it.to_str().ok());
        value.unwrap_or_default().trim_matches('"').to_owned()
    };
    let (who, key) = (header("authorization"), header("idempotency-key"));
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let body = request.into_body().collect().await?.to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let asked = Asked { at_ms, who, method, path, key, body };
    let reply = {
        let mut house = house.lock().expect("nobody panics with it");
        let forgets = house.0.mistake == Mistake::Forgets
            && asked.path == "/v1/reservations"
            && house.0.decisions.is_multiple_of(2);
        if asked.method != "GET" && !forgets {
            let line = serde_json::to_string(&asked).expect("it is made of words and numbers");
            writeln!(house.1, "{line}").expect("the journal can be written");
        }
        house.0.answer(&asked)
    };
    let mut response = Response::builder().status(reply.status);
    if reply.replay {
        response = response.header("idempotent-replay", "true");
    }
    Ok(response.body(Full::new(reply.body.to_string().into())).expect("the status is valid"))
}
