//! A whole topic in a file: for each record its partition, offset, append time and bytes, as they were read back.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::EvidenceError;

/// First bytes of a dump.
const MAGIC: &[u8; 8] = b"HFDUMP1\n";
/// Stands where a partition would, before the number of records: the dump is whole.
const END: u32 = u32::MAX;

/// One record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpRecord {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its append time, in milliseconds since 1970.
    pub append_ms: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// The records of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// In the order in which they were read: rising offsets within a partition.
    pub records: Vec<DumpRecord>,
}

impl Dump {
    /// Reads a dump.
    ///
    /// # Errors
    /// If it cannot be read or is not whole.
    pub fn read(file: &Path) -> Result<Self, EvidenceError> {
        let bytes =
            std::fs::read(file).map_err(|source| EvidenceError::Io { file: file.to_owned(), source })?;
        let bad = |what| EvidenceError::Dump { file: file.to_owned(), what };
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("it does not begin like one"))?;
        let mut records = Vec::new();
        loop {
            let partition = u32::from_le_bytes(take(&mut rest).ok_or_else(|| bad("it is cut off"))?);
            if partition == END {
                let count = take(&mut rest).map(u64::from_le_bytes);
                let whole = rest.is_empty() && count == Some(records.len() as u64);
                return if whole { Ok(Self { records }) } else { Err(bad("its end does not fit it")) };
            }
            records.push(record(partition, &mut rest).ok_or_else(|| bad("it is cut off"))?);
        }
    }

    /// The records of a partition.
    pub fn of(&self, partition: u32) -> impl Iterator<Item = &DumpRecord> {
        self.records.iter().filter(move |it| it.partition == partition)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn record(partition: u32, rest: &mut &[u8]) -> Option<DumpRecord> {
    let offset = u64::from_le_bytes(take(rest)?);
    let append_ms = u64::from_le_bytes(take(rest)?);
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    let (payload, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(DumpRecord { partition, offset, append_ms, payload: payload.to_vec() })
}

/// Writes a dump record by record.
#[derive(Debug)]
pub struct DumpWriter {
    file: BufWriter<File>,
    path: PathBuf,
    count: u64,
}

impl DumpWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path) -> Result<Self, EvidenceError> {
        let file =
            File::create(path).map_err(|source| EvidenceError::Io { file: path.to_owned(), source })?;
        let mut writer = Self { file: BufWriter::new(file), path: path.to_owned(), count: 0 };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Panics
    /// If its payload is 4 GiB or more, which no log takes.
    pub fn write(
        &mut self,
        partition: u32,
        offset: u64,
        append_ms: u64,
        payload: &[u8],
    ) -> Result<(), EvidenceError> {
        let length = u32::try_from(payload.len()).expect("a record is smaller than 4 GiB");
        self.put(&partition.to_le_bytes())?;
        self.put(&offset.to_le_bytes())?;
        self.put(&append_ms.to_le_bytes())?;
        self.put(&length.to_le_bytes())?;
        self.count += 1;
        self.put(payload)
    }

    /// Says that it is whole. Without this it is not readable.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), EvidenceError> {
        let count = self.count.to_le_bytes();
        self.put(&END.to_le_bytes())?;
        self.put(&count)?;
        self.file.flush().map_err(|source| EvidenceError::Io { file: self.path, source })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.file.write_all(bytes).map_err(|source| EvidenceError::Io { file: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_reads_back_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.dump");
        let mut writer = DumpWriter::create(&file).unwrap();
        writer.write(1, 0, 1_700_000_000_000, b"one").unwrap();
        writer.write(0, 7, 1_700_000_000_001, b"").unwrap();
        writer.finish().unwrap();
        let dump = Dump::read(&file).unwrap();
        assert_eq!(dump.records.len(), 2);
        assert_eq!(dump.of(0).map(|it| it.offset).collect::<Vec<_>>(), [7]);
        assert_eq!(dump.of(1).next().unwrap().payload, b"one");
        let bytes = std::fs::read(&file).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&file, &bytes[..length]).unwrap();
            assert!(Dump::read(&file).is_err(), "{length} of {} bytes", bytes.len());
        }
    }
}
