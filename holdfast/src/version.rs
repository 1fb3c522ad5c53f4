//! What this build is, and what it reads and writes.

use std::fs;

use holdfast_core::RULES_VERSION_NEWEST;
use holdfast_engine::rocks;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Answer, Output, Table};

#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    /// The commit it was built from, if the build knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    /// The newest rules it can decide by. It knows all before.
    rules_version_newest: u32,
    log_format: u32,
    /// The checkpoint database it runs with, and the one it was tested with.
    rocksdb_linked: String,
    rocksdb_expected: &'static str,
    target: String,
}

impl Answer for Version {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&["what", "value"]);
        let mut row = |what: &str, value: &str| table.row([what.to_owned(), value.to_owned()]);
        row("version", self.version);
        row("commit", self.commit.unwrap_or("not recorded"));
        row("newest rules", &self.rules_version_newest.to_string());
        row("log format", &self.log_format.to_string());
        row("RocksDB linked", &self.rocksdb_linked);
        row("RocksDB expected", self.rocksdb_expected);
        row("target", &self.target);
        table
    }
}

/// The RocksDB this process runs with, or why that cannot be said.
pub(crate) fn rocksdb_linked() -> String {
    let scratch = std::env::temp_dir().join(format!("holdfast-version-{}", std::process::id()));
    let version = rocks::linked_version(&scratch);
    // It holds nothing that anybody wants.
    fs::remove_dir_all(&scratch).ok();
    version.unwrap_or_else(|error| crate::failure::causes(&error))
}

/// Prints it.
pub(crate) fn run(output: Output) -> Result<(), Failure> {
    output.answer(&Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("HOLDFAST_COMMIT"),
        rules_version_newest: RULES_VERSION_NEWEST,
        log_format: holdfast_log::embedded::FORMAT,
        rocksdb_linked: rocksdb_linked(),
        rocksdb_expected: rocks::ROCKSDB_VERSION,
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    })
}
