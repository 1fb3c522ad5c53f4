//! A load test whose buyers ask a real broker: the roles are processes of their own, and nobody asks the intake but for
//! the sale and the stock.

#[path = "../kit/mod.rs"]
mod kit;

use std::fs;

use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::kafka::lookup;
use holdfast_log::{KafkaConfig, KafkaLog, KafkaLogOptions, OrderedLog, Record, StreamId};
use kit::cluster::{Cluster, PARTITIONS, status, wait_until};
use kit::run;
use kit::server::Server;
use rustix::process::Signal;

/// Everything that a buyer can do without looking.
const SCENARIO: &str = "
[sale]
skus = 4
units = 600
[buyers]
customers = 2000
units = [1, 2]
double_click = 0.05
key_reuse = 0.02
multi_line = 0.05
[after]
confirm = 0.7
release = 0.1
delay_ms = [10, 300]
[[stage]]
duration_ms = 3000
rate = 2000
";

/// What reserve commands a partition has, and in how many records.
fn reserved(log: &KafkaLog, partition: PartitionId) -> (usize, usize) {
    let stream = StreamId::inventory_commands(partition);
    let end = log.refresh(stream).expect("the broker answers").end;
    let mut records = Vec::new();
    wait_until("all commands", || {
        let next = records.last().map_or(Offset(0), |it: &Record| it.offset.next());
        log.read(stream, next, 8 << 20, &mut records).expect("they can be read");
        records.last().is_some_and(|last| last.offset.next() >= end)
    });
    let counts = records.iter().map(|record| {
        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        decode_batch(&record.payload, &mut skus, &mut commands).expect("it is a batch");
        commands.iter().filter(|it| matches!(it, Command::Reserve(_))).count()
    });
    counts.filter(|count| *count > 0).fold((0, 0), |(sum, records), count| (sum + count, records + 1))
}

fn is_ready(sequencer: &Server) -> bool {
    let said = status(sequencer);
    let partitions = said["partitions"].as_array().cloned().unwrap_or_default();
    let owned = |it: &serde_json::Value| it["assignment"] == "active" && it["state"] == "live";
    partitions.len() == PARTITIONS as usize && partitions.iter().all(owned)
}

#[test]
fn buyers_ask_in_batches_and_everything_they_were_told_holds() {
    let cluster = Cluster::new("loadtest", "");
    let (sequencer, intake) = (cluster.sequencer("one"), cluster.intake("intake"));
    wait_until("owners", || is_ready(&sequencer));
    let (data, file) = (cluster.data("intake"), cluster.data("scenario.toml"));
    fs::write(&file, SCENARIO).expect("written");
    let file = file.to_str().expect("text");
    let bootstrap = cluster.brokers.bootstrap();
    let through = ["--server", &intake.base, "--through-kafka", bootstrap, "--topic-prefix", &cluster.prefix];
    let ran = run(&data, &[&["loadtest", "run", file, "--no-files", "--no-live"], &through[..]].concat());
    let said = ran.json();
    assert_eq!(said["verdict"], "pass", "{said}");
    let count = |name: &str| said["requests"][name].as_u64().expect("a number");
    // Six thousand who come, some twice, and what they do with what they got.
    assert!(count("sent") > 6_000, "{said}");
    assert_eq!((count("sent"), count("timed_out"), count("broken")), (count("answered"), 0, 0), "{said}");
    for status in ["200", "201", "409", "422"] {
        assert!(said["statuses"][status].as_u64() > Some(0), "nobody was told {status}: {said}");
    }
    // Far more was wanted than there is.
    let skus = said["skus"].as_array().expect("a list");
    let is_sold = |it: &serde_json::Value| {
        let sold = it["confirmed"].as_u64();
        sold.is_some_and(|sold| (1..=600).contains(&sold)) && it["sold_out"].as_u64() > Some(0)
    };
    assert!(skus.len() == 4 && skus.iter().all(is_sold), "{said}");

    let config =
        KafkaConfig { topic_prefix: cluster.prefix.clone(), ..KafkaConfig::new(bootstrap, "looker") };
    let found = lookup(&config).expect("the topics are there");
    let log = KafkaLog::open(&config, KafkaLogOptions::new(found.log_id, found.layout)).expect("it opens");
    let there = (0..PARTITIONS).map(|it| reserved(&log, PartitionId(it)));
    let (commands, records) = there.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    // The audit has asked for all of them again.
    assert!(commands > 12_000, "{commands} reservations in {records} records");
    assert!(records * 3 < commands * 2, "{commands} reservations in {records} records");
    log.close();
    assert_eq!(intake.stop(Signal::TERM).0, Some(0));
    assert_eq!(sequencer.stop(Signal::TERM).0, Some(0));
}

#[test]
fn what_cannot_go_through_kafka_is_said_and_not_tried() {
    let cluster = Cluster::without_topics("refused-load", "");
    let bootstrap = cluster.brokers.bootstrap();
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = server.local_addr().map(|it| (it.to_string(), server)).expect("it has an address");
    let load = |scenario: &str, brokers: &str| {
        let through = ["--server", &server.0, "--through-kafka", brokers, "--topic-prefix", &cluster.prefix];
        run(&cluster.data("load"), &[&["loadtest", "run", scenario, "--no-files"], &through[..]].concat())
    };
    let readers = load("reader-heavy", bootstrap);
    assert_eq!(readers.code, 104, "{readers:?}");
    assert!(readers.problem()["detail"].as_str().is_some_and(|it| it.contains("readers")), "{readers:?}");
    let topics = load("hot", bootstrap);
    assert_eq!(topics.code, 1, "{topics:?}");
    assert!(topics.problem()["detail"].as_str().is_some_and(|it| it.contains("no topic")), "{topics:?}");
}
