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
use crate::roles::{kafka_refused, settings_refused};

/// Does what was asked.
///
/// # Errors
/// If the brokers cannot be asked, or there is no such dead letter.
pub(crate) fn run(command: &Dlq, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let kafka = loaded.config.kafka.resolve().map_err(|error| settings_refused(&error))?;
    let letters = DeadLetters::open(&kafka).map_err(|error| settings_refused(&error))?;
    match command {
        Dlq::List { partition, max } => output.answer(&list(&kafka, &letters, *partition, *max)?),
        Dlq::Show { partition, place } => {
            let letter = one(&letters, *partition, *place)?;
            output.answer(&Shown { bytes: hex(&letter.letter.payload), line: Line::of(&letter) })
        }
        Dlq::Replay { partition, place, dry_run: _ } => {
            let letter = one(&letters, *partition, *place)?;
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
    let found = lookup(kafka).map_err(|error| kafka_refused(&error))?;
    let partitions = found.layout.partitions(Topic::InventoryCommands);
    let wanted = (0..partitions).filter(|it| only.is_none_or(|only| only == *it));
    let mut lines = Vec::new();
    for partition in wanted {
        let found = letters.list(PartitionId(partition), Offset(0), max);
        lines.extend(found.map_err(|error| kafka_refused(&error))?.iter().map(Line::of));
    }
    Ok(List { dead_letters: lines })
}

fn one(letters: &DeadLetters, partition: u32, place: u64) -> Result<StoredLetter, Failure> {
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
            key: it.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
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
    /// The original bytes in hexadecimal digits.
    bytes: String,
}

impl Answer for Shown {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&COLUMNS.into_iter().chain(["bytes"]).collect::<Vec<_>>());
        table.row(self.line.cells().into_iter().chain([self.bytes.clone()]));
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
