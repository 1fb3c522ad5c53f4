//! Measures the Kafka log against a bare loop of the client library, on a real broker in the same run.
//!
//! Usage: `measure_kafka [ROUNDS]`. It starts a broker of its own. Two things are measured:
//! - copying: everything from one partition of the commands to one of the decisions, until it is acknowledged, with
//!   records of several sizes; bare is `BaseConsumer::poll` to `BaseProducer::send`;
//! - two hops: one record at a time to the commands, read, to the decisions, read.
#![allow(clippy::print_stdout, reason = "a measuring tool prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measuring tool that cannot go on has failed")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "numbers are small")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{PATIENCE, Topics};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_kafka_kit::{Brokers, Options};
use holdfast_log::{AppendError, KafkaLog, OrderedLog, StreamId, Topic, doorbell};
use rdkafka::{
    ClientConfig, ClientContext, Message, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));

/// Payload sizes and how many records of each are copied.
const SIZES: [(usize, u64); 3] = [(100, 600_000), (6_400, 40_000), (64_000, 4_000)];
const HOPS: usize = 1_500;

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: &str| field.parse::<u64>().unwrap();
    Duration::from_millis((ticks(fields[11]) + ticks(fields[12])) * 10)
}

/// Counts what was acknowledged.
#[derive(Default)]
struct Acknowledged(std::sync::atomic::AtomicU64);

impl ClientContext for Acknowledged {}
impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok());
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The client library with the settings that matter.
struct Bare {
    consumer: BaseConsumer,
    producer: BaseProducer<Acknowledged>,
    out: String,
}

impl Bare {
    fn new(topics: &Topics, from: Topic, to: Topic, offset: u64) -> Self {
        let mut common = ClientConfig::new();
        common.set("bootstrap.servers", &topics.config.bootstrap);
        let mut consuming = common.clone();
        consuming
            .set("group.id", "bare")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "1")
            .set("fetch.message.max.bytes", "4194304")
            .set("queued.min.messages", "50000");
        let consumer: BaseConsumer = consuming.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(
            &topics.config.topic_name(from),
            0,
            rdkafka::Offset::Offset(offset.cast_signed()),
        )
        .unwrap();
        consumer.assign(&list).unwrap();
        common
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "500000");
        let producer = common.create_with_context(Acknowledged::default()).unwrap();
        Self { consumer, producer, out: topics.config.topic_name(to) }
    }

    fn send(&self, payload: &[u8]) {
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.out).partition(0).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    self.producer.poll(Duration::ZERO);
                    record = refused;
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }

    fn copy(&self, count: u64) {
        let mut copied = 0;
        while copied < count {
            if let Some(message) = self.consumer.poll(Duration::from_millis(100)) {
                self.send(message.unwrap().payload().unwrap());
                copied += 1;
                if copied % 256 == 0 {
                    self.producer.poll(Duration::ZERO);
                }
            }
        }
        while self.producer.context().0.load(std::sync::atomic::Ordering::Relaxed) < count {
            self.producer.poll(Duration::ZERO);
            thread::yield_now();
        }
    }
}

/// Copies from `from` until `until` and waits for the last acknowledgement.
fn copy(log: &KafkaLog, (from, until): (u64, u64)) {
    let (bell, mut listener) = doorbell();
    let _commands = log.subscribe(COMMANDS, bell.waker());
    let _decisions = log.subscribe(DECISIONS, bell.waker());
    let (mut next, mut records, mut last) = (Offset(from), Vec::new(), None);
    while next.0 < until {
        log.read(COMMANDS, next, 256 << 10, &mut records).unwrap();
        if records.is_empty() {
            assert!(listener.wait_until(Instant::now() + PATIENCE));
            continue;
        }
        for record in records.drain(..).filter(|record| record.offset.0 < until) {
            next = record.offset.next();
            loop {
                match log.append(DECISIONS, record.payload.clone()) {
                    Ok(ticket) => break last = Some(ticket),
                    Err(AppendError::Full) => assert!(listener.wait_until(Instant::now() + PATIENCE)),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    last.unwrap().wait(PATIENCE).unwrap().unwrap();
}

fn fill(log: &KafkaLog, bytes: usize, count: u64) -> (u64, u64) {
    let (bell, mut listener) = doorbell();
    let _room = log.subscribe(COMMANDS, bell.waker());
    let from = log.refresh(COMMANDS).unwrap().end.0;
    let mut last = None;
    for nr in 0..count {
        let payload: Bytes = (0..bytes as u64)
            .map(|at| (nr.wrapping_mul(0x9E37_79B9) >> (at % 24)) as u8)
            .collect::<Vec<_>>()
            .into();
        loop {
            match log.append(COMMANDS, payload.clone()) {
                Ok(ticket) => break last = Some(ticket),
                Err(AppendError::Full) => assert!(listener.wait_until(Instant::now() + PATIENCE)),
                Err(error) => panic!("{error}"),
            }
        }
    }
    last.unwrap().wait(PATIENCE).unwrap().unwrap();
    (from, from + count)
}

/// Latencies of two hops, in microseconds.
fn bare_hops(topics: &Topics, log: &KafkaLog) -> Vec<u64> {
    let begin = |topic| log.refresh(StreamId { topic, partition: PartitionId(0) }).unwrap().end.0;
    let there = Bare::new(
        topics,
        Topic::InventoryCommands,
        Topic::InventoryDecisions,
        begin(Topic::InventoryCommands),
    );
    let back = Bare::new(
        topics,
        Topic::InventoryDecisions,
        Topic::InventoryCommands,
        begin(Topic::InventoryDecisions),
    );
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..HOPS {
                let message = loop {
                    if let Some(message) = there.consumer.poll(Duration::from_secs(1)) {
                        break message.unwrap();
                    }
                };
                there.send(message.payload().unwrap());
                there.producer.poll(Duration::ZERO);
            }
        });
        (0..HOPS)
            .map(|_| {
                let begun = Instant::now();
                back.send(&[7; 200]);
                while back.consumer.poll(Duration::from_secs(1)).is_none() {}
                back.producer.poll(Duration::ZERO);
                begun.elapsed().as_micros() as u64
            })
            .collect()
    })
}

