//! The load generator itself: how much it can ask beside wrk, which checks nothing, and how punctual it is.

mod generator;

use crate::group::{Bench, Group};

/// All of it, in the order in which it is told.
pub(crate) const LOADTEST: Group = Group {
    name: "loadtest",
    benches: &[
        Bench { name: "closed", rows: generator::CLOSED, seconds_max: 300, measure: generator::closed },
        Bench { name: "lag", rows: generator::LAG, seconds_max: 180, measure: generator::lag },
    ],
};
