//! Stock: set, adjusted and shown, over HTTP.

use serde_json::{Value, json};

use crate::cli::{AdjustStock, SetStock};
use crate::client::{Client, Method, Said, segment};
use crate::failure::{Exit, Failure};
use crate::output::{Output, confirm};

/// Sets the units on hand.
pub(crate) fn set(client: &Client, it: &SetStock, output: Output) -> Result<(), Failure> {
    if it.force && !it.yes {
        let question = format!("Cut the stock of {} below what is promised?", it.sku);
        confirm(&question, "buyers who hold a unit may not get it")?;
    }
    let mut body = json!({"on_hand": it.on_hand, "reason": it.reason});
    add(&mut body, "reference", it.reference.as_ref().map(|it| json!(it)));
    add(&mut body, "expected", it.expected.map(|it| json!(it)));
    add(&mut body, "force", it.force.then_some(json!(true)));
    let path = format!("/v1/admin/skus/{}/stock", segment(&it.sku));
    output.answer(&write(client, Method::Put, &path, &body, it.key.as_deref())?)
}

/// Changes the units on hand.
pub(crate) fn adjust(client: &Client, it: &AdjustStock, output: Output) -> Result<(), Failure> {
    let mut body = json!({"delta": it.delta, "reason": it.reason});
    add(&mut body, "reference", it.reference.as_ref().map(|it| json!(it)));
    add(&mut body, "set_aside", it.set_aside.map(|it| json!(it)));
    let path = format!("/v1/admin/skus/{}/adjustments", segment(&it.sku));
    output.answer(&write(client, Method::Post, &path, &body, it.key.as_deref())?)
}

/// Shows what there is.
pub(crate) fn show(client: &Client, sku: &str, output: Output) -> Result<(), Failure> {
    output.answer(&client.send(Method::Get, &format!("/v1/skus/{}/availability", segment(sku)), None)?)
}

/// Sends a change that must not be made twice, with the key given or a fresh one. Who hears nothing is told how to ask again.
fn write(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
    key: Option<&str>,
) -> Result<Said, Failure> {
    let key = key.map_or_else(fresh_key, |key| Ok(key.to_owned()))?;
    client.send_with_key(method, path, Some(body), Some(&key)).map_err(|failure| match failure.exit {
        Exit::Unavailable | Exit::RetryLater => {
            let before = failure.advice.clone().map(|advice| format!("{advice}; ")).unwrap_or_default();
            failure.advise(format!("{before}repeated with --key {key} it is done once at most"))
        }
        _ => failure,
    })
}

fn fresh_key() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Failed, "RANDOM", format!("no random bytes: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn add(body: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body[name] = value;
    }
}
