//! Explains one id: where it stands in the log, what the machine saw when it decided, which rule answered, and what
//! became of it.
//!
//! The log is searched for the bytes of the id. Then the machine runs over the partitions that mention it, up to what is
//! asked about and on to the end, and a probe looks at its state just before each of those commands.

mod scan;
mod seen;
mod watch;
mod words;

use holdfast_contracts::{Offset, PartitionId, ReservationId};
use holdfast_core::{IdView, ReservationView};
use holdfast_log::{OrderedLog, StreamId, Topic};
use serde::Serialize;

use crate::data::DataDir;
use crate::failure::{Exit, Failure};
use crate::output::{Answer, Output, Table};

pub(crate) use seen::Seen;

/// All there is to say about an id.
#[derive(Debug, Serialize)]
struct Explanation {
    id: String,
    /// Everything that happened to it, in order.
    history: Vec<Entry>,
    /// What it is at the end of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Now>,
    /// What could not be told, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// One thing that happened to an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Entry {
    partition: u32,
    offset: u64,
    /// Which command of the record; none if time brought it about.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    log_time_ms: u64,
    /// The same, readable.
    log_time: String,
    /// The command.
    asked: String,
    /// The outcome's name.
    code: String,
    /// The outcome in words.
    answer: String,
    /// The rule that answered.
    rule: String,
    /// The first answer again.
    replay: bool,
    /// What the machine saw just before.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
}

impl Entry {
    fn position(&self) -> String {
        match self.index {
            Some(index) => format!("{}/{}/{index}", self.partition, self.offset),
            None => format!("{}/{}", self.partition, self.offset),
        }
    }
}

/// What an id is at the end of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Now {
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
    /// As of the log time of the last record.
    as_of_ms: u64,
}

impl Now {
    fn of(view: &IdView, as_of_ms: u64) -> Self {
        let plain = |state: String| Self { state, customer: None, expires_in_ms: None, as_of_ms };
        match view {
            IdView::Reservation(ReservationView { state, customer, expires_in_ms, .. }) => Self {
                customer: Some(customer.0),
                expires_in_ms: Some(*expires_in_ms),
                ..plain(state.name().to_owned())
            },
            IdView::Refused { reason, .. } => plain(format!("refused: {}", words::reason_code(*reason))),
            IdView::Done => plain("done".to_owned()),
        }
    }
}

impl Answer for Explanation {
    fn main_table(&self) -> Table {
        let mut table = Table::titled(
            format!("History of {}", self.id),
            &["position", "log time", "asked", "code", "answer", "rule"],
        );
        for it in &self.history {
            let answer = if it.replay { format!("{} (again)", it.answer) } else { it.answer.clone() };
            let cells = [&it.log_time, &it.asked, &it.code, &answer, &it.rule];
            table.row(std::iter::once(it.position()).chain(cells.into_iter().cloned()));
        }
        table
    }

    fn lead_tables(&self) -> Vec<Table> {
        let first = self.history.first();
        let mut tables: Vec<_> =
            first.and_then(|entry| entry.seen.as_ref()).map(Seen::table).into_iter().collect();
        if let Some(now) = &self.now {
            let mut table =
                Table::titled("At the end of the log", &["state", "customer", "expires in ms", "as of"]);
            table.row([
                now.state.clone(),
                now.customer.map(|it| it.to_string()).unwrap_or_default(),
                now.expires_in_ms.map(|it| it.to_string()).unwrap_or_default(),
                words::time(now.as_of_ms),
            ]);
            tables.push(table);
        }
        tables
    }
}

/// Reads an id as people write it: 32 hexadecimal digits, with or without the hyphens of a UUID.
fn parse_id(text: &str) -> Result<ReservationId, Failure> {
    let digits: String = text.chars().filter(|it| *it != '-').collect();
    digits.to_lowercase().parse().map_err(|_| {
        Failure::usage(format!("`{text}` is not an id")).advise("an id has 32 hexadecimal digits")
    })
}

/// Explains an id and prints it.
pub(crate) fn run(data: &DataDir, id: &str, output: Output) -> Result<(), Failure> {
    let id = parse_id(id)?;
    let log = data.read_log()?;
    let partitions = log.partitions(Topic::InventoryCommands);
    let mut explanation =
        Explanation { id: id.to_string(), history: Vec::new(), now: None, notes: Vec::new() };
    let mut checkpoints = None;
    for partition in (0..partitions).map(PartitionId) {
        let found = scan::find(&log, partition, id)?;
        if found.is_empty() {
            continue;
        }
        if checkpoints.is_none() {
            // Whatever is wrong with them matters only if the log does not reach back to its beginning.
            checkpoints = match data.read_checkpoints() {
                Ok(checkpoints) => checkpoints,
                Err(failure) => {
                    explanation.notes.push(format!("done without checkpoints: {}", failure.detail));
                    None
                }
            };
        }
        let watched = watch::watch(&log, checkpoints.as_ref(), partition, id, &found)?;
        explanation.history.extend(watched.entries);
        explanation.now = explanation.now.or(watched.now);
        explanation.notes.extend(watched.notes);
    }
    for note in &explanation.notes {
        output.say(note);
    }
    if explanation.history.is_empty() {
        let is_whole = (0..partitions)
            .all(|it| log.watermarks(StreamId::inventory_commands(PartitionId(it))).low == Offset(0));
        if !is_whole {
            output.say("the log no longer reaches back to the beginning; what is older cannot be told");
        }
        return Err(Failure::new(Exit::Failed, "UNKNOWN_ID", format!("the log does not mention {id}")).advise(
            "check the id and the data directory; a request that was refused before the log (by the gate, or as \
             malformed) leaves nothing there",
        ));
    }
    output.answer(&explanation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_written_as_a_uuid() {
        let plain = parse_id("000102030405060708090a0b0c0d0eff").unwrap();
        assert_eq!(parse_id("00010203-0405-0607-0809-0A0B0C0D0EFF").unwrap(), plain);
        assert_eq!(parse_id("nonsense").unwrap_err().exit, Exit::Usage);
    }
}
