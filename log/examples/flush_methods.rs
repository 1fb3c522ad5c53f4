//! Measures what the disk and the file system give a log: ways to prepare a segment file and to make a group of
//! bytes durable, at several group sizes. The numbers behind the ADR on the embedded log.
//!
//! Usage: `flush_methods [DIRECTORY]`. Methods take turns, so that a noisy neighbour hits all of them alike.
#![allow(clippy::print_stdout, reason = "a measuring tool prints what it measured")]
#![allow(clippy::cast_possible_truncation, reason = "sizes are small constants")]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

const FILE_BYTES: u64 = 192 << 20;
const ROUNDS: usize = 3;
const FLUSHES_MAX: u64 = 400;
const ALIGN: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prepared {
    Not,
    Fallocated,
    ZeroFilled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    /// Through the page cache, then fdatasync.
    Buffered,
    /// Around the page cache, then fdatasync.
    Direct,
    /// Around the page cache, each write durable by itself.
    DirectDsync,
}

const METHODS: [(&str, Prepared, Write); 7] = [
    ("growing, buffered", Prepared::Not, Write::Buffered),
    ("fallocate, buffered", Prepared::Fallocated, Write::Buffered),
    ("fallocate, O_DIRECT", Prepared::Fallocated, Write::Direct),
    ("fallocate, O_DIRECT|O_DSYNC", Prepared::Fallocated, Write::DirectDsync),
    ("zero-filled, buffered", Prepared::ZeroFilled, Write::Buffered),
    ("zero-filled, O_DIRECT", Prepared::ZeroFilled, Write::Direct),
    ("zero-filled, O_DIRECT|O_DSYNC", Prepared::ZeroFilled, Write::DirectDsync),
];

/// Group sizes. The odd ones are what small groups of small records look like; O_DIRECT pads them.
const SIZES: [usize; 5] = [200, 4 << 10, 16 << 10, 64 << 10, 1 << 20];

/// Processor time of this process so far, to ten milliseconds.
fn processor_time() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: &str| field.parse::<u64>().map_err(io::Error::other);
    Ok(Duration::from_millis((ticks(fields[11])? + ticks(fields[12])?) * 10))
}

fn prepare(path: &Path, prepared: Prepared) -> io::Result<Duration> {
    let _absent = std::fs::remove_file(path);
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let start = Instant::now();
    match prepared {
        Prepared::Not => {}
        Prepared::Fallocated => fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES)?,
        Prepared::ZeroFilled => {
            let zeros = vec![0; 1 << 20];
            for at in (0..FILE_BYTES).step_by(zeros.len()) {
                file.write_all_at(&zeros, at)?;
            }
        }
    }
    file.sync_all()?;
    // A segment that was prepared ahead of time has usually left the page cache or never been in it.
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    File::open(path.parent().expect("a file has a directory"))?.sync_all()?;
    Ok(start.elapsed())
}

fn open(path: &Path, write: Write) -> io::Result<File> {
    let flags = match write {
        Write::Buffered => OFlags::empty(),
        Write::Direct => OFlags::DIRECT,
        Write::DirectDsync => OFlags::DIRECT | OFlags::DSYNC,
    };
    OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// One latency per flush, in nanoseconds.
fn run(path: &Path, write: Write, size: usize) -> io::Result<Vec<u64>> {
    let file = open(path, write)?;
    let padded = if write == Write::Buffered { size } else { size.next_multiple_of(ALIGN) };
    let buffer: Vec<u8> = (0..padded + ALIGN).map(|n| (n % 251) as u8 + 1).collect();
    let start = buffer.as_ptr().align_offset(ALIGN);
    let group = &buffer[start..start + padded];
    let mut latencies = Vec::new();
    let flushes = (FILE_BYTES / padded as u64).min(FLUSHES_MAX);
    for nr in 0..flushes {
        let begun = Instant::now();
        file.write_all_at(group, nr * padded as u64)?;
        if write != Write::DirectDsync {
            file.sync_data()?;
        }
        latencies.push(begun.elapsed().as_nanos() as u64);
    }
    Ok(latencies)
}

fn main() -> io::Result<()> {
    let directory = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let path = directory.join("flush_methods.dat");
    let titles = ["bytes", "p50 us", "p99 us", "mean us", "cpu us", "MB/s"];
    println!("{:<32}{}", "method", titles.map(|title| format!("{title:>10}")).concat());
    for size in SIZES {
        let mut latencies = vec![Vec::new(); METHODS.len()];
        let mut cpu = vec![Duration::ZERO; METHODS.len()];
        for _ in 0..ROUNDS {
            for (nr, (_, prepared, write)) in METHODS.into_iter().enumerate() {
                prepare(&path, prepared)?;
                let before = processor_time()?;
                latencies[nr].extend(run(&path, write, size)?);
                cpu[nr] += processor_time()? - before;
            }
        }
        for (((name, ..), mut latencies), cpu) in METHODS.into_iter().zip(latencies).zip(cpu) {
            latencies.sort_unstable();
            let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100] as f64 / 1e3;
            let mean = latencies.iter().sum::<u64>() as f64 / latencies.len() as f64;
            println!(
                "{name:<32}{size:>10}{:>10.0}{:>10.0}{:>10.0}{:>10.0}{:>10.0}",
                at(50),
                at(99),
                mean / 1e3,
                cpu.as_micros() as f64 / latencies.len() as f64,
                size as f64 / mean * 1e3
            );
        }
    }
    for (name, prepared) in [("fallocate", Prepared::Fallocated), ("zero-fill", Prepared::ZeroFilled)] {
        println!("preparing {} MiB by {name}: {:.1?}", FILE_BYTES >> 20, prepare(&path, prepared)?);
    }
    std::fs::remove_file(path)
}
