//! Finding a place by hash: groups of one cache line, 20 one-byte tags beside 20 two-byte places.
//!
//! A table is cut into bins by the high bits of a hash, and each bin has its groups. A lookup that finds nothing, which is
//! the common case for a new id, touches one cache line, and that one can be fetched ahead. A bin is small enough to
//! place all its entries anew at once when it grows.

use holdfast_memory::prefetch;

/// Places in a group.
const GROUP: usize = 20;
/// Groups are filled to this many on average before there are more of them: 0.85 of their places.
const GROUP_FILL: usize = 17;
/// Entries that the groups of one bin can tell apart, with room to spare: places have 16 bits.
pub(crate) const BIN_ENTRIES_MAX: usize = 60_000;

/// The hash of a key, cut into the parts that a table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// The group to look into first, of `groups`.
    #[inline]
    const fn home(self, groups: usize) -> usize {
        (((self.0 & 0xffff_ffff) * groups as u64) >> 32) as usize
    }
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Group {
    tags: [u8; GROUP],
    used: u8,
    /// An entry that belongs here went to a later group.
    overflowed: bool,
    places: [u16; GROUP],
}

const EMPTY: Group = Group { tags: [0; GROUP], used: 0, overflowed: false, places: [0; GROUP] };

impl Group {
    /// The slots with this tag, one high bit per byte: of slots 0 to 7, 8 to 15, 16 to 19.
    #[inline]
    fn matches(&self, tag: u8) -> [u64; 3] {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let wanted = u64::from(tag) * 0x0101_0101_0101_0101;
        let (eights, rest) = self.tags.as_chunks::<8>();
        let mut last = [0; 8];
        last[..4].copy_from_slice(rest);
        [eights[0], eights[1], last].map(|tags| {
            let differs = u64::from_le_bytes(tags) ^ wanted;
            // The high bit of a byte stays clear exactly when all its bits are: no carry crosses a byte.
            !(((differs & LOW) + LOW) | differs | LOW)
        })
    }

    /// The slot that has this place.
    fn slot_of(&self, place: u16) -> Option<usize> {
        self.places[..usize::from(self.used)].iter().position(|found| *found == place)
    }
}

/// The groups of one bin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
}

impl Groups {
    #[inline]
    pub(crate) fn prefetch(&self, hash: TableHash) {
        if let Some(group) = self.groups.get(hash.home(self.groups.len())) {
            prefetch(group);
        }
    }

    /// The place of the entry with this hash for which `is_it(place)` says yes.
    #[inline]
    pub(crate) fn find(&self, hash: TableHash, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        let tag = hash.tag();
        let mut at = hash.home(self.groups.len());
        while let Some(group) = self.groups.get(at) {
            let words = group.matches(tag);
            if words != [0; 3] {
                for (word, first) in words.into_iter().zip([0, 8, 16]) {
                    let mut bits = word;
                    while bits != 0 {
                        let place = usize::from(group.places[first + bits.trailing_zeros() as usize / 8]);
                        if is_it(place) {
                            return Some(place);
                        }
                        bits &= bits - 1;
                    }
                }
            }
            if !group.overflowed {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    #[inline]
    const fn after(&self, at: usize) -> usize {
        if at + 1 == self.groups.len() { 0 } else { at + 1 }
    }

    /// Whether there must be more groups before another entry is added to `entries`.
    #[inline]
    pub(crate) const fn must_grow(&self, entries: usize) -> bool {
        entries >= self.groups.len() * GROUP_FILL
    }

    /// Makes half as many more groups, and places all entries anew. Small steps keep the groups full.
    #[cold]
    pub(crate) fn grow(&mut self, hashes: impl Iterator<Item = TableHash>) {
        let groups = self.groups.len() + self.groups.len() / 2 + 1;
        self.groups = vec![EMPTY; groups];
        for (place, hash) in hashes.enumerate() {
            self.enter(hash, place);
        }
    }

    /// Adds an entry. The caller has asked [`Groups::must_grow`] before.
    #[inline]
    pub(crate) fn enter(&mut self, hash: TableHash, place: usize) {
        let place = u16::try_from(place).expect("a bin has fewer than 2^16 entries");
        let mut at = hash.home(self.groups.len());
        loop {
            let group = &mut self.groups[at];
            let slot = usize::from(group.used);
            if slot < GROUP {
                group.tags[slot] = hash.tag();
                group.places[slot] = place;
                group.used += 1;
                return;
            }
            group.overflowed = true;
            at = self.after(at);
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, hash: TableHash, place: usize) {
        let (group, slot) = self.slot_of(hash, place);
        let last = usize::from(group.used) - 1;
        group.tags[slot] = group.tags[last];
        group.places[slot] = group.places[last];
        group.tags[last] = 0;
        group.used -= 1;
    }

    /// An entry has moved to another place.
    pub(crate) fn moved(&mut self, hash: TableHash, from: usize, to: usize) {
        let (group, slot) = self.slot_of(hash, from);
        group.places[slot] = u16::try_from(to).expect("a bin has fewer than 2^16 entries");
    }

    fn slot_of(&mut self, hash: TableHash, place: usize) -> (&mut Group, usize) {
        let place = u16::try_from(place).expect("a bin has fewer than 2^16 entries");
        let mut at = hash.home(self.groups.len());
        loop {
            if let Some(slot) = self.groups[at].slot_of(place) {
                return (&mut self.groups[at], slot);
            }
            assert!(self.groups[at].overflowed, "an entry is in the group of its hash or after it");
            at = self.after(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.groups = Vec::new();
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
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
            let words = group.matches(tag);
            for slot in 0..GROUP {
                let bit = words[slot / 8] >> (slot % 8 * 8 + 7) & 1;
                assert_eq!(bit == 1, group.tags[slot] == tag, "slot {slot}, tag {tag}");
            }
            assert!(
                words.iter().map(|word| word.count_ones()).sum::<u32>() <= 4,
                "tag {tag}: no bit beside a slot's own"
            );
        }
    }

    #[test]
    fn entries_come_move_and_go() {
        let mut groups = Groups::default();
        let mut entries: Vec<u64> = Vec::new();
        let mut seed = 7u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if entries.len() > 20 && seed >> 40 & 7 < 3 {
                // Swap-remove, as accounts do.
                let at = usize::try_from(seed >> 33).unwrap() % entries.len();
                groups.remove(TableHash(entries[at]), at);
                let last = entries.len() - 1;
                if at != last {
                    groups.moved(TableHash(entries[last]), last, at);
                }
                entries.swap_remove(at);
            } else if entries.len() < 3000 {
                if groups.must_grow(entries.len()) {
                    groups.grow(entries.iter().map(|hash| TableHash(*hash)));
                }
                groups.enter(TableHash(seed), entries.len());
                entries.push(seed);
            }
        }
        for (place, hash) in entries.iter().enumerate() {
            assert_eq!(groups.find(TableHash(*hash), |at| entries[at] == *hash), Some(place));
        }
        assert_eq!(groups.find(TableHash(1), |_| false), None);
    }
}
