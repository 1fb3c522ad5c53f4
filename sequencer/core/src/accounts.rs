//! Accounts: how many units of a listing a customer has, held, waited for or bought.
//!
//! Worked out anew from the holds when a checkpoint is loaded, so a checkpoint need not contain them.

use holdfast_contracts::CustomerId;

use zerocopy::FromZeros;

use crate::groups::{GroupPool, Groups, Home, TableHash, candidates, prefetch_home};
use crate::hash::hash_pair;
use crate::pool::{List, Pool};

/// Accounts of one bin stand side by side, without holes.
#[derive(Debug, Clone, Copy, FromZeros)]
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
    groups: GroupPool,
    pool: Pool<Account>,
}

/// Within one cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Bin {
    groups: Groups,
    list: List,
}

const _: () = assert!(size_of::<Bin>() == 64);

/// An account that was looked for, there or not. Good until an account is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    home: Home,
    place: Option<usize>,
    /// Units of the account, 0 if there is none.
    pub(crate) units: u32,
}

#[inline(always)]
const fn hash_of(listing: u32, customer: CustomerId) -> TableHash {
    TableHash(hash_pair(customer.0, listing as u64))
}

impl Accounts {
    /// No accounts; `bins` is a power of two and changes only speed and memory.
    pub(crate) fn new(bins: usize) -> Self {
        assert!(bins.is_power_of_two(), "bins: a power of two");
        Self {
            bins: (0..bins).map(|bin| Bin { groups: Groups::new(bin), list: List::default() }).collect(),
            bin_shift: 64 - bins.trailing_zeros(),
            groups: GroupPool::default(),
            pool: Pool::default(),
        }
    }

    /// Takes memory for so many accounts. Only for a table that is empty.
    pub(crate) fn prepare(&mut self, accounts: usize) {
        let in_a_bin = accounts.div_ceil(self.bins.len());
        for bin in &mut self.bins {
            bin.groups = Groups::sized(&mut self.groups, in_a_bin);
        }
        self.pool.prepare(accounts, self.bins.len());
    }

    #[inline(always)]
    fn bin(&self, hash: TableHash) -> &Bin {
        &self.bins[hash.bin(self.bin_shift)]
    }

    /// Starts loading what [`Accounts::find`] will look at first.
    #[inline(always)]
    pub(crate) fn prefetch(&self, listing: u32, customer: CustomerId) -> Home {
        let hash = hash_of(listing, customer);
        let home = self.bin(hash).groups.home(hash);
        prefetch_home(&self.groups, home);
        home
    }

    /// Starts loading what else will be needed, once that is there.
    #[inline(always)]
    pub(crate) fn prefetch_entries(&self, home: Home) {
        let list = &self.bin(home.hash).list;
        candidates(&self.groups, home, |at| self.pool.prefetch(list, at));
        self.pool.prefetch_end(list);
    }

    /// Looks for an account.
    #[inline(always)]
    pub(crate) fn find(&self, listing: u32, customer: CustomerId) -> Found {
        let hash = hash_of(listing, customer);
        self.find_at(self.bin(hash).groups.home(hash), listing, customer)
    }

    /// Looks for an account where [`Accounts::prefetch`] said that it would be.
    #[inline(always)]
    pub(crate) fn find_at(&self, home: Home, listing: u32, customer: CustomerId) -> Found {
        let bin = self.bin(home.hash);
        let place = bin.groups.find(&self.groups, home, |at| {
            let account = self.pool.get(&bin.list, at);
            account.customer == customer.0 && account.listing == listing
        });
        let units = place.map_or(0, |at| self.pool.get(&bin.list, at).units);
        Found { home, place, units }
    }

    /// Adds units, at least one, to an account that was looked for.
    #[inline(always)]
    pub(crate) fn add(&mut self, found: Found, listing: u32, customer: CustomerId, units: u32) {
        let bin = &mut self.bins[found.home.hash.bin(self.bin_shift)];
        match found.place {
            Some(at) => {
                let account = self.pool.get_mut(&bin.list, at);
                account.units = account.units.checked_add(units).expect("a customer's units fit 32 bits");
            }
            None => {
                if bin.groups.must_grow(bin.list.len()) {
                    bin.grow(&mut self.groups, &self.pool);
                }
                bin.groups.enter(&mut self.groups, found.home, bin.list.len());
                self.pool.push(&mut bin.list, Account { customer: customer.0, listing, units });
            }
        }
    }

    /// Takes units away that were added before.
    pub(crate) fn take(&mut self, listing: u32, customer: CustomerId, units: u32) {
        let found = self.find(listing, customer);
        let at = found.place.expect("units come back to an account that never had them");
        let number = found.home.hash.bin(self.bin_shift);
        let account = self.pool.get_mut(&self.bins[number].list, at);
        let left = account.units.checked_sub(units);
        account.units = left.expect("units come back to an account that has fewer");
        if left == Some(0) {
            self.close(number, at);
        }
    }

    /// Drops the accounts of listings that nobody can use any more.
    pub(crate) fn drop_listings(&mut self, is_dead: impl Fn(u32) -> bool) {
        for number in 0..self.bins.len() {
            for at in (0..self.bins[number].list.len()).rev() {
                if is_dead(self.pool.get(&self.bins[number].list, at).listing) {
                    self.close(number, at);
                }
            }
        }
    }

    /// Removes an account; the last one takes its place.
    fn close(&mut self, number: usize, at: usize) {
        let bin = &mut self.bins[number];
        bin.groups.remove(&mut self.groups, self.pool.get(&bin.list, at).hash(), at);
        let last = bin.list.len() - 1;
        if at != last {
            bin.groups.moved(&mut self.groups, self.pool.get(&bin.list, last).hash(), last, at);
        }
        self.pool.swap_remove(&mut bin.list, at);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<Bin>()
            + self.bins.iter().map(|bin| bin.list.memory_bytes()).sum::<usize>()
            + self.groups.memory_bytes()
            + self.pool.memory_bytes()
    }
}

impl Bin {
    #[cold]
    fn grow(&mut self, groups: &mut GroupPool, pool: &Pool<Account>) {
        self.groups.grow(groups, pool.iter(&self.list).map(Account::hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn units(accounts: &Accounts, listing: u32, customer: u64) -> u32 {
        accounts.find(listing, CustomerId(customer)).units
    }

    fn add(accounts: &mut Accounts, listing: u32, customer: u64, units: u32) {
        let found = accounts.find(listing, CustomerId(customer));
        accounts.add(found, listing, CustomerId(customer), units);
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
        let open: usize = accounts.bins.iter().map(|bin| bin.list.len()).sum();
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
