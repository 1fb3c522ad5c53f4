//! Section 4: a confirm that comes too late and takes the units again if they are free.

use holdfast_contracts::decision::HoldState;

use super::{Model, Place};
use crate::marks::Mark;

impl Model {
    /// Takes the units of an ended reservation again and confirms it, or says no.
    ///
    /// A hold that is over but has not expired yet is expired first, whatever comes of the rest.
    pub(super) fn reacquire(&mut self, place: Place) -> bool {
        if self.reservation(place).is_live() {
            self.marks.hit(Mark::ReacquireExpiresADueHoldFirst);
            self.expire(place);
        }
        if self.reservation(place).ended_waiting {
            self.marks.hit(Mark::ReacquireOfOneThatEndedWaiting);
            return false;
        }
        if let Err(why) = self.may_reacquire(place) {
            self.marks.hit(why);
            return false;
        }
        let reservation = self.reservation_mut(place);
        let was = std::mem::replace(&mut reservation.state, HoldState::Confirmed);
        let (sale, customer, lines) = (reservation.sale, reservation.customer, reservation.lines.clone());
        for line in lines {
            self.take_available(&line.sku, line.granted);
            self.sku_mut(&line.sku).committed += u64::from(line.granted);
            self.add_to_account(sale, &line.sku, customer, line.granted);
        }
        self.marks.hit(if was == HoldState::Released {
            Mark::ReacquiredAfterRelease
        } else {
            Mark::ReacquiredAfterExpiry
        });
        true
    }

    fn may_reacquire(&mut self, place: Place) -> Result<(), Mark> {
        let reservation = self.reservation(place);
        let (sale, customer, lines) = (reservation.sale, reservation.customer, reservation.lines.clone());
        let most = u64::from(self.sales[sale].terms.units_per_customer_max);
        // Reading: "for every line" includes the empty lines of a partial grant.
        for line in lines {
            let granted = u64::from(line.granted);
            if self.sku(&line.sku).sale != Some(sale) {
                return Err(Mark::ReacquireFailedSaleChanged);
            }
            if self.sale_is_open(Some(sale)).is_err() {
                return Err(Mark::ReacquireFailedSaleNotOpen);
            }
            if most != 0 && self.account(sale, &line.sku, customer) + granted > most {
                return Err(Mark::ReacquireFailedCustomerLimit);
            }
            if self.somebody_waits(&line.sku) {
                return Err(Mark::ReacquireFailedLineWaits);
            }
            if self.offered(&line.sku) < granted {
                return Err(Mark::ReacquireFailedNoStock);
            }
        }
        Ok(())
    }
}
