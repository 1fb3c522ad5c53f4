//! Operators: stock, sales, rules. They mostly know what they do, and sometimes do not.

use std::collections::BTreeSet;

use holdfast_contracts::command::{AdjustStock, Command, DefineSale, SetStock, SkuList};
use holdfast_contracts::decision::SaleState;
use holdfast_contracts::{LogTime, ReservationId, SaleTerms};

use super::scenario::draw_terms;
use super::{Generator, Kind, Scenario};
use crate::model::Model;

/// A place for one sale after the other, with the SKUs it sells.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    number: usize,
    /// How many sales of this slot were closed.
    edition: u32,
    skus: BTreeSet<usize>,
    terms: SaleTerms,
}

impl Slot {
    pub(super) fn new(number: usize, scenario: &Scenario) -> Self {
        let skus = (0..scenario.skus).filter(|sku| sku % scenario.sales == number).collect();
        Self { number, edition: 0, skus, terms: scenario.terms }
    }

    pub(super) fn id(&self) -> String {
        format!("sale-{}-{}", self.number, self.edition)
    }
}

/// An administrative command with an id, to be sent again.
#[derive(Debug, Clone)]
pub(super) enum AdminCommand {
    Set { id: ReservationId, sku: usize, on_hand: u64, expected: Option<u64>, force: bool },
    Adjust { id: ReservationId, sku: usize, delta: i64, set_aside: i64 },
    Define { id: ReservationId, sale_id: String, terms: Box<SaleTerms>, skus: Vec<usize> },
    Extend { command_id: ReservationId, reservation_id: ReservationId, customer: u64, by_ms: u32 },
}

impl AdminCommand {
    pub(super) const fn id(&self) -> ReservationId {
        match self {
            Self::Set { id, .. } | Self::Adjust { id, .. } | Self::Define { id, .. } => *id,
            Self::Extend { command_id, .. } => *command_id,
        }
    }
}

const ADMIN: usize = 48;
const STOCK_MAX: u64 = 1 << 40;

impl Generator {
    /// The first record: rules, sales, stock, doors open. Now and then somebody forgets a step.
    pub(super) fn set_up(&mut self, model: &Model) {
        let Scenario { dedupe_window_ms, work_per_record_max, on, .. } = self.scenario;
        if dedupe_window_ms != 0 || work_per_record_max != 0 || on.rules_two {
            let version = if on.rules_two { 2 } else { 1 };
            self.push(&Command::ActivateRules { version, dedupe_window_ms, work_per_record_max });
        }
        for slot in 0..self.sales.len() {
            self.define(slot, model);
        }
        for sku in 0..self.scenario.skus {
            let on_hand = self.rng.between(0, self.scenario.stock_max);
            let id = self.new_id();
            self.send_admin(AdminCommand::Set { id, sku, on_hand, expected: None, force: false });
        }
        for slot in 0..self.sales.len() {
            let sale_id = self.sales[slot].id();
            self.push(&Command::OpenSale { sale_id: &sale_id });
        }
    }

    /// Sees to it that buyers have something to buy: opens, defines anew, moves an end that has passed, brings stock.
    pub(super) fn keep_selling(&mut self, model: &Model) {
        let slot = self.rng.index(self.sales.len());
        let sale_id = self.sales[slot].id();
        let now = model.log_time_ms().unwrap_or(0);
        match model.sale_view(&sale_id) {
            None => self.define(slot, model),
            Some((SaleState::Draft | SaleState::Paused, _)) => {
                self.push(&Command::OpenSale { sale_id: &sale_id });
            }
            Some((SaleState::Closed, _)) => {
                self.sales[slot].edition += 1;
                self.define(slot, model);
                let sale_id = self.sales[slot].id();
                self.push(&Command::OpenSale { sale_id: &sale_id });
            }
            Some((SaleState::Open, terms)) => {
                if terms.closes_at.0 != 0 && now >= terms.closes_at.0 && self.rng.percent(20) {
                    self.define(slot, model);
                }
                if self.rng.percent(15) {
                    self.deliver(model);
                }
            }
        }
    }

    /// Brings what was sold back onto the shelf.
    fn deliver(&mut self, model: &Model) {
        let sku = self.rng.weighted(&self.wanted);
        let Some(view) = model.sku_view(&self.pool[sku]) else { return };
        let full = view.figures.available >= self.scenario.stock_max;
        let delta = if full { 0 } else { self.rng.between(1, self.scenario.stock_max).cast_signed() };
        if delta > 0 {
            let id = self.new_id();
            self.send_admin(AdminCommand::Adjust { id, sku, delta, set_aside: 0 });
        }
    }

