//! Decisions and commands, taken out of their records with the SKUs by name.

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::{
    Decision, Granted, GrantedLines, HoldState, Outcome, Reason, SaleState, StockFigures,
};

/// One line of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SaidLine {
    pub(super) sku: String,
    pub(super) quantity: u32,
    pub(super) granted: u32,
}

/// Where and how long ago a repeated answer was first given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) ago_ms: u64,
    pub(super) offset: u64,
    pub(super) index: u32,
}

/// What was answered to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Reserved {
        expires_after_ms: u64,
        lines: Vec<SaidLine>,
        first: Option<First>,
    },
    Refused {
        reason: Reason,
        sku: Option<String>,
        value: u64,
    },
    Moved {
        state: HoldState,
        expires_after_ms: u64,
        lines: Vec<SaidLine>,
        unchanged: bool,
    },
    Stock {
        sku: String,
        figures: [u64; 6],
    },
    Sale {
        state: SaleState,
        unchanged: bool,
    },
    Rules {
        version: u32,
    },
    /// Something that this checker does not judge.
    Other(&'static str),
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) id: Option<ReservationId>,
    pub(super) replay: bool,
    pub(super) said: Said,
}

impl Spoken {
    pub(super) fn first(id: ReservationId, said: Said) -> Self {
        Self { id: Some(id), replay: false, said }
    }

    pub(super) fn refused(id: ReservationId, reason: Reason, sku: Option<&str>, value: u64) -> Self {
        Self::first(id, Said::Refused { reason, sku: sku.map(str::to_owned), value })
    }
}

/// The SKU with this number; what has none stands for an empty name.
pub(super) fn name(skus: &[&str], index: u32) -> String {
    skus.get(index as usize).copied().unwrap_or_default().to_owned()
}

fn line(skus: &[&str], line: Granted) -> SaidLine {
    SaidLine { sku: name(skus, line.sku), quantity: line.quantity, granted: line.granted() }
}

pub(super) fn lines(skus: &[&str], lines: &GrantedLines<'_>) -> Vec<SaidLine> {
    lines.iter().map(|it| line(skus, it)).collect()
}

pub(super) const fn figures(it: &StockFigures) -> [u64; 6] {
    [it.on_hand, it.available, it.held, it.committed, it.unavailable, it.shortfall]
}

/// Takes a decision out of its record.
pub(super) fn spoken(skus: &[&str], decision: &Decision<'_>) -> Spoken {
    let said = match &decision.outcome {
        None => Said::Nothing,
        Some(Outcome::Reserved { expires_after_ms, lines: granted, first }) => Said::Reserved {
            expires_after_ms: *expires_after_ms,
            lines: lines(skus, granted),
            first: decision.replay.then_some(First {
                ago_ms: first.ago_ms,
                offset: first.offset,
                index: first.index,
            }),
        },
        Some(Outcome::Refused { reason, sku, value }) => {
            Said::Refused { reason: *reason, sku: sku.map(|it| name(skus, it)), value: *value }
        }
        Some(Outcome::Moved { state, expires_after_ms, lines: granted, unchanged, late: false }) => {
            Said::Moved {
                state: *state,
                expires_after_ms: *expires_after_ms,
                lines: lines(skus, granted),
                unchanged: *unchanged,
            }
        }
        Some(Outcome::StockChanged { sku, figures: counted, .. }) => {
            Said::Stock { sku: name(skus, *sku), figures: figures(counted) }
        }
        Some(Outcome::SaleChanged { state, unchanged }) => {
            Said::Sale { state: *state, unchanged: *unchanged }
        }
        Some(Outcome::RulesActivated { version }) => Said::Rules { version: *version },
        Some(Outcome::Moved { late: true, .. }) => Said::Other("a late confirmation"),
        Some(Outcome::Waiting { .. }) => Said::Other("a place in line"),
    };
    Spoken { id: decision.id, replay: decision.replay, said }
}
