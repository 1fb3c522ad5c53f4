//! What the topics say of every command, kept for the questions that come afterwards.

use std::collections::{BTreeMap, HashMap};

use holdfast_contracts::ReservationId;

use super::said::Spoken;
use super::verdict::Counts;
use crate::evidence::Place;

/// A command of a client, in the words of the history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Commanded {
    Reserve {
        customer: u64,
        lines: Vec<(String, u32)>,
    },
    Confirm {
        customer: u64,
    },
    Release {
        customer: u64,
    },
    Extend {
        customer: u64,
        about: ReservationId,
        by_ms: u32,
    },
    SetStock {
        sku: String,
        on_hand: u64,
    },
    AdjustStock {
        sku: String,
        delta: i64,
        set_aside: i64,
    },
    DefineSale {
        sale_id: String,
    },
    OpenSale {
        sale_id: String,
    },
    /// A tick, or what no client of a run sends.
    Other(&'static str),
}

/// One command and what was answered.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) commanded: Commanded,
    /// The reservation or command id that the command names.
    pub(super) id: Option<ReservationId>,
    /// `None` while its record has no output.
    pub(super) spoken: Option<Spoken>,
}

/// What is known after all partitions were gone through.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) commands: HashMap<Place, Fact>,
    /// Where commands with an id are.
    pub(super) places: HashMap<ReservationId, Vec<Place>>,
    /// Counters of a SKU after each record that changed them.
    pub(super) figures: HashMap<String, BTreeMap<u64, [u64; 6]>>,
    /// Digests that outputs carry, by partition and next offset.
    pub(super) digests: HashMap<(u32, u64), String>,
    /// For each partition and command record with an output: when the record was appended, and when its first output was.
    pub(super) answered_ms: HashMap<(u32, u64), (u64, u64)>,
    /// Append time of each command record.
    pub(super) appended_ms: BTreeMap<(u32, u64), u64>,
    /// Partitions that were followed to their end.
    pub(super) followed: Vec<u32>,
    pub(super) counts: Counts,
}

impl Facts {
    pub(super) fn add(&mut self, place: Place, fact: Fact) {
        if let Some(id) = fact.id {
            self.places.entry(id).or_default().push(place);
        }
        self.commands.insert(place, fact);
    }
}
