//! The table of remembered ids: who has asked before, and what was answered.
//!
//! Ids are spread over bins by hash. A bin keeps its entries in the order they came, packed without holes, so an entry
//! never moves while it is young and a generation is a stretch of every bin. A new id costs one cache miss, the one on
//! its group of tags, and that one can be fetched ahead.
//!
//! Forgetting has two sides. What is *forgotten* follows from generations and the state of holds alone and is exact at every
//! record. When the memory is *swept* is nobody's business: an entry that is forgotten but still there is skipped.

mod bin;
mod generations;

use holdfast_contracts::ReservationId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use bin::Bin;
pub(crate) use generations::Generations;

use crate::answer::Answer;
use crate::groups::{GroupPool, Groups, Home, TableHash, candidates, prefetch_home};
use crate::hash::{hash_pair, id_words};
use crate::pool::Pool;

/// Entries that may be remembered. Reaching it refuses new ids until a generation passes.
pub(crate) const REMEMBERED_MAX: u64 = 200_000_000;

/// Bits of an entry's place within its bin that a reference keeps.
const LOCAL_BITS: u32 = 20;
const LOCAL_MASK: u32 = (1 << LOCAL_BITS) - 1;

/// One remembered id, as it also stands in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Entry {
    low: u64,
    high: u64,
    /// 32 bits over the content that came with the id.
    pub(crate) fingerprint: u32,
    /// What was answered, see [`crate::answer::Answer`].
    pub(crate) word: u32,
}

impl Entry {
    #[inline]
    pub(crate) fn new(id: ReservationId, fingerprint: u32, answer: Answer) -> Self {
        let (low, high) = id_words(id);
        Self { low, high, fingerprint, word: answer.pack() }
    }

    pub(crate) fn id(&self) -> ReservationId {
        ReservationId((u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes())
    }

    pub(crate) fn words(&self) -> (u64, u64) {
        (self.low, self.high)
    }

    fn hash(&self) -> TableHash {
        TableHash(hash_pair(self.low, self.high))
    }
}

/// Where an entry is. Stays right while the entry is kept, except when [`IdTable::sweep_bin`] says that it moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EntryRef(pub(crate) u32);

/// The hash of an id, computed once and used for prefetching, finding and inserting.
#[inline]
pub(crate) fn hash_of(id: ReservationId) -> TableHash {
    let (low, high) = id_words(id);
    TableHash(hash_pair(low, high))
}

/// All remembered ids of a partition.
#[derive(Debug)]
pub(crate) struct IdTable {
    bins: Vec<Bin>,
    /// Bits to shift a hash to the right to get its bin.
    bin_shift: u32,
    groups: GroupPool,
    pool: Pool<Entry>,
    pub(crate) generations: Generations,
}

impl IdTable {
    /// An empty table; `bins` is a power of two up to 4096 and changes only speed and memory.
    pub(crate) fn new(bins: usize) -> Self {
        assert!(bins.is_power_of_two() && bins <= 1 << (32 - LOCAL_BITS), "bins: a power of two up to 4096");
        Self {
            bins: (0..bins).map(Bin::new).collect(),
            bin_shift: 64 - bins.trailing_zeros(),
            groups: GroupPool::default(),
            pool: Pool::default(),
            generations: Generations::new(bins),
        }
    }

    /// Takes memory for so many ids. Only for a table that is empty.
    pub(crate) fn prepare(&mut self, ids: usize) {
        let in_a_bin = ids.div_ceil(self.bins.len());
        for bin in &mut self.bins {
            bin.groups = Groups::sized(&mut self.groups, in_a_bin);
        }
        self.pool.prepare(ids, self.bins.len());
    }

    #[inline]
    fn bin_of(&self, hash: TableHash) -> usize {
        hash.bin(self.bin_shift)
    }

    /// Starts loading what [`IdTable::find`] will look at first.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: TableHash) -> Home {
        let home = self.home(hash);
        prefetch_home(&self.groups, home);
        home
    }

    /// Starts loading what else will be needed, once that is there.
    #[inline(always)]
    pub(crate) fn prefetch_entries(&self, home: Home) {
        let entries = &self.bins[self.bin_of(home.hash)].entries;
        candidates(&self.groups, home, |at| self.pool.prefetch(entries, at));
        self.pool.prefetch_end(entries);
    }

    /// Where an id with this hash is looked for, and will be entered.
    #[inline(always)]
    pub(crate) fn home(&self, hash: TableHash) -> Home {
        self.bins[self.bin_of(hash)].groups.home(hash)
    }

