//! How often one customer may ask: a token bucket that is one point in time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use holdfast_contracts::CustomerId;

use crate::problem::{Problem, TOO_MANY_REQUESTS};

/// Customers that are kept track of; beyond it those who have been quiet are forgotten.
const CUSTOMERS_MAX: usize = 100_000;

/// The customers of one thread.
pub(crate) struct Rates {
    /// Between two requests at an even pace. `None` is no limit.
    interval: Option<Duration>,
    /// When each customer would have been quiet for long enough to have no past.
    clear_at: HashMap<CustomerId, Instant>,
}

impl Rates {
    /// A second's worth may come at once.
    const BURST: Duration = Duration::from_secs(1);

    pub(crate) fn new(per_s: u32) -> Self {
        Self { interval: (per_s > 0).then(|| Self::BURST / per_s), clear_at: HashMap::new() }
    }

    /// Counts one request, or refuses it.
    pub(crate) fn take(&mut self, customer: CustomerId, now: Instant) -> Result<(), Problem> {
        let Some(interval) = self.interval else { return Ok(()) };
        if self.clear_at.len() >= CUSTOMERS_MAX {
            self.clear_at.retain(|_, clear_at| *clear_at > now);
        }
        let clear_at = self.clear_at.entry(customer).or_insert(now);
        let next = (*clear_at).max(now) + interval;
        if next > now + Self::BURST {
            return Err(Problem::plain(&TOO_MANY_REQUESTS));
        }
        *clear_at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_who_asks_too_often_waits_and_others_do_not() {
        let mut rates = Rates::new(10);
        let start = Instant::now();
        let taken = (0..50).filter(|_| rates.take(CustomerId(1), start).is_ok()).count();
        assert_eq!(taken, 10);
        assert!(rates.take(CustomerId(2), start).is_ok());
        assert!(rates.take(CustomerId(1), start + Duration::from_millis(100)).is_ok());
        assert!(rates.take(CustomerId(1), start + Duration::from_millis(100)).is_err());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut rates = Rates::new(0);
        let start = Instant::now();
        assert!((0..10_000).all(|_| rates.take(CustomerId(1), start).is_ok()));
    }
}
