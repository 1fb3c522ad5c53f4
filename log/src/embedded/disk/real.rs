//! A directory of the operating system.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    buffer::spare_capacity,
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::{Disk, DiskFile};

/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 1 << 20;

/// A directory that exists.
pub(in crate::embedded) struct RealDisk {
    path: PathBuf,
    /// Open for reading only: the log is inspected while somebody else owns it.
    writable: bool,
}

impl RealDisk {
    pub(in crate::embedded) fn for_writing(path: &Path) -> Self {
        Self { path: path.to_owned(), writable: true }
    }

    pub(in crate::embedded) fn for_reading(path: &Path) -> Self {
        Self { path: path.to_owned(), writable: false }
    }

    fn fill(file: &File, bytes: u32) -> io::Result<()> {
        // Allocating first finds out at once whether there is room, and keeps the file in one piece. The zeros are
        // written all the same: overwriting blocks that were never written costs a journal commit at every flush.
        match fallocate(file, FallocateFlags::empty(), 0, u64::from(bytes)) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        let zeros = vec![0; ZEROS_BYTES.min(bytes as usize)];
        let mut position = 0;
        while position < bytes as usize {
            let piece = zeros.len().min(bytes as usize - position);
            file.write_all_at(&zeros[..piece], position as u64)?;
            position += piece;
        }
        file.sync_all()
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

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(self.writable).open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str, bytes: u32) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        match Self::fill(&file, bytes) {
            Ok(()) => Ok(Arc::new(file)),
            Err(error) => {
                // The first error is the one that matters; a file that stays is removed when the log is opened.
                let _leftover = fs::remove_file(&path);
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

impl DiskFile for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, position: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let mut position = position;
        while out.len() < out.capacity() {
            // Into the spare capacity, which saves writing zeros there first.
            match rustix::io::pread(self, spare_capacity(out), position) {
                Ok(0) => break,
                Ok(read) => position += read as u64,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
