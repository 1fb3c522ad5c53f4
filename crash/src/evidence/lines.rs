//! Files of JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EvidenceError;

/// Reads every line of a file.
///
/// # Errors
/// If the file cannot be read, or a line is not what it should be.
pub fn read_lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, EvidenceError> {
    let io = |source| EvidenceError::Io { file: file.to_owned(), source };
    let reader = BufReader::new(File::open(file).map_err(io)?);
    let mut lines = Vec::new();
    for (number, line) in reader.lines().enumerate() {
        let line = line.map_err(io)?;
        let read = serde_json::from_str(&line);
        lines.push(read.map_err(|source| EvidenceError::Line {
            file: file.to_owned(),
            line: number + 1,
            source,
        })?);
    }
    Ok(lines)
}

/// Writes lines, each with one call to the system, so that what a run was doing when it died can be read.
#[derive(Debug)]
pub struct LineWriter {
    file: File,
    path: PathBuf,
}

impl LineWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be made, or is there already.
    pub fn create(path: &Path) -> Result<Self, EvidenceError> {
        let file = OpenOptions::new().create_new(true).append(true).open(path);
        let file = file.map_err(|source| EvidenceError::Io { file: path.to_owned(), source })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), EvidenceError> {
        let refused = |source| EvidenceError::Line { file: self.path.clone(), line: 0, source };
        let mut bytes = serde_json::to_vec(line).map_err(refused)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(|source| EvidenceError::Io { file: self.path.clone(), source })
    }
}
