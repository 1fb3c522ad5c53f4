//! Measures the embedded log: latency of an append on an idle system, throughput, cost in processor time, reading,
//! opening. The numbers behind the ADR on the embedded log.
//!
//! Usage: `measure_log DIRECTORY [latency|serial|throughput|pipeline|read|simulated]...`. It writes about 1.5 GB below the directory and
//! removes it.
#![allow(clippy::print_stdout, reason = "a measuring tool prints what it measured")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of a measurement are far from the ends of their types"
)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_contracts::{LogId, Offset, PartitionId};
use holdfast_log::{
    AppendError, EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, SimulatedConfig, SimulatedLog, StreamId,
    Ticket, doorbell, simulated::Pace,
};

/// Bytes of one command in a batch, and commands in a batch, as the pipeline has them.
const COMMAND_BYTES: usize = 61;
const BATCH_COMMANDS: usize = 1_000;

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));

/// What a simulated run pays for its log.
fn simulated(_directory: &Path) -> Result<()> {
    const APPENDS: u32 = 4_000_000;
    let config = SimulatedConfig::new(LogId([1; 16]), Layout::inventory(4)?);
    let start = Instant::now();
    (0..1_000).for_each(|_| drop(SimulatedLog::new(config)));
    println!("a simulated log is created in {:.1?}", start.elapsed() / 1_000);
    for (name, pace) in [("automatic", Pace::Automatic), ("step by step", Pace::Stepwise)] {
        let log = SimulatedLog::new(SimulatedConfig { pace, ..config });
        let payload = Bytes::from(vec![7; 100]);
        let start = Instant::now();
        for nr in 0..APPENDS {
            log.append(COMMANDS, payload.clone())?;
            if nr % 100 == 0 {
                log.flush(COMMANDS);
            }
        }
        println!("appends to it, {name}: {:.1} M/s", f64::from(APPENDS) / start.elapsed().as_micros() as f64);
    }
    Ok(())
}

type Part = fn(&Path) -> Result<()>;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn open(directory: &Path) -> Result<EmbeddedLog> {
    Ok(EmbeddedLog::open(directory, &EmbeddedConfig::new(Layout::inventory(4)?))?)
}

fn append(log: &dyn OrderedLog, stream: StreamId, payload: &Bytes) -> Result<Ticket> {
    let (bell, mut listener) = doorbell();
    let mut room = None;
    loop {
        match log.append(stream, payload.clone()) {
            Ok(ticket) => return Ok(ticket),
            Err(AppendError::Full) if room.is_some() => listener.wait(),
            // Not rung for what came before: the next try may still be refused, and is then told of.
            Err(AppendError::Full) => room = Some(log.subscribe(stream, bell.waker())),
            Err(error) => return Err(error.into()),
        }
    }
}

fn settled(ticket: &Ticket) -> Result<()> {
    ticket.wait(Duration::from_secs(60)).ok_or("no answer in a minute")??;
    Ok(())
}

/// Processor time of this process so far.
fn processor_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn percentiles(mut nanos: Vec<u64>) -> String {
    nanos.sort_unstable();
    let at = |p: usize| nanos[(nanos.len() - 1) * p / 100] as f64 / 1e3;
    format!("p50 {:6.1} us, p90 {:6.1} us, p99 {:6.1} us", at(50), at(90), at(99))
}

