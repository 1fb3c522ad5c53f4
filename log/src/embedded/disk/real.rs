//! A directory of the operating system.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    buffer::spare_capacity,
    fs::{FallocateFlags, OFlags, fallocate},
    io::Errno,
};

use super::{Access, Disk, DiskFile};

/// Writes go around the page cache if they begin and end at multiples of this, in memory and in the file.
pub(in crate::embedded) const DIRECT_ALIGN: usize = 4096;
/// Zeros are written in pieces of this size. A flush has to wait for the piece that is under way: with twice as much its
/// 99th percentile doubles, with less the filling takes longer and gets in the way more often.
const ZEROS_BYTES: usize = 1 << 19;

/// A directory that exists.
pub(in crate::embedded) struct RealDisk {
    path: PathBuf,
}

/// A file, open once through the page cache for reading and odd writes, and once around it for the many aligned ones.
///
/// Going around the page cache costs less than half of the processor time, because nothing is copied and no page has to
/// be found; and an error is reported to the write it belongs to.
struct RealFile {
    cached: File,
    direct: Option<File>,
    /// The file system takes no direct writes after all.
    direct_refused: AtomicBool,
}

impl RealDisk {
    pub(in crate::embedded) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn open_file(&self, name: &str, options: &OpenOptions, access: Access) -> io::Result<RealFile> {
        let path = self.path.join(name);
        let cached = options.open(&path)?;
        let direct = match access {
            Access::Read => None,
            // Some file systems refuse. They are slower then, not wrong.
            Access::Write => {
                let flags = OFlags::DIRECT.bits().cast_signed();
                OpenOptions::new().write(true).custom_flags(flags).open(&path).ok()
            }
        };
        Ok(RealFile { cached, direct, direct_refused: AtomicBool::new(false) })
    }
}

impl RealFile {
    /// Gives the file its blocks, written once.
    fn fill(&self, bytes: u32) -> io::Result<()> {
        // Allocating first finds out at once whether there is room, and keeps the file in one piece. The zeros are
        // written all the same: overwriting blocks that were never written costs a journal commit at every flush.
        match fallocate(&self.cached, FallocateFlags::empty(), 0, u64::from(bytes)) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        let zeros = vec![0; ZEROS_BYTES + DIRECT_ALIGN];
        let zeros = &zeros[zeros.as_ptr().align_offset(DIRECT_ALIGN)..][..ZEROS_BYTES];
        let mut position = 0;
        while position < bytes as usize {
            let piece = zeros.len().min(bytes as usize - position);
            self.write_at(position as u64, &zeros[..piece])?;
            position += piece;
        }
        self.cached.sync_all()
    }

    fn direct_for(&self, position: u64, bytes: &[u8]) -> Option<&File> {
        let is_aligned = position.is_multiple_of(DIRECT_ALIGN as u64)
            && bytes.len().is_multiple_of(DIRECT_ALIGN)
            && bytes.as_ptr().align_offset(DIRECT_ALIGN) == 0;
        // Relaxed: a thread that learns of it late only asks once more.
        self.direct.as_ref().filter(|_| is_aligned && !self.direct_refused.load(Ordering::Relaxed))
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not text is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let options = OpenOptions::new().read(true).write(access == Access::Write).clone();
        Ok(Arc::new(self.open_file(name, &options, access)?))
    }

    fn create(&self, name: &str, bytes: u32) -> io::Result<Arc<dyn DiskFile>> {
        // What an earlier attempt left under this name was never finished.
        let _absent = fs::remove_file(self.path.join(name));
        let options = OpenOptions::new().read(true).write(true).create_new(true).clone();
        let file = self.open_file(name, &options, Access::Write)?;
        match file.fill(bytes) {
            Ok(()) => Ok(Arc::new(file)),
            Err(error) => {
                // The first error is the one that matters; a file that stays is removed when the log is opened.
                let _leftover = fs::remove_file(self.path.join(name));
                Err(error)
            }
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.cached.metadata()?.len())
    }

    fn read_at(&self, position: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let mut position = position;
        while out.len() < out.capacity() {
            // Into the spare capacity, which saves writing zeros there first.
            match rustix::io::pread(&self.cached, spare_capacity(out), position) {
                Ok(0) => break,
                Ok(read) => position += read as u64,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(direct) = self.direct_for(position, bytes) {
            match direct.write_all_at(bytes, position) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.direct_refused.store(true, Ordering::Relaxed);
                }
                written => return written,
            }
        }
        self.cached.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.cached.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(file: &dyn DiskFile) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(file.bytes().unwrap()).unwrap());
        file.read_at(0, &mut out).unwrap();
        out
    }

    #[test]
    fn a_new_file_is_zeros_and_owns_its_blocks() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(directory.path());
        let file = disk.create("a", 3 << 20).unwrap();
        assert!(contents(&*file) == vec![0; 3 << 20]);
        assert!(fs::metadata(directory.path().join("a")).unwrap().blocks() * 512 >= 3 << 20);
    }

    #[test]
    fn aligned_and_odd_writes_see_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(directory.path());
        let file = disk.create("a", 4 * 4096).unwrap();
        let page = vec![1; 2 * 4096];
        let page = &page[page.as_ptr().align_offset(4096)..][..4096];
        let mut expected = vec![0; 4 * 4096];
        for (position, bytes) in [(4096, page), (4090, &[2; 20]), (8000, &[3; 500]), (4096, page)] {
            file.write_at(position as u64, bytes).unwrap();
            expected[position..position + bytes.len()].copy_from_slice(bytes);
            assert!(contents(&*file) == expected);
        }
        file.sync().unwrap();
        assert!(contents(&*disk.open("a", Access::Read).unwrap()) == expected);
    }

    #[test]
    fn what_an_earlier_attempt_left_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "left over").unwrap();
        let disk = RealDisk::new(directory.path());
        assert_eq!(contents(&*disk.create("a", 4096).unwrap()), vec![0; 4096]);
    }
}
