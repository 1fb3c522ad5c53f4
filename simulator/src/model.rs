//! The inventory machine a second time: slow, plain, and written from `docs/rules.md` alone.
//!
//! Nothing here is shared with the fast machine but the record decoder. Names are used as keys, every collection is a
//! map, a set or a vector of the standard library, and each file follows one section of the rules page:
//!
//! | file | section |
//! |---|---|
//! | `model.rs` | 1, a record |
//! | `control.rs` | 1.1, who may send control commands |
//! | `clock.rs` | 2, log time |
//! | `reserve.rs` | 3, reserve |
//! | `holds.rs`, `extend.rs`, `reacquire.rs` | 4, commands on a reservation |
//! | `work.rs` | 5.1, 5.2, 5.4 |
//! | `line.rs` | 5.3, the waitlist |
//! | `stock.rs`, `sales.rs`, `rules.rs` | 6 |
//! | `memory.rs` | 7, what is remembered |
//! | `verify.rs` | 8, and everything else that can be counted again |
//!
//! Where the page leaves room, the reading taken stands as a comment beginning with "Reading:".

mod clock;
mod control;
mod extend;
mod holds;
mod line;
mod memory;
mod query;
mod reacquire;
mod reserve;
mod rules;
mod sales;
mod state;
mod stock;
#[cfg(test)]
mod tests;
mod twist;
mod verify;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::decision::Reason;
use holdfast_contracts::{LogId, PartitionId, ReservationId};

use crate::answer::{Decision, Event, Expected, Outcome, Refusal, Sku, What};
use crate::marks::{Mark, Marks};
use clock::Clock;
use memory::Memory;
pub use query::{ReservationView, SkuView};
use rules::Rules;
use state::{Reservation, Sale, SkuState};
pub(crate) use twist::Twist;

/// What a machine is told when it is made; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The partition it decides.
    pub partition: PartitionId,
    /// How many partitions there are.
    pub partitions: u32,
    /// The log it is bound to.
    pub log_id: LogId,
    /// The control key, if there is one.
    pub control_secret: Option<[u8; 32]>,
}

/// Where a decision was made. Decisions of one partition are ordered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The record.
    pub offset: u64,
    /// The command in the record.
    pub index: u32,
}

/// Why a partition stands still from this record on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// A tick named another log.
    OtherLog,
    /// Rules of a version that is not known.
    UnknownRules(u32),
}

/// The naive machine.
#[derive(Debug, Clone)]
pub struct Model {
    settings: Settings,
    clock: Clock,
    rules: Rules,
    memory: Memory,
    skus: BTreeMap<Sku, SkuState>,
    sales: Vec<Sale>,
    sale_numbers: BTreeMap<String, usize>,
    reservations: BTreeMap<Place, Reservation>,
    /// Held, paying or waiting.
    live: BTreeSet<Place>,
    /// Live ones that have a deadline, by deadline; those of frozen sales stand in `frozen`.
    due: BTreeSet<(u64, Place)>,
    frozen: BTreeSet<(u64, Place)>,
    /// Who waits for how many units, per sale and SKU.
    lines: BTreeMap<(usize, Sku), BTreeMap<Place, u32>>,
    /// Units per sale, SKU and customer. No entry is 0.
    accounts: BTreeMap<(usize, Sku, u64), u64>,
    /// Units held, paying or waiting, per sale and SKU. No entry is 0.
    in_use: BTreeMap<(usize, Sku), u64>,
    /// SKUs whose line needs service.
    needs_service: VecDeque<Sku>,
    /// Closed sales in which somebody may still wait.
    closing: VecDeque<usize>,
    /// Ids of control commands that were refused for want of a code and not taken since.
    refused_control: BTreeSet<[u8; 16]>,
    turn: Turn,
    marks: Marks,
    twist: Twist,
}

/// The record and the command that are being done.
#[derive(Debug, Clone, Default)]
struct Turn {
    offset: u64,
    append_time: u64,
    command: Option<u32>,
    may_control: bool,
    /// A control command of this record was refused for want of a code.
    control_refused: bool,
    work_done: u64,
    events: Vec<Event>,
    touched: Vec<Sku>,
}

