//! SKUs: their names and their counters.

use holdfast_contracts::decision::{BodyWriter, StockFigures};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hash::{Sum, element, hash_bytes};
use crate::holds::NONE;
use crate::paged::Paged;

/// The counters of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Sku {
    pub(crate) on_hand: u64,
    pub(crate) available: u64,
    pub(crate) held: u64,
    pub(crate) committed: u64,
    pub(crate) unavailable: u64,
    pub(crate) shortfall: u64,
    /// The listing of its sale, or [`NONE`].
    pub(crate) listing: u32,
    /// 1 while its line is in the list of those to be served.
    to_serve: u32,
}

impl Sku {
    const NEW: Self = Self {
        on_hand: 0,
        available: 0,
        held: 0,
        committed: 0,
        unavailable: 0,
        shortfall: 0,
        listing: NONE,
        to_serve: 0,
    };

    pub(crate) const fn figures(&self) -> StockFigures {
        StockFigures {
            on_hand: self.on_hand,
            available: self.available,
            held: self.held,
            committed: self.committed,
            unavailable: self.unavailable,
            shortfall: self.shortfall,
        }
    }

    /// Its line could still be served when a record's limit was reached.
    #[inline]
    pub(crate) const fn needs_service(&self) -> bool {
        self.to_serve != 0
    }

    pub(crate) fn set_needs_service(&mut self, needs: bool) {
        self.to_serve = u32::from(needs);
    }

    /// Stops the partition if units appeared or vanished.
    ///
    /// Kept in release builds: stopping costs minutes, selling a unit twice costs trust.
    #[inline]
    pub(crate) fn check(&self) {
        let sum = self.available + self.held + self.committed + self.unavailable;
        assert!(self.on_hand == sum, "units are conserved: {self:?}");
    }
}

/// A counter after some units left it. Going below zero stops the partition.
#[inline]
pub(crate) fn minus(counter: u64, units: u64) -> u64 {
    counter.checked_sub(units).expect("no counter of units goes below zero")
}

/// All SKUs that are known, numbered in the order in which they became so.
#[derive(Debug, Default)]
pub(crate) struct Skus {
    counters: Paged<Sku, 10>,
    names: Names,
    /// For each SKU, its index in the dictionary of the record being written, if it has the current stamp.
    said: Vec<(u32, u32)>,
    stamp: u32,
}

impl Skus {
    pub(crate) const fn paged(&mut self) -> &mut Paged<Sku, 10> {
        &mut self.counters
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn len(&self) -> usize {
        self.counters.len()
    }

    /// The number of a SKU with this name and hash.
    #[inline]
    pub(crate) fn find(&self, name: &str, hash: u64) -> Option<u32> {
        self.names.find(name, hash)
    }

    /// Starts loading what [`Skus::find`] will look at first.
    #[inline]
    pub(crate) fn prefetch_name(&self, hash: u64) {
        self.names.prefetch(hash);
    }

    /// Starts loading a SKU's counters.
    #[inline]
    pub(crate) fn prefetch(&self, number: u32) {
        self.counters.prefetch(number as usize);
        holdfast_memory::prefetch(&self.said[number as usize]);
    }

    /// Makes a SKU known, or finds it.
    pub(crate) fn know(&mut self, name: &str) -> u32 {
        let hash = hash_bytes(name.as_bytes());
        if let Some(number) = self.find(name, hash) {
            return number;
        }
        self.said.push((0, 0));
        self.counters.push(Sku::NEW);
        self.names.add(name, hash)
    }

    /// Makes a name known whose counters are loaded apart.
    pub(crate) fn restore_name(&mut self, name: &str) {
        self.said.push((0, 0));
        self.names.add(name, hash_bytes(name.as_bytes()));
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> &Sku {
        &self.counters[number as usize]
    }

    #[inline]
    pub(crate) fn change(&mut self, number: u32) -> &mut Sku {
        self.counters.change(number as usize)
    }

    /// A new record is being written: no SKU is in its dictionary yet.
    pub(crate) fn begin_record(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.said.fill((0, 0));
            self.stamp = 1;
        }
    }

    /// The SKU's index in the dictionary of the record being written, entered if it is not there yet.
    #[inline]
    pub(crate) fn say(&mut self, number: u32, out: &mut BodyWriter<'_>) -> u32 {
        let (stamp, index) = self.said[number as usize];
        if stamp == self.stamp {
            return index;
        }
        let index = out.sku(self.names.name(number));
        self.said[number as usize] = (self.stamp, index);
        index
    }

    /// The SKU is in the dictionary of the record being written already.
    pub(crate) fn was_said(&mut self, number: u32, index: u32) {
        self.said[number as usize] = (self.stamp, index);
    }

    /// The elements of all counters.
    pub(crate) fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for (number, sku) in self.counters.iter().enumerate() {
            sum.add(element(
                3,
                [
                    number as u64,
                    hash_bytes(
                        self.names.name(u32::try_from(number).expect("fewer than 2^32 SKUs")).as_bytes(),
                    ),
                    sku.on_hand,
                    sku.available,
                    sku.held,
                    sku.committed,
                    sku.unavailable,
                    sku.shortfall,
                    u64::from(sku.listing) << 32 | u64::from(sku.to_serve),
                ],
            ));
        }
        sum
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.counters.memory_bytes()
            + self.names.memory_bytes()
            + self.said.capacity() * size_of::<(u32, u32)>()
    }
}

