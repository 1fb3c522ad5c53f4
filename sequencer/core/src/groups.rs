//! Finding a place by hash: groups of one cache line, 20 one-byte tags beside 20 two-byte places.
//!
//! A table is cut into bins by the high bits of a hash, and each bin has its groups. A lookup that finds nothing, which is
//! the common case for a new id, touches one cache line, and that one can be fetched ahead. A bin is small enough to
//! place all its entries anew at once when it grows, and bins begin with different sizes, so that they do not all grow at
//! the same time.

use holdfast_memory::{PageVec, equal_bytes, prefetch};
use zerocopy::{Immutable, IntoBytes};

/// Places in a group.
const GROUP: usize = 20;
/// Groups are filled to this many on average before there are more of them: 0.9 of their places.
const GROUP_FILL: u32 = 18;
/// Groups that a bin begins with: from so many to not quite twice as many.
const UNIT_MIN: u32 = 16;
/// Each time a bin grows it doubles, by one more segment.
const SEGMENTS: usize = 9;
/// Entries that the groups of one bin can tell apart, with room to spare: places have 16 bits.
pub(crate) const BIN_ENTRIES_MAX: usize = 60_000;

const _: () = assert!((UNIT_MIN as usize) << (SEGMENTS - 1) >= BIN_ENTRIES_MAX.div_ceil(GROUP_FILL as usize));

/// The hash of a key, cut into the parts that a table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TableHash(pub(crate) u64);

impl TableHash {
    /// The bin, in a table whose bins are told apart by the bits above `shift`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most a few thousand bins")]
    pub(crate) fn bin(self, shift: u32) -> usize {
        // With a single bin the shift would be by all 64 bits.
        self.0.checked_shr(shift).unwrap_or(0) as usize
    }

    /// Tells apart most entries of a group without looking at them. Never 0, which marks a free place.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "eight bits are wanted")]
    const fn tag(self) -> u8 {
        let tag = (self.0 >> 32) as u8;
        if tag == 0 { 1 } else { tag }
    }

    /// The group of a unit to look into first.
    #[inline(always)]
    const fn within(self, unit: u32) -> u32 {
        (((self.0 & 0xffff_ffff) * unit as u64) >> 32) as u32
    }

    /// Tells apart the units of a bin, as many bits as are needed.
    #[inline(always)]
    const fn unit(self) -> u32 {
        (self.0 >> 40) as u32
    }
}

#[derive(Debug, Clone, Copy, IntoBytes, Immutable)]
#[repr(C, align(64))]
pub(crate) struct Group {
    tags: [u8; GROUP],
    used: u8,
    /// Entries that found no place here and went on to a later group; 255 stands for any number from there on.
    passed: u8,
    places: [u16; GROUP],
    rest: [u8; 2],
}

const EMPTY: Group = Group { tags: [0; GROUP], used: 0, passed: 0, places: [0; GROUP], rest: [0; 2] };

/// The groups of all bins of a table.
pub(crate) type GroupPool = PageVec<Group, 18>;

/// Starts loading the group where an entry is looked for first.
#[inline(always)]
pub(crate) fn prefetch_home(pool: &GroupPool, home: Home) {
    if let Some(group) = pool.get(home.group as usize) {
        prefetch(group);
    }
}

/// Calls `each` with the places in that group that may be the entry's, and starts loading the group after it if it may be
/// there.
#[inline(always)]
pub(crate) fn candidates(pool: &GroupPool, home: Home, mut each: impl FnMut(usize)) {
    if let Some(group) = pool.get(home.group as usize) {
        group.find(home.hash.tag(), |place| {
            each(place);
            false
        });
        if group.passed > 0 {
            // Nearly always the group after it; a wrong guess costs nothing.
            pool.prefetch(home.group as usize + 1);
        }
    }
}

