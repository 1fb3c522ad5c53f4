//! Reservations over HTTP with Kafka behind them, intake and sequencer in processes of their own, next to the embedded
//! log in one process.

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;

use super::broker::Broker;
use super::roles::{Cluster, Roles, owns};
use crate::group::Setup;
use crate::row::{Measured, Row};
use crate::server::Server;
use crate::spine::http::{BUYERS, CONNECTIONS, Runs, UNITS, load_server};
use crate::wrk::{Load, Wrk};

pub(crate) const ROWS: &[&str] =
    &["kafka_http_64_requests", "kafka_http_64_p99", "kafka_http_512_requests", "kafka_http_512_p99"];

const PEER: &str = "holdfast up, embedded log";

/// A server, and what asks it.
struct Side {
    server: Server,
    wrk: Wrk,
}

impl Side {
    fn new(server: Server, setup: &Setup, name: &str) -> Result<Self> {
        server.open_sale(UNITS)?;
        let tokens = (0..BUYERS).map(|nr| server.token(&format!("buyer-{nr}"), None));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        let directory = setup.directory.join(name);
        std::fs::create_dir_all(&directory)?;
        let mut wrk = Wrk::new(&directory, &tokens)?;
        wrk.run(server.address(), 64, setup.size(3, 1))?;
        Ok(Self { server, wrk })
    }

    fn load(&mut self, connections: u32, seconds: u64, runs: &mut Runs) -> Result<()> {
        load_server(&mut self.server, &mut self.wrk, connections, seconds, runs)
    }
}

fn rows(names: [&'static str; 2], kafka: &[Load], embedded: &[Load]) -> [Row; 2] {
    let middle = |loads: &[Load], of: fn(&Load) -> f64| {
        median(&loads.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
    };
    let row = |name, unit, of: fn(&Load) -> f64| {
        Measured::new(name, middle(kafka, of), unit)
            .peer(PEER, middle(embedded, of))
            .with("runs", kafka.len())
    };
    let answers: u64 = kafka.iter().map(|load| load.requests).sum();
    let requests = row(names[0], "requests/s", |load| load.per_second).with("answers_of_201", answers);
    let p99 = row(names[1], "ms", |load| load.p99_ms)
        .with("p50", middle(kafka, |load| load.p50_ms))
        .with("p50_of_the_peer", middle(embedded, |load| load.p50_ms))
        .with("longest", kafka.iter().map(|load| load.max_ms).fold(0.0, f64::max));
    [requests.goals(&[]), p99.goals(&[])]
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let (broker, seconds) = (Broker::start()?, setup.size(6, 1));
    let cluster = Cluster::make(&broker, &setup.directory, "http", Roles::default())?;
    let sequencer = cluster.sequencer("sequencer")?;
    sequencer.wait_until("the sequencer to decide", owns)?;
    let mut kafka = Side::new(cluster.intake("intake")?, setup, "kafka-load")?;
    let mut embedded = Side::new(Server::start(&setup.directory.join("embedded"))?, setup, "embedded-load")?;
    let mut runs = [(); 2].map(|()| (Runs::default(), Runs::default()));
    for round in 0..setup.runs(5) {
        for (connections, (on_kafka, on_disk)) in CONNECTIONS.into_iter().zip(&mut runs) {
            if round % 2 == 0 {
                kafka.load(connections, seconds, on_kafka)?;
            }
            embedded.load(connections, seconds, on_disk)?;
            if round % 2 == 1 {
                kafka.load(connections, seconds, on_kafka)?;
            }
        }
    }
    let [few, many] = &runs;
    let few = rows([ROWS[0], ROWS[1]], &few.0.ours, &few.1.ours);
    let many = rows([ROWS[2], ROWS[3]], &many.0.ours, &many.1.ours);
    Ok(few.into_iter().chain(many).collect())
}
