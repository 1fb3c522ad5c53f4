//! Kafka Streams doing the same work on the same broker: as fast as it goes, how long an answer takes, and how long
//! nobody answers after `kill -9`.

mod check;
mod latency;
mod peer;
mod throughput;
mod work;

use holdfast_benches::pipeline::Result;

use super::broker::Broker;
use crate::group::Setup;
use crate::row::Row;
use peer::Peer;

pub(crate) const ROWS: &[&str] = &[
    "kafka_streams_peer_throughput",
    "kafka_streams_peer_10k_p99",
    "kafka_streams_peer_10k_p99_exactly_once",
];

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    let peer = Peer::compile(&setup.directory)?;
    check::run(&broker, &peer, setup)?;
    let mut rows = vec![throughput::measure(&broker, &peer, setup)?];
    rows.extend(latency::measure(&broker, &peer, setup)?);
    Ok(rows)
}
