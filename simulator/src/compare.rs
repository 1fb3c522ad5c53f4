//! A decision record against what the model expected, and the first difference in words.

use std::fmt;
use std::rc::Rc;

use holdfast_contracts::decision::{
    self, DecisionBatch, Envelope, Granted, GrantedLines, What as WireWhat, decode_decisions,
};

use crate::answer::{Decision, Event, Expected, Line, Outcome, Refusal, Sku, What};

/// The machine and the model do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Offset of the command record.
    pub offset: u64,
    /// What was expected and what came.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.offset, self.what)
    }
}

/// Holds what a machine wrote for the record at `offset` against what the model expected. `None` is no output.
///
/// # Errors
/// The first difference.
pub fn compare(offset: u64, expected: Option<&Expected>, came: Option<&[u8]>) -> Result<(), Difference> {
    let difference = |what| Err(Difference { offset, what });
    let (expected, came) = match (expected, came) {
        (None, None) => return Ok(()),
        (Some(expected), None) => return difference(format!("expected {expected:?}, came no output")),
        (expected, Some(came)) => match (expected, read_output(came)) {
            (_, Err(why)) => return difference(format!("the output cannot be read: {why}")),
            (None, Ok((_, came))) => return difference(format!("expected no output, came {came:?}")),
            (Some(expected), Ok(came)) => (expected, came),
        },
    };
    let (envelope, came) = came;
    if envelope.source_offset.0 != offset {
        return difference(format!("the output names source offset {}", envelope.source_offset));
    }
    first_difference(expected, &came).map_or(Ok(()), difference)
}

/// Reads a decision record into plain structs.
///
/// # Errors
/// Why it cannot be read: what the decoder found, or an index outside its dictionary, or a SKU entered twice.
pub fn read_output(record: &[u8]) -> Result<(Envelope, Expected), String> {
    let batch = decode_decisions(record).map_err(|error| error.to_string())?;
    let skus: Vec<Sku> = batch.skus().map(Rc::from).collect();
    if let Some((n, sku)) = skus.iter().enumerate().find(|(n, sku)| skus[..*n].contains(sku)) {
        return Err(format!("SKU {sku} entered again as number {n}"));
    }
    let expected = Expected {
        log_time_ms: batch.log_time.0,
        intake_id: batch.header.intake_id.0,
        first_request_tag: batch.header.first_request_tag.0,
        events: events(&batch, &skus)?,
        decisions: batch.decisions().map(|it| read_decision(&it, &skus)).collect::<Result<_, _>>()?,
        malformed: batch.malformed,
    };
    Ok((batch.envelope, expected))
}

fn first_difference(expected: &Expected, came: &Expected) -> Option<String> {
    if expected == came {
        return None;
    }
    let scalars = [
        ("log time", expected.log_time_ms, came.log_time_ms),
        ("intake id", expected.intake_id, came.intake_id),
        ("first request tag", expected.first_request_tag, came.first_request_tag),
        (
            "malformed code",
            u64::from(expected.malformed.unwrap_or(0)),
            u64::from(came.malformed.unwrap_or(0)),
        ),
    ];
    let scalar = scalars
        .iter()
        .find(|(_, e, c)| e != c)
        .map(|(name, e, c)| format!("{name}\n  expected {e}\n  came     {c}"));
    scalar
        .or_else(|| list_difference("event", &expected.events, &came.events))
        .or_else(|| list_difference("decision", &expected.decisions, &came.decisions))
        .or_else(|| Some(format!("expected {expected:?}, came {came:?}")))
}

fn list_difference<T: PartialEq + fmt::Debug>(name: &str, expected: &[T], came: &[T]) -> Option<String> {
    let longer = expected.len().max(came.len());
    let nth = (0..longer).find(|n| expected.get(*n) != came.get(*n))?;
    let told = |it: Option<&T>| it.map_or_else(|| "nothing".to_owned(), |it| format!("{it:?}"));
    Some(format!(
        "{name} {nth} ({} expected, {} came)\n  expected {}\n  came     {}",
        expected.len(),
        came.len(),
        told(expected.get(nth)),
        told(came.get(nth)),
    ))
}

fn sku_of(index: u32, skus: &[Sku]) -> Result<Sku, String> {
    usize::try_from(index)
        .ok()
        .and_then(|index| skus.get(index))
        .cloned()
        .ok_or_else(|| format!("index {index} is outside the dictionary of {}", skus.len()))
}

fn line_of(line: &Granted, skus: &[Sku]) -> Result<Line, String> {
    Ok(Line { sku: sku_of(line.sku, skus)?, quantity: line.quantity, missing: line.missing })
}

fn lines_of(lines: &GrantedLines<'_>, skus: &[Sku]) -> Result<Vec<Line>, String> {
    lines.iter().map(|line| line_of(&line, skus)).collect()
}

fn read_decision(it: &decision::Decision<'_>, skus: &[Sku]) -> Result<Decision, String> {
    let outcome = it.outcome.as_ref().map(|outcome| read_outcome(outcome, skus)).transpose()?;
    Ok(Decision { id: it.id, replay: it.replay, outcome })
}

fn read_outcome(outcome: &decision::Outcome<'_>, skus: &[Sku]) -> Result<Outcome, String> {
    Ok(match *outcome {
        decision::Outcome::Reserved { expires_after_ms, lines, first } => {
            Outcome::Reserved { expires_after_ms, lines: lines_of(&lines, skus)?, first }
        }
        decision::Outcome::Waiting { line, first } => Outcome::Waiting { line: line_of(&line, skus)?, first },
        decision::Outcome::Refused { reason, sku, value } => {
            let sku = sku.map(|index| sku_of(index, skus)).transpose()?;
            Outcome::Refused(Refusal { reason, sku, value })
        }
        decision::Outcome::Moved { state, expires_after_ms, lines, unchanged, late } => {
            Outcome::Moved { state, expires_after_ms, lines: lines_of(&lines, skus)?, unchanged, late }
        }
        decision::Outcome::StockChanged { sku, figures, cancel_first } => Outcome::StockChanged {
            sku: sku_of(sku, skus)?,
            figures,
            cancel_first: cancel_first.iter().collect(),
        },
        decision::Outcome::SaleChanged { state, unchanged } => Outcome::SaleChanged { state, unchanged },
        decision::Outcome::RulesActivated { version } => Outcome::RulesActivated { version },
    })
}

fn events(batch: &DecisionBatch<'_>, skus: &[Sku]) -> Result<Vec<Event>, String> {
    let read = |event: decision::Event<'_>| {
        let what = match event.what {
            WireWhat::Expired { id, lines, was_waiting } => {
                What::Expired { id, lines: lines_of(&lines, skus)?, was_waiting }
            }
            WireWhat::Offered { id, expires_after_ms, line } => {
                What::Offered { id, expires_after_ms, line: line_of(&line, skus)? }
            }
            WireWhat::ClockSuspect { append_time_ms } => What::ClockSuspect { append_time_ms },
            WireWhat::ClockTrusted { step_ms } => What::ClockTrusted { step_ms },
        };
        Ok(Event { cause: event.cause, what })
    };
    batch.events().map(read).collect()
}
