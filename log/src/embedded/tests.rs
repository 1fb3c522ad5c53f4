//! The embedded log against a disk that fails in every way a disk may.
#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

mod crash;
mod damage;
mod faults;
mod history;
mod opening;
mod read_only;
mod room;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset, PartitionId};

use super::{
    EmbeddedConfig, EmbeddedLog,
    disk::simulated::SimDisk,
    error::OpenError,
    read::{Reader, Wanted},
    recover,
    segment::Segments,
};
use crate::{
    layout::Layout,
    port::{AppendError, OrderedLog, ReadError, Record, StreamId, Ticket},
};

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));
const PATIENCE: Duration = Duration::from_secs(60);

/// Segments of four pages, one of them header: a few records fill them.
fn config(partitions: u32) -> EmbeddedConfig {
    EmbeddedConfig {
        segment_bytes: 16 << 10,
        keep_bytes: 0,
        derived_delay: Duration::from_micros(200),
        // Marks are written when a log is closed, and otherwise only where a test asks for them.
        mark_delay: Duration::from_secs(3600),
        disk_full_retry: Duration::from_millis(1),
        ..EmbeddedConfig::new(Layout::inventory(partitions).unwrap())
    }
}

/// A clock that runs backwards every now and then.
fn clock() -> LogTime {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let calls = CALLS.fetch_add(1, Relaxed);
    LogTime(1_700_000_000_000 + calls - 500 * u64::from(calls % 7 == 3))
}

fn open(disk: &SimDisk, config: &EmbeddedConfig) -> Result<EmbeddedLog, OpenError> {
    EmbeddedLog::open_on(Arc::new(disk.clone()), "the disk", config, None, clock)
}

fn settle(ticket: &Ticket) -> Record {
    let appended = ticket.wait(PATIENCE).expect("settled in time").expect("durable");
    Record { offset: appended.offset, append_time: appended.append_time, payload: Bytes::new() }
}

/// Appends, waiting for room when a segment is just being prepared.
fn append(log: &EmbeddedLog, stream: StreamId, payload: &Bytes) -> Result<Ticket, AppendError> {
    let (bell, mut listener) = crate::doorbell();
    let _room = log.subscribe(stream, bell.waker());
    loop {
        match log.append(stream, payload.clone()) {
            Err(AppendError::Full) => listener.wait(),
            other => return other,
        }
    }
}

/// Waits until the segments that are kept ahead are there, so that the disk is at rest.
fn rest(log: &EmbeddedLog) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while log.shared.queue().segment_to_prepare().is_some() {
        assert!(std::time::Instant::now() < deadline, "no segment was prepared");
        std::thread::yield_now();
    }
}

/// Appends one record and waits until it is durable, so that it is a group of its own.
fn append_group(log: &EmbeddedLog, stream: StreamId, payload: Bytes) -> Record {
    let settled = settle(&append(log, stream, &payload).unwrap());
    Record { payload, ..settled }
}

/// What stands in the way of reading a whole log.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
enum Refused {
    Open(OpenError),
    Read(ReadError),
}

/// Opens a directory without threads and reads every record of every stream.
fn read_all(disk: &SimDisk, config: &EmbeddedConfig) -> Result<Vec<Vec<Record>>, Refused> {
    let (manifest, recovered) = recover::open(disk, "the disk", config).map_err(Refused::Open)?;
    let manifest = manifest.get();
    let segments = Segments::new(recovered.segments);
    let reader = Reader { disk, log_id: manifest.log_id, layout: &manifest.layout, segments: &segments };
    let first = segments.snapshot().first().map(|first| first.start.clone()).unwrap();
    let mut streams = Vec::new();
    for (index, stream) in manifest.layout.streams().enumerate() {
        let (mut from, end) = (first[index].next, recovered.points[index].next);
        let mut records = Vec::new();
        while from < end {
            let wanted = Wanted { stream, index, from, end, bytes_max: 5_000 };
            let cursor = reader.read(wanted, None, &mut records).map_err(Refused::Read)?;
            from = cursor.expect("nothing is trimmed").point.offset;
        }
        streams.push(records);
    }
    Ok(streams)
}

/// The end of a stream that holds these records.
fn end_of(records: &[Record]) -> Offset {
    records.last().map_or(Offset(0), |last| last.offset.next())
}

/// Bytes that look like nothing in particular.
fn noise(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(bytes).collect::<Vec<_>>().into()
}

/// A generator for choices, from a seed that a failing test prints.
fn chooser(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}
