//! What a Kafka log does when brokers die, freeze or refuse. Each test has a real broker, most of them their own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{PATIENCE, Topics};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_kafka_kit::{Brokers, Options};
use holdfast_log::{
    AppendError, AppendFailure, KafkaLog, KafkaOpenError, Layout, OrderedLog, ReadError, Record, Status,
    StreamId, Ticket, doorbell,
};

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));

fn numbered(nr: u64) -> Bytes {
    Bytes::copy_from_slice(&nr.to_be_bytes())
}

fn number(record: &Record) -> u64 {
    u64::from_be_bytes(record.payload[..8].try_into().unwrap())
}

/// Reads from `from` until `enough` says so. Lives through brokers that are away.
fn read_until(
    log: &KafkaLog,
    stream: StreamId,
    from: u64,
    enough: impl Fn(&[Record]) -> bool,
) -> Vec<Record> {
    let (bell, mut listener) = doorbell();
    let _subscription = log.subscribe(stream, bell.waker());
    let (mut out, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while !enough(&out) {
        let next = out.last().map_or(Offset(from), |record: &Record| record.offset.next());
        let before = out.len();
        match log.read(stream, next, 64 << 10, &mut out) {
            Ok(()) | Err(ReadError::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
        if out.len() == before {
            assert!(Instant::now() < deadline, "{before} records came, the last {:?}", out.last());
            listener.wait_until(Instant::now() + Duration::from_millis(200));
        }
    }
    for (offset, record) in (from..).zip(&out) {
        assert_eq!(record.offset, Offset(offset), "a reader saw a record twice, or not at all");
    }
    out
}

fn settle(ticket: &Ticket) -> u64 {
    ticket.wait(PATIENCE).expect("the append was settled in time").expect("the append succeeded").offset.0
}

/// Appends, waiting for room. Fails if there is none in time.
fn append(log: &KafkaLog, stream: StreamId, payload: &Bytes) -> Ticket {
    let (bell, mut listener) = doorbell();
    let _room = log.subscribe(stream, bell.waker());
    loop {
        match log.append(stream, payload.clone()) {
            Ok(ticket) => return ticket,
            Err(AppendError::Full) => assert!(listener.wait_until(Instant::now() + PATIENCE), "no room"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Stops and continues the process of a broker. It continues at the latest when this is dropped.
struct Frozen(u32);

impl Frozen {
    fn new(brokers: &Brokers) -> Self {
        let frozen = Self(brokers.status().brokers[0].pid);
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.to_string()]).status().unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[test]
fn a_killed_broker_loses_doubles_and_reorders_nothing() {
    let brokers = Arc::new(Brokers::start(Options::default()));
    let mut topics = Topics::new(Arc::clone(&brokers), 1);
    // A machine with other work may take its time to start a broker again.
    topics.config.producer.insert("delivery.timeout.ms".to_owned(), "120000".to_owned());
    let (writer, reader) = (topics.open(), topics.open());
    let (stop, read) = (AtomicBool::new(false), AtomicU64::new(0));
    let appended = AtomicU64::new(0);
    thread::scope(|scope| {
        let tickets = scope.spawn(|| {
            let mut tickets = Vec::new();
            for nr in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                tickets.push(append(&writer, COMMANDS, &numbered(nr)));
                appended.store(nr + 1, Ordering::Relaxed);
                if nr % 64 == 63 {
                    // Never far ahead of the broker, so that records are under way whenever it dies.
                    settle(&tickets[tickets.len() - 32]);
                }
            }
            tickets
        });
        let records = scope.spawn(|| {
            read_until(&reader, COMMANDS, 0, |records| {
                read.store(records.len() as u64, Ordering::Relaxed);
                stop.load(Ordering::Relaxed) && records.len() as u64 >= appended.load(Ordering::Relaxed)
            })
        });
        let (_bell, mut pause) = doorbell();
        let mut reach = |count: u64| {
            let deadline = Instant::now() + PATIENCE;
            while read.load(Ordering::Relaxed) < count {
                assert!(Instant::now() < deadline, "the reader stopped at {}", read.load(Ordering::Relaxed));
                pause.wait_until(Instant::now() + Duration::from_millis(5));
            }
        };
        reach(2_000);
        for _ in 0..2 {
            brokers.kill(1);
            brokers.restart(1);
            reach(read.load(Ordering::Relaxed) + 2_000);
        }
        stop.store(true, Ordering::Relaxed);
        let tickets = tickets.join().unwrap();
        for (nr, ticket) in (0..).zip(&tickets) {
            assert_eq!(settle(ticket), nr);
        }
        let records = records.join().unwrap();
        assert_eq!(records.len(), tickets.len());
        assert!(
            (0..).zip(&records).all(|(nr, record)| number(record) == nr),
            "the order is not that of the appends"
        );
    });
    assert_eq!((writer.status(), writer.stats().delivery_errors), (Status::Healthy, 0));
}

#[test]
fn a_frozen_broker_fills_the_queue_and_a_thawed_one_empties_it() {
    let brokers = Arc::new(Brokers::start(Options::default()));
    let mut topics = Topics::new(Arc::clone(&brokers), 1);
    topics.options.unsettled_bytes_max = 64 << 10;
    let log = topics.open();
    settle(&append(&log, COMMANDS, &numbered(0)));
    let frozen = Frozen::new(&brokers);
    let mut tickets = Vec::new();
    let (bell, mut listener) = doorbell();
    let _room = log.subscribe(COMMANDS, bell.waker());
    let full = loop {
        match log.append(COMMANDS, numbered(1 + tickets.len() as u64)) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
    };
    assert_eq!((full, tickets.len(), log.status()), (AppendError::Full, 8 << 10, Status::Healthy));
    assert_eq!(log.watermarks(COMMANDS).end, Offset(1));
    listener.take();
    drop(frozen);
    assert!(listener.wait_until(Instant::now() + PATIENCE), "nobody told that there is room");
    for (nr, ticket) in (1..).zip(&tickets) {
        assert_eq!(settle(ticket), nr);
    }
    let records = read_until(&log, COMMANDS, 0, |records| records.len() > tickets.len());
    assert!((0..).zip(&records).all(|(nr, record)| number(record) == nr));
}

#[test]
fn a_silent_broker_interrupts_and_a_resumed_stream_goes_on() {
    let brokers = Arc::new(Brokers::start(Options::default()));
    let mut topics = Topics::new(Arc::clone(&brokers), 2);
    topics.config.producer.insert("delivery.timeout.ms".to_owned(), "5000".to_owned());
    let log = topics.open();
    settle(&append(&log, DECISIONS, &numbered(0)));
    let frozen = Frozen::new(&brokers);
    let lost: Vec<_> = (1..=20).map(|nr| append(&log, DECISIONS, &numbered(nr))).collect();
    for ticket in &lost {
        let failure = ticket.wait(PATIENCE).expect("silence has an end").unwrap_err();
        assert!(matches!(failure, AppendFailure::Unknown { .. } | AppendFailure::NotAppended { .. }));
    }
    assert_eq!(log.append(DECISIONS, numbered(21)).unwrap_err(), AppendError::Interrupted);
    assert_eq!((log.status(), log.stats().producer_rebuilds), (Status::Healthy, 1));
    // A stream that has lost nothing is not interrupted.
    let other = StreamId::inventory_decisions(PartitionId(1));
    let beside = append(&log, other, &numbered(7));
    drop(frozen);
    log.resume(DECISIONS);
    let resumed = append(&log, DECISIONS, &numbered(21));
    let end = settle(&resumed) + 1;
    let records = read_until(&log, DECISIONS, 0, |records| records.len() as u64 >= end);
    let mut seen: HashMap<u64, u64> = HashMap::new();
    for record in &records {
        *seen.entry(number(record)).or_default() += 1;
    }
    assert!(seen.values().all(|&times| times == 1), "the client appended a record twice: {seen:?}");
    assert_eq!(records.iter().map(number).filter(|nr| [0, 21].contains(nr)).collect::<Vec<_>>(), [0, 21]);
    // What failed as not appended is nowhere.
    for (nr, ticket) in (1..).zip(&lost) {
        let failure = ticket.result().unwrap().unwrap_err();
        assert!(
            !(matches!(failure, AppendFailure::NotAppended { .. }) && seen.contains_key(&nr)),
            "{nr}: {failure}"
        );
    }
    // The silence may have been long enough for this one too.
    assert!(beside.wait(PATIENCE).is_some());
}

#[test]
fn a_fetch_that_stalls_is_begun_anew() {
    let brokers = Arc::new(Brokers::start(Options::default()));
    let mut topics = Topics::new(Arc::clone(&brokers), 1);
    topics.options.stall_timeout = Duration::from_millis(300);
    let log = topics.open();
    settle(&append(&log, COMMANDS, &numbered(0)));
    let frozen = Frozen::new(&brokers);
    // The record is known to be there, and nobody sends it.
    let (bell, mut listener) = doorbell();
    let _subscription = log.subscribe(COMMANDS, bell.waker());
    log.read(COMMANDS, Offset(0), 1000, &mut Vec::new()).unwrap();
    while log.stats().consumer_rebuilds == 0 {
        assert!(listener.wait_until(Instant::now() + PATIENCE), "nobody noticed");
    }
    drop(frozen);
    let records = read_until(&log, COMMANDS, 0, |records| records.len() == 1);
    assert_eq!(number(&records[0]), 0);
}

#[test]
fn a_refused_record_takes_those_behind_it_along() {
    let mut topics = Topics::with(Brokers::shared(), 1, &[("max.message.bytes", "5000")]);
    topics.config.producer.insert("compression.type".to_owned(), "none".to_owned());
    let log = topics.open();
    settle(&append(&log, COMMANDS, &numbered(0)));
    let refused = append(&log, COMMANDS, &vec![1; 6000].into());
    let behind: Vec<_> = std::iter::from_fn(|| log.append(COMMANDS, numbered(2)).ok()).take(5_000).collect();
    let failure = refused.wait(PATIENCE).unwrap().unwrap_err();
    assert!(matches!(failure, AppendFailure::NotAppended { .. }), "{failure}");
    for ticket in &behind {
        ticket.wait(PATIENCE).unwrap().unwrap_err();
    }
    assert_eq!(log.append(COMMANDS, numbered(3)).unwrap_err(), AppendError::Interrupted);
    log.resume(COMMANDS);
    assert_eq!(
        settle(&append(&log, COMMANDS, &numbered(4))),
        1,
        "something slipped past the record that failed"
    );
    let stats = log.stats();
    assert_eq!((stats.delivery_errors, stats.producer_rebuilds), (1 + behind.len() as u64, 1));
    assert_eq!((stats.unsettled_records, stats.unsettled_bytes), (0, 0));
    let records = read_until(&log, COMMANDS, 0, |records| records.len() == 2);
    assert_eq!(records.iter().map(number).collect::<Vec<_>>(), [0, 4]);
}

#[test]
fn records_that_come_one_by_one_share_memory() {
    let topics = Topics::new(Brokers::shared(), 1);
    let log = topics.open();
    for nr in 0..50 {
        settle(&append(&log, COMMANDS, &numbered(nr)));
        let came = read_until(&log, COMMANDS, nr, |records| records.len() == 1);
        assert_eq!(number(&came[0]), nr);
    }
    let places: Vec<_> = read_until(&log, COMMANDS, 0, |records| records.len() == 50)
        .iter()
        .map(|record| record.payload.as_ptr().addr())
        .collect();
    // Otherwise every record that is kept keeps as much memory as a batch may need.
    assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 8), "{places:?}");
}

#[test]
fn a_topic_without_the_logs_time_is_refused() {
    let topics = Topics::with(Brokers::shared(), 1, &[("message.timestamp.type", "CreateTime")]);
    let log = topics.open();
    append(&log, COMMANDS, &numbered(0)).wait(PATIENCE).unwrap().unwrap_err();
    let Status::Failed { reason } = log.status() else { panic!("{:?}", log.status()) };
    assert!(reason.contains("LogAppendTime") && reason.contains(&topics.config.topic_prefix), "{reason}");
    assert!(matches!(log.append(COMMANDS, numbered(1)), Err(AppendError::Failed { .. })));
    // Somebody who only reads finds out as well.
    let reader = topics.open();
    let (bell, mut listener) = doorbell();
    let _subscription = reader.subscribe(COMMANDS, bell.waker());
    let refused = loop {
        match reader.read(COMMANDS, Offset(0), 1000, &mut Vec::new()) {
            Ok(()) => assert!(listener.wait_until(Instant::now() + PATIENCE)),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ReadError::Corrupt(_)), "{refused}");
    assert!(matches!(reader.status(), Status::Failed { .. }));
}

#[test]
fn processes_see_each_others_records() {
    let topics = Topics::new(Brokers::shared(), 1);
    let (one, two) = (topics.open(), topics.open());
    let (bell, mut listener) = doorbell();
    // Who only waits is woken as well, and reading is not needed to learn the end.
    let _subscription = two.subscribe(COMMANDS, bell.waker());
    settle(&append(&one, COMMANDS, &numbered(0)));
    while two.watermarks(COMMANDS).end < Offset(1) {
        assert!(listener.wait_until(Instant::now() + PATIENCE), "the subscriber was not woken");
    }
    for nr in 1..50 {
        let log = if nr % 2 == 0 { &one } else { &two };
        assert_eq!(settle(&append(log, COMMANDS, &numbered(nr))), nr);
    }
    assert_eq!(two.refresh(COMMANDS).unwrap().end, Offset(50));
    for log in [&one, &two] {
        let records = read_until(log, COMMANDS, 0, |records| records.len() == 50);
        assert!((0..).zip(&records).all(|(nr, record)| number(record) == nr));
    }
    // What one lets go is gone for the other, too.
    one.trim(COMMANDS, Offset(30)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while two.refresh(COMMANDS).unwrap().low < Offset(30) {
        assert!(Instant::now() < deadline, "nothing is trimmed");
    }
    let gone = two.read(COMMANDS, Offset(29), 0, &mut Vec::new());
    assert!(matches!(gone, Err(ReadError::Trimmed { low: Offset(30) })), "{gone:?}");
    assert_eq!(read_until(&two, COMMANDS, 30, |records| records.len() == 20).len(), 20);
}

#[test]
fn readers_at_many_places_all_get_everything() {
    const COUNT: u64 = 3_000;
    let mut topics = Topics::new(Brokers::shared(), 1);
    topics.options.tail_bytes_max = 16 << 10;
    let log = topics.open();
    let tickets: Vec<_> = (0..COUNT).map(|nr| append(&log, DECISIONS, &numbered(nr))).collect();
    settle(tickets.last().unwrap());
    // More than there are fetches for one stream.
    thread::scope(|scope| {
        for reader in 0..7 {
            let log = &log;
            scope.spawn(move || {
                let from = reader * COUNT / 8;
                let count = usize::try_from(COUNT - from).unwrap();
                let records = read_until(log, DECISIONS, from, |records| records.len() == count);
                assert!((from..).zip(&records).all(|(nr, record)| number(record) == nr));
            });
        }
    });
}

#[test]
fn what_was_trimmed_behind_a_reader_does_not_stop_it() {
    let mut topics = Topics::new(Brokers::shared(), 1);
    let trimmer = topics.open();
    // Fetches hardly anything ahead, so that it is stopped by what the other one trims.
    let small = [
        ("queued.min.messages", "1"),
        ("queued.max.messages.kbytes", "1"),
        ("fetch.message.max.bytes", "1000"),
    ];
    topics.config.consumer.extend(small.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let log = topics.open();
    for _ in 0..50 {
        settle(&append(&trimmer, COMMANDS, &vec![1; 5000].into()));
    }
    assert_eq!(read_until(&log, COMMANDS, 0, |records| !records.is_empty())[0].offset, Offset(0));
    trimmer.trim(COMMANDS, Offset(30)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while trimmer.refresh(COMMANDS).unwrap().low < Offset(30) {
        assert!(Instant::now() < deadline, "nothing is trimmed");
    }
    let (bell, mut listener) = doorbell();
    let _subscription = log.subscribe(COMMANDS, bell.waker());
    for from in (35..50).rev() {
        let mut out = Vec::new();
        while out.is_empty() {
            log.read(COMMANDS, Offset(from), 0, &mut out).unwrap();
            assert!(
                !out.is_empty() || listener.wait_until(Instant::now() + PATIENCE),
                "nothing came at {from}"
            );
        }
        assert_eq!(out[0].offset, Offset(from));
    }
    let gone = log.read(COMMANDS, Offset(20), 0, &mut Vec::new());
    let gone = if gone.is_ok() {
        log.refresh(COMMANDS).and(log.read(COMMANDS, Offset(20), 0, &mut Vec::new()))
    } else {
        gone
    };
    assert!(matches!(gone, Err(ReadError::Trimmed { low: Offset(30) })), "{gone:?}");
}

#[test]
fn other_partitions_than_the_topics_have_are_refused() {
    let mut topics = Topics::new(Brokers::shared(), 2);
    topics.options.layout = Layout::inventory(3).unwrap();
    let refused = topics.try_open().unwrap_err();
    assert!(matches!(refused, KafkaOpenError::PartitionCount { expected: 3, found: 2, .. }), "{refused}");
    topics.config.topic_prefix.push_str("no-");
    let refused = topics.try_open().unwrap_err();
    assert!(matches!(refused, KafkaOpenError::NoTopic { .. }), "{refused}");
}
