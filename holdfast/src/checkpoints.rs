//! `holdfast checkpoints`: looks at what is in the archive.

use std::time::UNIX_EPOCH;

use holdfast_archive::ObjectArchive;
use holdfast_contracts::{LogId, PartitionId};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{Archived, CheckpointArchive, read_back};
use serde::Serialize;

use crate::cli::Checkpoints;
use crate::config::Loaded;
use crate::control_key;
use crate::failure::{Exit, Failure, causes};
use crate::output::{Answer, Output, Table};

/// Does what was asked.
///
/// # Errors
/// If there is no archive, it cannot be read, or what is in it is of no use.
pub(crate) fn run(command: &Checkpoints, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let Some(place) = &loaded.config.roles.archive else {
        return Err(Failure::usage("there is no archive: roles.archive is not set"));
    };
    let failed = |error: &dyn std::error::Error| Failure::of("ARCHIVE", &format!("reading {place}"), error);
    let archive = ObjectArchive::open(place).map_err(|error| failed(&error))?;
    let mut lines = Vec::new();
    for log in archive.logs().map_err(|error| failed(&error))? {
        for partition in archive.partitions(log).map_err(|error| failed(&error))? {
            let listing = archive.list(log, partition).map_err(|error| failed(&error))?;
            let damaged =
                listing.damaged.iter().map(|(at, error)| Line::damaged(log, partition, at.0, causes(error)));
            lines.extend(damaged);
            for (nr, archived) in listing.whole.iter().enumerate() {
                let mut line = Line::of(partition, archived);
                if matches!(command, Checkpoints::Verify) && nr == 0 {
                    line.outcome = Some(verify(&archive, loaded, partition, archived)?);
                }
                lines.push(line);
            }
        }
    }
    let bad = lines.iter().filter(|it| it.is_bad()).count();
    output.answer(&List { checkpoints: lines })?;
    if bad > 0 {
        return Err(Failure::new(Exit::Findings, "CHECKPOINTS", format!("{bad} checkpoints are of no use"))
            .advise("older ones stand in for them; look at the storage"));
    }
    Ok(())
}

const GOOD: &str = "good";

/// Builds the machine of a checkpoint and compares the digest.
fn verify(
    archive: &ObjectArchive,
    loaded: &Loaded,
    partition: PartitionId,
    archived: &Archived,
) -> Result<String, Failure> {
    let anchor = &archived.anchor;
    let config = MachineConfig {
        control_key: control_key::read(&loaded.config)?,
        ..MachineConfig::new(partition, anchor.partitions, anchor.log_id)
    };
    let built = read_back::<Machine>(archive, &config, anchor.log_id, partition, anchor.next_offset);
    Ok(match built {
        Ok(Some(_)) => GOOD.to_owned(),
        Ok(None) => "gone".to_owned(),
        Err(error) => causes(&error),
    })
}

#[derive(Serialize)]
struct Line {
    log_id: String,
    partition: u32,
    next_offset: u64,
    bytes: u64,
    shipped_at_ms: u64,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
}

impl Line {
    fn of(partition: PartitionId, archived: &Archived) -> Self {
        let shipped = archived.shipped_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self {
            log_id: archived.anchor.log_id.to_string(),
            partition: partition.0,
            next_offset: archived.anchor.next_offset.0,
            bytes: archived.bytes,
            shipped_at_ms: u64::try_from(shipped).unwrap_or(u64::MAX),
            verified: archived.verified,
            outcome: None,
        }
    }

    fn damaged(log: LogId, partition: PartitionId, next_offset: u64, what: String) -> Self {
        Self {
            log_id: log.to_string(),
            partition: partition.0,
            next_offset,
            bytes: 0,
            shipped_at_ms: 0,
            verified: false,
            outcome: Some(what),
        }
    }

    fn is_bad(&self) -> bool {
        self.outcome.as_ref().is_some_and(|it| it != GOOD)
    }
}

#[derive(Serialize)]
struct List {
    checkpoints: Vec<Line>,
}

impl Answer for List {
    fn main_table(&self) -> Table {
        let columns = ["log_id", "partition", "next_offset", "bytes", "shipped_at_ms", "verified", "outcome"];
        let mut table = Table::new(&columns);
        for it in &self.checkpoints {
            table.row([
                it.log_id.clone(),
                it.partition.to_string(),
                it.next_offset.to_string(),
                it.bytes.to_string(),
                it.shipped_at_ms.to_string(),
                it.verified.to_string(),
                it.outcome.clone().unwrap_or_default(),
            ]);
        }
        table
    }
}
