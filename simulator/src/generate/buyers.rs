//! Buyers: reserve, retry, change their mind, pay, give back. And some who are up to no good.

use holdfast_contracts::command::{Command, Line, Lines, Reserve};
use holdfast_contracts::decision::HoldState;
use holdfast_contracts::{CustomerId, ReservationId};

use super::{Generator, Kind, STRANGE};
use crate::generate::operators::AdminCommand;
use crate::model::{Model, SkuView};

/// A reserve command as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: ReservationId,
    customer: u64,
    /// Number in the pool, quantity.
    lines: Vec<(usize, u32)>,
    allow_partial: bool,
    join_waitlist: bool,
}

const RECENT: usize = 96;
const OLD: usize = 512;

impl Generator {
    pub(super) fn reserve(&mut self, model: &Model) {
        let id = match self.forgotten_id(model) {
            Some(id) => id,
            None => self.new_id(),
        };
        let asked = self.wish(id, model);
        self.send(&asked);
        self.note(asked);
    }

    /// An id from long ago, for somebody who thinks nobody remembers.
    fn forgotten_id(&mut self, model: &Model) -> Option<ReservationId> {
        let long_ago = self.scenario.on.old_ids && !self.old.is_empty() && self.rng.percent(4);
        let asked = long_ago.then(|| self.rng.index(self.old.len())).map(|n| &self.old[n])?;
        let live = model.reservation_view(asked.id).is_some_and(|view| view.deadline_ms.is_some());
        (!live).then_some(asked.id)
    }

    fn wish(&mut self, id: ReservationId, model: &Model) -> Asked {
        let on = self.scenario.on;
        let customer = if on.extreme_numbers && self.rng.percent(1) {
            self.rng.one_of(&[0, u64::MAX])
        } else {
            let number = self.rng.between(1, self.scenario.customers);
            self.customer(number)
        };
        let count = match (on.multi_line, self.rng.below(8)) {
            (true, 0..=1) => 2,
            (true, 2) => self.rng.between(1, 5),
            (true, 3) if on.extreme_numbers && self.rng.percent(10) => self.rng.one_of(&[0, 31, 32]),
            _ => 1,
        };
        let mut lines = Vec::new();
        for _ in 0..count {
            let sku = self.some_sku();
            let quantity = self.some_quantity(sku, customer, model);
            lines.push((sku, quantity));
        }
        let join_waitlist = if on.long_lines { self.rng.percent(90) } else { on.waitlist && self.rng.coin() };
        let allow_partial = on.allow_partial && !join_waitlist && self.rng.percent(40);
        let both = join_waitlist && on.allow_partial && self.rng.percent(1);
        Asked { id, customer, lines, allow_partial: allow_partial || both, join_waitlist }
    }

    /// A SKU, the more wanted the likelier. Now and then one that nobody knows.
    pub(super) fn some_sku(&mut self) -> usize {
        if self.scenario.on.unknown_skus && self.rng.percent(2) {
            return self.scenario.skus + self.rng.index(self.pool.len() - self.scenario.skus);
        }
        self.rng.weighted(&self.wanted)
    }

    fn some_quantity(&mut self, sku: usize, customer: u64, model: &Model) -> u32 {
        if self.scenario.on.extreme_numbers && self.rng.percent(2) {
            return self.rng.one_of(&[0, 1_000_000, 1_000_001, 500_001, u32::MAX]);
        }
        let usual = if self.scenario.on.long_lines && !self.rng.percent(10) {
            self.rng.between_u32(5, 9)
        } else {
            self.rng.between_u32(1, self.scenario.quantity_max)
        };
        if !self.rng.percent(25) {
            return usual;
        }
        let Some(view) = model.sku_view(&self.pool[sku]) else { return usual };
        let edge = self.edge_of(&view, model.units_of(&self.pool[sku], customer));
        u32::try_from(edge).ok().filter(|n| (1..1_000).contains(n)).unwrap_or(usual)
    }

    /// All there is, one more than there is, as much as one may have, one more.
    fn edge_of(&mut self, view: &SkuView, has: u64) -> u64 {
        let terms = view.sale.map(|(_, terms)| terms);
        let per_customer = terms.map_or(0, |terms| u64::from(terms.units_per_customer_max));
        let per_reservation = terms.map_or(0, |terms| u64::from(terms.units_per_reservation_max));
        let base = match self.rng.below(4) {
            0 => per_reservation,
            1 => per_customer.saturating_sub(has),
            _ => view.figures.available,
        };
        base + self.rng.below(2)
    }

    /// Puts a reserve command into the record.
    fn send(&mut self, asked: &Asked) {
        let lines: Vec<Line> = asked
            .lines
            .iter()
            .map(|(sku, quantity)| Line { sku: self.index_of(*sku), quantity: *quantity })
            .collect();
        self.push(&Command::Reserve(Reserve {
            reservation_id: asked.id,
            customer: CustomerId(asked.customer),
            lines: Lines::of(&lines),
            allow_partial: asked.allow_partial,
            join_waitlist: asked.join_waitlist,
        }));
    }

    fn note(&mut self, asked: Asked) {
        if self.recent.len() < RECENT {
            self.recent.push(asked);
            return;
        }
        let place = self.rng.index(RECENT);
        let before = std::mem::replace(&mut self.recent[place], asked);
        if self.old.len() < OLD {
            self.old.push(before);
        } else if self.rng.percent(20) {
            let place = self.rng.index(OLD);
            self.old[place] = before;
        }
    }

