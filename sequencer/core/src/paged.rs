//! An array that knows which of its pages a checkpoint still has to write.
//!
//! A checkpoint is the state at one record, yet the machine must not stop while it is copied out. So freezing only
//! marks the dirty pages. They are copied a few at a time between records, and a page that is about to change before its
//! turn is copied first.

use std::ops::Index;

use holdfast_memory::PageVec;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::pages::PageSink;

/// Elements of a page of a checkpoint.
const PAGE: usize = 64;
const PAGE_SHIFT: u32 = PAGE.trailing_zeros();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageState {
    /// As in the last checkpoint.
    Clean,
    /// Changed since.
    Dirty,
    /// Belongs to the checkpoint being copied and has not changed since it began.
    Frozen,
}

/// A growable array of plain values in pages of 64.
#[derive(Debug)]
pub(crate) struct Paged<T, const SHIFT: u32> {
    items: PageVec<T, SHIFT>,
    states: Vec<PageState>,
    dirty: Vec<u32>,
    frozen: Vec<u32>,
    /// Pages of the checkpoint that changed before they were copied, as they were.
    stash: Vec<(u32, Vec<u8>)>,
}

impl<T, const SHIFT: u32> Default for Paged<T, SHIFT> {
    fn default() -> Self {
        Self {
            items: PageVec::default(),
            states: Vec::new(),
            dirty: Vec::new(),
            frozen: Vec::new(),
            stash: Vec::new(),
        }
    }
}

impl<T: IntoBytes + FromBytes + Immutable + KnownLayout + Copy, const SHIFT: u32> Paged<T, SHIFT> {
    /// Takes memory for so many elements.
    pub(crate) fn prepare(&mut self, elements: usize) {
        self.items.prepare(elements);
        self.states.reserve(elements / PAGE + 1);
    }

    pub(crate) const fn len(&self) -> usize {
        self.items.len()
    }

    /// Starts loading an element.
    #[inline]
    pub(crate) fn prefetch(&self, index: usize) {
        self.items.prefetch(index);
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index)
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, item: T) -> usize {
        let index = self.items.len();
        if index.is_multiple_of(PAGE) {
            self.states.push(PageState::Clean);
        }
        self.touch(index);
        self.items.push(item)
    }

    /// The element, about to be changed.
    #[inline(always)]
    pub(crate) fn change(&mut self, index: usize) -> &mut T {
        self.touch(index);
        &mut self.items[index]
    }

    /// The element, for a change that a checkpoint need not know of because it is worked out anew when it is loaded.
    #[inline]
    pub(crate) fn change_derived(&mut self, index: usize) -> &mut T {
        &mut self.items[index]
    }

    #[inline(always)]
    fn touch(&mut self, index: usize) {
        let page = index >> PAGE_SHIFT;
        if self.states[page] != PageState::Dirty {
            self.soil(page);
        }
    }

    #[cold]
    fn soil(&mut self, page: usize) {
        let number = u32::try_from(page).expect("an array has fewer than 2^32 pages");
        if self.states[page] == PageState::Frozen {
            self.stash.push((number, self.items.run(page * PAGE, PAGE).as_bytes().to_vec()));
        }
        self.states[page] = PageState::Dirty;
        self.dirty.push(number);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Fixes what the next checkpoint contains. The one before must have been copied whole.
    pub(crate) fn freeze(&mut self) {
        assert!(
            self.frozen.is_empty() && self.stash.is_empty(),
            "a checkpoint is copied whole before the next"
        );
        std::mem::swap(&mut self.frozen, &mut self.dirty);
        for page in &self.frozen {
            self.states[*page as usize] = PageState::Frozen;
        }
    }

    /// Makes the next checkpoint contain every page.
    pub(crate) fn soil_all(&mut self) {
        for page in 0..self.states.len() {
            if self.states[page] != PageState::Dirty {
                self.soil(page);
            }
        }
    }

    /// Copies frozen pages until `budget` bytes are used up; says whether all are copied.
    pub(crate) fn copy_frozen(&mut self, kind: u8, budget: &mut usize, sink: &mut dyn PageSink) -> bool {
        while *budget > 0 {
            if let Some((page, bytes)) = self.stash.pop() {
                *budget = budget.saturating_sub(bytes.len());
                sink.put(kind, u64::from(page), &bytes);
            } else if let Some(page) = self.frozen.pop() {
                if self.states[page as usize] == PageState::Frozen {
                    self.states[page as usize] = PageState::Clean;
                    let bytes = self.items.run(page as usize * PAGE, PAGE).as_bytes();
                    *budget = budget.saturating_sub(bytes.len());
                    sink.put(kind, u64::from(page), bytes);
                }
            } else {
                return true;
            }
        }
        self.stash.is_empty() && self.frozen.is_empty()
    }

    /// Adds the page with this number, which must be the next, from a checkpoint. `None` if it does not fit.
    pub(crate) fn restore_page(&mut self, page: u64, bytes: &[u8]) -> Option<()> {
        let items = <[T]>::ref_from_bytes(bytes).ok();
        let full_before = self.items.len().is_multiple_of(PAGE) && page == (self.items.len() / PAGE) as u64;
        if !full_before || bytes.is_empty() || bytes.len() > PAGE * size_of::<T>() {
            return None;
        }
        self.states.push(PageState::Clean);
        match items {
            Some(items) => items.iter().for_each(|item| {
                self.items.push(*item);
            }),
            // The bytes stand at an address that the type cannot be read from in place.
            None => {
                for item in bytes.chunks(size_of::<T>()) {
                    self.items.push(T::read_from_bytes(item).ok()?);
                }
            }
        }
        Some(())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.items.memory_bytes()
            + self.states.capacity()
            + (self.dirty.capacity() + self.frozen.capacity()) * size_of::<u32>()
            + self.stash.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }
}

