//! What the embedded log asks of a file system, and nothing more, so that tests can put a failing one in its place.

mod real;
#[cfg(test)]
pub(super) mod simulated;

use std::{io, sync::Arc};

pub(super) use real::{DIRECT_ALIGN, RealDisk};

/// One directory of files.
///
/// Nothing is promised to survive a power loss until it was synchronised: the content of a file by
/// [`DiskFile::sync`], its name by [`Disk::sync_names`].
pub(super) trait Disk: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that exists.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a file of `bytes` zeros that own their place on the disk, so that overwriting them cannot run out of
    /// space, and synchronises its content. Leaves nothing behind when it fails.
    fn create(&self, name: &str, bytes: u32) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, replacing whatever had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Whoever has it open may go on reading.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names of the directory durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading only. Somebody else may own it.
    Read,
    /// Reading and overwriting.
    Write,
}

/// One open file.
pub(super) trait DiskFile: Send + Sync {
    /// Its size.
    fn bytes(&self) -> io::Result<u64>;

    /// Fills the spare capacity of `out` with the bytes from `position` on; less only at the end of the file.
    fn read_at(&self, position: u64, out: &mut Vec<u8>) -> io::Result<()>;

    /// Overwrites bytes inside the file.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the content durable. After an error nothing is known about what was written since the last success, and
    /// nobody may call it again: file systems drop what they could not write and report it once.
    fn sync(&self) -> io::Result<()>;
}

/// True if the error says that there is no room, which is the one error a log survives.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
