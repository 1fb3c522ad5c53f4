//! What all buyers of a sale share, and how one of them gets an answer.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::books::{Answer, Ask, Body, Books, Customer, Exchange, Key, ReservationId};
use crate::http::{Client, Lane, Request, answer_to};

/// How long somebody waits for an answer who has time.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Nobody asks one thing more often than this. Enough for minutes of an overloaded server.
const TRIES_MAX: u32 = 200;

/// The sale, seen from the buyers' side.
pub(super) struct Shop {
    pub(super) client: Client,
    pub(super) books: Books,
    /// Whether there is nothing left to come for.
    pub(super) over: watch::Receiver<bool>,
    pub(super) sku: String,
    pub(super) seed: u64,
    pub(super) units_per_customer_max: u32,
    pub(super) hold_ttl: Duration,
}

/// A customer with a token.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) customer: Customer,
    /// The value of the `Authorization` header.
    pub(super) token: String,
}

/// How long somebody waits for each answer before asking again.
pub(super) struct Patience {
    /// The first tries; when they are used up, [`PATIENCE`].
    pub(super) short: Vec<Duration>,
}

impl Patience {
    pub(super) fn long() -> Self {
        Self { short: Vec::new() }
    }

    fn of_try(&self, number: u32) -> Duration {
        usize::try_from(number).ok().and_then(|index| self.short.get(index)).copied().unwrap_or(PATIENCE)
    }
}

impl Shop {
    /// Asks until there is an answer: the same question with the same key, however often the connection breaks, the
    /// patience ends, or the server is too busy. Nothing if there never was one.
    pub(super) async fn insist(
        &self,
        person: &Person,
        lane: Lane,
        ask: &Ask,
        patience: &Patience,
    ) -> Option<Answer> {
        for number in 0..TRIES_MAX {
            let (answer, wait) = self.ask_once(person, lane, ask, patience.of_try(number)).await;
            match answer {
                Answer::Pending | Answer::Busy => sleep(wait).await,
                Answer::Silence => sleep(Duration::from_millis(u64::from(number.min(20)) * 5)).await,
                answer => return Some(answer),
            }
        }
        None
    }

    /// Asks once and writes it down. With how long the server asked to wait before the next try.
    pub(super) async fn ask_once(
        &self,
        person: &Person,
        lane: Lane,
        ask: &Ask,
        patience: Duration,
    ) -> (Answer, Duration) {
        let wire = self.on_the_wire(ask);
        let request = Request {
            method: wire.method,
            path: &wire.path,
            token: &person.token,
            key: wire.key.as_deref(),
            body: wire.body,
        };
        let sent = self.client.send(lane, &request, patience).await;
        let answer = match &sent.reply {
            Some(reply) => answer_to(ask, reply, std::slice::from_ref(&self.sku)),
            None => Answer::Silence,
        };
        let wait = sent.reply.and_then(|it| it.retry_after).unwrap_or(Duration::from_millis(50));
        self.books.write(Exchange {
            sent: sent.sent,
            received: sent.received,
            ask: ask.clone(),
            answer: answer.clone(),
        });
        (answer, wait)
    }

    /// Whether there is nothing left to come for.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Stays away for a while, or until the sale is over.
    pub(super) async fn stay_away(&self, span: Duration) {
        let mut over = self.over.clone();
        let _ = timeout(span, over.wait_for(|it| *it)).await;
    }

    fn on_the_wire(&self, ask: &Ask) -> Wire {
        let about = |id: &ReservationId, what: &str| format!("/v1/reservations/{id}{what}");
        let post = |path| Wire { method: Method::POST, path, key: None, body: None };
        match ask {
            Ask::Reserve { key, body } => Wire {
                method: Method::POST,
                path: "/v1/reservations".to_owned(),
                key: Some(self.key_text(*key)),
                body: Some(self.body_text(*body)),
            },
            Ask::Confirm { reservation } => post(about(reservation, "/confirm")),
            Ask::Release { reservation } => post(about(reservation, "/release")),
            Ask::Read { reservation } => {
                Wire { method: Method::GET, path: about(reservation, ""), key: None, body: None }
            }
        }
    }

    /// Half of the customers quote their keys, as the draft of the header says; the others send them bare.
    fn key_text(&self, key: Key) -> String {
        let (seed, customer, serial) = (self.seed, key.customer.0, key.serial);
        match customer % 2 {
            0 => format!("{seed:x}-{customer}-{serial}"),
            _ => format!("\"{seed:x}-{customer}-{serial}\""),
        }
    }

    fn body_text(&self, body: Body) -> Bytes {
        let (sku, units, partial) = (&self.sku, body.units(), body.allow_partial());
        format!(r#"{{"lines":[{{"sku":"{sku}","quantity":{units}}}],"allow_partial":{partial}}}"#).into()
    }
}

struct Wire {
    method: Method,
    path: String,
    key: Option<String>,
    body: Option<Bytes>,
}