impl<T, const SHIFT: u32> Index<usize> for Paged<T, SHIFT> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.items[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Pages(BTreeMap<u64, Vec<u8>>);

    impl PageSink for Pages {
        fn put(&mut self, _: u8, page: u64, bytes: &[u8]) {
            self.0.insert(page, bytes.to_vec());
        }
        fn delete(&mut self, _: u8, page: u64) {
            self.0.remove(&page);
        }
    }

    #[test]
    fn a_checkpoint_is_the_state_at_its_freeze_whatever_changes_while_it_is_copied() {
        let mut array = Paged::<u32, 8>::default();
        let mut pages = Pages::default();
        for n in 0..1000 {
            array.push(n);
        }
        array.freeze();
        assert!(!array.copy_frozen(0, &mut 300, &mut pages));
        for n in 0..1000 {
            *array.change(n) += 1_000_000;
        }
        array.push(77);
        while !array.copy_frozen(0, &mut 300, &mut pages) {}

        let mut restored = Paged::<u32, 8>::default();
        for (page, bytes) in &pages.0 {
            restored.restore_page(*page, bytes).expect("whole pages in order");
        }
        assert!(restored.iter().copied().eq(0..1000));

        array.freeze();
        while !array.copy_frozen(0, &mut 300, &mut pages) {}
        let mut restored = Paged::<u32, 8>::default();
        for (page, bytes) in &pages.0 {
            restored.restore_page(*page, bytes).expect("whole pages in order");
        }
        assert!(restored.iter().eq(array.iter()));
    }

    #[test]
    fn only_what_changed_is_written_again() {
        let mut array = Paged::<u32, 8>::default();
        for n in 0..1000 {
            array.push(n);
        }
        let mut budget = 1 << 20;
        array.freeze();
        assert!(array.copy_frozen(0, &mut budget, &mut Pages::default()));
        *array.change(500) = 1;
        let mut pages = Pages::default();
        array.freeze();
        assert!(array.copy_frozen(0, &mut budget, &mut pages));
        assert_eq!(pages.0.keys().copied().collect::<Vec<_>>(), [500 / 64]);
    }
}
