//! What the decisions so far add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdfast_contracts::decision::{HoldState, Reason, SaleState};
use holdfast_contracts::{ReservationId, SaleTerms};

use super::said::SaidLine;

/// Counters of a SKU. Signed, so that what must not be negative can be seen to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stock {
    pub(super) on_hand: i128,
    pub(super) available: i128,
    pub(super) held: i128,
    pub(super) committed: i128,
    pub(super) unavailable: i128,
}

impl Stock {
    /// As it is told: on hand, available, held, committed, unavailable, shortfall.
    pub(super) fn figures(&self) -> [u64; 6] {
        let told = |n: i128| u64::try_from(n).unwrap_or(u64::MAX);
        [self.on_hand, self.available, self.held, self.committed, self.unavailable, 0].map(told)
    }
}

/// A sale.
#[derive(Debug, Clone)]
pub(super) struct Sale {
    pub(super) state: SaleState,
    pub(super) terms: SaleTerms,
    pub(super) skus: BTreeSet<String>,
}

/// A granted reservation.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) customer: u64,
    pub(super) sale: String,
    pub(super) lines: Vec<SaidLine>,
    pub(super) state: HoldState,
    pub(super) deadline: u64,
    pub(super) decided: u64,
    pub(super) place: (u64, u32),
    pub(super) extended: u32,
}

impl Hold {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }
}

/// What a remembered id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Reserve {
        customer: u64,
        lines: Vec<(String, u64)>,
        allow_partial: bool,
    },
    Extend {
        about: ReservationId,
        customer: u64,
        by_ms: u32,
    },
    SetStock {
        sku: String,
        on_hand: u64,
        expected: Option<u64>,
        force: bool,
        reason: String,
        reference: String,
    },
    AdjustStock {
        sku: String,
        delta: i64,
        set_aside: i64,
        reason: String,
        reference: String,
    },
    DefineSale {
        sale_id: String,
        terms: SaleTerms,
        skus: BTreeSet<String>,
    },
}

/// The first answer to an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FirstAnswer {
    /// A reservation was granted.
    Granted {
        expires_after_ms: u64,
        lines: Vec<SaidLine>,
        decided: u64,
        place: (u64, u32),
    },
    Refused {
        reason: Reason,
        sku: Option<String>,
        value: u64,
    },
    /// A command that changed something.
    Done,
}

/// Everything that the decisions of a partition add up to.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) stock: BTreeMap<String, Stock>,
    pub(super) sales: BTreeMap<String, Sale>,
    pub(super) sale_of: BTreeMap<String, String>,
    pub(super) holds: HashMap<ReservationId, Hold>,
    /// Live holds by deadline and place.
    pub(super) due: BTreeMap<(u64, (u64, u32)), ReservationId>,
    pub(super) known: HashMap<ReservationId, (Content, FirstAnswer)>,
    /// Units of a customer in a SKU of a sale.
    pub(super) units: HashMap<(String, String, u64), i128>,
    /// SKUs whose counters changed in this record.
    pub(super) touched: BTreeSet<String>,
}

impl Books {
    pub(super) fn available(&self, sku: &str) -> i128 {
        self.stock.get(sku).map_or(0, |it| it.available)
    }

    pub(super) fn stock_mut(&mut self, sku: &str) -> &mut Stock {
        self.touched.insert(sku.to_owned());
        self.stock.entry(sku.to_owned()).or_default()
    }

    pub(super) fn units_of(&self, sale: &str, sku: &str, customer: u64) -> i128 {
        self.units.get(&(sale.to_owned(), sku.to_owned(), customer)).copied().unwrap_or(0)
    }

    fn count_units(&mut self, hold: &Hold, sign: i128) {
        for line in &hold.lines {
            let key = (hold.sale.clone(), line.sku.clone(), hold.customer);
            *self.units.entry(key).or_default() += sign * i128::from(line.granted);
        }
    }

    /// A reservation was granted.
    pub(super) fn grant(&mut self, id: ReservationId, hold: Hold) {
        for line in &hold.lines {
            let stock = self.stock_mut(&line.sku);
            stock.available -= i128::from(line.granted);
            stock.held += i128::from(line.granted);
        }
        self.count_units(&hold, 1);
        self.due.insert((hold.deadline, hold.place), id);
        self.holds.insert(id, hold);
    }

    /// A live hold ended.
    pub(super) fn end(&mut self, id: ReservationId, state: HoldState) {
        let Some(mut hold) = self.holds.remove(&id) else { return };
        self.due.remove(&(hold.deadline, hold.place));
        for line in &hold.lines {
            let granted = i128::from(line.granted);
            let stock = self.stock_mut(&line.sku);
            stock.held -= granted;
            match state {
                HoldState::Confirmed => stock.committed += granted,
                _ => stock.available += granted,
            }
        }
        if state != HoldState::Confirmed {
            self.count_units(&hold, -1);
        }
        hold.state = state;
        self.holds.insert(id, hold);
    }

    /// A live hold got another deadline.
    pub(super) fn move_deadline(&mut self, id: ReservationId, deadline: u64) {
        let Some(hold) = self.holds.get_mut(&id) else { return };
        if self.due.remove(&(hold.deadline, hold.place)).is_some() {
            self.due.insert((deadline, hold.place), id);
        }
        hold.deadline = deadline;
    }

    /// Live holds that were decided at or after a record live longer.
    pub(super) fn shift(&mut self, since: u64, by_ms: u64) {
        let moved: Vec<_> =
            self.due.iter().filter(|(key, _)| key.1.0 >= since).map(|(key, id)| (key.0, *id)).collect();
        for (deadline, id) in moved {
            self.move_deadline(id, deadline + by_ms);
        }
    }

    /// The sale that this SKU is in.
    pub(super) fn sale(&self, sku: &str) -> Option<(&String, &Sale)> {
        self.sale_of.get(sku).and_then(|id| self.sales.get_key_value(id))
    }
}
