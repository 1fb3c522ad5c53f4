//! Lines of reservations that need more room than their hold has: several SKUs, or fewer units than asked for.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::holds::{Hold, NONE};
use crate::paged::Paged;
use crate::pages::PageSink;

/// One line, in a list that begins at its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Node {
    listing: u32,
    quantity: u32,
    granted: u32,
    next: u32,
}

/// One line of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoldLine {
    pub(crate) listing: u32,
    pub(crate) quantity: u32,
    pub(crate) granted: u32,
}

/// The lines of all holds that have their own.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    nodes: Paged<Node, 14>,
    free: Vec<u32>,
}

impl Lines {
    pub(crate) fn freeze(&mut self) {
        self.nodes.freeze();
    }

    pub(crate) fn soil_all(&mut self) {
        self.nodes.soil_all();
    }

    pub(crate) fn copy_frozen(&mut self, kind: u8, budget: &mut usize, sink: &mut dyn PageSink) -> bool {
        self.nodes.copy_frozen(kind, budget, sink)
    }

    pub(crate) fn restore_page(&mut self, page: u64, bytes: &[u8]) -> Option<()> {
        self.nodes.restore_page(page, bytes)
    }

    /// Stores lines; the number of the first.
    pub(crate) fn add(&mut self, lines: &[HoldLine]) -> u32 {
        let mut next = NONE;
        for line in lines.iter().rev() {
            let node = Node { listing: line.listing, quantity: line.quantity, granted: line.granted, next };
            next = match self.free.pop() {
                Some(number) => {
                    *self.nodes.change(number as usize) = node;
                    number
                }
                None => u32::try_from(self.nodes.push(node)).expect("lines have 32-bit numbers"),
            };
        }
        next
    }

    /// The lines of a hold, in order of SKU.
    pub(crate) fn of(&self, hold: &Hold) -> impl Iterator<Item = HoldLine> {
        let single = hold.listing().map(|listing| HoldLine {
            listing,
            quantity: hold.units(),
            granted: hold.units(),
        });
        let mut next = hold.first_line().unwrap_or(NONE);
        let several = std::iter::from_fn(move || {
            let node = self.nodes.get(next as usize)?;
            next = node.next;
            Some(HoldLine { listing: node.listing, quantity: node.quantity, granted: node.granted })
        });
        single.into_iter().chain(several)
    }

    /// Frees the lines of a forgotten hold.
    pub(crate) fn free(&mut self, hold: &Hold) {
        let mut next = hold.first_line().unwrap_or(NONE);
        while let Some(node) = self.nodes.get(next as usize).copied() {
            self.free.push(next);
            next = node.next;
        }
    }

    /// Finds the free places again after loading: those that no hold leads to.
    pub(crate) fn restore_free<'h>(&mut self, holds: impl Iterator<Item = &'h Hold>) {
        let mut used = vec![false; self.nodes.len()];
        for hold in holds.filter(|hold| hold.state().is_some()) {
            let mut next = hold.first_line().unwrap_or(NONE);
            while let Some(node) = self.nodes.get(next as usize) {
                if std::mem::replace(&mut used[next as usize], true) {
                    break;
                }
                next = node.next;
            }
        }
        self.free.clear();
        for number in (0..used.len()).rev().filter(|number| !used[*number]) {
            self.free.push(u32::try_from(number).expect("lines have 32-bit numbers"));
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes() + self.free.capacity() * size_of::<u32>()
    }
}