impl Model {
    /// A machine that has seen no record.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: Clock::default(),
            rules: Rules::default(),
            memory: Memory::default(),
            skus: BTreeMap::new(),
            sales: Vec::new(),
            sale_numbers: BTreeMap::new(),
            reservations: BTreeMap::new(),
            live: BTreeSet::new(),
            due: BTreeSet::new(),
            frozen: BTreeSet::new(),
            lines: BTreeMap::new(),
            accounts: BTreeMap::new(),
            in_use: BTreeMap::new(),
            needs_service: VecDeque::new(),
            closing: VecDeque::new(),
            refused_control: BTreeSet::new(),
            turn: Turn::default(),
            marks: Marks::default(),
            twist: Twist::default(),
        }
    }

    /// What the machine must answer to this record; `None` if the record has no output.
    ///
    /// Records must come in the order of their offsets.
    ///
    /// # Errors
    /// The partition stops at this record. Nothing may be applied after it.
    pub fn apply(
        &mut self,
        offset: u64,
        append_time_ms: u64,
        payload: &[u8],
    ) -> Result<Option<Expected>, Stopped> {
        let append_time = clock::into_its_years(append_time_ms, &mut self.marks);
        self.turn = Turn { offset, append_time, ..Turn::default() };
        self.move_time();
        let log_time_ms = self.now();
        self.do_due_work();
        self.check_touched();

        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        let mut expected = Expected { log_time_ms, ..Expected::default() };
        match decode_batch(payload, &mut skus, &mut commands) {
            Err(error) => {
                self.marks.hit(Mark::Malformed);
                self.marks.hit_if(!self.turn.events.is_empty(), Mark::MalformedRecordStillDoesWork);
                expected.malformed = Some(error.code());
            }
            Ok(header) => {
                self.marks.hit_if(commands.len() > 1, Mark::BatchOfSeveral);
                self.turn.may_control = self.settings.may_control(payload);
                expected.intake_id = header.intake_id.0;
                expected.first_request_tag = header.first_request_tag.0;
                expected.decisions.reserve(commands.len());
                for (index, command) in (0..).zip(&commands) {
                    self.turn.command = Some(index);
                    expected.decisions.push(self.decide(command, &skus)?);
                    self.check_touched();
                }
            }
        }
        expected.events = std::mem::take(&mut self.turn.events);
        self.marks.hit_if(expected.is_silent(), Mark::SilentRecord);
        Ok(if expected.is_silent() { None } else { Some(expected) })
    }

    fn decide(&mut self, command: &Command<'_>, skus: &[&str]) -> Result<Decision, Stopped> {
        if let Some(refused) = self.refuse_control(command) {
            return Ok(refused);
        }
        let (id, outcome) = match *command {
            Command::Reserve(it) => return Ok(self.reserve(&it, skus)),
            Command::Extend { reservation_id, customer, by_ms, command_id } => {
                return Ok(self.extend(reservation_id, customer.0, by_ms, command_id));
            }
            Command::SetStock(it) => return Ok(self.set_stock(&it, skus)),
            Command::AdjustStock(it) => return Ok(self.adjust_stock(&it, skus)),
            Command::DefineSale(it) => return Ok(self.define_sale(&it, skus)),
            Command::BeginPayment { reservation_id, customer } => {
                (Some(reservation_id), self.begin_payment(reservation_id, customer.0))
            }
            Command::Confirm { reservation_id, customer, reacquire } => {
                (Some(reservation_id), self.confirm(reservation_id, customer.0, reacquire))
            }
            Command::Release { reservation_id, customer } => {
                (Some(reservation_id), self.release(reservation_id, customer.0))
            }
            Command::OpenSale { sale_id } => (None, self.open_sale(sale_id)),
            Command::PauseSale { sale_id, freeze_ttl } => (None, self.pause_sale(sale_id, freeze_ttl)),
            Command::CloseSale { sale_id } => (None, self.close_sale(sale_id)),
            Command::Tick { wall, log_id } => {
                self.tick(wall.0, log_id)?;
                return Ok(Decision::default());
            }
            Command::ActivateRules { version, dedupe_window_ms, work_per_record_max } => {
                (None, Ok(self.activate_rules(version, dedupe_window_ms, work_per_record_max)?))
            }
        };
        Ok(self.decision(id, false, outcome))
    }

    /// Wraps up an answer.
    fn decision(
        &mut self,
        id: Option<ReservationId>,
        replay: bool,
        outcome: Result<Outcome, Refusal>,
    ) -> Decision {
        let outcome = outcome.unwrap_or_else(|refusal| {
            self.marks.hit_refusal(refusal.reason);
            Outcome::Refused(refusal)
        });
        Decision { id, replay, outcome: Some(outcome) }
    }

    /// `T`.
    fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The place of the command that is being decided.
    fn here(&self) -> Place {
        Place { offset: self.turn.offset, index: self.turn.command.unwrap_or(0) }
    }

    fn event(&mut self, what: What) {
        self.turn.events.push(Event { cause: self.turn.command, what });
    }

    /// The name behind a dictionary index; the empty name if there is none.
    ///
    /// Reading: an index that does not exist is a SKU with an empty name, which no real SKU has. So such requests have
    /// a content too, and their refusal can be remembered.
    fn name(&self, index: u32, skus: &[&str]) -> Sku {
        let name = usize::try_from(index).ok().and_then(|index| skus.get(index)).copied().unwrap_or("");
        self.skus.get_key_value(name).map_or_else(|| Rc::from(name), |(known, _)| Rc::clone(known))
    }

    fn sku(&self, name: &str) -> &SkuState {
        self.skus.get(name).expect("only known SKUs are looked at")
    }

    /// A known SKU, to be changed. Its sum is checked after the command.
    fn sku_mut(&mut self, name: &Sku) -> &mut SkuState {
        self.turn.touched.push(Rc::clone(name));
        self.skus.get_mut(name).expect("only known SKUs are changed")
    }

    fn reservation(&self, place: Place) -> &Reservation {
        self.reservations.get(&place).expect("a place that is kept has its reservation")
    }

    fn reservation_mut(&mut self, place: Place) -> &mut Reservation {
        self.reservations.get_mut(&place).expect("a place that is kept has its reservation")
    }

    /// The situations met so far.
    #[must_use]
    pub const fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// A plain refusal, ready to be returned.
const fn no(reason: Reason) -> Result<Outcome, Refusal> {
    Err(Refusal::plain(reason))
}