/// An append when nothing else happens, until its ticket is settled, and until a subscriber can read it. Next to it
/// the bare flush of the same number of bytes into a file prepared in the same way.
fn latency(directory: &Path) -> Result<()> {
    let log = open(&directory.join("log"))?;
    let payload = Bytes::from(vec![7; 150]);
    let (bell, mut listener) = doorbell();
    let _readable = log.subscribe(COMMANDS, bell.waker());
    let bare = bare_file(directory)?;
    let (mut settle, mut readable, mut flush) = (Vec::new(), Vec::new(), Vec::new());
    for nr in 0..1_500_u64 {
        let start = Instant::now();
        settled(&log.append(COMMANDS, payload.clone())?)?;
        settle.push(start.elapsed().as_nanos() as u64);
        listener.take();
        let start = Instant::now();
        let ticket = log.append(COMMANDS, payload.clone())?;
        while log.watermarks(COMMANDS).end.0 < 2 * nr + 2 {
            listener.wait();
        }
        readable.push(start.elapsed().as_nanos() as u64);
        settled(&ticket)?;
        let start = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&bare, &[7; 4096], nr % 1000 * 4096)?;
        bare.sync_data()?;
        flush.push(start.elapsed().as_nanos() as u64);
        // Idle means idle: the writer has gone to rest.
        thread::sleep(Duration::from_micros(500));
    }
    println!("append to settled ticket:     {}", percentiles(settle));
    println!("append to woken subscriber:   {}", percentiles(readable));
    println!("bare write of 4 KiB and flush: {}", percentiles(flush));
    Ok(())
}

fn bare_file(directory: &Path) -> Result<std::fs::File> {
    let path = directory.join("bare");
    std::fs::write(&path, vec![0; 1000 * 4096])?;
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.sync_all()?;
    Ok(file)
}

/// One record at a time, each waited for: what a group of that size costs, to be held against other logs.
fn serial(directory: &Path) -> Result<()> {
    let log = open(&directory.join("log"))?;
    for (bytes, count) in [(150, 2_000), (4 << 10, 2_000), (61_000, 2_000), (1_000_000, 300)] {
        let payload = Bytes::from(vec![7; bytes]);
        let (start, cpu, mut nanos) = (Instant::now(), processor_time()?, Vec::new());
        for _ in 0..count {
            let start = Instant::now();
            settled(&append(&log, COMMANDS, &payload)?)?;
            nanos.push(start.elapsed().as_nanos() as u64);
        }
        let (wall, cpu) = (start.elapsed(), processor_time()? - cpu);
        println!(
            "one at a time, {bytes:>7} B: {}, {:5.0} MB/s, {:6.0} us cpu each",
            percentiles(nanos),
            (bytes * count) as f64 / wall.as_micros() as f64,
            cpu.as_micros() as f64 / count as f64
        );
    }
    Ok(())
}

/// Batches as fast as they go, in records of several sizes, with so many bytes under way at a time.
fn throughput(directory: &Path) -> Result<()> {
    let log = open(&directory.join("log"))?;
    for (bytes, total) in [(150, 60 << 20), (4 << 10, 200 << 20), (61_000, 600 << 20)] {
        let payload = Bytes::from(vec![7; bytes]);
        let count = total / bytes;
        let (start, cpu) = (Instant::now(), processor_time()?);
        let mut last = None;
        for _ in 0..count {
            last = Some(append(&log, COMMANDS, &payload)?);
        }
        settled(&last.ok_or("nothing was appended")?)?;
        let (wall, cpu) = (start.elapsed(), processor_time()? - cpu);
        let per = |time: Duration| time.as_nanos() as f64 / count as f64;
        println!(
            "records of {bytes:>6} B: {:7.0} MB/s, {:9.0} records/s, {:8.0} ns wall and {:8.0} ns cpu each",
            total as f64 / wall.as_micros() as f64,
            count as f64 / wall.as_secs_f64(),
            per(wall),
            per(cpu)
        );
    }
    Ok(())
}

