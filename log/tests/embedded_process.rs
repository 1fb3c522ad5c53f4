//! The embedded log on a real file system: processes that are killed, locks, and a disk that is really full.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{
    AppendError, EmbeddedConfig, EmbeddedLog, Layout, OpenError, OrderedLog, ReadOnlyConfig, ReadOnlyLog,
    Status, StreamId, Topic, doorbell,
};

const PARTITIONS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);
const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));

/// Where the child finds the log. Set only for a child.
const CHILD_DIRECTORY: &str = "HOLDFAST_TEST_CHILD_DIRECTORY";

fn config() -> EmbeddedConfig {
    EmbeddedConfig { segment_bytes: 12 << 20, ..EmbeddedConfig::new(Layout::inventory(PARTITIONS).unwrap()) }
}

fn streams() -> impl Iterator<Item = StreamId> {
    let partitions = || (0..PARTITIONS).map(PartitionId);
    Topic::ALL
        .into_iter()
        .flat_map(move |topic| partitions().map(move |partition| StreamId { topic, partition }))
}

/// What stands at a place, so that whoever reads it can tell whether it is right.
fn payload(stream: StreamId, offset: Offset) -> Bytes {
    let seed = offset.0 * 31 + u64::from(stream.partition.0) * 7 + u64::from(stream.topic.code()) * 3;
    let bytes = usize::try_from(seed * 2_654_435_761 % 20_000).unwrap();
    seed.to_le_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>().into()
}

fn start_child(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The process that the tests kill, when it is told where. Otherwise a short life of the same kind, that ends well.
#[test]
fn child_that_appends_until_it_is_killed() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        append_and_tell(&PathBuf::from(directory), u64::MAX, &mut std::io::stdout().lock());
    } else {
        let directory = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        append_and_tell(directory.path(), 20, &mut told);
        assert!(
            String::from_utf8(told).unwrap().lines().filter(|line| line.starts_with("durable ")).count() > 30
        );
        check(&EmbeddedLog::open(directory.path(), &config()).unwrap());
    }
}

/// Appends to all streams for so many rounds and tells what was acknowledged.
fn append_and_tell(directory: &Path, rounds: u64, out: &mut dyn Write) {
    let log = EmbeddedLog::open(directory, &config()).unwrap();
    let mut next: Vec<_> = streams().map(|stream| (stream, log.watermarks(stream).end)).collect();
    writeln!(out, "\nready").unwrap();
    for round in 0..rounds {
        let mut tickets = Vec::new();
        for (stream, next) in &mut next {
            for _ in 0..round % 4 {
                tickets.push((*stream, log.append(*stream, payload(*stream, *next)).unwrap()));
                *next = next.next();
            }
        }
        // Most rounds are not waited for, so that a kill finds groups under way.
        if round % 3 == 0 {
            for (stream, ticket) in tickets {
                let appended = ticket.wait(PATIENCE).unwrap().unwrap();
                let (topic, partition) = (stream.topic.code(), stream.partition);
                writeln!(out, "durable {topic} {partition} {}", appended.offset).unwrap();
            }
            out.flush().unwrap();
        }
    }
}

