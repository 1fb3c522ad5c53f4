//! Fills a file system, if it is one that may be filled.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use rustix::fs::{statfs, statvfs};

/// What the system calls a file system in memory (`TMPFS_MAGIC`).
const TMPFS: u64 = 0x0102_1994;
/// A larger one is no test's own.
const BYTES_MAX: u64 = 4 << 30;

/// Takes all the room there is on a file system, and gives it back when dropped. The file has no name, so the system gives it
/// back even if this process is killed.
#[derive(Debug)]
pub(super) struct Ballast {
    _file: Option<File>,
}

/// # Errors
/// Why the file system of this directory must not be filled, in a sentence.
pub(super) fn may_fill(directory: &Path) -> Result<(), String> {
    let unknown = |error| format!("nothing is known of the file system of {}: {error}", directory.display());
    let kind = statfs(directory).map_err(unknown)?.f_type;
    let size = statvfs(directory).map_err(unknown)?;
    if u64::try_from(kind) != Ok(TMPFS) {
        return Err(format!("{} is not on a file system in memory (tmpfs)", directory.display()));
    }
    if size.f_blocks.saturating_mul(size.f_frsize) > BYTES_MAX {
        let gib = BYTES_MAX >> 30;
        return Err(format!("the file system of {} is larger than {gib} GiB", directory.display()));
    }
    Ok(())
}

impl Ballast {
    /// # Errors
    /// If the system refuses for any other reason than that it is full.
    pub(super) fn fill(directory: &Path) -> io::Result<Self> {
        let mut file = match tempfile::tempfile_in(directory) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(Self { _file: None }),
            Err(error) => return Err(error),
        };
        let mut left = BYTES_MAX;
        for size in [1 << 20, 4 << 10, 1] {
            let block = vec![0x5a; size];
            // Until there is no room for a block of this size. Somebody might make the file system larger meanwhile.
            while left > 0 {
                match file.write(&block) {
                    Ok(0) => break,
                    Ok(written) => left = left.saturating_sub(written as u64),
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Self { _file: Some(file) })
    }
}
