//! `holdfast dlq`: looks at records that could not be decoded.

use holdfast_contracts::command::decode_batch;
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::Topic;
use holdfast_log::kafka::dead_letters::{DeadLetters, StoredLetter};
use holdfast_log::kafka::{KafkaConfig, lookup};
use serde::Serialize;

use crate::cli::Dlq;
use crate::config::Loaded;
use crate::failure::{Exit, Failure};
use crate::output::{Answer, Output, Table};
use crate::roles::{asking, kafka_refused, settings_refused};

/// Does what was asked.
///
/// # Errors
/// If the brokers cannot be asked, or there is no such dead letter.
pub(crate) fn run(command: &Dlq, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let kafka = loaded.config.kafka.resolve().map_err(|error| settings_refused(&error))?;
    let letters = DeadLetters::open(&kafka).map_err(|error| settings_refused(&error))?;
    asking(&kafka, output, || look(command, &kafka, &letters, output))
}

fn look(command: &Dlq, kafka: &KafkaConfig, letters: &DeadLetters, output: Output) -> Result<(), Failure> {
    match command {
        Dlq::List { partition, max } => output.answer(&list(kafka, letters, *partition, *max)?),
        Dlq::Show { partition, place } => {
            let letter = one(kafka, letters, *partition, *place)?;
            let key_bytes = letter.letter.key.as_deref().map(hex);
            output.answer(&Shown { key_bytes, bytes: hex(&letter.letter.payload), line: Line::of(&letter) })
        }
        Dlq::Replay { partition, place, dry_run: _ } => {
            let letter = one(kafka, letters, *partition, *place)?;
            let (mut skus, mut commands) = (Vec::new(), Vec::new());
            let decoded = decode_batch(&letter.letter.payload, &mut skus, &mut commands);
            let outcome = match &decoded {
                Ok(_) => format!("this build reads {} commands in it", commands.len()),
                Err(error) => format!("this build cannot decode it either: {error}"),
            };
            output.answer(&Replayed { decodes: decoded.is_ok(), outcome, line: Line::of(&letter) })
        }
    }
}

fn list(kafka: &KafkaConfig, letters: &DeadLetters, only: Option<u32>, max: usize) -> Result<List, Failure> {
    let partitions = partitions(kafka)?;
    let wanted = match only {
        Some(only) => {
            must_be_there(only, partitions)?;
            only..only + 1
        }
        None => 0..partitions,
    };
    let mut lines = Vec::new();
    for partition in wanted {
        let found = letters.list(PartitionId(partition), Offset(0), max);
        lines.extend(found.map_err(|error| kafka_refused(&error))?.iter().map(Line::of));
    }
    Ok(List { dead_letters: lines })
}

fn partitions(kafka: &KafkaConfig) -> Result<u32, Failure> {
    let found = lookup(kafka).map_err(|error| kafka_refused(&error))?;
    Ok(found.layout.partitions(Topic::InventoryCommands))
}

fn must_be_there(partition: u32, partitions: u32) -> Result<(), Failure> {
    if partition < partitions {
        return Ok(());
    }
    let detail = format!("there is no partition {partition}: the topics have {partitions}, counted from 0");
    Err(Failure::new(Exit::Failed, "NO_PARTITION", detail).advise("`holdfast dlq list` says which there are"))
}

fn one(
    kafka: &KafkaConfig,
    letters: &DeadLetters,
    partition: u32,
    place: u64,
) -> Result<StoredLetter, Failure> {
    must_be_there(partition, partitions(kafka)?)?;
    let found =
        letters.list(PartitionId(partition), Offset(place), 1).map_err(|error| kafka_refused(&error))?;
    found.into_iter().find(|it| it.place == Offset(place)).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "NO_DEAD_LETTER",
            format!("partition {partition} has no dead letter at {place}"),
        )
        .advise("`holdfast dlq list` says which there are")
    })
}

/// One of them, in short.
#[derive(Serialize)]
struct Line {
    partition: u32,
    place: u64,
    offset: u64,
    timestamp_ms: u64,
    /// Its first bytes, for people.
    key: Option<String>,
    payload_bytes: usize,
    reason: String,
}

impl Line {
    fn of(stored: &StoredLetter) -> Self {
        let it = &stored.letter;
        Self {
            partition: it.partition.0,
            place: stored.place.0,
            offset: it.offset.0,
            timestamp_ms: it.timestamp.0,
            key: it.key.as_deref().map(shown),
            payload_bytes: it.payload.len(),
            reason: it.reason.clone(),
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            self.partition.to_string(),
            self.place.to_string(),
            self.offset.to_string(),
            self.timestamp_ms.to_string(),
            self.key.clone().unwrap_or_default(),
            self.payload_bytes.to_string(),
            self.reason.clone(),
        ]
    }
}

const COLUMNS: [&str; 7] = ["partition", "place", "offset", "timestamp_ms", "key", "payload_bytes", "reason"];

#[derive(Serialize)]
struct List {
    dead_letters: Vec<Line>,
}

impl Answer for List {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&COLUMNS);
        self.dead_letters.iter().for_each(|it| table.row(it.cells()));
        table
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    line: Line,
    /// The whole key in hexadecimal digits.
    key_bytes: Option<String>,
    /// The original bytes in hexadecimal digits.
    bytes: String,
}

impl Answer for Shown {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&COLUMNS.into_iter().chain(["key_bytes", "bytes"]).collect::<Vec<_>>());
        let key_bytes = self.key_bytes.clone().unwrap_or_default();
        table.row(self.line.cells().into_iter().chain([key_bytes, self.bytes.clone()]));
        table
    }
}

#[derive(Serialize)]
struct Replayed {
    #[serde(flatten)]
    line: Line,
    decodes: bool,
    outcome: String,
}

impl Answer for Replayed {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&["partition", "place", "decodes", "outcome"]);
        let line = &self.line;
        let decodes = if self.decodes { "yes" } else { "no" };
        table.row([
            line.partition.to_string(),
            line.place.to_string(),
            decodes.to_owned(),
            self.outcome.clone(),
        ]);
        table
    }
}

/// A key as people can read it: what is not printable is escaped, and what is long is cut.
fn shown(key: &[u8]) -> String {
    const BYTES_MAX: usize = 64;
    let first = key.get(..BYTES_MAX).unwrap_or(key);
    let cut = if key.len() > BYTES_MAX { format!("… ({} bytes)", key.len()) } else { String::new() };
    match std::str::from_utf8(first) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text}{cut}"),
        _ => format!("{}{cut}", first.escape_ascii()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_so_that_people_can_read_it() {
        assert_eq!(shown(b"A1"), "A1");
        assert_eq!(shown("Schuh-Größe-42".as_bytes()), "Schuh-Größe-42");
        assert_eq!(shown(b"\xff\x001\n"), r"\xff\x001\n");
        assert_eq!(shown(&[b'a'; 50_000]), format!("{}… (50000 bytes)", "a".repeat(64)));
    }
}
