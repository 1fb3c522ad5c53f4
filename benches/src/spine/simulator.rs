//! The simulator: how many seeds and decisions it gets through.

use std::process::Command;

use holdfast_benches::pipeline::Result;
use serde_json::Value;

use crate::group::Setup;
use crate::processes::{output, sibling};
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["simulator_seeds", "simulator_decisions"];

/// The goals speak of a minute.
const MINUTE: f64 = 60.0;

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let seconds = setup.size(60, 3).to_string();
    let threads = std::thread::available_parallelism()?.to_string();
    let mut command = Command::new(sibling("holdfast-simulator")?);
    command.args(["--seeds", "1000000000", "--seconds", &seconds, "--threads", &threads, "--json"]);
    let said = output(&mut command)?;
    let last = said.lines().last().ok_or("the simulator said nothing")?;
    let report: Value = serde_json::from_str(last)?;
    let number =
        |key: &str| report[key].as_f64().ok_or_else(|| format!("the simulator did not say its {key}"));
    let (seeds, decisions, took) = (number("seeds")?, number("decisions")?, number("ms")? / 1e3);
    if number("failures")? != 0.0 {
        return Err("the simulator found a failure".into());
    }
    let row = |name, count: f64, unit, goal| {
        Measured::new(name, count / took * MINUTE, unit)
            .with("counted", count)
            .with("seconds", took)
            .with("threads", threads.as_str())
            .goals(&[Goal::AtLeast(goal)])
    };
    Ok(vec![row(ROWS[0], seeds, "seeds/min", 2_000.0), row(ROWS[1], decisions, "decisions/min", 20e6)])
}
