//! What the intake's tests share: a server with everything real in it, and a client that sees every byte.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod client;
mod server;
mod tier;

use std::time::{Duration, Instant};

pub(crate) use client::{Answer, Client};
pub(crate) use server::{Server, Setting};
pub(crate) use tier::{Following, Tier};

/// Long enough for a slow machine; nothing waits that long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so, asking again and again.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Others need the processor to make it so.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A body that asks for one line.
pub(crate) fn line(sku: &str, quantity: u64) -> String {
    format!(r#"{{"lines":[{{"sku":"{sku}","quantity":{quantity}}}]}}"#)
}