/// Names by number and numbers by name. Looked up, never iterated by hash.
#[derive(Debug, Default)]
pub(crate) struct Names {
    text: String,
    /// Where each name begins; it ends where the next begins.
    begins: Vec<usize>,
    /// Number plus one and some bits of the hash, 0 for an empty place. A power of two long, at most half full.
    places: Vec<(u32, u32)>,
}

impl Names {
    #[inline]
    pub(crate) fn name(&self, number: u32) -> &str {
        let number = number as usize;
        let end = self.begins.get(number + 1).copied().unwrap_or(self.text.len());
        &self.text[self.begins[number]..end]
    }

    /// The numbers of all names.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.begins.len()).expect("fewer than 2^32 SKUs")
    }

    #[inline]
    fn find(&self, name: &str, hash: u64) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let (home, bits) = self.home(hash);
        let mut at = home;
        loop {
            let (number, found) = self.places[at];
            let number = number.checked_sub(1)?;
            if found == bits && self.name(number) == name {
                return Some(number);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    #[inline]
    fn prefetch(&self, hash: u64) {
        if !self.places.is_empty() {
            holdfast_memory::prefetch(&self.places[self.home(hash).0]);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "parts of a hash are wanted")]
    fn home(&self, hash: u64) -> (usize, u32) {
        (hash as usize & (self.places.len() - 1), (hash >> 32) as u32)
    }

    fn add(&mut self, name: &str, hash: u64) -> u32 {
        let number = u32::try_from(self.begins.len()).expect("fewer than 2^32 SKUs");
        self.begins.push(self.text.len());
        self.text.push_str(name);
        if self.places.len() < 2 * self.begins.len() {
            self.places = vec![(0, 0); (4 * self.begins.len()).next_power_of_two()];
            for known in 0..number {
                self.place(known, hash_bytes(self.name(known).as_bytes()));
            }
        }
        self.place(number, hash);
        number
    }

    fn place(&mut self, number: u32, hash: u64) {
        let (home, bits) = self.home(hash);
        let mut at = home;
        while self.places[at].0 != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = (number + 1, bits);
    }

    fn memory_bytes(&self) -> usize {
        self.text.capacity()
            + self.begins.capacity() * size_of::<usize>()
            + self.places.capacity() * size_of::<(u32, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number() {
        let mut skus = Skus::default();
        for n in 0..5000u32 {
            assert_eq!(skus.know(&format!("sku-{n}")), n);
        }
        for n in 0..5000u32 {
            let name = format!("sku-{n}");
            assert_eq!(skus.know(&name), n);
            assert_eq!(skus.names().name(n), name);
        }
        assert_eq!(skus.find("sku-5000", hash_bytes(b"sku-5000")), None);
    }

    #[test]
    #[should_panic(expected = "units are conserved")]
    fn a_lost_unit_stops_the_partition() {
        Sku { available: 1, ..Sku::NEW }.check();
    }
}
