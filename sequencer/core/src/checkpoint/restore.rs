//! Loading a checkpoint: pages in, and everything that follows from them worked out anew.

use zerocopy::{FromZeros, IntoBytes};

use super::copy::SEQUENCE_BITS;
use super::meta;
use crate::answer::Answer;
use crate::holds::{NEVER, NONE};
use crate::ids::{Entry, EntryRef, IdTable};
use crate::lines::HoldLine;
use crate::machine::{Machine, MachineConfig};
use crate::pages::{RestoreError, kind};
use crate::state::outlives_its_generation;
use crate::wheel::Wheel;

/// Loads the pages of a checkpoint one after the other, in order of kind and number.
#[derive(Debug)]
pub struct Restore {
    machine: Machine,
    saved: Option<Saved>,
    /// Ids that are old by now, in the order of their generations. What became of their holds decides about them.
    old: Vec<Entry>,
    /// Holds that an id leads to.
    claimed: Vec<bool>,
}

/// What the meta page says about the rest.
#[derive(Debug, Clone, Copy)]
struct Saved {
    generation: u64,
    oldest_generation: u64,
    digest: u128,
}

impl Restore {
    /// Begins to load a checkpoint.
    #[must_use]
    pub fn new(config: MachineConfig) -> Self {
        Self { machine: Machine::unprepared(config), saved: None, old: Vec::new(), claimed: Vec::new() }
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// [`RestoreError`] if the page cannot belong to a checkpoint of this machine. Nothing else was changed by it.
    pub fn page(&mut self, page_kind: u8, number: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        let bad = RestoreError::BadPage { kind: page_kind, page: number };
        if page_kind == kind::META {
            return self.meta_page(bytes);
        }
        let Some(saved) = self.saved else { return Err(RestoreError::NoMeta) };
        match page_kind {
            kind::NAMES => self.names(number, bytes).ok_or(bad),
            kind::SKUS => self.machine.skus.paged().restore_page(number, bytes).ok_or(bad),
            kind::LINES => self.machine.lines.restore_page(number, bytes).ok_or(bad),
            kind::HOLDS => self.machine.holds.slots.restore_page(number, bytes).ok_or(bad),
            kind::ELDERS => {
                self.machine.copying.elder_pages = number + 1;
                self.old.extend_from_slice(&entries(bytes).ok_or(bad)?);
                Ok(())
            }
            kind::IDS => {
                let generation = number >> SEQUENCE_BITS;
                let pages = self.machine.copying.id_pages.entry(generation).or_default();
                *pages = (*pages).max((number & ((1 << SEQUENCE_BITS) - 1)) + 1);
                let entries = entries(bytes).ok_or(bad)?;
                if generation < saved.oldest_generation {
                    self.old.extend_from_slice(&entries);
                    return Ok(());
                }
                self.ids(generation, &entries)
            }
            _ => Err(bad),
        }
    }

    fn meta_page(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let (meta, key) = meta::decode(bytes)?;
        let config = self.machine.config;
        if (meta.partition, meta.partitions) != (config.partition.0, config.partitions) {
            return Err(RestoreError::OtherPartition);
        }
        if key != self.machine.fingerprint() {
            return Err(RestoreError::OtherControlKey);
        }
        self.machine.ids = IdTable::restoring(config.id_bins, meta.oldest_generation);
        self.machine.prepare();
        self.saved = Some(Saved {
            generation: meta.generation,
            oldest_generation: meta.oldest_generation,
            digest: meta.digest,
        });
        self.machine.restore_meta(meta)
    }

    fn names(&mut self, first: u64, mut bytes: &[u8]) -> Option<()> {
        let skus = &mut self.machine.skus;
        if first != skus.names().numbers().len() as u64 {
            return None;
        }
        while let [len, rest @ ..] = bytes {
            let (name, rest) = rest.split_at_checked(usize::from(*len))?;
            skus.restore_name(std::str::from_utf8(name).ok()?);
            bytes = rest;
        }
        Some(())
    }

    fn ids(&mut self, generation: u64, entries: &[Entry]) -> Result<(), RestoreError> {
        let current = self.machine.ids.generations.number();
        if generation < current {
            return Err(RestoreError::Contradiction("pages of ids out of order"));
        }
        if generation > current {
            self.machine.ids.roll(generation - current);
        }
        for entry in entries {
            let at = self.machine.ids.restore(*entry);
            self.claim(entry, at)?;
        }
        Ok(())
    }

    /// Ties an entry and its hold together.
    fn claim(&mut self, entry: &Entry, at: EntryRef) -> Result<(), RestoreError> {
        match Answer::unpack(entry.word) {
            Answer::Hold(number) => {
                let slots = self.machine.holds.slots.len();
                self.claimed.resize(slots, false);
                if number as usize >= slots || std::mem::replace(&mut self.claimed[number as usize], true) {
                    return Err(RestoreError::Contradiction("an id without a hold of its own"));
                }
                self.machine.holds.change_derived(number).set_entry(at);
            }
            _ => self.machine.restore_entry_sum(at),
        }
        Ok(())
    }

    /// Works out what follows from the pages and compares the digest.
    ///
    /// # Errors
    /// [`RestoreError`] if the state loaded is not the state saved.
    pub fn finish(mut self) -> Result<Machine, RestoreError> {
        let Some(saved) = self.saved else { return Err(RestoreError::NoMeta) };
        let current = self.machine.ids.generations.number();
        if saved.generation > current {
            self.machine.ids.roll(saved.generation - current);
        }
        self.check_numbers()?;
        self.restore_old()?;
        self.claimed.resize(self.machine.holds.slots.len(), false);
        self.restore_holds()?;
        let machine = &mut self.machine;
        let bins = machine.ids.bins();
        machine.copying.marks = (0..bins).map(|bin| machine.ids.bounds(bin).1).collect();
        machine.copying.generation = saved.generation;
        machine.copying.names = machine.skus.len();
        // What was dropped as forgotten is still in the pages: the next checkpoint writes the old ids anew.
        machine.sweep.completed = true;
        if machine.digest().0 != saved.digest {
            return Err(RestoreError::Digest);
        }
        Ok(self.machine)
    }

    /// Whether every number that leads from one part to another leads somewhere.
    fn check_numbers(&self) -> Result<(), RestoreError> {
        let machine = &self.machine;
        let (skus, listings) = (machine.skus.len(), machine.sales.listings.len());
        let names = machine.skus.names().numbers().len();
        let sku_ok = |number: u32| machine.skus.get(number).listing;
        let listing_ok = |number: u32| number == NONE || (number as usize) < listings;
        if names != skus
            || !machine.sales.listings.iter().all(|listing| (listing.sku as usize) < skus)
            || !machine.skus.names().numbers().all(|number| listing_ok(sku_ok(number)))
            || !machine.sales.sales.iter().flat_map(|sale| &sale.listings).all(|n| (*n as usize) < listings)
            || !machine.work.to_serve.iter().all(|n| (*n as usize) < skus)
            || !machine.work.ending.iter().all(|n| (*n as usize) < machine.sales.sales.len())
        {
            return Err(RestoreError::Contradiction("numbers of SKUs, listings or sales that lead nowhere"));
        }
        let line_ok = |line: HoldLine| (line.listing as usize) < listings && line.granted <= line.quantity;
        for number in machine.holds.numbers() {
            let hold = machine.holds.get(number);
            let several = hold.first_line().is_some();
            let mut lines = machine.lines.of(hold);
            let known = hold.state().is_none()
                || (lines.by_ref().take(holdfast_contracts::limits::RESERVE_LINES_MAX).all(line_ok)
                    && lines.next().is_none()
                    && (!several || machine.lines.of(hold).next().is_some()));
            if !known {
                return Err(RestoreError::Contradiction("lines of a hold that lead nowhere"));
            }
        }
        Ok(())
    }

    /// Old ids are remembered for their holds only. The slot of a forgotten one may belong to a younger id by now, so the
    /// youngest claim to a slot is the right one.
    fn restore_old(&mut self) -> Result<(), RestoreError> {
        let machine = &mut self.machine;
        self.claimed.resize(machine.holds.slots.len(), false);
        let mut needed = Vec::new();
        for entry in std::mem::take(&mut self.old).into_iter().rev() {
            let Answer::Hold(number) = Answer::unpack(entry.word) else { continue };
            match self.claimed.get_mut(number as usize) {
                None => return Err(RestoreError::Contradiction("an id without a hold of its own")),
                Some(true) => {}
                Some(claimed) => {
                    *claimed =
                        outlives_its_generation(&entry, &machine.holds, &machine.lines, &machine.sales);
                    needed.extend(claimed.then_some(entry));
                }
            }
        }
        needed.reverse();
        let holds = &mut self.machine.holds;
        self.machine.ids.restore_old(needed, |entry, at| {
            if let Answer::Hold(number) = Answer::unpack(entry.word) {
                holds.change_derived(number).set_entry(at);
            }
        });
        Ok(())
    }

    fn restore_holds(&mut self) -> Result<(), RestoreError> {
        let machine = &mut self.machine;
        machine.wheel = Wheel::new(machine.config.wheel_slots, machine.clock.now());
        let mut waiting = Vec::new();
        for number in machine.holds.numbers() {
            let hold = *machine.holds.get(number);
            if hold.state().is_none() {
                continue;
            }
            if !self.claimed[number as usize] {
                // Its id was forgotten, so nothing leads to it any more.
                machine.holds.drop_forgotten(number);
                continue;
            }
            machine.holds.change_derived(number).unlink();
            let element = machine.hold_element(number);
            if hold.is_live() {
                machine.live_sum.add(element);
                if hold.is_waiting() {
                    waiting.push(number);
                }
                if hold.deadline() < NEVER {
                    machine.wheel.add(number, &mut machine.holds);
                }
            } else if let Some(generation) = machine.ids.generation_of(hold.entry())
                && let Some(sum) = machine.ids.generations.sum_of(generation)
            {
                sum.add(element);
            }
        }
        machine.holds.restore_free();
        machine.lines.restore_free(machine.holds.slots.iter());
        waiting.sort_by_key(|number| machine.holds.get(*number).decided_at());
        for number in waiting {
            let listing = machine.holds.get(number).listing();
            let listing = listing.ok_or(RestoreError::Contradiction("somebody waits for several SKUs"))?;
            machine.sales.lines[listing as usize].push_back(number);
        }
        machine.restore_accounts();
        Ok(())
    }
}

impl Machine {
    /// Works out how many units every customer has, and how many holds every listing.
    fn restore_accounts(&mut self) {
        use holdfast_contracts::decision::HoldState;
        for number in self.holds.numbers() {
            let hold = *self.holds.get(number);
            let counts = hold.is_live() || hold.state() == Some(HoldState::Confirmed);
            if !counts {
                continue;
            }
            let lines: Vec<HoldLine> = self.lines.of(&hold).collect();
            for line in lines {
                if line.granted > 0 {
                    self.sales.listing_mut(line.listing).live += u32::from(hold.is_live());
                    self.account_add(line.listing, hold.customer(), line.granted);
                }
            }
        }
        let sales = &self.sales;
        self.accounts.drop_listings(|listing| sales.listing(listing).live == 0 && !sales.is_listed(listing));
    }
}

/// The entries of a page.
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    if !bytes.len().is_multiple_of(size_of::<Entry>()) {
        return None;
    }
    let mut entries = vec![Entry::new_zeroed(); bytes.len() / size_of::<Entry>()];
    entries.as_mut_bytes().copy_from_slice(bytes);
    Some(entries)
}