fn hop(
    log: &KafkaLog,
    stream: StreamId,
    from: Offset,
    listener: &mut holdfast_log::Listener,
) -> holdfast_log::Record {
    let mut records = Vec::new();
    loop {
        log.read(stream, from, 0, &mut records).unwrap();
        if let Some(record) = records.pop() {
            return record;
        }
        assert!(listener.wait_until(Instant::now() + PATIENCE));
    }
}

fn log_hops(there: &KafkaLog, back: &KafkaLog) -> Vec<u64> {
    let mut command = there.refresh(COMMANDS).unwrap().end;
    let mut decision = back.refresh(DECISIONS).unwrap().end;
    thread::scope(|scope| {
        scope.spawn(move || {
            let (bell, mut listener) = doorbell();
            let _commands = there.subscribe(COMMANDS, bell.waker());
            for _ in 0..HOPS {
                let record = hop(there, COMMANDS, command, &mut listener);
                command = record.offset.next();
                there.append(DECISIONS, record.payload).unwrap();
            }
        });
        let (bell, mut listener) = doorbell();
        let _decisions = back.subscribe(DECISIONS, bell.waker());
        (0..HOPS)
            .map(|_| {
                let begun = Instant::now();
                back.append(COMMANDS, Bytes::from_static(&[7; 200])).unwrap();
                decision = hop(back, DECISIONS, decision, &mut listener).offset.next();
                begun.elapsed().as_micros() as u64
            })
            .collect()
    })
}

fn timed(work: impl FnOnce()) -> (Duration, Duration) {
    let (begun, before) = (Instant::now(), processor_time());
    work();
    (begun.elapsed(), processor_time() - before)
}

fn show(name: &str, bytes: usize, count: u64, (wall, cpu): (Duration, Duration)) {
    println!(
        "{name:<6}{bytes:>7} B {:>10.0} records/s {:>8.1} MB/s {:>7.0} ns of this process per record",
        count as f64 / wall.as_secs_f64(),
        (count * bytes as u64) as f64 / wall.as_secs_f64() / 1e6,
        cpu.as_nanos() as f64 / count as f64
    );
}

fn show_hops(name: &str, mut hops: Vec<u64>) {
    // The first ones also open connections.
    hops.drain(..HOPS / 5);
    hops.sort_unstable();
    let at = |percent: usize| hops[(hops.len() - 1) * percent / 100];
    println!("{name:<6} two hops: p50 {} us, p90 {} us, p99 {} us", at(50), at(90), at(99));
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(3, |rounds| rounds.parse().unwrap());
    let brokers = Arc::new(Brokers::start(Options { warm: true, ..Options::default() }));
    let topics = Topics::new(Arc::clone(&brokers), 1);
    let begun = Instant::now();
    let log = topics.open();
    println!("opened in {:.1?}", begun.elapsed());
    for round in 1..=rounds {
        println!("round {round}");
        for (bytes, count) in SIZES {
            let (from, until) = fill(&log, bytes, count);
            let bare = Bare::new(&topics, Topic::InventoryCommands, Topic::InventoryDecisions, from);
            show("bare", bytes, count, timed(|| bare.copy(count)));
            drop(bare);
            show("log", bytes, count, timed(|| copy(&log, (from, until))));
        }
        show_hops("bare", bare_hops(&topics, &log));
        let other = topics.open();
        show_hops("log", log_hops(&log, &other));
        let begun = Instant::now();
        drop(other);
        println!(
            "closed in {:.1?}; {} producers and {} consumers rebuilt",
            begun.elapsed(),
            log.stats().producer_rebuilds,
            log.stats().consumer_rebuilds
        );
    }
}
