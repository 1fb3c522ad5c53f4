//! The terms of a sale: everything about a sale that changes an answer.

use crate::LogTime;
use crate::limits::{DURATION_MS_MAX, EXTEND_MAX};

/// Terms of a sale. They reach the machine as a command in the log, never from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaleTerms {
    /// Life of a hold, 1 ms to 30 days.
    pub hold_ttl_ms: u32,
    /// A hold lasts at least this long after the buyer has gone to pay.
    pub payment_window_ms: u32,
    /// Units of one SKU that one customer may hold or have bought; 0 is no limit.
    pub units_per_customer_max: u32,
    /// Units of one reservation over all its lines; 0 is no limit.
    pub units_per_reservation_max: u32,
    /// How often one hold may be extended, at most 15.
    pub extend_max: u32,
    /// Longest life of a hold from its decision, whatever extends it.
    pub hold_total_max_ms: u32,
    /// Life of a hold that the waitlist was offered.
    pub offer_ttl_ms: u32,
    /// First moment of the sale; 0 is no bound.
    pub opens_at: LogTime,
    /// First moment after the sale; 0 is no bound.
    pub closes_at: LogTime,
    /// Whether buyers may stand in line.
    pub waitlist: bool,
}

impl Default for SaleTerms {
    /// Ten minutes to buy, two more to pay, one extension, no limits, no window, no waitlist.
    fn default() -> Self {
        Self {
            hold_ttl_ms: 600_000,
            payment_window_ms: 120_000,
            units_per_customer_max: 0,
            units_per_reservation_max: 0,
            extend_max: 1,
            hold_total_max_ms: 1_800_000,
            offer_ttl_ms: 600_000,
            opens_at: LogTime(0),
            closes_at: LogTime(0),
            waitlist: false,
        }
    }
}

impl SaleTerms {
    /// Whether these terms can hold together: every duration in its bounds and none contradicting another.
    #[must_use]
    pub fn are_valid(&self) -> bool {
        let duration = |ms: u32| (1..=DURATION_MS_MAX).contains(&ms);
        duration(self.hold_ttl_ms)
            && duration(self.payment_window_ms)
            && duration(self.offer_ttl_ms)
            && duration(self.hold_total_max_ms)
            && self.hold_ttl_ms <= self.hold_total_max_ms
            && self.offer_ttl_ms <= self.hold_total_max_ms
            && self.extend_max <= EXTEND_MAX
            && (self.closes_at.0 == 0 || self.closes_at > self.opens_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert!(SaleTerms::default().are_valid());
    }

    #[test]
    fn a_sale_cannot_close_before_it_opens() {
        let terms = SaleTerms { opens_at: LogTime(10), closes_at: LogTime(10), ..SaleTerms::default() };
        assert!(!terms.are_valid());
    }
}