    /// The entry of an id that is young, or old and wanted by `keep_old`.
    ///
    /// An id that was forgotten and came again has two entries until its bin is swept.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        id: ReservationId,
        home: Home,
        keep_old: impl Fn(&Entry) -> bool,
    ) -> Option<EntryRef> {
        let at = self.bin_of(home.hash);
        let wanted = id_words(id);
        let bin = &self.bins[at];
        let found = bin.groups.find(&self.groups, home, |behind| {
            let entry = self.pool.get(&bin.entries, behind);
            entry.words() == wanted && (!self.generations.is_old(at, bin.place(behind)) || keep_old(entry))
        })?;
        Some(Self::reference(at, bin.place(found)))
    }

    /// Adds an id that is not in the table, or is forgotten.
    #[inline(always)]
    pub(crate) fn insert(&mut self, entry: Entry, home: Home) -> EntryRef {
        self.generations.count();
        self.store(self.bin_of(home.hash), entry, home)
    }

    /// An empty table to load a checkpoint into, its current generation the one with this number. Old entries come
    /// last, through [`IdTable::restore_old`], so every bin leaves places free before its first.
    pub(crate) fn restoring(bins: usize, generation: u64) -> Self {
        let mut table = Self::new(bins);
        for bin in &mut table.bins {
            bin.start_at(1 << LOCAL_BITS);
        }
        let bins = &table.bins;
        table.generations.begin_with(generation, |bin| bins[bin].end());
        table
    }

    /// Adds an entry of the current generation read from a checkpoint.
    pub(crate) fn restore(&mut self, entry: Entry) -> EntryRef {
        self.insert(entry, self.home(entry.hash()))
    }

    /// Adds all old entries read from a checkpoint, and reports where each is.
    pub(crate) fn restore_old(&mut self, mut entries: Vec<Entry>, mut placed: impl FnMut(&Entry, EntryRef)) {
        let shift = self.bin_shift;
        let bin_of = |entry: &Entry| entry.hash().bin(shift);
        entries.sort_by_key(bin_of);
        for of_bin in entries.chunk_by(|a, b| bin_of(a) == bin_of(b)) {
            let number = bin_of(&of_bin[0]);
            self.rebuild_bin(number, of_bin, self.bins[number].start(), &mut placed);
        }
    }

    #[inline(always)]
    fn store(&mut self, number: usize, entry: Entry, home: Home) -> EntryRef {
        let bin = &mut self.bins[number];
        if bin.groups.must_grow(bin.entries.len()) {
            bin.groups.grow(&mut self.groups, self.pool.iter(&bin.entries).map(Entry::hash));
        }
        bin.groups.enter(&mut self.groups, home, bin.entries.len());
        let place = bin.end();
        self.pool.push(&mut bin.entries, entry);
        Self::reference(number, place)
    }

    #[inline]
    fn reference(bin: usize, local: u32) -> EntryRef {
        EntryRef(to_u32(bin) << LOCAL_BITS | (local & LOCAL_MASK))
    }

    /// The bin of a reference and the full place of its entry there.
    #[inline]
    fn place(&self, at: EntryRef) -> (usize, u32) {
        let bin = (at.0 >> LOCAL_BITS) as usize;
        (bin, self.bins[bin].full_place(at.0 & LOCAL_MASK))
    }

    #[inline]
    pub(crate) fn entry(&self, at: EntryRef) -> &Entry {
        let (bin, local) = self.place(at);
        self.at(bin, local)
    }

    #[inline]
    fn at(&self, bin: usize, place: u32) -> &Entry {
        let bin = &self.bins[bin];
        self.pool.get(&bin.entries, bin.behind(place))
    }

    /// Whether the entry's generation has left the window: then only the state of its hold can keep it remembered.
    #[cfg(test)]
    fn is_old(&self, at: EntryRef) -> bool {
        let (bin, local) = self.place(at);
        self.generations.is_old(bin, local)
    }

    /// Number of the generation in which the entry was made, `None` if that has left the window.
    pub(crate) fn generation_of(&self, at: EntryRef) -> Option<u64> {
        let (bin, local) = self.place(at);
        self.generations.number_of(bin, local)
    }

    /// `count` generations pass.
    pub(crate) fn roll(&mut self, count: u64) {
        let bins = &self.bins;
        self.generations.roll(count, |bin| bins[bin].end());
    }

    pub(crate) fn bins(&self) -> usize {
        self.bins.len()
    }

    /// Whether a bin is so full that it must be swept before it takes more.
    #[inline]
    pub(crate) fn is_bin_full(&self, hash: TableHash) -> bool {
        self.bins[self.bin_of(hash)].is_full()
    }

    pub(crate) fn bin_number(&self, hash: TableHash) -> usize {
        self.bin_of(hash)
    }

    /// Frees the memory of a bin's old entries except those that `keep` wants, and reports where those are now.
    pub(crate) fn sweep_bin(
        &mut self,
        number: usize,
        mut keep: impl FnMut(&Entry) -> bool,
        mut moved: impl FnMut(&Entry, EntryRef),
    ) {
        let old_end = self.generations.old_before(number);
        let bin = &self.bins[number];
        let mut kept = Vec::new();
        for local in bin.start()..old_end {
            let entry = *self.at(number, local);
            if keep(&entry) {
                kept.push(entry);
            }
        }
        if to_u32(kept.len()) < old_end - bin.start() {
            self.rebuild_bin(number, &kept, old_end, &mut moved);
        }
    }

    /// Builds a bin anew from these old entries and its own from `young_begin` on, which keep their places.
    fn rebuild_bin(
        &mut self,
        number: usize,
        old: &[Entry],
        young_begin: u32,
        placed: &mut impl FnMut(&Entry, EntryRef),
    ) {
        let young: Vec<Entry> = self.stretch(number, young_begin, self.bins[number].end()).copied().collect();
        let bin = &mut self.bins[number];
        bin.groups.clear(&mut self.groups);
        self.pool.clear(&mut bin.entries);
        bin.start_at(young_begin - to_u32(old.len()));
        for entry in old {
            let at = self.store(number, *entry, self.home(entry.hash()));
            placed(entry, at);
        }
        for entry in &young {
            self.store(number, *entry, self.home(entry.hash()));
        }
    }

    /// Entries of a bin from one place to another, in order.
    pub(crate) fn stretch(&self, bin: usize, from: u32, to: u32) -> impl Iterator<Item = &Entry> {
        let places = from.max(self.bins[bin].start())..to;
        places.map(move |place| self.at(bin, place))
    }

    /// The places a bin has: of its first entry, and after its last.
    pub(crate) fn bounds(&self, bin: usize) -> (u32, u32) {
        (self.bins[bin].start(), self.bins[bin].end())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.pool.memory_bytes()
            + self.groups.memory_bytes()
            + self.bins.capacity() * size_of::<Bin>()
            + self.bins.iter().map(|bin| bin.entries.memory_bytes()).sum::<usize>()
            + self.generations.memory_bytes()
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("tables hold fewer than 2^32 entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> ReservationId {
        ReservationId(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes())
    }

    fn insert(table: &mut IdTable, n: u64) -> EntryRef {
        table
            .insert(Entry::new(id(n), 7, Answer::Hold(u32::try_from(n).unwrap())), table.home(hash_of(id(n))))
    }

    fn number(entry: &Entry) -> u64 {
        u64::from(entry.word & !(1 << 31))
    }

    #[test]
    fn what_was_inserted_is_found_and_nothing_else() {
        for bins in [1, 2, 64] {
            let mut table = IdTable::new(bins);
            let refs: Vec<_> = (0..20_000).map(|n| insert(&mut table, n)).collect();
            for n in 0..20_000 {
                let at = table.find(id(n), table.home(hash_of(id(n))), |_| true).expect("inserted");
                assert_eq!(at, refs[usize::try_from(n).unwrap()]);
                assert_eq!(number(table.entry(at)), n);
                assert_eq!(table.entry(at).id(), id(n));
            }
            for n in 20_000..40_000 {
                assert_eq!(table.find(id(n), table.home(hash_of(id(n))), |_| true), None);
            }
        }
    }

    #[test]
    fn sweeping_keeps_what_is_wanted_and_says_where_it_went() {
        let mut table = IdTable::new(4);
        for n in 0..1000 {
            insert(&mut table, n);
        }
        table.roll(1);
        for n in 1000..2000 {
            insert(&mut table, n);
        }
        table.roll(4);
        assert!(table.is_old(table.find(id(5), table.home(hash_of(id(5))), |_| true).unwrap()));
        assert!(!table.is_old(table.find(id(1005), table.home(hash_of(id(1005))), |_| true).unwrap()));
        let mut moved = Vec::new();
        for bin in 0..4 {
            table.sweep_bin(bin, |e| number(e).is_multiple_of(10), |e, at| moved.push((number(e), at)));
        }
        assert_eq!(moved.len(), 100);
        for (n, at) in moved {
            assert_eq!(number(table.entry(at)), n);
            assert!(table.is_old(at));
        }
        for n in 0..2000u64 {
            let found = table.find(id(n), table.home(hash_of(id(n))), |_| true);
            assert_eq!(found.is_some(), n >= 1000 || n % 10 == 0, "{n}");
            assert!(found.is_none_or(|at| table.is_old(at) == (n < 1000)));
        }
    }

    #[test]
    fn a_refusal_takes_no_more_than_32_bytes() {
        let mut table = IdTable::new(4096);
        for n in 0..1_000_000 {
            insert(&mut table, n);
        }
        let per_id = table.memory_bytes() / 1_000_000;
        assert!(per_id <= 32, "{per_id} bytes");
    }
}