/// Commands in batches; each batch is answered by a decision batch of the same size as soon as it is readable.
fn pipeline(directory: &Path) -> Result<()> {
    const BATCHES: u64 = 6_000;
    let log = Arc::new(open(&directory.join("log"))?);
    let payload = Bytes::from(vec![7; COMMAND_BYTES * BATCH_COMMANDS]);
    let (start, cpu) = (Instant::now(), processor_time()?);
    let first = log.watermarks(COMMANDS).end;
    let sequencer = thread::spawn({
        let log = Arc::clone(&log);
        move || -> std::result::Result<(), String> {
            let (bell, mut listener) = doorbell();
            let _commands = log.subscribe(COMMANDS, bell.waker());
            let (mut next, mut records) = (first, Vec::new());
            while next.0 < first.0 + BATCHES {
                listener.take();
                log.read(COMMANDS, next, 1 << 20, &mut records).map_err(|error| error.to_string())?;
                for record in records.drain(..) {
                    next = record.offset.next();
                    append(&*log, DECISIONS, &record.payload).map_err(|error| error.to_string())?;
                }
                if log.watermarks(COMMANDS).end == next && next.0 < first.0 + BATCHES {
                    listener.wait();
                }
            }
            Ok(())
        }
    });
    // As intake does: about eight batches under way.
    let mut under_way = std::collections::VecDeque::new();
    for _ in 0..BATCHES {
        under_way.push_back(append(&*log, COMMANDS, &payload)?);
        if under_way.len() >= 8 {
            settled(&under_way.pop_front().ok_or("some are under way")?)?;
        }
    }
    sequencer.join().map_err(|_| "the sequencer panicked")??;
    let (wall, cpu) = (start.elapsed(), processor_time()? - cpu);
    let commands = BATCHES as f64 * BATCH_COMMANDS as f64;
    println!(
        "pipeline: {:.2} M commands/s (each with a decision of its size), {:.1} ns wall and {:.1} ns cpu per command",
        commands / wall.as_micros() as f64,
        wall.as_nanos() as f64 / commands,
        cpu.as_nanos() as f64 / commands
    );
    Ok(())
}

/// Opens what the others wrote, from the page cache, and reads it back from the beginning.
fn read(directory: &Path) -> Result<()> {
    let path = directory.join("log");
    let bytes: u64 =
        std::fs::read_dir(&path)?.map(|entry| Ok(entry?.metadata()?.len())).sum::<Result<u64>>()?;
    for state in ["not in the page cache", "in the page cache"] {
        if state == "not in the page cache" {
            for entry in std::fs::read_dir(&path)? {
                let file = std::fs::File::open(entry?.path())?;
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            }
        }
        let start = Instant::now();
        drop(open(&path)?);
        println!("opened {} MB {state}, every byte checked, in {:.0?}", bytes >> 20, start.elapsed());
    }
    let log = open(&path)?;
    for stream in [COMMANDS, DECISIONS] {
        let (start, end) = (Instant::now(), log.watermarks(stream).end);
        let (mut next, mut total, mut records) = (Offset(0), 0, Vec::new());
        while next < end {
            log.read(stream, next, 1 << 20, &mut records)?;
            for record in records.drain(..) {
                total += record.payload.len();
                next = record.offset.next();
            }
        }
        println!(
            "read {} MB of {stream} at {:.0} MB/s",
            total >> 20,
            total as f64 / start.elapsed().as_micros() as f64
        );
    }
    drop(log);
    let start = Instant::now();
    let config = EmbeddedConfig { verify_bytes_max: 0, ..EmbeddedConfig::new(Layout::inventory(4)?) };
    let _log = EmbeddedLog::open(&path, &config)?;
    println!("opened it with only the last segment checked in {:.0?}", start.elapsed());
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: measure_log DIRECTORY [PART]...")?);
    let wanted: Vec<String> = arguments.collect();
    let parts: [(&str, Part); 6] = [
        ("latency", latency),
        ("serial", serial),
        ("throughput", throughput),
        ("pipeline", pipeline),
        ("read", read),
        ("simulated", simulated),
    ];
    std::fs::create_dir_all(&directory)?;
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            part(&directory)?;
        }
    }
    let _absent = std::fs::remove_dir_all(directory.join("log"));
    let _absent = std::fs::remove_file(directory.join("bare"));
    Ok(())
}
