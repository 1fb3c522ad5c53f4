//! Copying a checkpoint out, a few pages at a time between records.

use std::collections::BTreeMap;

use zerocopy::IntoBytes;

use crate::ids::{Entry, IdTable};
use crate::machine::Machine;
use crate::pages::{PageSink, kind};

/// Bytes of a full page of ids.
const IDS_PAGE_BYTES: usize = 64 << 10;
/// Entries of such a page.
const IDS_PAGE: usize = IDS_PAGE_BYTES / size_of::<Entry>();
/// Bits of a page number that count the pages of one generation.
pub(super) const SEQUENCE_BITS: u32 = 20;

/// The checkpoint being copied, and what the ones before have written.
#[derive(Debug, Default)]
pub(crate) struct Copying {
    under_way: Option<Frozen>,
    /// Where each bin ended at the last checkpoint.
    pub(super) marks: Vec<u32>,
    /// The generation that was current at the last checkpoint.
    pub(super) generation: u64,
    pub(super) names: usize,
    /// Pages of ids written, by generation.
    pub(super) id_pages: BTreeMap<u64, u64>,
    pub(super) elder_pages: u64,
}

/// What belongs to the checkpoint being copied.
#[derive(Debug)]
struct Frozen {
    meta: Vec<u8>,
    names: usize,
    /// Generations with new entries, and where they begin in each bin.
    generations: Vec<(u64, Vec<u32>)>,
    /// Where each bin ended.
    ends: Vec<u32>,
    /// Old entries are written anew.
    elders: bool,
    /// Where old entries ended in each bin.
    old_before: Vec<u32>,
    /// The oldest generation in the window.
    oldest: u64,
    stage: Stage,
    /// Entries not yet written as a page.
    buffer: Vec<Entry>,
    /// Bins that had to be copied before their turn, and what they held.
    early: BTreeMap<usize, EarlyBin>,
    /// Pages of old entries written by this checkpoint.
    elder_pages: u64,
}

/// What a bin held for the checkpoint when it was copied before its turn.
#[derive(Debug)]
struct EarlyBin {
    /// Entries of generations that have left the window.
    old: Vec<Entry>,
    /// New entries, by generation.
    young: BTreeMap<u64, Vec<Entry>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Small,
    Skus,
    Lines,
    Holds,
    /// Index of the generation and the bin that are next.
    Ids(usize, usize),
    /// The bin that is next.
    Elders(usize),
    Deletions,
}

impl Copying {
    pub(crate) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Copies what a bin holds for the checkpoint, because the bin is about to be rebuilt.
    pub(crate) fn copy_bin_early(&mut self, ids: &IdTable, bin: usize) {
        let Some(frozen) = &mut self.under_way else { return };
        if frozen.early.contains_key(&bin) {
            return;
        }
        let (start, _) = ids.bounds(bin);
        let old = ids.stretch(bin, start, frozen.old_before[bin]).copied().collect();
        let mut young = BTreeMap::new();
        for index in 0..frozen.generations.len() {
            let (from, to) = frozen.stretch_of(index, bin, &self.marks);
            young.insert(frozen.generations[index].0, ids.stretch(bin, from, to).copied().collect());
        }
        frozen.early.insert(bin, EarlyBin { old, young });
    }

    fn page_number(&mut self, generation: u64) -> u64 {
        let pages = self.id_pages.entry(generation).or_default();
        *pages += 1;
        generation << SEQUENCE_BITS | (*pages - 1)
    }
}

impl Frozen {
    /// The new entries of a generation in a bin, as places.
    fn stretch_of(&self, index: usize, bin: usize, marks: &[u32]) -> (u32, u32) {
        let begin = self.generations[index].1[bin];
        let end = self.generations.get(index + 1).map_or(self.ends[bin], |(_, begins)| begins[bin]);
        (begin.max(marks.get(bin).copied().unwrap_or(0)), end)
    }