    fn somebodys(&mut self) -> Option<Asked> {
        let from_old = !self.old.is_empty() && self.rng.percent(25);
        let list = if from_old { &self.old } else { &self.recent };
        if list.is_empty() { None } else { Some(list[self.rng.index(list.len())].clone()) }
    }

    /// The same again, its lines perhaps in another order or split: the content is what counts.
    pub(super) fn retry(&mut self) {
        let Some(mut asked) = self.somebodys() else { return };
        if self.rng.percent(30) {
            asked.lines.reverse();
        }
        if self.rng.percent(20)
            && let Some((sku, quantity)) = asked.lines.first().copied()
            && quantity > 1
            && asked.lines.len() < 32
        {
            asked.lines[0].1 = quantity - 1;
            asked.lines.push((sku, 1));
        }
        self.send(&asked);
    }

    pub(super) fn repeat_last(&mut self) {
        let last = if self.recent.len() < RECENT { self.recent.last() } else { None };
        let asked = last.cloned().or_else(|| self.somebodys());
        if let Some(asked) = asked {
            self.send(&asked);
        }
    }

    /// Another request under a used id.
    pub(super) fn other_body(&mut self, model: &Model) {
        let Some(mut asked) = self.somebodys() else { return };
        match self.rng.below(6) {
            0 => asked.customer ^= 1,
            1 => asked.allow_partial = !asked.allow_partial,
            2 => asked.join_waitlist = !asked.join_waitlist,
            3 => asked.lines.push((self.rng.index(self.scenario.skus), 1)),
            4 => return self.use_for_other_kind(&asked, model),
            _ => {
                if let Some(line) = asked.lines.first_mut() {
                    line.1 = line.1.wrapping_add(1);
                }
            }
        }
        asked.lines.truncate(32);
        self.send(&asked);
    }

    /// An id of one kind of command used for another kind, in either direction.
    fn use_for_other_kind(&mut self, asked: &Asked, model: &Model) {
        if self.rng.coin() {
            self.extend_with(asked.id, asked.customer, 1, Some(asked.id));
            return;
        }
        let Some(id) = self.admin.last().map(AdminCommand::id) else { return };
        let wish = self.wish(id, model);
        self.send(&wish);
    }

    pub(super) fn about_a_reservation(&mut self, kind: Kind, model: &Model) {
        let Some(asked) = self.target(kind, model) else { return };
        let on = self.scenario.on;
        let customer = match self.rng.below(100) {
            0..8 if on.strangers => asked.customer ^ 2,
            8..30 if on.system => 0,
            _ => asked.customer,
        };
        let (reservation_id, customer_id) = (asked.id, CustomerId(customer));
        match kind {
            Kind::BeginPayment => {
                self.push(&Command::BeginPayment { reservation_id, customer: customer_id });
            }
            Kind::Release => self.push(&Command::Release { reservation_id, customer: customer_id }),
            Kind::Extend => self.extend(asked.id, customer, model),
            _ => {
                let reacquire = kind == Kind::Reacquire;
                self.push(&Command::Confirm { reservation_id, customer: customer_id, reacquire });
            }
        }
    }

    /// Somebody's reservation: of some tries the first that suits the command, so that not all hit refused ones.
    fn target(&mut self, kind: Kind, model: &Model) -> Option<Asked> {
        if self.rng.percent(2) {
            let id = self.new_id();
            let mut asked = self.somebodys()?;
            asked.id = id;
            return Some(asked);
        }
        let mut last = None;
        for _ in 0..3 {
            let asked = self.somebodys()?;
            let state = model.reservation_view(asked.id).map(|view| view.state);
            let suits = match kind {
                Kind::Reacquire => matches!(state, Some(HoldState::Expired | HoldState::Released)),
                _ => state.is_some(),
            };
            if suits {
                return Some(asked);
            }
            last = Some(asked);
        }
        last
    }

    fn extend(&mut self, id: ReservationId, customer: u64, model: &Model) {
        let view = model.reservation_view(id);
        let left = view.and_then(|view| Some(view.latest_deadline_ms.saturating_sub(view.deadline_ms?)));
        let usual = self.rng.between(1, 4 * self.scenario.pace_ms + 3);
        let by_ms = match (self.rng.below(8), left) {
            (0..=2, Some(left)) => left + self.rng.below(2),
            (3, _) if self.scenario.on.extreme_numbers => self.rng.one_of(&[0, u64::from(u32::MAX)]),
            _ => usual,
        };
        let by_ms = u32::try_from(by_ms).unwrap_or(u32::MAX);
        let command_id = if self.rng.percent(70) { Some(self.new_id()) } else { None };
        self.extend_with(id, customer, by_ms, command_id);
        if let Some(command_id) = command_id {
            self.note_admin(AdminCommand::Extend { command_id, reservation_id: id, customer, by_ms });
        }
    }

    pub(super) fn extend_with(
        &mut self,
        reservation_id: ReservationId,
        customer: u64,
        by_ms: u32,
        command_id: Option<ReservationId>,
    ) {
        let customer = CustomerId(customer);
        self.push(&Command::Extend { reservation_id, customer, by_ms, command_id });
    }

    /// Whether a SKU of the pool may become known.
    pub(super) fn is_ordinary(&self, sku: usize) -> bool {
        sku < self.pool.len() - STRANGE.min(self.pool.len())
    }
}
