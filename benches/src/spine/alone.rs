//! One request at a time on an idle server: what a buyer waits when nobody else is there, next to one bare flush.

use std::time::{Duration, Instant};

use holdfast_benches::bare::Flushes;
use holdfast_benches::clock::percentile;
use holdfast_benches::pipeline::Result;

use crate::group::Setup;
use crate::row::{Goal, Measured, Row};
use crate::server::{BODY, Client, Server, head};

pub(crate) const ROWS: &[&str] = &["alone_p50"];

/// Idle means idle: by then the log has gone to rest.
const REST: Duration = Duration::from_millis(60);

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let server = Server::start(&setup.directory)?;
    server.open_sale(1_000_000)?;
    let token = server.token("buyer", None)?;
    let mut client = Client::connect(server.address())?;
    let mut flushes = Flushes::prepare(&setup.directory.join("bare"))?;
    let (mut requests, mut bare) = (Vec::new(), Vec::new());
    for nr in 0..setup.size(150, 20) {
        let head = head("POST", "/v1/reservations", &token, &format!("alone-{nr}"), BODY.len());
        let request = format!("{head}{BODY}");
        std::thread::sleep(REST);
        let start = Instant::now();
        let answer = client.ask(&request)?;
        requests.push(start.elapsed().as_nanos() as f64 / 1e3);
        if answer.status != 201 {
            return Err(format!("answered {}: {}", answer.status, answer.body).into());
        }
        std::thread::sleep(REST);
        bare.push(flushes.once()?.as_nanos() as f64 / 1e3);
    }
    let at = |values: &[f64], percent| percentile(values, percent).unwrap_or_default();
    let row = Measured::new(ROWS[0], at(&requests, 50), "us")
        .peer("write of 4 KiB and flush", at(&bare, 50))
        .with("p90", at(&requests, 90))
        .with("p90_of_the_flush", at(&bare, 90))
        .with("requests", requests.len())
        .goals(&[Goal::AbovePeerAtMost(150.0)]);
    Ok(vec![row])
}
