//! Puts units on the shelves and opens the sale, and asks at the end what is left.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::RunError;
use super::errands::{self, Then};
use super::target::Target;
use crate::books::{Sku, Stopwatch};
use crate::checks::Counted;
use crate::generator::{Head, Times};
use crate::http::availability;

/// Connections for stock of many SKUs.
const CONNECTIONS: usize = 16;

/// Holds a token with the scope `admin`.
pub(crate) struct Organiser<'a> {
    pub(crate) target: &'a Target,
    pub(crate) admin: &'a str,
    pub(crate) skus: &'a [String],
    pub(crate) run: u64,
    pub(crate) watch: Stopwatch,
    /// Nothing more is to be asked.
    pub(crate) stop: &'a AtomicBool,
}

/// What the sale is like.
pub(crate) struct Terms {
    pub(crate) hold_ttl_ms: u64,
    pub(crate) units_per_customer_max: u32,
}

impl Organiser<'_> {
    /// When this returns, everybody can reserve.
    pub(crate) fn open_sale(&self, terms: &Terms, units: u64) -> Result<(), RunError> {
        self.put_stock(&vec![units; self.skus.len()], "delivery")?;
        let sale = format!("/v1/admin/sales/load-test-{:x}", self.run);
        let terms = json!({
            "skus": self.skus,
            "hold_ttl_ms": terms.hold_ttl_ms,
            "units_per_customer_max": terms.units_per_customer_max,
        });
        self.tell("PUT", &[(sale.clone(), Some(terms))])?;
        self.tell("POST", &[(format!("{sale}/open"), None)])
    }

    /// Sets how many units there are of each SKU, sold ones included.
    pub(crate) fn put_stock(&self, units: &[u64], reason: &str) -> Result<(), RunError> {
        let reference = format!("load-test-{:x}", self.run);
        let tasks: Vec<(String, Option<Value>)> = self
            .skus
            .iter()
            .zip(units)
            .map(|(sku, units)| {
                let stock = json!({ "on_hand": units, "reason": reason, "reference": reference });
                (format!("/v1/admin/skus/{sku}/stock"), Some(stock))
            })
            .collect();
        self.tell("PUT", &tasks)
    }

    /// How the server itself counts each SKU.
    pub(crate) fn availability(&self) -> Result<BTreeMap<Sku, Counted>, RunError> {
        let mut found = BTreeMap::new();
        let write = |number: usize, request: &mut Vec<u8>| {
            let path = format!("/v1/skus/{}/availability", self.skus[number]);
            self.write("GET", &path, None, request);
        };
        let heard = |number: usize, times: Times, answer: Option<(&Head, &[u8])>| {
            let counts = answer.and_then(availability);
            let Some(counts) = counts else { return Then::Again };
            let (available, held, committed) = (counts.available, counts.held, counts.committed);
            let (after, before) = (times.sent.minus(counts.age()), times.done);
            let sku = Sku(u16::try_from(number).unwrap_or(u16::MAX));
            found.insert(sku, Counted { available, held, committed, after, before });
            Then::Done
        };
        let unheard =
            errands::run(self.address(), CONNECTIONS, self.watch, self.stop, self.skus.len(), write, heard)?;
        if unheard > 0 {
            return Err(RunError::Organising {
                what: "what is left".to_owned(),
                answer: format!("not for {unheard} SKUs"),
            });
        }
        Ok(found)
    }

    /// All of these may be repeated, so they are, until there is an answer.
    fn tell(&self, method: &str, tasks: &[(String, Option<Value>)]) -> Result<(), RunError> {
        let bodies: Vec<Option<String>> =
            tasks.iter().map(|(_, body)| body.as_ref().map(Value::to_string)).collect();
        let mut refused: Option<(String, String)> = None;
        let mut last = String::from("no answer");
        let write = |number: usize, request: &mut Vec<u8>| {
            self.write(method, &tasks[number].0, bodies[number].as_deref(), request);
        };
        let heard = |number: usize, _: Times, answer: Option<(&Head, &[u8])>| {
            let Some((head, body)) = answer else { return Then::Again };
            if (200..300).contains(&head.status) {
                return Then::Done;
            }
            let said = format!("{}: {}", head.status, String::from_utf8_lossy(body));
            if matches!(head.status, 429 | 503) {
                last = said;
                return Then::Again;
            }
            refused.get_or_insert_with(|| (tasks[number].0.clone(), said));
            Then::Done
        };
        let unheard =
            errands::run(self.address(), CONNECTIONS, self.watch, self.stop, tasks.len(), write, heard)?;
        if let Some((what, answer)) = refused {
            return Err(RunError::Organising { what, answer });
        }
        match tasks.first() {
            Some((what, _)) if unheard > 0 => Err(RunError::Organising { what: what.clone(), answer: last }),
            _ => Ok(()),
        }
    }

    fn address(&self) -> SocketAddr {
        self.target.address
    }

    fn write(&self, method: &str, path: &str, body: Option<&str>, request: &mut Vec<u8>) {
        let (host, admin, body) = (&self.target.host, self.admin, body.unwrap_or_default());
        let length = body.len();
        request.extend_from_slice(
            format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {admin}\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
    }
}