/// Reads what the child tells, up to so many acknowledgements, kills it, and reads what it had still told.
fn run_and_kill(directory: &Path, acknowledgements: usize) -> Vec<(StreamId, Offset)> {
    let mut child = start_child(directory);
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(told) = line.strip_prefix("durable ") else { continue };
        let numbers: Vec<u64> = told.split(' ').filter_map(|number| number.parse().ok()).collect();
        // The last line may be cut off by the kill.
        let &[topic, partition, offset] = numbers.as_slice() else { continue };
        let topic = Topic::from_code(u8::try_from(topic).unwrap()).unwrap();
        let partition = PartitionId(u32::try_from(partition).unwrap());
        acknowledged.push((StreamId { topic, partition }, Offset(offset)));
        if acknowledged.len() == acknowledgements {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

fn check(log: &dyn OrderedLog) {
    for stream in streams() {
        let end = log.watermarks(stream).end;
        let (mut next, mut records) = (Offset(0), Vec::new());
        while next < end {
            log.read(stream, next, 1 << 20, &mut records).unwrap();
            for record in records.drain(..) {
                assert_eq!(record.offset, next);
                assert!(record.payload == payload(stream, next), "{stream} {next}: other bytes");
                next = next.next();
            }
        }
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut ends: Vec<_> = streams().map(|stream| (stream, Offset(0))).collect();
    for round in 0..12 {
        let acknowledged = run_and_kill(directory.path(), 10 + round * 97 % 400);
        assert!(acknowledged.len() >= 10, "the child ended by itself");
        // A reader sees the same before anybody has opened the log for writing.
        let seen = ReadOnlyLog::open(directory.path(), &ReadOnlyConfig::default()).unwrap();
        let log = EmbeddedLog::open(directory.path(), &config()).unwrap();
        for (stream, end) in &mut ends {
            let marks = log.watermarks(*stream);
            let told =
                acknowledged.iter().filter(|(of, _)| of == stream).map(|(_, offset)| offset.next()).max();
            let least = told.unwrap_or(*end).max(*end);
            assert!(
                marks.end >= least,
                "round {round}: {stream} was acknowledged to {least}, is {}",
                marks.end
            );
            assert_eq!(seen.watermarks(*stream).end, marks.end);
            *end = marks.end;
        }
        check(&log);
        check(&seen);
    }
    assert!(ends.iter().all(|(_, end)| end.0 > 300), "{ends:?}");
}

#[test]
fn a_directory_has_one_writer_and_any_number_of_readers() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start_child(directory.path());
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = told.any(|line| line.unwrap() == "ready");
    assert!(ready, "the child did not open the log");
    let refused = EmbeddedLog::open(directory.path(), &config()).err();
    assert!(matches!(refused, Some(OpenError::Locked { .. })), "{refused:?}");
    let seen = ReadOnlyLog::open(directory.path(), &ReadOnlyConfig::default()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while seen.watermarks(COMMANDS).end < Offset(200) {
        assert!(Instant::now() < deadline, "the reader does not follow");
        seen.refresh().unwrap();
        // Keeps the child from blocking on a full pipe.
        told.next().unwrap().unwrap();
    }
    check(&seen);
    child.kill().unwrap();
    child.wait().unwrap();
    EmbeddedLog::open(directory.path(), &config()).unwrap();
}

#[test]
fn a_closed_log_gives_its_directory_back() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), &config()).unwrap();
    assert!(matches!(EmbeddedLog::open(directory.path(), &config()).err(), Some(OpenError::Locked { .. })));
    log.close();
    EmbeddedLog::open(directory.path(), &config()).unwrap();
}

/// A file system of a few megabytes that is gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where nothing may be mounted.
    fn mount(megabytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}M");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Appends until the stream is refused for want of room on the disk. Returns how many were accepted.
fn fill(log: &EmbeddedLog, stream: StreamId) -> u64 {
    let (bell, mut listener) = doorbell();
    let _room = log.subscribe(stream, bell.waker());
    let deadline = Instant::now() + PATIENCE;
    let mut accepted = 0;
    let mut refused = 0;
    loop {
        assert!(Instant::now() < deadline, "the disk never filled up");
        match log.append(stream, payload(stream, Offset(accepted))) {
            Ok(_) => accepted += 1,
            // Once the reserve is used up to a record's size; smaller ones may still fit.
            Err(AppendError::DiskFull) => {
                refused += 1;
                if refused == 3 {
                    return accepted;
                }
            }
            Err(AppendError::Full) => {
                listener.wait_until(Instant::now() + Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_commands_keeps_what_it_has_and_heals_by_itself() {
    let Some(disk) = SmallDisk::mount(108) else {
        writeln!(
            std::io::stderr(),
            "skipped: mounting a small file system needs more rights than this process has"
        )
        .unwrap();
        return;
    };
    let directory = disk.0.path().join("log");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 40 << 20]).unwrap();
    let log = EmbeddedLog::open(&directory, &config()).unwrap();

    let commands = fill(&log, COMMANDS);
    assert_eq!(log.status(), Status::DiskFull);
    let decisions = fill(&log, DECISIONS);
    assert!(commands > 1_000 && decisions > 300, "{commands} commands, {decisions} decisions");

    fs::remove_file(&ballast).unwrap();
    let (bell, mut listener) = doorbell();
    let _room = log.subscribe(COMMANDS, bell.waker());
    let ticket = loop {
        match log.append(COMMANDS, payload(COMMANDS, Offset(commands))) {
            Ok(ticket) => break ticket,
            Err(AppendError::DiskFull | AppendError::Full) => {
                assert!(listener.wait_until(Instant::now() + PATIENCE), "nobody told that there is room");
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(ticket.wait(PATIENCE).unwrap().unwrap().offset, Offset(commands));
    assert_eq!(log.status(), Status::Healthy);
    log.close();

    let log = EmbeddedLog::open(&directory, &config()).unwrap();
    assert_eq!(log.watermarks(COMMANDS).end, Offset(commands + 1));
    assert_eq!(log.watermarks(DECISIONS).end, Offset(decisions));
    check(&log);
}
