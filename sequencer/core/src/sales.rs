//! Sales, their terms, and the listings that tie SKUs to them.

use std::collections::VecDeque;

use holdfast_contracts::decision::{Reason, SaleState};
use holdfast_contracts::{LogTime, SaleTerms};
use holdfast_memory::prefetch;

/// A sale.
#[derive(Debug, Clone)]
pub(crate) struct Sale {
    pub(crate) id: String,
    pub(crate) terms: SaleTerms,
    pub(crate) state: SaleState,
    /// Since when no deadline of the sale strikes.
    pub(crate) frozen_since: Option<LogTime>,
    /// Its SKUs in this partition, in byte order of the SKU.
    pub(crate) listings: Vec<u32>,
}

impl Sale {
    /// Why nothing can be reserved now, if that is so.
    #[inline]
    pub(crate) fn refusal(&self, now: LogTime) -> Option<Reason> {
        match self.state {
            SaleState::Draft => Some(Reason::SaleNotOpen),
            SaleState::Paused => Some(Reason::SalePaused),
            SaleState::Closed => Some(Reason::SaleClosed),
            SaleState::Open if self.terms.closes_at.0 != 0 && now >= self.terms.closes_at => {
                Some(Reason::SaleClosed)
            }
            SaleState::Open if now < self.terms.opens_at => Some(Reason::SaleNotOpen),
            SaleState::Open => None,
        }
    }

    pub(crate) const fn is_frozen(&self) -> bool {
        self.frozen_since.is_some()
    }
}

/// A SKU in a sale. A SKU that joins a sale gets a new listing, so old accounts do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) sku: u32,
    pub(crate) sale: u32,
    /// Live holds and waiting reservations with units of it; worked out anew when a checkpoint is loaded.
    pub(crate) live: u32,
}

/// All sales of a partition.
#[derive(Debug, Default)]
pub(crate) struct Sales {
    pub(crate) sales: Vec<Sale>,
    pub(crate) listings: Vec<Listing>,
    /// For each listing, who stands in line: numbers of holds, by decision. Worked out anew when a checkpoint is loaded.
    pub(crate) lines: Vec<VecDeque<u32>>,
    /// Something changed since the last checkpoint.
    pub(crate) dirty: bool,
}

impl Sales {
    /// The numbers of all sales, in the order in which they were defined.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.sales.len()).expect("fewer than 2^32 sales")
    }

    /// The number of a sale.
    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        let at = self.sales.iter().position(|sale| sale.id == id)?;
        Some(u32::try_from(at).expect("fewer than 2^32 sales"))
    }

    #[inline]
    pub(crate) fn sale(&self, number: u32) -> &Sale {
        &self.sales[number as usize]
    }

    /// The sale, about to be changed.
    pub(crate) fn change(&mut self, number: u32) -> &mut Sale {
        self.dirty = true;
        &mut self.sales[number as usize]
    }

    pub(crate) fn add(&mut self, sale: Sale) -> u32 {
        self.dirty = true;
        self.sales.push(sale);
        u32::try_from(self.sales.len() - 1).expect("fewer than 2^32 sales")
    }

    pub(crate) fn add_listing(&mut self, sku: u32, sale: u32) -> u32 {
        self.dirty = true;
        self.listings.push(Listing { sku, sale, live: 0 });
        self.lines.push(VecDeque::new());
        u32::try_from(self.listings.len() - 1).expect("fewer than 2^32 listings")
    }

    #[inline]
    pub(crate) fn listing(&self, number: u32) -> &Listing {
        &self.listings[number as usize]
    }

    #[inline]
    pub(crate) fn listing_mut(&mut self, number: u32) -> &mut Listing {
        &mut self.listings[number as usize]
    }

    /// Starts loading a listing and its line, if there is such a listing.
    #[inline]
    pub(crate) fn prefetch(&self, listing: u32) {
        if let (Some(listing), Some(line)) =
            (self.listings.get(listing as usize), self.lines.get(listing as usize))
        {
            prefetch(listing);
            prefetch(line);
        }
    }

    /// The sale of a listing.
    #[inline]
    pub(crate) fn sale_of(&self, listing: u32) -> &Sale {
        self.sale(self.listing(listing).sale)
    }

    /// Whether the listing is one that its sale still has.
    pub(crate) fn is_listed(&self, listing: u32) -> bool {
        let sale = self.sale_of(listing);
        sale.state != SaleState::Closed && sale.listings.contains(&listing)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.sales.capacity() * size_of::<Sale>()
            + self.sales.iter().map(|sale| sale.id.capacity() + sale.listings.capacity() * 4).sum::<usize>()
            + self.listings.capacity() * size_of::<Listing>()
            + self.lines.capacity() * size_of::<VecDeque<u32>>()
            + self.lines.iter().map(|line| line.capacity() * 4).sum::<usize>()
    }
}
