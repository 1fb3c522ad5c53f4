//! The one who puts units on the shelf and opens the sale.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::config::DemoConfig;
use super::run::DemoError;
use crate::http::{Availability, Client, Lane, Request, availability};

/// What is sold.
pub(super) const SKU: &str = "A1";
/// Per customer.
pub(super) const UNITS_PER_CUSTOMER_MAX: u32 = 2;

const SALE: &str = "demo";
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES_MAX: u32 = 20;

/// Holds a token with the scope `admin`.
pub(super) struct Organiser<'a> {
    pub(super) client: &'a Client,
    pub(super) token: String,
}

impl Organiser<'_> {
    /// Puts the units on the shelf and opens the sale. When this returns, everybody can reserve.
    pub(super) async fn open_sale(&self, config: &DemoConfig) -> Result<(), DemoError> {
        let ttl_ms = u64::try_from(config.hold_ttl.as_millis()).unwrap_or(u64::MAX);
        let terms = json!({
            "skus": [SKU],
            "hold_ttl_ms": ttl_ms,
            "units_per_customer_max": UNITS_PER_CUSTOMER_MAX,
        });
        self.put_stock(u64::from(config.units), "delivery").await?;
        self.tell(Method::PUT, &format!("/v1/admin/sales/{SALE}"), Some(&terms)).await?;
        self.tell(Method::POST, &format!("/v1/admin/sales/{SALE}/open"), None).await
    }

    /// Sets how many units there are, sold ones included.
    pub(super) async fn put_stock(&self, on_hand: u64, reason: &str) -> Result<(), DemoError> {
        let stock = json!({ "on_hand": on_hand, "reason": reason, "reference": "demo" });
        self.tell(Method::PUT, &format!("/v1/admin/skus/{SKU}/stock"), Some(&stock)).await
    }

    /// How the server itself counts.
    pub(super) async fn availability(&self) -> Result<Availability, DemoError> {
        let path = format!("/v1/skus/{SKU}/availability");
        let request = Request { method: Method::GET, path: &path, token: &self.token, key: None, body: None };
        for _ in 0..TRIES_MAX {
            let sent = self.client.send(Lane::Till, &request, PATIENCE).await;
            if let Some(counts) = sent.reply.as_ref().and_then(availability) {
                return Ok(counts);
            }
        }
        Err(DemoError::Organising { what: path, answer: "no answer that could be read".to_owned() })
    }

    /// All of these may be repeated, so they are, until there is an answer.
    async fn tell(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(), DemoError> {
        let request = Request {
            method,
            path,
            token: &self.token,
            key: None,
            body: body.map(|it| Bytes::from(it.to_string())),
        };
        let mut answer = "no answer".to_owned();
        for _ in 0..TRIES_MAX {
            let Some(reply) = self.client.send(Lane::Till, &request, PATIENCE).await.reply else { continue };
            if reply.status.is_success() {
                return Ok(());
            }
            answer = format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body));
            if !matches!(reply.status.as_u16(), 429 | 503) {
                break;
            }
            tokio::time::sleep(reply.retry_after.unwrap_or(Duration::from_millis(100))).await;
        }
        Err(DemoError::Organising { what: path.to_owned(), answer })
    }
}
