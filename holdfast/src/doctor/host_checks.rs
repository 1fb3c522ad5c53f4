//! What the machine offers: disk, clock, memory, limits, the port.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast_engine::rocks::ROCKSDB_VERSION;
use holdfast_intake::IntakeConfig;
use rustix::fs::{OFlags, statvfs};
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::data::DataDir;
use crate::failure::causes;
use crate::up::{connections_within, files_beside};

/// Three segments of the log, without which a server does not begin.
const SPACE_NEEDED: u64 = 192 << 20;
/// Enough for an afternoon.
const SPACE_WANTED: u64 = 4 << 30;
/// Flushes tried.
const FLUSHES: usize = 16;
/// A flush of a few kilobytes that takes longer makes every answer slow.
const FLUSH_SLOW: Duration = Duration::from_millis(20);
/// How far two clocks may come apart while the checks run.
const CLOCK_STEP: Duration = Duration::from_millis(250);
/// 2020 and 2050: the years that a log knows.
const YEARS: [u64; 2] = [1_577_836_800, 2_524_608_000];

const SCRATCH: &str = "doctor.tmp";

/// Readings of two clocks at one moment.
pub(super) struct Clocks {
    wall: SystemTime,
    steady: Instant,
}

impl Clocks {
    pub(super) fn read() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }

    /// Whether the wall clock went on as the other did, in a year that makes sense.
    pub(super) fn check(&self) -> Finding {
        let fix = "let the clock be set by NTP with slewing, not stepping";
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if since < YEARS[0] || since >= YEARS[1] {
            return Finding::fail("clock", format!("the wall clock says {since} s since 1970"), fix);
        }
        let steady = self.steady.elapsed();
        match self.wall.elapsed() {
            Ok(wall) if wall.abs_diff(steady) < CLOCK_STEP => {
                Finding::ok("clock", "wall clock and monotonic clock agree")
            }
            Ok(wall) => {
                Finding::warn("clock", format!("the wall clock moved {wall:?} while {steady:?} passed"), fix)
            }
            Err(back) => {
                Finding::warn("clock", format!("the wall clock went back by {:?}", back.duration()), fix)
            }
        }
    }
}

/// The directory that will hold the data: itself, or the nearest one above that exists.
fn nearest(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().find(|it| it.is_dir()).map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// A file that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn in_directory(path: &Path) -> Self {
        Self(nearest(path).join(format!("{SCRATCH}-{}", std::process::id())))
    }

    fn create(&self, flags: OFlags) -> std::io::Result<File> {
        let flags = flags.bits().cast_signed();
        OpenOptions::new().create(true).truncate(true).write(true).custom_flags(flags).open(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been created.
        fs::remove_file(&self.0).ok();
    }
}

/// Whether there is anything in a directory that a server or a file system would not put there.
fn is_in_use(path: &Path) -> bool {
    let known = |name: &str| name == "lost+found" || name.starts_with(SCRATCH) || name.ends_with(".key");
    let names =
        fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
    names.into_iter().any(|name| !known(&name.to_string_lossy()))
}

pub(super) fn directory(data: &DataDir) -> Finding {
    let path = data.root();
    let scratch = Scratch::in_directory(path);
    let place = nearest(path);
    match scratch.create(OFlags::empty()) {
        Ok(_) if data.must_be_one().is_ok() => {
            Finding::ok("data directory", format!("{} can be written", path.display()))
        }
        Ok(_) if is_in_use(path) => Finding::fail(
            "data directory",
            format!("{} holds other files, and no data of a server", path.display()),
            "name the right one with --data or HOLDFAST_DATA",
        ),
        Ok(_) => Finding::warn(
            "data directory",
            format!("no server has run on {} yet; it can be made in {}", path.display(), place.display()),
            "nothing, if this is before the first `holdfast up`; else name the right one with --data",
        ),
        Err(error) => Finding::fail(
            "data directory",
            format!("{} cannot be written: {}", place.display(), causes(&error)),
            "let it belong to the user that runs the server, or choose another with --data",
        ),
    }
}

pub(super) fn space(path: &Path) -> Finding {
    let place = nearest(path);
    let stat = match statvfs(&place) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::warn("disk space", causes(&error), "make sure that there is room for the log");
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{} MiB free", free >> 20);
    let fix = "make room, or move the data directory; a full disk refuses requests until there is room";
    match free {
        ..SPACE_NEEDED => Finding::fail("disk space", found, fix),
        SPACE_NEEDED..SPACE_WANTED => Finding::warn("disk space", found, fix),
        _ => Finding::ok("disk space", found),
    }
}

pub(super) fn direct_writes(path: &Path) -> Finding {
    match Scratch::in_directory(path).create(OFlags::DIRECT) {
        Ok(_) => Finding::ok("direct writes", "the file system takes O_DIRECT"),
        Err(error) => Finding::warn(
            "direct writes",
            format!("the file system refuses O_DIRECT: {}", causes(&error)),
            "use ext4 or XFS for the data directory; others work and cost more processor time",
        ),
    }
}

