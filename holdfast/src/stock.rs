//! Stock: set, adjusted and shown, over HTTP.

use serde_json::{Value, json};

use crate::client::{Client, Method, Said, segment};
use crate::failure::Failure;
use crate::output::Output;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stock {
    Set { sku: String, on_hand: u64, reason: String, reference: Option<String>, expected: Option<u64> },
    Adjust { sku: String, delta: i64, reason: String, reference: Option<String> },
    Show { sku: String },
}

pub(crate) fn run(client: &Client, stock: &Stock, output: Output) -> Result<(), Failure> {
    let said = match stock {
        Stock::Set { sku, on_hand, reason, reference, expected } => {
            let mut body = json!({"on_hand": on_hand, "reason": reason});
            add(&mut body, "reference", reference.as_ref().map(|it| json!(it)));
            add(&mut body, "expected", expected.map(|it| json!(it)));
            client.send(Method::Put, &format!("/v1/admin/skus/{}/stock", segment(sku)), Some(&body))?
        }
        Stock::Adjust { sku, delta, reason, reference } => {
            let mut body = json!({"delta": delta, "reason": reason});
            add(&mut body, "reference", reference.as_ref().map(|it| json!(it)));
            client.send(Method::Post, &format!("/v1/admin/skus/{}/adjustments", segment(sku)), Some(&body))?
        }
        Stock::Show { sku } => {
            client.send(Method::Get, &format!("/v1/skus/{}/availability", segment(sku)), None)?
        }
    };
    output.answer(&Said(said))
}

fn add(body: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body[name] = value;
    }
}
