//! Queries: what a worker shows between two records must be what the model says.

use holdfast_contracts::decision::HoldState;
use holdfast_core::IdView;

use super::{Check, World, WorldMark};

impl World {
    /// Looks at a worker's machine, if it stands where the model stands.
    pub(super) fn query(&mut self, host: usize) -> Check {
        let Some(worker) = &self.hosts[host].worker else { return Ok(()) };
        let truth = &self.truths[Self::place(self.hosts[host].setup.partition)];
        if !worker.is_ready() || worker.next_offset().0 != truth.decided() || truth.stopped_at().is_some() {
            return Ok(());
        }
        let (machine, model) = (worker.machine().machine(), truth.model());
        for sku in machine.skus() {
            let (seen, right) = (machine.view_sku(sku), model.sku_view(sku));
            let seen = seen.map(|view| (view.figures, view.sale.is_some(), view.waiting));
            let right = right.map(|view| (view.figures, view.sale.is_some(), view.waiting));
            if seen != right {
                return Err(format!("host {host} shows SKU {sku} as {seen:?}, the model says {right:?}"));
            }
        }
        for sale in machine.sales() {
            let seen = machine.view_sale(sale).map(|view| (view.state, view.terms));
            let right = model.sale_view(sale);
            if seen != right {
                return Err(format!("host {host} shows sale {sale} as {seen:?}, the model says {right:?}"));
            }
        }
        let now = model.log_time_ms().unwrap_or(0);
        for id in truth.reader.recent_ids() {
            let seen = match machine.view_id(*id) {
                Some(IdView::Reservation(view)) => Some(view),
                _ => None,
            };
            let right = model.reservation_view(*id);
            let left = right.as_ref().and_then(|view| view.deadline_ms).map(|at| at.saturating_sub(now));
            let agree = match (&seen, &right) {
                (None, None) => true,
                (Some(seen), Some(right)) => {
                    let lives = matches!(right.state, HoldState::Held | HoldState::Paying);
                    seen.customer.0 == right.customer
                        && seen.state == right.state
                        && seen.extends == right.extended
                        && (!lives || left == Some(seen.expires_in_ms))
                }
                _ => false,
            };
            if !agree {
                return Err(format!("host {host} shows {id} as {seen:?}, the model says {right:?}"));
            }
        }
        self.marks.hit(WorldMark::ViewAgreed);
        Ok(())
    }
}