impl Group {
    /// The slots with this tag, one bit for each.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        let (head, _) = self.as_bytes().split_first_chunk::<32>().expect("a group has 64 bytes");
        equal_bytes(head, tag) & ((1 << GROUP) - 1)
    }

    /// The place with this tag for which `is_it(place)` says yes.
    #[inline(always)]
    fn find(&self, tag: u8, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut bits = self.matches(tag);
        while bits != 0 {
            let place = usize::from(self.places[bits.trailing_zeros() as usize % GROUP]);
            if is_it(place) {
                return Some(place);
            }
            bits &= bits - 1;
        }
        None
    }

    /// Adds an entry if there is room.
    #[inline(always)]
    fn enter(&mut self, hash: TableHash, place: u16) -> bool {
        let slot = usize::from(self.used);
        if slot >= GROUP {
            return false;
        }
        self.tags[slot] = hash.tag();
        self.places[slot] = place;
        self.used += 1;
        true
    }

    /// The slot that has this place.
    fn slot_of(&self, place: usize) -> usize {
        let found =
            self.places[..usize::from(self.used)].iter().position(|found| usize::from(*found) == place);
        found.expect("a group has the places that were entered into it")
    }
}

/// The groups of one bin: units of a number of groups that is the bin's own, twice as many after each growth.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    /// Groups of a unit.
    unit: u16,
    /// Units, a power of two, or 0 while there is no group at all.
    units: u16,
    /// Where the groups begin: of the first unit, of the second, of the next two, of the next four, and so on.
    segments: [u32; SEGMENTS],
}

/// Where an entry is looked for first. Worked out once and used again for as long as the bin does not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Home {
    pub(crate) hash: TableHash,
    /// Index of the group in the pool.
    group: u32,
    /// Units of the bin.
    units: u16,
}

/// A group of a bin.
#[derive(Debug, Clone, Copy)]
struct At {
    unit: u32,
    within: u32,
}

impl Groups {
    /// No groups yet, for the bin with this number.
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    pub(crate) const fn new(bin: usize) -> Self {
        Self { unit: (UNIT_MIN + bin as u32 % UNIT_MIN) as u16, units: 0, segments: [0; SEGMENTS] }
    }

    /// Groups for so many entries from the beginning, with room for a bin that gets more than the others.
    pub(crate) fn sized(pool: &mut GroupPool, entries: usize) -> Self {
        // A sixteenth more for bins that get more than the others, and three places in ten free: full groups cost time.
        let wanted = entries.min(BIN_ENTRIES_MAX) * 17 / 16;
        let groups =
            u32::try_from(wanted / (GROUP_FILL as usize - 4)).expect("a bin has few groups").max(UNIT_MIN);
        let doublings = (groups / UNIT_MIN).ilog2();
        let unit =
            u16::try_from(groups.div_ceil(1 << doublings)).expect("a unit is less than twice the smallest");
        let mut sized = Self { unit, units: 0, segments: [0; SEGMENTS] };
        for _ in 0..=doublings {
            sized.grow(pool, std::iter::empty());
        }
        sized
    }

    /// Where an entry with this hash is looked for first.
    #[inline(always)]
    pub(crate) const fn home(&self, hash: TableHash) -> Home {
        Home {
            hash,
            group: if self.units == 0 { 0 } else { self.index(self.first(hash)) },
            units: self.units,
        }
    }

    /// The bin may have grown since.
    #[inline(always)]
    const fn renewed(&self, home: Home) -> Home {
        if home.units == self.units { home } else { self.home(home.hash) }
    }

    #[inline(always)]
    const fn first(&self, hash: TableHash) -> At {
        At { unit: hash.unit() & (self.units as u32).wrapping_sub(1), within: hash.within(self.unit as u32) }
    }

