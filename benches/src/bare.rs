//! The bare baseline of everything durable: a loop that writes bytes and flushes them, and does nothing else.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, OFlags, fadvise};

/// Writes around the page cache begin and end at multiples of this.
const PAGE_BYTES: usize = 4096;
/// Size of a file, as a segment of the embedded log has it.
const FILE_BYTES: u64 = 64 << 20;

/// Files filled with zeros beforehand, written around the page cache and flushed group by group: the fastest way to
/// make bytes durable that decision 0001 found.
#[derive(Debug)]
pub struct BareLog {
    files: Vec<PathBuf>,
    open: File,
    /// Where the next group goes.
    file: usize,
    at: u64,
    memory: Vec<u8>,
}

impl BareLog {
    /// Prepares room for so many bytes, each group of them rounded up to whole pages, below a directory.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn prepare(directory: &Path, bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let count = bytes.div_ceil(FILE_BYTES) + 1;
        let files: Vec<PathBuf> = (0..count).map(|n| directory.join(format!("{n:04}.bare"))).collect();
        for file in &files {
            fill(file)?;
        }
        File::open(directory)?.sync_all()?;
        let open = open(&files[0])?;
        Ok(Self { files, open, file: 0, at: 0, memory: Vec::new() })
    }

    /// Writes one group and flushes it.
    ///
    /// # Errors
    /// Whatever the file system says, and when the room that was prepared is used up.
    pub fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let padded = bytes.next_multiple_of(PAGE_BYTES);
        if self.memory.len() < padded + PAGE_BYTES {
            self.memory.resize(2 * padded + PAGE_BYTES, 0);
        }
        let start = self.memory.as_ptr().align_offset(PAGE_BYTES);
        let group = &mut self.memory[start..start + padded];
        let mut filled = 0;
        for part in parts {
            group[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        group[filled..].fill(0);
        if self.at + padded as u64 > FILE_BYTES {
            self.file += 1;
            let next = self.files.get(self.file).ok_or_else(|| io::Error::other("no more room prepared"))?;
            self.open = open(next)?;
            self.at = 0;
        }
        self.open.write_all_at(group, self.at)?;
        self.open.sync_data()?;
        self.at += padded as u64;
        Ok(())
    }
}

fn fill(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    Ok(())
}

/// Around the page cache where the file system lets us; a few do not, as the log itself has it.
fn open(path: &Path) -> io::Result<File> {
    let direct = OpenOptions::new().write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path);
    direct.or_else(|_| OpenOptions::new().write(true).open(path))
}

/// One small flush after the other with rests in between, as many as asked for. How long each took.
#[derive(Debug)]
pub struct Flushes {
    log: BareLog,
}

impl Flushes {
    /// Prepares a file below a directory.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn prepare(directory: &Path) -> io::Result<Self> {
        Ok(Self { log: BareLog::prepare(directory, 1)? })
    }

    /// Writes a page and flushes it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn once(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        self.log.write(&[&[7; PAGE_BYTES]])?;
        Ok(start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_one_after_the_other_in_whole_pages() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut log = BareLog::prepare(directory.path(), 3 * FILE_BYTES).expect("room");
        let large = vec![9; 40 << 20];
        log.write(&[&[1; 10], &[2; 5000]]).expect("written");
        log.write(&[&large]).expect("written");
        log.write(&[&large]).expect("written");
        let first = std::fs::read(&log.files[0]).expect("read");
        assert_eq!(first.len() as u64, FILE_BYTES);
        assert!(first[..10].iter().all(|b| *b == 1) && first[10..5010].iter().all(|b| *b == 2));
        assert!(first[5010..8192].iter().all(|b| *b == 0) && first[8192..8200].iter().all(|b| *b == 9));
        let second = std::fs::read(&log.files[1]).expect("read");
        assert_eq!(second.iter().filter(|b| **b == 9).count(), large.len());
    }

    #[test]
    fn room_that_is_used_up_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut log = BareLog::prepare(directory.path(), 1).expect("room");
        let large = vec![9; 60 << 20];
        log.write(&[&large]).expect("the first file");
        log.write(&[&large]).expect("the spare one");
        assert!(log.write(&[&large]).is_err());
    }
}