    pub(super) fn set_stock(&mut self, model: &Model) {
        let on = self.scenario.on;
        let sku = self.some_sku();
        if !self.is_ordinary(sku) && !self.rng.percent(50) {
            return;
        }
        let figures = model.sku_view(&self.pool[sku]).map(|view| view.figures).unwrap_or_default();
        let promised = figures.held + figures.committed + figures.unavailable;
        let force = on.forced_cuts && self.rng.percent(40);
        let on_hand = match self.rng.below(10) {
            0 => promised,
            1 => promised.saturating_sub(1),
            2 if on.extreme_numbers => {
                self.rng.one_of(&[STOCK_MAX, STOCK_MAX + 1, u64::MAX, STOCK_MAX - 1, 2_000_000])
            }
            3 if force => 0,
            4..7 if force => self.rng.between(0, promised),
            _ => promised + self.rng.between(0, self.scenario.stock_max),
        };
        let expected = match self.rng.below(4) {
            0..2 if on.expected_stock => Some(figures.on_hand),
            2 if on.expected_stock => Some(figures.on_hand.wrapping_sub(1)),
            _ => None,
        };
        let id = self.new_id();
        self.send_admin(AdminCommand::Set { id, sku, on_hand, expected, force });
    }

    pub(super) fn adjust_stock(&mut self, model: &Model) {
        let on = self.scenario.on;
        let sku = self.some_sku();
        let figures = model.sku_view(&self.pool[sku]).map(|view| view.figures).unwrap_or_default();
        let available = figures.available.cast_signed();
        let delta = match self.rng.below(10) {
            0 => -available,
            1 => -available - 1,
            2 if on.extreme_numbers => {
                let most = STOCK_MAX.cast_signed();
                self.rng.one_of(&[i64::MIN, i64::MAX, most, most + 1, -most, -most - 1])
            }
            3 => 0,
            _ => self.rng.between(0, self.scenario.stock_max).cast_signed(),
        };
        let set_aside = match self.rng.below(8) {
            _ if !on.set_aside => 0,
            0 => 1,
            1 => -figures.unavailable.cast_signed(),
            2 => -figures.unavailable.cast_signed() - 1,
            3 => available.saturating_add(delta),
            4 => -1,
            5 if on.extreme_numbers => self.rng.one_of(&[i64::MIN, i64::MAX]),
            _ => 0,
        };
        let id = self.new_id();
        self.send_admin(AdminCommand::Adjust { id, sku, delta, set_aside });
    }

    pub(super) fn define_sale(&mut self, model: &Model) {
        let slot = self.rng.index(self.sales.len());
        let on = self.scenario.on;
        if on.terms_change {
            self.sales[slot].terms = draw_terms(self.scenario.pace_ms, on, &mut self.rng);
        }
        if on.sku_moves {
            let sku = self.rng.index(self.scenario.skus);
            let skus = &mut self.sales[slot].skus;
            if !skus.remove(&sku) {
                skus.insert(sku);
            }
        }
        self.define(slot, model);
    }

    /// Sends the definition of a slot's sale, now and then a faulty one.
    fn define(&mut self, slot: usize, model: &Model) {
        let on = self.scenario.on;
        let now = model.log_time_ms().unwrap_or(super::clock::BEGINNING);
        let Slot { mut terms, ref skus, .. } = self.sales[slot];
        let mut skus: Vec<usize> = skus.iter().copied().collect();
        let mut sale_id = self.sales[slot].id();
        if on.windows {
            let ahead = |rng: &mut crate::rng::Rng, records: u64, pace: u64| rng.below(records * (pace + 1));
            let pace = self.scenario.pace_ms;
            let opens = if self.rng.percent(40) { now + ahead(&mut self.rng, 20, pace) } else { 0 };
            let far = if self.rng.percent(5) { 1 << self.rng.between(20, 40) } else { 0 };
            let closes = opens.max(now) + 1 + far + ahead(&mut self.rng, 300, pace);
            terms.opens_at = LogTime(opens);
            terms.closes_at = LogTime(if self.rng.percent(60) { closes } else { 0 });
        }
        if on.extreme_numbers && self.rng.percent(8) {
            self.make_extreme(&mut terms, &mut sale_id);
        }
        if on.unknown_skus && self.rng.percent(5) {
            skus.push(self.rng.index(self.pool.len()));
        }
        if self.rng.percent(10) {
            skus.reverse();
        }
        let id = self.new_id();
        self.send_admin(AdminCommand::Define { id, sale_id, terms: Box::new(terms), skus });
    }

