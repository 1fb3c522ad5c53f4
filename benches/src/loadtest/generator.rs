//! `holdfast loadtest` against an nginx that answers everything at once, so that the generator is what is measured.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;
use serde_json::Value;

use crate::group::Setup;
use crate::processes::{output, sibling};
use crate::row::{Goal, Measured, Row};
use crate::spine::http::nginx;
use crate::wrk::{Load, Wrk};

pub(crate) const CLOSED: &[&str] = &["loadtest_closed_64", "loadtest_closed_512"];
pub(crate) const LAG: &[&str] = &["loadtest_lag_p99", "loadtest_lag_rate"];

const PEER: &str = "wrk, unique keys, the same POST";
const CONNECTIONS: [u32; 2] = [64, 512];
/// Requests per second of the open loop.
const RATE: u64 = 20_000;
/// A token is as long as one that a server gives.
const TOKEN_BYTES: usize = 250;

/// A scenario for an interface that answers 200 to everything. Every request has its own key and its own body.
fn scenario(rest: &str) -> String {
    let token = "t".repeat(TOKEN_BYTES);
    format!(
        "{rest}\n\
         [sale]\nunits = 1000000000000\n\n\
         [api]\npath = \"/v1/reservations\"\ngranted = [200]\n\
         body = '{{\"lines\":[{{\"sku\":\"{{sku}}\",\"quantity\":{{units}}}}],\"customer\":\"{{customer}}\",\"order\":\"{{key}}\"}}'\n\n\
         [api.headers]\nauthorization = \"Bearer {token}\"\ncontent-type = \"application/json\"\n\
         idempotency-key = \"{{key}}\"\n"
    )
}

/// One run, and what it says of itself.
fn run(directory: &Path, address: SocketAddr, scenario: &str) -> Result<Value> {
    let file = directory.join("scenario.toml");
    std::fs::write(&file, scenario)?;
    let mut command = Command::new(sibling("holdfast")?);
    command.args([
        "loadtest",
        "run",
        "--no-files",
        "--json",
        "--quiet",
        "--server",
        &format!("http://{address}"),
    ]);
    let said = output(command.arg(&file).env_remove("HOLDFAST_CONFIG"))?;
    let results: Value = serde_json::from_str(said.trim())?;
    if results["verdict"] != "pass" {
        return Err(format!("the verdict is {}: {}", results["verdict"], results["checks"]).into());
    }
    Ok(results)
}

fn number(results: &Value, path: &str) -> Result<f64> {
    results.pointer(path).and_then(Value::as_f64).ok_or_else(|| format!("the results have no {path}").into())
}

/// As many requests as go, next to wrk, which keeps no books.
pub(crate) fn closed(setup: &Setup) -> Result<Vec<Row>> {
    let seconds = setup.size(6, 1);
    let (_nginx, address) = nginx(&setup.directory)?;
    let mut wrk = Wrk::new(&setup.directory, &["t".repeat(TOKEN_BYTES)])?;
    wrk.run(address, 64, 1)?;
    let mut runs: [(Vec<Value>, Vec<Load>); 2] = Default::default();
    for round in 0..setup.runs(5) {
        for (connections, (ours, peers)) in CONNECTIONS.into_iter().zip(&mut runs) {
            let text = scenario(&format!(
                "model = \"closed\"\nconnections = {connections}\n[[stage]]\nduration_ms = {}\n",
                seconds * 1_000
            ));
            if round % 2 == 0 {
                ours.push(run(&setup.directory, address, &text)?);
            }
            peers.push(wrk.run(address, connections, seconds)?);
            if round % 2 == 1 {
                ours.push(run(&setup.directory, address, &text)?);
            }
        }
    }
    CLOSED.iter().zip(&runs).map(|(name, (ours, peers))| closed_row(name, ours, peers)).collect()
}

fn closed_row(name: &'static str, ours: &[Value], peers: &[Load]) -> Result<Row> {
    let of = |path: &str| ours.iter().map(|it| number(it, path)).collect::<Result<Vec<f64>>>();
    let middle = |values: &[f64]| median(values).unwrap_or_default();
    let (rates, p50s) = (of("/operations/0/per_second")?, of("/operations/0/took/p50")?);
    let peer: Vec<f64> = peers.iter().map(|load| load.per_second).collect();
    let peer_p50: Vec<f64> = peers.iter().map(|load| load.p50_ms).collect();
    Ok(Measured::new(name, middle(&rates), "requests/s")
        .peer(PEER, middle(&peer))
        .with("p50_ms", middle(&p50s))
        .with("p50_ms_of_the_peer", middle(&peer_p50))
        .with("p99_ms", middle(&of("/operations/0/took/p99")?))
        .with("generator_cpu_percent", middle(&of("/generator/cpu_percent")?))
        .with("runs", ours.len())
        .goals(&[Goal::TimesPeerAtLeast(0.9)]))
}

/// How late requests leave in an open loop.
pub(crate) fn lag(setup: &Setup) -> Result<Vec<Row>> {
    let (_nginx, address) = nginx(&setup.directory)?;
    let text = scenario(&format!(
        "connections = 64\n[[stage]]\nduration_ms = {}\nrate = {RATE}\n",
        setup.size(10_000, 1_000)
    ));
    let runs =
        (0..setup.runs(5)).map(|_| run(&setup.directory, address, &text)).collect::<Result<Vec<_>>>()?;
    let of = |path: &str| runs.iter().map(|it| number(it, path)).collect::<Result<Vec<f64>>>();
    let middle = |values: Vec<f64>| median(&values).unwrap_or_default();
    let lag = Measured::new(LAG[0], middle(of("/generator/lag/p99")?), "ms")
        .with("p50", middle(of("/generator/lag/p50")?))
        .with("p999", middle(of("/generator/lag/p999")?))
        .with("longest", middle(of("/generator/lag/max")?))
        .with("generator_cpu_percent", middle(of("/generator/cpu_percent")?))
        .with("runs", runs.len())
        .goals(&[Goal::AtMost(1.0)]);
    let rate = Measured::new(LAG[1], middle(of("/operations/0/per_second")?), "requests/s")
        .with("felt_p99_ms", middle(of("/operations/0/felt/p99")?))
        .with("took_p99_ms", middle(of("/operations/0/took/p99")?))
        .with("dropped", middle(of("/requests/dropped")?))
        .goals(&[Goal::AtLeast(0.99 * RATE as f64)]);
    Ok(vec![lag, rate])
}