/// How long a small write takes to be on the disk.
pub(super) fn flush(path: &Path) -> Finding {
    let scratch = Scratch::in_directory(path);
    let tried = scratch.create(OFlags::empty()).and_then(|mut file| {
        let block = [0; 4096];
        let mut times = Vec::new();
        for _ in 0..FLUSHES {
            let begun = Instant::now();
            file.write_all(&block)?;
            file.sync_data()?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        Ok(times[FLUSHES / 2])
    });
    let fix = "use a disk with a fast flush, with power-loss protection if there is a choice";
    match tried {
        Ok(median) if median < FLUSH_SLOW => {
            Finding::ok("disk flush", format!("{} us in the middle of {FLUSHES}", median.as_micros()))
        }
        Ok(median) => {
            Finding::warn("disk flush", format!("{} us in the middle of {FLUSHES}", median.as_micros()), fix)
        }
        Err(error) => Finding::fail("disk flush", causes(&error), fix),
    }
}

pub(super) fn open_files(intake: &IntakeConfig) -> Finding {
    // A server raises its own limit as far as it may.
    let Some(most) = getrlimit(Resource::Nofile).maximum else {
        return Finding::ok("open files", "any number of open files allowed");
    };
    within(most, intake)
}

/// Whether so many open files are enough for the connections that are wanted.
fn within(most: u64, intake: &IntakeConfig) -> Finding {
    let (wanted, possible) = (intake.connections_max, connections_within(most, intake));
    let needed = u64::from(wanted.get()) + files_beside(intake);
    let found = format!("{most} open files allowed, {needed} needed for {wanted} connections");
    if most >= needed {
        return Finding::ok("open files", found);
    }
    Finding::warn(
        "open files",
        format!("{found}; there may be {possible}"),
        format!(
            "ulimit -n {needed}, or LimitNOFILE={needed} in the service; or intake.connections_max = {possible}"
        ),
    )
}

pub(super) fn huge_pages() -> Finding {
    let file = "/sys/kernel/mm/transparent_hugepage/enabled";
    let fix = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: large tables are twice as fast with them";
    match fs::read_to_string(file) {
        Ok(text) if text.contains("[never]") => Finding::warn("huge pages", "switched off", fix),
        Ok(text) => {
            let chosen = text.split(['[', ']']).nth(1).unwrap_or("?").to_owned();
            Finding::ok("huge pages", chosen)
        }
        Err(error) => Finding::warn("huge pages", format!("{file}: {}", causes(&error)), fix),
    }
}

/// Whether the port can be had, or is had by the server of this very directory.
pub(super) fn port(data: &DataDir, listen: SocketAddr) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let own = data.address().is_some_and(|address| address.ends_with(&format!(":{}", listen.port())));
            if own {
                return Finding::ok("port", format!("{listen} is used by the server of this data directory"));
            }
            Finding::fail(
                "port",
                format!("{listen} is in use"),
                "stop whoever listens there, or choose another address with --listen",
            )
        }
        Err(error) => Finding::fail(
            "port",
            format!("{listen} cannot be listened to: {}", causes(&error)),
            "choose an address of this machine with --listen",
        ),
    }
}

/// Secrets that others may read are no secrets.
pub(super) fn key_files(files: &[PathBuf]) -> Vec<Finding> {
    let look = |file: &PathBuf| {
        let shown = file.display();
        match fs::metadata(file) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 == 0 => {
                Finding::ok("key file", format!("{shown} can be read by its owner only"))
            }
            Ok(metadata) => Finding::fail(
                "key file",
                format!("{shown} has mode {:o}", metadata.permissions().mode() & 0o777),
                format!("chmod 600 {shown}"),
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Finding::ok("key file", format!("{shown} is not there; a first start makes it"))
            }
            Err(error) => {
                Finding::fail("key file", format!("{shown}: {}", causes(&error)), "let its owner read it")
            }
        }
    };
    files.iter().map(look).collect()
}

/// Whether the RocksDB that is loaded is the one that was tested.
pub(super) fn rocksdb() -> Finding {
    let (linked, expected) = (crate::version::rocksdb_linked(), ROCKSDB_VERSION);
    if linked == expected {
        return Finding::ok("RocksDB", linked);
    }
    Finding::warn(
        "RocksDB",
        format!("{linked} is loaded, {expected} was tested"),
        "let the loader find the one that was tested, or build with the bundled one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn too_few_open_files_leave_fewer_connections_and_are_no_failure() {
        let intake = IntakeConfig::default();
        let needed = 20_000 + files_beside(&intake);
        assert_eq!(within(needed, &intake).verdict, Verdict::Ok);
        let one_less = within(needed - 1, &intake);
        assert_eq!(one_less.verdict, Verdict::Warn);
        assert!(one_less.found.ends_with("there may be 19999"), "{}", one_less.found);
        assert_eq!(connections_within(10, &intake).get(), 2, "each thread has one at least");
        assert_eq!(connections_within(u64::MAX, &intake), intake.connections_max);
    }
}