    /// The group's index in the pool.
    #[inline(always)]
    const fn index(&self, at: At) -> u32 {
        let segment = u32::BITS - at.unit.leading_zeros();
        let first_unit = (1 << segment) >> 1;
        // No sum is larger than the number of groups in the pool, which has 32 bits.
        let from_segment =
            (at.unit.wrapping_sub(first_unit)).wrapping_mul(self.unit as u32).wrapping_add(at.within);
        self.segments[segment as usize].wrapping_add(from_segment)
    }

    const fn after(&self, at: At) -> At {
        if at.within + 1 < self.unit as u32 {
            At { unit: at.unit, within: at.within + 1 }
        } else {
            At { unit: (at.unit + 1) & (self.units as u32 - 1), within: 0 }
        }
    }

    /// How many there are.
    #[inline(always)]
    const fn count(&self) -> usize {
        self.unit as usize * self.units as usize
    }

    /// The place of the entry with this hash for which `is_it(place)` says yes.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        pool: &GroupPool,
        home: Home,
        mut is_it: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let home = self.renewed(home);
        if home.units == 0 {
            return None;
        }
        let group = &pool[home.group as usize];
        match group.find(home.hash.tag(), &mut is_it) {
            None if group.passed > 0 => self.find_after(pool, home.hash, &mut is_it),
            found => found,
        }
    }

    #[inline(never)]
    fn find_after(
        &self,
        pool: &GroupPool,
        hash: TableHash,
        is_it: &mut dyn FnMut(usize) -> bool,
    ) -> Option<usize> {
        let mut at = self.first(hash);
        for _ in 1..self.count() {
            at = self.after(at);
            let group = &pool[self.index(at) as usize];
            let found = group.find(hash.tag(), &mut *is_it);
            if found.is_some() || group.passed == 0 {
                return found;
            }
        }
        None
    }

    /// Whether there must be more groups before another entry is added to `entries`.
    #[inline(always)]
    pub(crate) const fn must_grow(&self, entries: usize) -> bool {
        entries >= self.count() * GROUP_FILL as usize
    }

    /// Makes twice as many groups, and places all entries anew.
    #[cold]
    pub(crate) fn grow(&mut self, pool: &mut GroupPool, hashes: impl Iterator<Item = TableHash>) {
        let more = self.count().max(self.unit as usize);
        let begin = u32::try_from(pool.push_run(EMPTY, more)).expect("fewer than 2^32 groups");
        self.clear(pool);
        self.units = (self.units * 2).max(1);
        self.segments[self.units.ilog2() as usize] = begin;
        for (place, hash) in hashes.enumerate() {
            self.enter(pool, self.home(hash), place);
        }
    }

    /// Adds an entry. The caller has asked [`Groups::must_grow`] before.
    #[inline(always)]
    pub(crate) fn enter(&self, pool: &mut GroupPool, home: Home, place: usize) {
        let home = self.renewed(home);
        let place = u16::try_from(place).expect("a bin has fewer than 2^16 entries");
        if !pool[home.group as usize].enter(home.hash, place) {
            self.enter_after(pool, home.hash, place);
        }
    }

    #[inline(never)]
    fn enter_after(&self, pool: &mut GroupPool, hash: TableHash, place: u16) {
        let mut at = self.first(hash);
        loop {
            let group = &mut pool[self.index(at) as usize];
            if group.enter(hash, place) {
                return;
            }
            group.passed = group.passed.saturating_add(1);
            at = self.after(at);
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&self, pool: &mut GroupPool, hash: TableHash, place: usize) {
        let end = self.holder(pool, hash, place);
        let mut at = self.first(hash);
        while self.index(at) != end {
            let group = &mut pool[self.index(at) as usize];
            // Who counts to 255 has lost count.
            if group.passed < u8::MAX {
                group.passed -= 1;
            }
            at = self.after(at);
        }
        let group = &mut pool[end as usize];
        let slot = group.slot_of(place);
        let last = usize::from(group.used) - 1;
        group.tags[slot] = group.tags[last];
        group.places[slot] = group.places[last];
        group.tags[last] = 0;
        group.used -= 1;
    }

    /// An entry has moved to another place.
    pub(crate) fn moved(&self, pool: &mut GroupPool, hash: TableHash, from: usize, to: usize) {
        let holder = self.holder(pool, hash, from);
        let group = &mut pool[holder as usize];
        let slot = group.slot_of(from);
        group.places[slot] = u16::try_from(to).expect("a bin has fewer than 2^16 entries");
    }

    /// Index of the group that has an entry.
    fn holder(&self, pool: &GroupPool, hash: TableHash, place: usize) -> u32 {
        let mut at = self.first(hash);
        loop {
            let group = &pool[self.index(at) as usize];
            if group.find(hash.tag(), |found| found == place).is_some() {
                return self.index(at);
            }
            assert!(group.passed > 0, "an entry is in the group of its hash or after it");
            at = self.after(at);
        }
    }

    /// Takes all entries out.
    pub(crate) fn clear(&self, pool: &mut GroupPool) {
        for unit in 0..u32::from(self.units) {
            for within in 0..u32::from(self.unit) {
                pool[self.index(At { unit, within }) as usize] = EMPTY;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_one_cache_line() {
        assert_eq!(size_of::<Group>(), 64);
    }

    #[test]
    fn matches_are_exact() {
        let mut group = EMPTY;
        for (slot, tag) in group.tags.iter_mut().enumerate() {
            *tag = [1, 2, 0x80, 0x81, 0xff][slot % 5];
        }
        for tag in 1..=255u8 {
            for slot in 0..GROUP {
                let bit = group.matches(tag) >> slot & 1;
                assert_eq!(bit == 1, group.tags[slot] == tag, "slot {slot}, tag {tag}");
            }
            assert!(group.matches(tag) < 1 << GROUP);
        }
    }

    #[test]
    fn entries_come_move_and_go() {
        let (mut pool, mut groups) = (GroupPool::default(), Groups::new(3));
        let mut entries: Vec<u64> = Vec::new();
        let mut seed = 7u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if entries.len() > 20 && seed >> 40 & 7 < 3 {
                // Swap-remove, as accounts do.
                let at = usize::try_from(seed >> 33).unwrap() % entries.len();
                groups.remove(&mut pool, TableHash(entries[at]), at);
                let last = entries.len() - 1;
                if at != last {
                    groups.moved(&mut pool, TableHash(entries[last]), last, at);
                }
                entries.swap_remove(at);
            } else if entries.len() < 3000 {
                if groups.must_grow(entries.len()) {
                    groups.grow(&mut pool, entries.iter().map(|hash| TableHash(*hash)));
                }
                groups.enter(&mut pool, groups.home(TableHash(seed)), entries.len());
                entries.push(seed);
            }
        }
        for (place, hash) in entries.iter().enumerate() {
            assert_eq!(
                groups.find(&pool, groups.home(TableHash(*hash)), |at| entries[at] == *hash),
                Some(place)
            );
        }
        assert_eq!(groups.find(&pool, groups.home(TableHash(1)), |_| false), None);
        // Who goes leaves nothing behind, or lookups would become longer and longer as entries come and go.
        for at in (0..entries.len()).rev() {
            groups.remove(&mut pool, TableHash(entries[at]), at);
        }
        assert!(pool.iter().all(|group| group.used == 0 && group.passed == 0));
    }

    #[test]
    fn a_bin_made_for_its_entries_takes_them_without_growing() {
        for entries in [1, 300, 2441, 60_000] {
            let mut pool = GroupPool::default();
            let groups = Groups::sized(&mut pool, entries);
            assert!(!groups.must_grow(entries * 33 / 32), "{entries}");
            // 17/16 for uneven bins, 20 places for each 14 entries, and up to 17/16 because all units have one size.
            assert!(groups.count() * GROUP <= (entries * 13 / 8).max(UNIT_MIN as usize * GROUP), "{entries}");
        }
    }
}
