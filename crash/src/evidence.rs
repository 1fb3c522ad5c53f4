//! What a run leaves behind: files that say what clients saw, what the topics held, and what was done to the system.

mod digests;
mod dump;
mod faults;
mod history;
mod lines;
mod settings;

use std::io;
use std::path::{Path, PathBuf};

pub use digests::OwnerDigest;
pub use dump::{Dump, DumpRecord, DumpWriter};
pub use faults::{Fault, FaultLine, Role};
pub use history::{Answer, Ask, AskedLine, Event, GrantedLine, Invoke, Operation, Outcome, Place, Terms};
pub use lines::{LineWriter, read_lines};
pub use settings::{Minimums, Settings};

/// File with the settings of a run.
pub const SETTINGS: &str = "settings.json";
/// File with what clients asked and were told.
pub const HISTORY: &str = "history.jsonl";
/// File with what was done to the system, and when.
pub const FAULTS: &str = "faults.jsonl";
/// File with the digests of owners.
pub const DIGESTS: &str = "digests.jsonl";
/// File with the whole commands topic.
pub const COMMANDS: &str = "commands.dump";
/// File with the whole decisions topic.
pub const DECISIONS: &str = "decisions.dump";

/// Why evidence cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file cannot be read or written.
    #[error("evidence file {}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("line {line} of {}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A dump is not one, or was cut off.
    #[error("{} is no whole dump: {what}", file.display())]
    Dump {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

/// Everything a checker may know of a run.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// How the run was set up.
    pub settings: Settings,
    /// Operations of clients, each with its end if it had one.
    pub operations: Vec<Operation>,
    /// What was done to the system, in order.
    pub faults: Vec<FaultLine>,
    /// Digests that owners told.
    pub digests: Vec<OwnerDigest>,
    /// The commands topic.
    pub commands: Dump,
    /// The decisions topic.
    pub decisions: Dump,
}

impl Evidence {
    /// Reads the files of a run.
    ///
    /// # Errors
    /// If a file is missing, cut off, or says something that is not understood.
    pub fn load(directory: &Path) -> Result<Self, EvidenceError> {
        let file = directory.join(SETTINGS);
        let bytes =
            std::fs::read(&file).map_err(|source| EvidenceError::Io { file: file.clone(), source })?;
        let settings =
            serde_json::from_slice(&bytes).map_err(|source| EvidenceError::Line { file, line: 1, source })?;
        Ok(Self {
            settings,
            operations: history::operations(read_lines(&directory.join(HISTORY))?),
            faults: read_lines(&directory.join(FAULTS))?,
            digests: read_lines(&directory.join(DIGESTS))?,
            commands: Dump::read(&directory.join(COMMANDS))?,
            decisions: Dump::read(&directory.join(DECISIONS))?,
        })
    }
}
