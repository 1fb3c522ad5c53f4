//! The books that many buyers write at once, with the few running sums that a sale in progress needs.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Answer, Ask, Exchange, ReservationId, State};

/// All exchanges of a run. Buyers add; whoever judges takes them out at the end.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pages: Mutex<Pages>,
    granted_units: AtomicU64,
    confirmed_units: AtomicU64,
    exchanges: AtomicU64,
}

#[derive(Debug, Default)]
struct Pages {
    exchanges: Vec<Exchange>,
    /// Units of each reservation that was told of.
    granted: HashMap<ReservationId, u32>,
    confirmed: HashSet<ReservationId>,
}

impl Books {
    /// Writes down one exchange.
    pub(crate) fn write(&self, exchange: Exchange) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        let mut pages = self.pages.lock().expect("nobody panics while writing");
        match (&exchange.ask, &exchange.answer) {
            (Ask::Reserve { .. }, Answer::Granted { reservation, units, .. })
                if pages.granted.insert(reservation.clone(), *units).is_none() =>
            {
                self.granted_units.fetch_add(u64::from(*units), Ordering::Relaxed);
            }
            (_, Answer::Stands { reservation, state: State::Confirmed })
                if pages.confirmed.insert(reservation.clone()) =>
            {
                let units = pages.granted.get(reservation).copied().unwrap_or(0);
                self.confirmed_units.fetch_add(u64::from(units), Ordering::Relaxed);
            }
            _ => {}
        }
        pages.exchanges.push(exchange);
    }

    /// Units of all reservations that buyers were told of, whatever became of them.
    pub(crate) fn granted_units(&self) -> u64 {
        self.granted_units.load(Ordering::Relaxed)
    }

    /// Units of all reservations that buyers were told are confirmed.
    pub(crate) fn confirmed_units(&self) -> u64 {
        self.confirmed_units.load(Ordering::Relaxed)
    }

    /// Requests written down.
    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// A copy of all that was written down so far.
    pub(crate) fn read(&self) -> Vec<Exchange> {
        self.pages.lock().expect("nobody panics while writing").exchanges.clone()
    }
}
