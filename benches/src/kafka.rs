//! Kafka: the same work on a real broker, next to what the client library and the broker take for carrying it, and to
//! Kafka Streams doing it.

mod broker;
mod broker_loss;
mod decided;
mod hops;
mod http;
mod latency;
mod ours;
mod passthrough;
mod producing;
mod roles;
mod schedule;
mod soak;
mod streams;
mod takeover;
mod throughput;
mod trickle;

use crate::group::{Bench, Group};

/// All of it, in the order in which it is told.
pub(crate) const KAFKA: Group = Group {
    name: "kafka",
    benches: &[
        Bench { name: "throughput", rows: throughput::ROWS, seconds_max: 600, measure: throughput::measure },
        Bench { name: "latency", rows: latency::ROWS, seconds_max: 900, measure: latency::measure },
        Bench {
            name: "streams_throughput",
            rows: streams::throughput::ROWS,
            seconds_max: 900,
            measure: streams::throughput::measure,
        },
        Bench {
            name: "streams_latency",
            rows: streams::latency::ROWS,
            seconds_max: 900,
            measure: streams::latency::measure,
        },
        Bench {
            name: "streams_takeover",
            rows: streams::takeover::ROWS,
            seconds_max: 900,
            measure: streams::takeover::measure,
        },
        Bench { name: "http", rows: http::ROWS, seconds_max: 300, measure: http::measure },
        Bench { name: "takeover", rows: takeover::ROWS, seconds_max: 900, measure: takeover::measure },
        Bench { name: "soak", rows: soak::ROWS, seconds_max: 480, measure: soak::measure },
        Bench {
            name: "broker_loss",
            rows: broker_loss::ROWS,
            seconds_max: 300,
            measure: broker_loss::measure,
        },
    ],
};