    /// Writes the first entries of the buffer as a page.
    fn flush(&mut self, kind: u8, number: u64, sink: &mut dyn PageSink) -> usize {
        let entries = self.buffer.len().min(IDS_PAGE);
        sink.put(kind, number, self.buffer[..entries].as_bytes());
        self.buffer.drain(..entries);
        entries * size_of::<Entry>()
    }
}

impl Machine {
    /// Fixes the state as it is now as the next checkpoint. Cheap: nothing is copied yet but what is small.
    ///
    /// # Panics
    /// If the checkpoint before has not been copied whole.
    pub fn freeze(&mut self) {
        assert!(!self.copying.is_under_way(), "a checkpoint is copied whole before the next");
        self.skus.paged().freeze();
        self.lines.freeze();
        self.holds.slots.freeze();
        let mut generations = self.ids.generations.begins();
        let old_before = generations.first().map(|(_, begins)| begins.clone()).unwrap_or_default();
        let oldest = generations.first().map_or(0, |(number, _)| *number);
        let since = self.copying.generation;
        generations.retain(|(number, _)| *number >= since);
        // Ids that are old before they were ever written have no page of their generation to stand in.
        let mark = |bin: usize| self.copying.marks.get(bin).copied().unwrap_or(0);
        let unwritten = old_before.iter().enumerate().any(|(bin, end)| mark(bin) < *end);
        self.copying.under_way = Some(Frozen {
            meta: self.meta_page(),
            names: self.skus.len(),
            generations,
            ends: (0..self.ids.bins()).map(|bin| self.ids.bounds(bin).1).collect(),
            elders: std::mem::take(&mut self.sweep.completed) || unwritten,
            old_before,
            oldest,
            stage: Stage::Small,
            buffer: Vec::new(),
            early: BTreeMap::new(),
            elder_pages: 0,
        });
    }

    /// Makes the next checkpoint contain everything, for a place where none of this machine's was written before.
    ///
    /// # Panics
    /// If a checkpoint is being copied.
    pub fn write_whole_checkpoint_next(&mut self) {
        assert!(!self.copying.is_under_way(), "a checkpoint is copied whole before the next");
        self.skus.paged().soil_all();
        self.lines.soil_all();
        self.holds.slots.soil_all();
        self.copying = Copying::default();
        self.sweep.completed = true;
    }

    /// Copies about `budget` bytes of the frozen checkpoint to `sink`; says whether it is whole.
    ///
    /// Without a frozen checkpoint there is nothing to copy, and it is whole.
    pub fn copy_frozen(&mut self, mut budget: usize, sink: &mut dyn PageSink) -> bool {
        let Some(mut frozen) = self.copying.under_way.take() else { return true };
        while budget > 0 {
            match self.copy_step(&mut frozen, &mut budget, sink) {
                Some(stage) => frozen.stage = stage,
                None => {
                    self.copying.marks = frozen.ends;
                    self.copying.generation = self.copying.generation.max(last_number(&frozen.generations));
                    self.copying.names = frozen.names;
                    return true;
                }
            }
        }
        self.copying.under_way = Some(frozen);
        false
    }

    /// One step of copying: the stage to go on with, or `None` when all is copied.
    fn copy_step(
        &mut self,
        frozen: &mut Frozen,
        budget: &mut usize,
        sink: &mut dyn PageSink,
    ) -> Option<Stage> {
        let after = |whole: bool, here: Stage, next: Stage| Some(if whole { next } else { here });
        match frozen.stage {
            Stage::Small => {
                sink.put(kind::META, 0, &frozen.meta);
                self.copy_names(frozen.names, sink);
                Some(Stage::Skus)
            }
            Stage::Skus => {
                let whole = self.skus.paged().copy_frozen(kind::SKUS, budget, sink);
                after(whole, Stage::Skus, Stage::Lines)
            }
            Stage::Lines => {
                let whole = self.lines.copy_frozen(kind::LINES, budget, sink);
                after(whole, Stage::Lines, Stage::Holds)
            }
            Stage::Holds => {
                let whole = self.holds.slots.copy_frozen(kind::HOLDS, budget, sink);
                after(whole, Stage::Holds, Stage::Ids(0, 0))
            }
            Stage::Ids(index, bin) => Some(self.copy_ids(frozen, index, bin, budget, sink)),
            Stage::Elders(bin) => Some(self.copy_elders(frozen, bin, budget, sink)),
            Stage::Deletions => {
                if frozen.elders {
                    self.delete_old_pages(frozen, sink);
                }
                None
            }
        }
    }

