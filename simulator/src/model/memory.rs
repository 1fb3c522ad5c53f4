//! Section 7: which ids are remembered, and for how long.

use std::collections::BTreeMap;

use holdfast_contracts::decision::{HoldState, SaleState};
use holdfast_contracts::{ReservationId, SaleTerms};

use super::{Model, Place, Twist};
use crate::answer::{Refusal, Sku};
use crate::marks::Mark;

/// Generations an id is remembered after its own.
const GENERATIONS: u64 = 4;
/// A replayed refusal tells no larger value.
const REPLAYED_VALUE_MAX: u64 = 1_048_575;

/// All ids that are remembered, and some that are not any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    generation: u64,
    /// When the generation began; `None` before the first record.
    start: Option<u64>,
    entries: BTreeMap<u128, Entry>,
    sweep_at: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    generation: u64,
    content: Box<Content>,
    answer: Answered,
}

/// An id as a number: quicker to compare than sixteen bytes, and in the same order.
const fn number(id: ReservationId) -> u128 {
    u128::from_be_bytes(id.0)
}

/// What was asked under an id. Requests of different kinds are never equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Reserve {
        customer: u64,
        lines: Vec<(Sku, u64)>,
        allow_partial: bool,
        join_waitlist: bool,
    },
    Extend {
        reservation_id: ReservationId,
        customer: u64,
        by_ms: u32,
    },
    /// Reading: everything but the id counts, `reason` and `reference` too.
    SetStock {
        sku: Sku,
        on_hand: u64,
        expected: Option<u64>,
        force: bool,
        texts: [String; 2],
    },
    AdjustStock {
        sku: Sku,
        delta: i64,
        set_aside: i64,
        texts: [String; 2],
    },
    /// Reading: the SKUs are a set; their order and repetitions do not count.
    DefineSale {
        sale_id: String,
        terms: Box<SaleTerms>,
        skus: Vec<Sku>,
    },
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    /// Granted, or waiting at first.
    Reservation(Place),
    Refused(Refusal),
    /// An administrative command or an extension took effect.
    Done,
}

/// What an id is to a new command.
#[derive(Debug)]
pub(super) enum Known {
    Unknown,
    OtherContent,
    Same(Answered),
}

impl Memory {
    /// Lets generations of `generation_ms` pass until `now`. Says how many did.
    pub(super) fn let_time_pass(&mut self, now: u64, generation_ms: u64) -> u64 {
        let start = *self.start.get_or_insert(now);
        let passed = (now - start) / generation_ms;
        self.generation += passed;
        self.start = Some(start + passed * generation_ms);
        passed
    }
}

impl Model {
    /// Looks an id up, on behalf of a command with this content.
    pub(super) fn known(&mut self, id: ReservationId, content: &Content) -> Known {
        let Some(entry) = self.memory.entries.get(&number(id)) else { return Known::Unknown };
        if !self.remembers(entry) {
            self.forget(id);
            return Known::Unknown;
        }
        if *entry.content != *content {
            let same_kind = std::mem::discriminant(&*entry.content) == std::mem::discriminant(content);
            self.marks.hit(if same_kind {
                Mark::IdReusedForOtherContent
            } else {
                Mark::IdReusedForOtherKind
            });
            return Known::OtherContent;
        }
        let age = self.memory.generation - entry.generation;
        let answer = entry.answer.clone();
        self.marks.hit_if(age > 0, Mark::ReplayAcrossGenerations);
        self.marks.hit_if(age == GENERATIONS, Mark::ReplayInTheLastGeneration);
        if age > GENERATIONS
            && let Answered::Reservation(place) = &answer
        {
            let confirmed = self.reservation(*place).state == HoldState::Confirmed;
            self.marks.hit(if confirmed {
                Mark::ReplayBecauseConfirmedInOpenSale
            } else {
                Mark::ReplayBecauseStillLive
            });
        }
        Known::Same(match answer {
            Answered::Refused(mut refusal) => {
                self.marks.hit_if(refusal.value > REPLAYED_VALUE_MAX, Mark::ReplayWithCappedValue);
                refusal.value = refusal.value.min(REPLAYED_VALUE_MAX);
                Answered::Refused(refusal)
            }
            other => other,
        })
    }

    /// The reservation of an id that is remembered, if it was granted or stood in line.
    pub(super) fn known_reservation(&self, id: ReservationId) -> Option<Place> {
        match self.memory.entries.get(&number(id)).filter(|entry| self.remembers(entry))?.answer {
            Answered::Reservation(place) => Some(place),
            Answered::Refused(_) | Answered::Done => None,
        }
    }

    pub(super) fn remember(&mut self, id: ReservationId, content: Content, answer: Answered) {
        if self.twisted(Twist::ForgetsRefusals) && matches!(answer, Answered::Refused(_)) {
            return;
        }
        let generation = self.memory.generation;
        let content = Box::new(content);
        self.memory.entries.insert(number(id), Entry { generation, content, answer });
        self.sweep();
    }

    /// The rule itself.
    fn remembers(&self, entry: &Entry) -> bool {
        let generations = if self.twisted(Twist::ForgetsEarly) { GENERATIONS - 1 } else { GENERATIONS };
        if self.memory.generation - entry.generation <= generations {
            return true;
        }
        let Answered::Reservation(place) = entry.answer else { return false };
        let reservation = self.reservation(place);
        let sale_open = self.sales[reservation.sale].state != SaleState::Closed;
        reservation.is_live() || (reservation.state == HoldState::Confirmed && sale_open)
    }

    fn forget(&mut self, id: ReservationId) {
        if let Some(entry) = self.memory.entries.remove(&number(id)) {
            self.marks.hit(Mark::ForgottenIdDecidedAfresh);
            if let Answered::Reservation(place) = entry.answer {
                self.reservations.remove(&place);
            }
        }
    }

    /// Throws out what is forgotten, now and then. What is forgotten stays forgotten, so nobody can tell when.
    fn sweep(&mut self) {
        if self.memory.entries.len() < self.memory.sweep_at.max(20_000) {
            return;
        }
        let forgotten: Vec<_> = self
            .memory
            .entries
            .iter()
            .filter(|(_, entry)| !self.remembers(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in forgotten {
            if let Some(Entry { answer: Answered::Reservation(place), .. }) = self.memory.entries.remove(&id)
            {
                self.reservations.remove(&place);
            }
        }
        self.memory.sweep_at = 2 * self.memory.entries.len();
    }
}
