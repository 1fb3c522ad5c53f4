//! A growable array that never moves what it holds.

use std::ops::{Index, IndexMut};

use crate::hints::{advise_huge_pages, prefetch, touch};

/// A growable array in pages.
///
/// Each page has room for `2^SHIFT` elements, so the array grows without copying what it has, and an element never moves.
/// Memory of a page is taken from the system only as far as it is filled. Pages are put on huge pages of the system except
/// the first: a small array stays small.
#[derive(Debug, Clone)]
pub struct PageVec<T, const SHIFT: u32> {
    pages: Vec<Vec<T>>,
    len: usize,
    /// Elements that memory was taken for ahead.
    prepared: usize,
}

impl<T, const SHIFT: u32> Default for PageVec<T, SHIFT> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0, prepared: 0 }
    }
}

impl<T, const SHIFT: u32> PageVec<T, SHIFT> {
    const LARGE: usize = 1 << SHIFT;
    /// Page and place in it.
    #[inline(always)]
    const fn locate(index: usize) -> (usize, usize) {
        (index >> SHIFT, index & (Self::LARGE - 1))
    }

    /// Elements in the array.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the array has no element.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an element and returns its index.
    #[inline(always)]
    pub fn push(&mut self, value: T) -> usize {
        let index = self.len;
        let (page, _) = Self::locate(index);
        if page == self.pages.len() {
            self.add_page();
        }
        self.pages[page].push(value);
        self.len += 1;
        index
    }

    /// Adds so many copies side by side, at most `2^SHIFT`, and returns the index of the first. What is left of a page that
    /// has no room for all of them is filled with copies too.
    ///
    /// # Panics
    /// If there are more than `2^SHIFT`.
    pub fn push_run(&mut self, value: T, count: usize) -> usize
    where
        T: Copy,
    {
        assert!(count <= Self::LARGE, "a run fits into a page");
        loop {
            let left = Self::LARGE - Self::locate(self.len).1;
            if count <= left {
                break;
            }
            self.push_copies(value, left);
        }
        let begin = self.len;
        self.push_copies(value, count);
        begin
    }

    fn push_copies(&mut self, value: T, count: usize)
    where
        T: Copy,
    {
        for _ in 0..count {
            self.push(value);
        }
    }

    /// Takes memory from the system for so many elements in all, so that filling them waits for none.
    pub fn prepare(&mut self, elements: usize) {
        while self.pages.len() * Self::LARGE < elements {
            self.add_page();
        }
        let (first, filled) = Self::locate(self.len);
        for (number, page) in self.pages.iter_mut().enumerate().skip(first) {
            let wanted = elements.saturating_sub(number * Self::LARGE).min(Self::LARGE);
            let filled = if number == first { filled } else { 0 };
            touch(&mut page.spare_capacity_mut()[..wanted.saturating_sub(filled)]);
        }
        self.prepared = self.prepared.max(elements);
    }

    #[cold]
    fn add_page(&mut self) {
        let mut memory = Vec::with_capacity(Self::LARGE);
        if !self.pages.is_empty() {
            advise_huge_pages(memory.spare_capacity_mut());
        }
        self.pages.push(memory);
    }

    /// The element, or `None` beyond the end.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (page, at) = Self::locate(index);
        self.pages.get(page)?.get(at)
    }

    /// Starts loading the element's cache line; does nothing beyond the end.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if let Some(value) = self.get(index) {
            prefetch(value);
        }
    }

    /// All elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// The elements from `start` on as far as they lie side by side, at most `max`. A stretch that a power of two divides,
    /// no longer than that power and a page, always does.
    #[must_use]
    pub fn run(&self, start: usize, max: usize) -> &[T] {
        let (page, from) = Self::locate(start);
        let Some(page) = self.pages.get(page) else { return &[] };
        let to = (from + max).min(page.len());
        page.get(from..to).unwrap_or(&[])
    }

    /// Bytes of memory in use. Room that was neither filled nor prepared is not counted: the system gives it when it is.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.len.max(self.prepared) * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

impl<T, const SHIFT: u32> Index<usize> for PageVec<T, SHIFT> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: usize) -> &T {
        let (page, at) = Self::locate(index);
        &self.pages[page][at]
    }
}

impl<T, const SHIFT: u32> IndexMut<usize> for PageVec<T, SHIFT> {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut T {
        let (page, at) = Self::locate(index);
        &mut self.pages[page][at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_found_across_pages() {
        let mut vec = PageVec::<usize, 8>::default();
        for n in 0..5000 {
            assert_eq!(vec.push(n * 7), n);
        }
        assert_eq!(vec.len(), 5000);
        assert!((0..5000).all(|n| vec[n] == n * 7));
        assert_eq!(vec.get(5000), None);
        assert!(vec.iter().copied().eq((0..5000).map(|n| n * 7)));
        vec[777] = 1;
        assert_eq!(vec.get(777), Some(&1));
    }

    #[test]
    fn a_run_of_64_from_a_multiple_of_64_is_whole() {
        let mut vec = PageVec::<usize, 8>::default();
        for n in 0..5000 {
            vec.push(n);
        }
        for start in (0..4992).step_by(64) {
            assert!(vec.run(start, 64).iter().copied().eq(start..start + 64), "{start}");
        }
        assert_eq!(vec.run(4992, 64), [4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999]);
        assert!(vec.run(6000, 1).is_empty());
    }

    #[test]
    fn prepared_memory_is_counted_and_changes_nothing_else() {
        let mut vec = PageVec::<u64, 8>::default();
        (0..100).for_each(|n| {
            vec.push(n);
        });
        vec.prepare(1000);
        assert!(vec.memory_bytes() >= 8000);
        assert_eq!(vec.len(), 100);
        assert_eq!(vec.get(100), None);
        for n in 100..1500 {
            assert_eq!(vec.push(n as u64), n);
        }
        assert!(vec.iter().copied().eq(0..1500));
        vec.prepare(10);
    }

    #[test]
    fn a_run_lies_side_by_side() {
        let mut vec = PageVec::<usize, 8>::default();
        for n in 1..100 {
            let begin = vec.push_run(n, n);
            assert_eq!(vec.run(begin, n), vec![n; n]);
        }
        let whole = vec.push_run(7, 256);
        assert_eq!(vec.run(whole, 256), [7; 256]);
    }

    #[test]
    fn pages_are_filled_to_their_room_and_no_further() {
        let mut vec = PageVec::<u8, 8>::default();
        for _ in 0..1500 {
            vec.push(0);
        }
        let sizes: Vec<_> = vec.pages.iter().map(Vec::len).collect();
        assert_eq!(sizes, [256, 256, 256, 256, 256, 220]);
    }
}
