//! The rules of the port, one by one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{
    AppendError, Appended, Durability, OrderedLog, ReadError, Record, Status, StreamId, Ticket, Topic,
    TrimError, doorbell,
};

use super::{PARTITIONS, Subject};

/// Longer than anything takes. A test that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));
const BOTH: [StreamId; 2] = [COMMANDS, DECISIONS];

/// Appends, waiting for room when there is none.
pub(crate) fn append(log: &dyn OrderedLog, stream: StreamId, payload: impl Into<Bytes>) -> Ticket {
    let payload = payload.into();
    let (bell, mut listener) = doorbell();
    let _room = log.subscribe(stream, bell.waker());
    loop {
        match log.append(stream, payload.clone()) {
            Ok(ticket) => return ticket,
            Err(AppendError::Full) => {
                assert!(listener.wait_until(Instant::now() + PATIENCE), "nobody told that there is room");
            }
            Err(error) => panic!("{stream}: {error}"),
        }
    }
}

pub(crate) fn settle(ticket: &Ticket) -> Appended {
    ticket.wait(PATIENCE).expect("the append was settled in time").expect("the append succeeded")
}

/// Appends and waits until it is durable.
fn append_durably(log: &dyn OrderedLog, stream: StreamId, payload: impl Into<Bytes>) -> Appended {
    settle(&append(log, stream, payload))
}

/// Reads from `from` until `count` records are there, sleeping when there is nothing.
pub(crate) fn read_count(log: &dyn OrderedLog, stream: StreamId, from: Offset, count: usize) -> Vec<Record> {
    try_read_count(log, stream, from, count).unwrap()
}

/// The same where reading may fail.
pub(crate) fn try_read_count(
    log: &dyn OrderedLog,
    stream: StreamId,
    from: Offset,
    count: usize,
) -> Result<Vec<Record>, ReadError> {
    let (bell, mut listener) = doorbell();
    let _subscription = log.subscribe(stream, bell.waker());
    let mut out = Vec::new();
    let mut next = from;
    while out.len() < count {
        listener.take();
        log.read(stream, next, 64 << 10, &mut out)?;
        let after = out.last().map_or(from, |record| record.offset.next());
        if after == next && out.len() < count {
            assert!(listener.wait_until(Instant::now() + PATIENCE), "{} of {count} records came", out.len());
        }
        next = after;
    }
    Ok(out)
}

fn numbered(nr: u64) -> Bytes {
    Bytes::copy_from_slice(&nr.to_be_bytes())
}

pub(crate) fn a_new_log_is_empty(subject: &mut dyn Subject) {
    let log = subject.log();
    for topic in Topic::ALL {
        assert_eq!(log.partitions(topic), PARTITIONS);
        for partition in (0..PARTITIONS).map(PartitionId) {
            let stream = StreamId { topic, partition };
            let marks = log.watermarks(stream);
            assert_eq!((marks.low, marks.end, marks.durable), (Offset(0), Offset(0), Offset(0)));
            let mut out = Vec::new();
            log.read(stream, Offset(0), 1000, &mut out).unwrap();
            assert!(out.is_empty());
        }
    }
    assert_eq!(log.status(), Status::Healthy);
}

pub(crate) fn a_stream_that_does_not_exist_is_refused(subject: &mut dyn Subject) {
    let log = subject.log();
    let absent = StreamId::inventory_commands(PartitionId(PARTITIONS));
    assert_eq!(log.append(absent, Bytes::new()).unwrap_err(), AppendError::NoSuchStream(absent));
    let read = log.read(absent, Offset(0), 1, &mut Vec::new());
    assert!(matches!(read, Err(ReadError::NoSuchStream(stream)) if stream == absent));
    assert!(matches!(log.trim(absent, Offset(0)), Err(TrimError::NoSuchStream(stream)) if stream == absent));
}

