//! The spine: machine, log, engine and intake of one process, held against the goals they were built for.

mod alone;
mod durable;
pub(crate) mod http;
mod machine;
mod memory;
pub(crate) mod recovery;
mod simulator;
mod takeover;

use crate::group::{Bench, Group};

/// All of it, in the order in which it is told.
pub(crate) const SPINE: Group = Group {
    name: "spine",
    benches: &[
        Bench { name: "machine", rows: machine::ROWS, seconds_max: 180, measure: machine::measure },
        Bench { name: "hold", rows: memory::HOLD, seconds_max: 90, measure: memory::measure_hold },
        Bench { name: "refusal", rows: memory::REFUSAL, seconds_max: 90, measure: memory::measure_refusal },
        Bench { name: "durable", rows: durable::ROWS, seconds_max: 300, measure: durable::measure },
        Bench { name: "http", rows: http::ROWS, seconds_max: 300, measure: http::measure },
        Bench { name: "alone", rows: alone::ROWS, seconds_max: 90, measure: alone::measure },
        Bench { name: "recovery", rows: recovery::ROWS, seconds_max: 180, measure: recovery::measure },
        Bench { name: "takeover", rows: takeover::ROWS, seconds_max: 120, measure: takeover::measure },
        Bench { name: "simulator", rows: simulator::ROWS, seconds_max: 180, measure: simulator::measure },
    ],
};