    /// Names are only ever added: those since the last checkpoint make one page.
    fn copy_names(&mut self, names: usize, sink: &mut dyn PageSink) {
        let new = self.copying.names..names;
        if new.is_empty() {
            return;
        }
        let mut page = Vec::new();
        let first = new.start as u64;
        for number in new {
            let name = self.skus.names().name(u32::try_from(number).expect("fewer than 2^32 SKUs"));
            page.push(u8::try_from(name.len()).expect("a SKU has at most 64 bytes"));
            page.extend_from_slice(name.as_bytes());
        }
        sink.put(kind::NAMES, first, &page);
    }

    fn copy_ids(
        &mut self,
        frozen: &mut Frozen,
        index: usize,
        bin: usize,
        budget: &mut usize,
        sink: &mut dyn PageSink,
    ) -> Stage {
        let Some(generation) = frozen.generations.get(index).map(|(number, _)| *number) else {
            return if frozen.elders { Stage::Elders(0) } else { Stage::Deletions };
        };
        let last = bin == self.ids.bins();
        if !last && !cfg!(feature = "mutant-05") {
            match frozen.early.get(&bin).and_then(|bin| bin.young.get(&generation)) {
                Some(early) => frozen.buffer.extend(early.iter().copied()),
                None => {
                    let (from, to) = frozen.stretch_of(index, bin, &self.copying.marks);
                    frozen.buffer.extend(self.ids.stretch(bin, from, to).copied());
                }
            }
        }
        while frozen.buffer.len() >= IDS_PAGE || (last && !frozen.buffer.is_empty()) {
            let number = self.copying.page_number(generation);
            *budget = budget.saturating_sub(frozen.flush(kind::IDS, number, sink));
        }
        // A bin without new entries costs a little too.
        *budget = budget.saturating_sub(16);
        if last { Stage::Ids(index + 1, 0) } else { Stage::Ids(index, bin + 1) }
    }

    fn copy_elders(
        &mut self,
        frozen: &mut Frozen,
        bin: usize,
        budget: &mut usize,
        sink: &mut dyn PageSink,
    ) -> Stage {
        let last = bin == self.ids.bins();
        if !last {
            match frozen.early.get(&bin) {
                Some(EarlyBin { old, .. }) => frozen.buffer.extend(old.iter().copied()),
                None => {
                    let (start, _) = self.ids.bounds(bin);
                    frozen.buffer.extend(self.ids.stretch(bin, start, frozen.old_before[bin]).copied());
                }
            }
        }
        while frozen.buffer.len() >= IDS_PAGE || (last && !frozen.buffer.is_empty()) {
            let number = frozen.elder_pages;
            frozen.elder_pages += 1;
            *budget = budget.saturating_sub(frozen.flush(kind::ELDERS, number, sink));
        }
        *budget = budget.saturating_sub(16);
        if last { Stage::Deletions } else { Stage::Elders(bin + 1) }
    }

    /// What is old now stands among the elders, so the pages of old generations can go.
    fn delete_old_pages(&mut self, frozen: &Frozen, sink: &mut dyn PageSink) {
        for page in frozen.elder_pages..self.copying.elder_pages {
            sink.delete(kind::ELDERS, page);
        }
        self.copying.elder_pages = frozen.elder_pages;
        let kept = self.copying.id_pages.split_off(&frozen.oldest);
        for (generation, pages) in std::mem::replace(&mut self.copying.id_pages, kept) {
            for page in 0..pages {
                sink.delete(kind::IDS, generation << SEQUENCE_BITS | page);
            }
        }
    }
}

fn last_number(generations: &[(u64, Vec<u32>)]) -> u64 {
    generations.last().map_or(0, |(number, _)| *number)
}