    fn make_extreme(&mut self, terms: &mut SaleTerms, sale_id: &mut String) {
        match self.rng.below(9) {
            0 => terms.hold_ttl_ms = 0,
            1 => terms.hold_ttl_ms = terms.hold_total_max_ms.saturating_add(1),
            2 => terms.payment_window_ms = 2_592_000_001,
            3 => terms.extend_max = 16,
            4 => terms.closes_at = LogTime(terms.opens_at.0.max(1)),
            5 => terms.closes_at = LogTime(u64::MAX),
            6 => *sale_id = "s".repeat(self.rng.index(70)),
            7 => terms.offer_ttl_ms = u32::MAX,
            _ => terms.opens_at = LogTime(u64::MAX),
        }
    }

    pub(super) fn switch_sale(&mut self, kind: Kind) {
        let slot = self.rng.index(self.sales.len());
        let mut sale_id = self.sales[slot].id();
        if self.rng.percent(3) {
            sale_id.push('?');
        }
        let freeze_ttl = self.scenario.on.freezes && self.rng.percent(70);
        match kind {
            Kind::OpenSale => self.push(&Command::OpenSale { sale_id: &sale_id }),
            Kind::PauseSale => self.push(&Command::PauseSale { sale_id: &sale_id, freeze_ttl }),
            _ => self.push(&Command::CloseSale { sale_id: &sale_id }),
        }
    }

    pub(super) fn activate_rules(&mut self, model: &Model) {
        let version = if self.scenario.on.rules_two { self.rng.between_u32(1, 2) } else { 1 };
        let generation = model.generation_ms();
        let window = self.rng.one_of(&[0, 0, self.scenario.dedupe_window_ms, 4, 2 * generation, 40]);
        let dedupe_window_ms = if self.scenario.on.small_window { window } else { 0 };
        let work = self.rng.one_of(&[0, 0, 1, 2, 5, 1024]);
        let work_per_record_max = if self.scenario.on.small_work { work } else { 0 };
        self.push(&Command::ActivateRules { version, dedupe_window_ms, work_per_record_max });
    }

    /// An administrative command or an extension again, now and then with something changed.
    pub(super) fn admin_retry(&mut self) {
        if self.admin.is_empty() {
            return;
        }
        let mut command = self.admin[self.rng.index(self.admin.len())].clone();
        if self.scenario.on.other_body && self.rng.percent(15) {
            match &mut command {
                AdminCommand::Set { on_hand, .. } => *on_hand = on_hand.wrapping_add(1),
                AdminCommand::Adjust { set_aside, .. } => *set_aside = set_aside.wrapping_add(1),
                AdminCommand::Define { terms, .. } => terms.extend_max ^= 1,
                AdminCommand::Extend { by_ms, .. } => *by_ms = by_ms.wrapping_add(1),
            }
        }
        self.put_admin(&command);
    }

    fn send_admin(&mut self, command: AdminCommand) {
        self.put_admin(&command);
        self.note_admin(command);
    }

    pub(super) fn note_admin(&mut self, command: AdminCommand) {
        if self.admin.len() < ADMIN {
            self.admin.push(command);
        } else {
            let place = self.rng.index(ADMIN);
            self.admin[place] = command;
        }
    }

    fn put_admin(&mut self, command: &AdminCommand) {
        match command {
            AdminCommand::Set { id, sku, on_hand, expected, force } => {
                let sku = self.index_of(*sku);
                self.push(&Command::SetStock(SetStock {
                    command_id: *id,
                    sku,
                    on_hand: *on_hand,
                    expected: *expected,
                    force: *force,
                    reason: "count",
                    reference: "",
                }));
            }
            AdminCommand::Adjust { id, sku, delta, set_aside } => {
                let sku = self.index_of(*sku);
                self.push(&Command::AdjustStock(AdjustStock {
                    command_id: *id,
                    sku,
                    delta: *delta,
                    set_aside: *set_aside,
                    reason: "delivery",
                    reference: "note 1",
                }));
            }
            AdminCommand::Define { id, sale_id, terms, skus } => {
                let skus: Vec<u32> = skus.iter().map(|sku| self.index_of(*sku)).collect();
                self.push(&Command::DefineSale(DefineSale {
                    command_id: *id,
                    sale_id,
                    terms: **terms,
                    skus: SkuList::of(&skus),
                }));
            }
            AdminCommand::Extend { command_id, reservation_id, customer, by_ms } => {
                self.extend_with(*reservation_id, *customer, *by_ms, Some(*command_id));
            }
        }
    }
}