pub(crate) fn records_come_back_in_order_with_what_their_tickets_said(subject: &mut dyn Subject) {
    let log = subject.log();
    let mut tickets = Vec::new();
    for nr in 0..300_u64 {
        for partition in (0..PARTITIONS).map(PartitionId) {
            for topic in Topic::ALL {
                let stream = StreamId { topic, partition };
                tickets.push((stream, nr, append(&*log, stream, numbered(nr))));
            }
        }
    }
    for topic in Topic::ALL {
        for partition in (0..PARTITIONS).map(PartitionId) {
            let stream = StreamId { topic, partition };
            let records = read_count(&*log, stream, Offset(0), 300);
            for (nr, record) in (0..).zip(&records) {
                assert_eq!((record.offset, &record.payload), (Offset(nr), &numbered(nr)));
            }
            for (_, nr, ticket) in tickets.iter().filter(|(of, ..)| *of == stream) {
                let record = &records[usize::try_from(*nr).unwrap()];
                let appended = settle(ticket);
                assert_eq!((appended.offset, appended.append_time), (record.offset, record.append_time));
            }
        }
    }
}

pub(crate) fn a_command_is_not_readable_before_it_is_durable(subject: &mut dyn Subject) {
    let log = subject.log();
    assert_eq!(Topic::InventoryCommands.durability(), Durability::Flushed);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut out = Vec::new();
                log.read(COMMANDS, log.watermarks(COMMANDS).low, 1 << 20, &mut out).unwrap();
                let durable = log.watermarks(COMMANDS).durable;
                assert!(out.last().is_none_or(|last| last.offset < durable));
                let marks = log.watermarks(DECISIONS);
                assert!(marks.low <= marks.durable && marks.durable <= marks.end);
            }
        });
        for nr in 0..200 {
            append(&*log, COMMANDS, numbered(nr));
            append(&*log, DECISIONS, numbered(nr));
        }
        append_durably(&*log, COMMANDS, numbered(200));
        stop.store(true, Ordering::Relaxed);
    });
}

pub(crate) fn a_settled_ticket_means_durable_and_stays_settled(subject: &mut dyn Subject) {
    let log = subject.log();
    for stream in BOTH {
        for nr in 0..20 {
            let ticket = append(&*log, stream, numbered(nr));
            let copy = ticket.clone();
            let appended = settle(&ticket);
            assert!(log.watermarks(stream).durable > appended.offset);
            assert_eq!(copy.result(), Some(Ok(appended)));
            assert_eq!(copy.wait(Duration::ZERO), Some(Ok(appended)));
        }
    }
}

pub(crate) fn a_read_takes_what_fits_and_at_least_one(subject: &mut dyn Subject) {
    let log = subject.log();
    for stream in BOTH {
        for _ in 0..10 {
            append_durably(&*log, stream, vec![1; 1000]);
        }
        let read = |from, bytes_max| {
            let mut out = Vec::new();
            log.read(stream, Offset(from), bytes_max, &mut out).unwrap();
            out.iter().map(|record| record.offset.0).collect::<Vec<_>>()
        };
        // An adapter that fetches may have less at hand than there is; this makes it fetch.
        read_count(&*log, stream, Offset(0), 10);
        assert_eq!(read(0, 0), [0]);
        assert_eq!(read(3, 999), [3]);
        assert_eq!(read(3, 3000), [3, 4, 5]);
        assert_eq!(read(7, usize::MAX), [7, 8, 9]);
        assert!(read(10, usize::MAX).is_empty());
    }
}

pub(crate) fn reading_beyond_the_end_is_refused(subject: &mut dyn Subject) {
    let log = subject.log();
    append_durably(&*log, COMMANDS, "a");
    let mut out = Vec::new();
    let beyond = log.read(COMMANDS, Offset(2), 1, &mut out);
    assert!(matches!(beyond, Err(ReadError::BeyondEnd { end: Offset(1) })), "{beyond:?}");
    assert!(out.is_empty());
}

pub(crate) fn payloads_have_a_largest_size_and_may_be_empty(subject: &mut dyn Subject) {
    let log = subject.log();
    for stream in BOTH {
        let bytes_max = stream.topic.payload_bytes_max();
        let large: Bytes = (0..bytes_max).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
        let too_large = AppendError::TooLarge { bytes: bytes_max + 1, bytes_max };
        assert_eq!(log.append(stream, vec![0; bytes_max + 1].into()).unwrap_err(), too_large);
        append(&*log, stream, Bytes::new());
        append(&*log, stream, large.clone());
        append(&*log, stream, Bytes::new());
        let records = read_count(&*log, stream, Offset(0), 3);
        assert!(records[0].payload.is_empty() && records[2].payload.is_empty());
        assert!(records[1].payload == large, "the largest payload came back changed");
    }
}

