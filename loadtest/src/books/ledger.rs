//! The books that many buyers write at once, with the few running sums that a sale in progress needs.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Answer, Ask, Exchange, ReservationId, State};

/// All exchanges of a run. Buyers add; whoever judges takes them out at the end.
#[derive(Default)]
pub(crate) struct Books {
    pages: Mutex<Pages>,
    granted_units: AtomicU64,
    confirmed_units: AtomicU64,
    exchanges: AtomicU64,
}

/// Something that happens the moment enough units are promised and sold, on the thread that writes it down. Whoever
/// looks at the books from time to time would come too late: the rush for a thousand units is over in a blink.
pub(crate) struct Alarm {
    pub(crate) granted_units: u64,
    pub(crate) confirmed_units: u64,
    /// Gets the units that are promised and sold by then.
    pub(crate) ring: Box<dyn FnOnce(u64, u64) + Send>,
}

#[derive(Default)]
struct Pages {
    exchanges: Vec<Exchange>,
    /// Units of each reservation that was told of.
    granted: HashMap<ReservationId, u32>,
    confirmed: HashSet<ReservationId>,
    alarm: Option<Alarm>,
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
        if let Some(alarm) = pages.alarm.take_if(|it| self.has_come_to(it)) {
            (alarm.ring)(self.granted_units(), self.confirmed_units());
        }
    }

    /// Sets an alarm; there is one at a time.
    pub(crate) fn set_alarm(&self, alarm: Alarm) {
        self.pages.lock().expect("nobody panics while writing").alarm = Some(alarm);
    }

    fn has_come_to(&self, alarm: &Alarm) -> bool {
        self.granted_units() >= alarm.granted_units && self.confirmed_units() >= alarm.confirmed_units
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
