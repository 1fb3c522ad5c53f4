//! Accounts: how many units of a listing a customer has, held, waited for or bought.
//!
//! Worked out anew from the holds when a checkpoint is loaded, so a checkpoint need not contain them.

use holdfast_contracts::CustomerId;

use crate::groups::{Groups, TableHash};
use crate::hash::hash_pair;

/// Accounts of one bin stand side by side, without holes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Account {
    customer: u64,
    listing: u32,
    units: u32,
}

impl Account {
    const fn hash(&self) -> TableHash {
        hash_of(self.listing, CustomerId(self.customer))
    }
}

/// Units by listing and customer.
#[derive(Debug)]
pub(crate) struct Accounts {
    bins: Vec<Bin>,
    bin_shift: u32,
}

#[derive(Debug, Clone, Default)]
struct Bin {
    groups: Groups,
    accounts: Vec<Account>,
}

/// The hash of an account, computed once and used for prefetching and finding.
#[inline]
pub(crate) const fn hash_of(listing: u32, customer: CustomerId) -> TableHash {
    TableHash(hash_pair(customer.0, listing as u64))
}

impl Accounts {
    /// No accounts; `bins` is a power of two and changes only speed and memory.
    pub(crate) fn new(bins: usize) -> Self {
        assert!(bins.is_power_of_two(), "bins: a power of two");
        Self { bins: vec![Bin::default(); bins], bin_shift: 64 - bins.trailing_zeros() }
    }

    #[inline]
    pub(crate) fn prefetch(&self, hash: TableHash) {
        self.bins[hash.bin(self.bin_shift)].groups.prefetch(hash);
    }

    /// Units of this customer.
    #[inline]
    pub(crate) fn units(&self, hash: TableHash, listing: u32, customer: CustomerId) -> u32 {
        let bin = &self.bins[hash.bin(self.bin_shift)];
        bin.find(hash, listing, customer).map_or(0, |at| bin.accounts[at].units)
    }

    /// Adds units, at least one.
    #[inline]
    pub(crate) fn add(&mut self, hash: TableHash, listing: u32, customer: CustomerId, units: u32) {
        let bin = &mut self.bins[hash.bin(self.bin_shift)];
        match bin.find(hash, listing, customer) {
            Some(at) => {
                let account = &mut bin.accounts[at];
                account.units = account.units.checked_add(units).expect("a customer's units fit 32 bits");
            }
            None => bin.open(hash, Account { customer: customer.0, listing, units }),
        }
    }

    /// Takes units away that were added before.
    pub(crate) fn take(&mut self, listing: u32, customer: CustomerId, units: u32) {
        let hash = hash_of(listing, customer);
        let bin = &mut self.bins[hash.bin(self.bin_shift)];
        let at = bin.find(hash, listing, customer);
        let at = at.expect("units come back to an account that never had them");
        let left = bin.accounts[at].units.checked_sub(units);
        bin.accounts[at].units = left.expect("units come back to an account that has fewer");
        if left == Some(0) {
            bin.close(at);
        }
    }

    /// Drops the accounts of listings that nobody can use any more.
    pub(crate) fn drop_listings(&mut self, is_dead: impl Fn(u32) -> bool) {
        for bin in &mut self.bins {
            for at in (0..bin.accounts.len()).rev() {
                if is_dead(bin.accounts[at].listing) {
                    bin.close(at);
                }
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let bins = self.bins.iter();
        self.bins.capacity() * size_of::<Bin>()
            + bins
                .map(|bin| bin.groups.memory_bytes() + bin.accounts.capacity() * size_of::<Account>())
                .sum::<usize>()
    }
}

impl Bin {
    #[inline]
    fn find(&self, hash: TableHash, listing: u32, customer: CustomerId) -> Option<usize> {
        self.groups.find(hash, |at| {
            let account = &self.accounts[at];
            account.customer == customer.0 && account.listing == listing
        })
    }

    #[inline]
    fn open(&mut self, hash: TableHash, account: Account) {
        if self.groups.must_grow(self.accounts.len()) {
            self.groups.grow(self.accounts.iter().map(Account::hash));
        }
        if self.accounts.len() == self.accounts.capacity() {
            // Small steps: copying is cheaper than memory that nobody uses.
            self.accounts.reserve_exact(self.accounts.len() / 8 + 4);
        }
        self.groups.enter(hash, self.accounts.len());
        self.accounts.push(account);
    }

    /// Removes an account; the last one takes its place.
    fn close(&mut self, at: usize) {
        self.groups.remove(self.accounts[at].hash(), at);
        let last = self.accounts.len() - 1;
        if at != last {
            self.groups.moved(self.accounts[last].hash(), last, at);
        }
        self.accounts.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn units(accounts: &Accounts, listing: u32, customer: u64) -> u32 {
        let customer = CustomerId(customer);
        accounts.units(hash_of(listing, customer), listing, customer)
    }

    fn add(accounts: &mut Accounts, listing: u32, customer: u64, units: u32) {
        accounts.add(hash_of(listing, CustomerId(customer)), listing, CustomerId(customer), units);
    }

    #[test]
    fn accounts_agree_with_a_map_through_any_coming_and_going() {
        let mut accounts = Accounts::new(16);
        let mut model = BTreeMap::<(u32, u64), u32>::new();
        let mut seed = 1u64;
        for _ in 0..300_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (listing, customer) = ((seed >> 60) as u32 % 3, seed >> 33 & 0xfff);
            let entry = model.entry((listing, customer)).or_default();
            if *entry > 0 && seed >> 20 & 1 == 0 {
                let n = 1 + u32::try_from(seed >> 32).unwrap() % *entry;
                accounts.take(listing, CustomerId(customer), n);
                *entry -= n;
            } else {
                add(&mut accounts, listing, customer, 2);
                *entry += 2;
            }
        }
        for ((listing, customer), n) in &model {
            assert_eq!(units(&accounts, *listing, *customer), *n);
        }
        let open: usize = accounts.bins.iter().map(|bin| bin.accounts.len()).sum();
        assert_eq!(open, model.values().filter(|n| **n > 0).count());

        accounts.drop_listings(|listing| listing == 1);
        for ((listing, customer), n) in &model {
            let expected = if *listing == 1 { 0 } else { *n };
            assert_eq!(units(&accounts, *listing, *customer), expected);
        }
    }

    #[test]
    fn an_account_takes_23_bytes_or_less() {
        let mut accounts = Accounts::new(4096);
        for n in 1..=1_000_000 {
            add(&mut accounts, 0, n, 1);
        }
        let each = accounts.memory_bytes() as u64 / 1_000_000;
        assert!(each <= 23, "{each} bytes");
    }
}
