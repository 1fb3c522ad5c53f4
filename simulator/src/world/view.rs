//! Queries: what a worker shows between two records must be what the model says.

use std::fmt::Write as _;

use holdfast_contracts::decision::HoldState;
use holdfast_core::IdView;
use holdfast_log::{OrderedLog, StreamId};

use super::{Check, World, WorldMark};

impl World {
    /// Where logs, disks and workers stand, as text.
    pub(super) fn standing(&self) -> String {
        let mut text = String::new();
        for truth in &self.truths {
            let partition = truth.partition();
            let commands = self.log.watermarks(StreamId::inventory_commands(partition));
            let decisions = self.log.watermarks(StreamId::inventory_decisions(partition));
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "    partition {partition}: commands {commands:?}, decisions {decisions:?}, outputs {}, read {}",
                truth.outputs(),
                truth.reader.last()
            );
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let place = |anchor: holdfast_engine::Anchor| {
                (anchor.next_offset.0, anchor.out_seq.0, anchor.out_offset.0)
            };
            let (seen, kept) = (disk.anchor().map(place), disk.flushed_anchor().map(place));
            let _ =
                writeln!(text, "    disk {number}: {seen:?}, flushed {kept:?}, {} waiting", disk.waiting());
        }
        for (number, host) in self.hosts.iter().enumerate() {
            let Some(worker) = &host.worker else { continue };
            let _ = writeln!(
                text,
                "    host {number}: {:?}, next {}, out_seq {}, {} unacknowledged, checkpoint {}",
                worker.role(),
                worker.next_offset(),
                worker.out_seq(),
                worker.outputs_unacknowledged(),
                worker.checkpoint().next_offset
            );
        }
        text
    }

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
