//! Decisions, taken out of their record so that a request can keep them.

use bytes::Bytes;
use holdfast_contracts::decision::{
    Decision, FirstDecided, Granted, GrantedLines, HoldState, Outcome, Reason, SaleState, StockFigures,
};
use holdfast_contracts::{Position, ReservationId};
use smallvec::SmallVec;

/// A SKU, sharing the memory of the record or request it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(Bytes);

impl Name {
    /// The name that is this part of `whole`.
    pub(crate) fn within(whole: &Bytes, part: &str) -> Self {
        Self(whole.slice_ref(part.as_bytes()))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made from a str")
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(Bytes::from(name))
    }
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineAnswer {
    pub(crate) sku: Name,
    pub(crate) quantity: u32,
    pub(crate) granted: u32,
}

pub(crate) type LineAnswers = SmallVec<[LineAnswer; 1]>;

/// What a command was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    /// Where it was decided; for a replay, where it was first.
    pub(crate) position: Position,
    pub(crate) replay: bool,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Reserved { expires_in_ms: u64, lines: LineAnswers },
    Waiting { lines: LineAnswers },
    Refused { reason: Reason, sku: Option<Name>, value: u64 },
    Moved { state: HoldState, expires_in_ms: u64, lines: LineAnswers, late: bool },
    Stock { figures: StockFigures, cancel_first: Vec<ReservationId> },
    Sale { state: SaleState },
    Rules,
    Nothing,
}

/// What becomes of a wait.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The command was decided.
    Decided(Decided),
    /// Time is up; the command is durable and will be decided.
    Late,
    /// The command was not written and never will be.
    NotWritten(NotWritten),
    /// Time is up, or the log failed, before the command was known to be durable.
    Unknown,
    /// The machine was asked, and this is not to be refused by the gate.
    Proceed,
    /// The machine was asked: the id is new and nothing is left.
    SoldOut(Position),
    /// The machine was asked: the id is remembered.
    Remembered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotWritten {
    DiskFull,
    Unavailable,
}

/// Takes a decision out of its record.
pub(crate) fn take(decision: &Decision<'_>, position: Position, skus: &[&str], record: &Bytes) -> Decided {
    let name = |index: u32| match skus.get(index as usize) {
        Some(sku) => Name::within(record, sku),
        None => Name::from(String::new()),
    };
    let line = |line: Granted, granted| LineAnswer { sku: name(line.sku), quantity: line.quantity, granted };
    let lines = |lines: GrantedLines<'_>| lines.iter().map(|it| line(it, it.granted())).collect();
    let first = |first: FirstDecided| {
        if !decision.replay {
            return position;
        }
        Position { offset: holdfast_contracts::Offset(first.offset), index: first.index, ..position }
    };
    let mut at = position;
    let answer = match &decision.outcome {
        None => Answer::Nothing,
        Some(Outcome::Reserved { expires_after_ms, lines: granted, first: known }) => {
            at = first(*known);
            // The buyer is told what is left, not what there was.
            let gone_ms = if decision.replay { known.ago_ms } else { 0 };
            Answer::Reserved {
                expires_in_ms: expires_after_ms.saturating_sub(gone_ms),
                lines: lines(*granted),
            }
        }
        Some(Outcome::Waiting { line: wanted, first: known }) => {
            at = first(*known);
            Answer::Waiting { lines: LineAnswers::from_iter([line(*wanted, 0)]) }
        }
        Some(Outcome::Refused { reason, sku, value }) => {
            Answer::Refused { reason: *reason, sku: sku.map(name), value: *value }
        }
        Some(Outcome::Moved { state, expires_after_ms, lines: granted, late, .. }) => Answer::Moved {
            state: *state,
            expires_in_ms: *expires_after_ms,
            lines: lines(*granted),
            late: *late,
        },
        Some(Outcome::StockChanged { figures, cancel_first, .. }) => {
            Answer::Stock { figures: *figures, cancel_first: cancel_first.iter().collect() }
        }
        Some(Outcome::SaleChanged { state, .. }) => Answer::Sale { state: *state },
        Some(Outcome::RulesActivated { .. }) => Answer::Rules,
    };
    Decided { position: at, replay: decision.replay, answer }
}

impl Answer {
    /// The SKU of which this answer says that nothing is left.
    pub(crate) fn sold_out(&self) -> Option<&str> {
        match self {
            Self::Refused { reason: Reason::InsufficientStock, sku: Some(sku), value: 0 } => {
                Some(sku.as_str())
            }
            _ => None,
        }
    }
}