pub(crate) fn appends_of_many_threads_are_all_there_in_the_order_of_each(subject: &mut dyn Subject) {
    const THREADS: u64 = 4;
    const EACH: u64 = 500;
    let log = subject.log();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                for nr in 0..EACH {
                    for stream in BOTH {
                        append(&**log, stream, numbered(thread << 32 | nr));
                    }
                }
            });
        }
    });
    for stream in BOTH {
        let mut next = [0; THREADS as usize];
        let records = read_count(&*log, stream, Offset(0), (THREADS * EACH) as usize);
        for (offset, record) in (0..).zip(&records) {
            assert_eq!(record.offset, Offset(offset));
            let tag = u64::from_be_bytes(record.payload[..].try_into().unwrap());
            let thread = usize::try_from(tag >> 32).unwrap();
            assert_eq!(tag & 0xFFFF_FFFF, next[thread], "{stream}: thread {thread} out of order");
            next[thread] += 1;
        }
        assert_eq!(log.watermarks(stream).end, Offset(THREADS * EACH));
    }
}

/// Two threads play ping-pong over two streams; each sleeps until the other's record wakes it. One lost wake-up and
/// the game stops.
pub(crate) fn a_sleeping_reader_is_woken_for_every_record(subject: &mut dyn Subject) {
    const ROUNDS: u64 = 300;
    let log = subject.log();
    thread::scope(|scope| {
        let echo = scope.spawn(|| {
            for nr in 0..ROUNDS {
                let record = read_count(&*log, COMMANDS, Offset(nr), 1).remove(0);
                append(&*log, DECISIONS, record.payload);
            }
        });
        for nr in 0..ROUNDS {
            append(&*log, COMMANDS, numbered(nr));
            let answer = read_count(&*log, DECISIONS, Offset(nr), 1).remove(0);
            assert_eq!(answer.payload, numbered(nr));
        }
        echo.join().unwrap();
    });
}

pub(crate) fn a_waker_may_watch_many_streams(subject: &mut dyn Subject) {
    let log = subject.log();
    let (bell, mut listener) = doorbell();
    let streams: Vec<_> = (0..PARTITIONS).map(|nr| StreamId::inventory_commands(PartitionId(nr))).collect();
    let _all: Vec<_> = streams.iter().map(|&stream| log.subscribe(stream, bell.waker())).collect();
    for round in 0..20 {
        for &stream in &streams {
            append(&*log, stream, numbered(round));
            while log.watermarks(stream).end <= Offset(round) {
                assert!(listener.wait_until(Instant::now() + PATIENCE), "{stream} did not wake");
            }
        }
    }
}

pub(crate) fn an_ended_subscription_lets_go_of_its_waker(subject: &mut dyn Subject) {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    let log = subject.log();
    let waker = Arc::new(Nothing);
    let subscription = log.subscribe(COMMANDS, waker.clone().into());
    append_durably(&*log, COMMANDS, "a");
    assert!(Arc::strong_count(&waker) > 1);
    drop(subscription);
    // The writer may be using it at this moment; it lets go when it is done, which the next group proves.
    append_durably(&*log, COMMANDS, "b");
    append_durably(&*log, COMMANDS, "c");
    assert_eq!(Arc::strong_count(&waker), 1);
}

pub(crate) fn only_what_is_durable_can_be_trimmed(subject: &mut dyn Subject) {
    let log = subject.log();
    append_durably(&*log, COMMANDS, "a");
    let refused = log.trim(COMMANDS, Offset(2));
    assert!(matches!(refused, Err(TrimError::BeyondDurable { durable: Offset(1) })), "{refused:?}");
    log.trim(COMMANDS, Offset(1)).unwrap();
    assert!(log.watermarks(COMMANDS).low <= Offset(1));
}

