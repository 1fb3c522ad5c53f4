//! The auditor's account of one SKU.

use holdfast_contracts::command::{AdjustStock, SetStock};
use holdfast_contracts::decision::StockFigures;

use super::Check;
use crate::answer::Sku;

/// Where the units of a SKU are.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) available: u64,
    held: u64,
    sold: u64,
    unavailable: u64,
    shortfall: u64,
}

fn minus(from: &mut u64, units: u64, what: &str) -> Check {
    *from = from
        .checked_sub(units)
        .ok_or_else(|| format!("{units} units taken from {what}, which has {from}"))?;
    Ok(())
}

impl Book {
    pub(super) fn hold(&mut self, units: u32) -> Check {
        self.held += u64::from(units);
        minus(&mut self.available, u64::from(units), "available")
    }

    pub(super) fn sell(&mut self, units: u32) -> Check {
        self.sold += u64::from(units);
        minus(&mut self.held, u64::from(units), "held")
    }

    pub(super) fn take_back(&mut self, units: u32) -> Check {
        let units = u64::from(units);
        let owed = units.min(self.shortfall);
        self.shortfall -= owed;
        self.available += units - owed;
        minus(&mut self.held, units, "held")
    }

    pub(super) fn set(&mut self, it: &SetStock<'_>) -> Check {
        let promised = self.held + self.sold + self.unavailable;
        if it.on_hand < promised && !it.force {
            return Err(format!("{} on hand set without force, {promised} are promised", it.on_hand));
        }
        self.available = it.on_hand.saturating_sub(promised);
        self.shortfall = promised.saturating_sub(it.on_hand);
        Ok(())
    }

    pub(super) fn adjust(&mut self, it: &AdjustStock<'_>) -> Check {
        if it.delta > 0 {
            let owed = it.delta.unsigned_abs().min(self.shortfall);
            self.shortfall -= owed;
            self.available += it.delta.unsigned_abs() - owed;
        }
        if it.set_aside < 0 {
            minus(&mut self.unavailable, it.set_aside.unsigned_abs(), "unavailable")?;
            self.available += it.set_aside.unsigned_abs();
        } else {
            self.unavailable += it.set_aside.unsigned_abs();
            minus(&mut self.available, it.set_aside.unsigned_abs(), "available")?;
        }
        if it.delta < 0 {
            minus(&mut self.available, it.delta.unsigned_abs(), "available")?;
        }
        Ok(())
    }

    pub(super) fn agrees(&self, sku: &Sku, told: &StockFigures) -> Check {
        let mine = StockFigures {
            on_hand: self.available + self.held + self.sold + self.unavailable,
            available: self.available,
            held: self.held,
            committed: self.sold,
            unavailable: self.unavailable,
            shortfall: self.shortfall,
        };
        if mine == *told { Ok(()) } else { Err(format!("{sku}: told {told:?}, the books say {mine:?}")) }
    }
}