pub(crate) fn trimmed_records_are_gone_or_still_right(subject: &mut dyn Subject) {
    let log = subject.log();
    for nr in 0..100 {
        append_durably(&*log, COMMANDS, numbered(nr));
    }
    log.trim(COMMANDS, Offset(60)).unwrap();
    log.trim(COMMANDS, Offset(50)).unwrap();
    for from in 0..100 {
        match try_read_count(&*log, COMMANDS, Offset(from), 1) {
            Ok(records) => {
                assert_eq!((records[0].offset, &records[0].payload), (Offset(from), &numbered(from)));
            }
            Err(ReadError::Trimmed { low }) => assert!(Offset(from) < low && low <= Offset(60)),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(append_durably(&*log, COMMANDS, numbered(100)).offset, Offset(100));
}

pub(crate) fn a_closed_log_has_settled_everything_and_takes_nothing(subject: &mut dyn Subject) {
    let log = subject.log();
    let tickets: Vec<_> =
        (0..50).flat_map(|nr| BOTH.map(|stream| append(&*log, stream, numbered(nr)))).collect();
    log.close();
    log.close();
    assert!(tickets.iter().all(|ticket| matches!(ticket.result(), Some(Ok(_)))));
    assert_eq!(log.append(COMMANDS, Bytes::new()).unwrap_err(), AppendError::Closed);
    assert_eq!(log.status(), Status::Closed);
    for stream in BOTH {
        assert_eq!(read_count(&*log, stream, Offset(0), 50).len(), 50);
    }
}

pub(crate) fn closing_wakes_subscribers(subject: &mut dyn Subject) {
    let log = subject.log();
    thread::scope(|scope| {
        let (bell, mut listener) = doorbell();
        let subscription = log.subscribe(DECISIONS, bell.waker());
        let closer = Arc::clone(&log);
        scope.spawn(move || closer.close());
        while log.status() != Status::Closed {
            assert!(listener.wait_until(Instant::now() + PATIENCE), "closing did not wake");
        }
        drop(subscription);
    });
}

pub(crate) fn a_reopened_log_is_the_same_log(subject: &mut dyn Subject) {
    let id = subject.log().log_id();
    let mut expected: [Vec<Record>; 2] = Default::default();
    for life in 0..4 {
        let log = subject.log();
        assert_eq!(log.log_id(), id);
        for (stream, expected) in BOTH.into_iter().zip(&mut expected) {
            let marks = log.watermarks(stream);
            let end = Offset(expected.len() as u64);
            assert_eq!((marks.end, marks.durable), (end, end), "life {life}");
            assert_eq!(&read_count(&*log, stream, Offset(0), expected.len()), expected);
            for nr in 0..40 {
                let appended = append_durably(&*log, stream, numbered(life << 32 | nr));
                assert_eq!(appended.offset, Offset(expected.len() as u64));
                expected.push(Record {
                    offset: appended.offset,
                    append_time: appended.append_time,
                    payload: numbered(life << 32 | nr),
                });
            }
        }
        subject.reopen();
    }
}

/// Writes far more than fits into memory, then reads from the beginning and in strides.
pub(crate) fn old_records_are_read_as_well_as_new_ones(subject: &mut dyn Subject) {
    const COUNT: u64 = 6_000;
    let payload = |nr: u64| -> Bytes {
        let bytes = 200 + usize::try_from(nr % 13).unwrap() * 900;
        nr.to_be_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>().into()
    };
    let log = subject.log();
    for nr in 0..COUNT {
        for stream in BOTH {
            append(&*log, stream, payload(nr));
        }
    }
    for stream in BOTH {
        for (nr, record) in (0..).zip(read_count(&*log, stream, Offset(0), COUNT as usize)) {
            assert_eq!((record.offset, &record.payload), (Offset(nr), &payload(nr)));
        }
    }
    subject.reopen();
    let log = subject.log();
    for from in (0..COUNT).step_by(97).chain([COUNT - 1]) {
        let record = read_count(&*log, DECISIONS, Offset(from), 1).remove(0);
        assert_eq!((record.offset, &record.payload), (Offset(from), &payload(from)));
    }
}
