//! Memory for many lists that grow at their ends: chunks out of one large array.
//!
//! A list in a vector of its own would be copied as it grows, and the holes that its old copies leave fit nobody. Chunks
//! never move, and a chunk that one list gives back fits every other.

use holdfast_memory::PageVec;
use zerocopy::FromZeros;

/// Elements of a chunk.
pub(crate) const CHUNK: usize = 32;
const CHUNK_SHIFT: u32 = CHUNK.trailing_zeros();

/// The chunks of many lists.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    chunks: PageVec<[T; CHUNK], 15>,
    free: Vec<u32>,
}

/// A list in a [`Pool`]: always the same one. Small, because tables have thousands of them and look at each all the time.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    #[expect(
        clippy::box_collection,
        reason = "a pointer instead of three words keeps a bin within a cache line"
    )]
    chunks: Box<Vec<u32>>,
    len: u32,
    /// The last chunk.
    tail: u32,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { chunks: PageVec::default(), free: Vec::new() }
    }
}

impl<T: Copy + FromZeros> Pool<T> {
    /// Takes memory for so many elements in so many lists.
    pub(crate) fn prepare(&mut self, elements: usize, lists: usize) {
        // The last chunk of each list is half full on average.
        self.chunks.prepare(elements.div_ceil(CHUNK) + lists / 2);
    }

    /// An element of a list.
    #[inline(always)]
    pub(crate) fn get(&self, list: &List, at: usize) -> &T {
        &self.chunks[list.chunks[at >> CHUNK_SHIFT] as usize][at % CHUNK]
    }

    /// An element of a list, to be changed.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, list: &List, at: usize) -> &mut T {
        &mut self.chunks[list.chunks[at >> CHUNK_SHIFT] as usize][at % CHUNK]
    }

    /// Adds an element at the end of a list.
    #[inline(always)]
    pub(crate) fn push(&mut self, list: &mut List, value: T) {
        let slot = list.len() % CHUNK;
        if slot == 0 {
            self.add_chunk(list);
        }
        self.chunks[list.tail as usize][slot] = value;
        list.len += 1;
    }

    #[cold]
    fn add_chunk(&mut self, list: &mut List) {
        let chunk = match self.free.pop() {
            Some(chunk) => chunk,
            None => {
                u32::try_from(self.chunks.push([T::new_zeroed(); CHUNK])).expect("fewer than 2^32 chunks")
            }
        };
        if list.chunks.len() == list.chunks.capacity() {
            // Small steps: there are thousands of lists.
            list.chunks.reserve_exact(list.chunks.len() / 4 + 4);
        }
        list.chunks.push(chunk);
        list.tail = chunk;
    }

    /// All elements of a list, in order. Memory is fetched a chunk ahead.
    #[inline]
    pub(crate) fn iter(&self, list: &List) -> impl Iterator<Item = &T> {
        self.prefetch_chunk(list, 0);
        (0..list.len()).map(move |at| {
            if at.is_multiple_of(CHUNK) {
                self.prefetch_chunk(list, (at >> CHUNK_SHIFT) + 1);
            }
            self.get(list, at)
        })
    }

    fn prefetch_chunk(&self, list: &List, chunk: usize) {
        if let Some(chunk) = list.chunks.get(chunk) {
            // One element in each cache line is enough.
            let step = (64 / size_of::<T>()).max(1);
            self.chunks[*chunk as usize]
                .iter()
                .step_by(step)
                .for_each(|element| holdfast_memory::prefetch(element));
        }
    }

    /// Takes an element out; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, list: &mut List, at: usize) {
        let last = *self.get(list, list.len() - 1);
        *self.get_mut(list, at) = last;
        list.len -= 1;
        if list.len().is_multiple_of(CHUNK) {
            self.free.extend(list.chunks.pop());
            list.tail = list.chunks.last().copied().unwrap_or_default();
        }
    }

    /// Empties a list.
    pub(crate) fn clear(&mut self, list: &mut List) {
        self.free.append(&mut list.chunks);
        list.len = 0;
    }

    /// Starts loading an element of a list.
    #[inline(always)]
    pub(crate) fn prefetch(&self, list: &List, at: usize) {
        if let Some(chunk) = list.chunks.get(at >> CHUNK_SHIFT) {
            holdfast_memory::prefetch(&self.chunks[*chunk as usize][at % CHUNK]);
        }
    }

    /// Starts loading where the next element will be stored.
    #[inline(always)]
    pub(crate) fn prefetch_end(&self, list: &List) {
        if let Some(chunk) = self.chunks.get(list.tail as usize) {
            holdfast_memory::prefetch(&chunk[list.len() % CHUNK]);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.memory_bytes() + self.free.capacity() * size_of::<u32>()
    }
}

impl List {
    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes that the list takes outside the pool and its own header.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Vec<u32>>() + self.chunks.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_share_what_they_give_back() {
        let mut pool = Pool::<usize>::default();
        let (mut a, mut b) = (List::default(), List::default());
        for n in 0..100 {
            pool.push(&mut a, n);
            pool.push(&mut b, n + 1000);
        }
        let chunks = pool.chunks.len();
        for _ in 0..90 {
            pool.swap_remove(&mut a, 0);
        }
        assert_eq!(a.len(), 10);
        for n in 100..160 {
            pool.push(&mut b, n + 1000);
        }
        assert_eq!(pool.chunks.len(), chunks);
        assert!((0..160).all(|n| *pool.get(&b, n) == n + 1000));
        // The last took the place of the first, over and over: 10 is what came to the front last.
        assert_eq!(*pool.get(&a, 0), 10);
        assert!((1..10).all(|n| *pool.get(&a, n) == n));
        pool.clear(&mut a);
        assert_eq!(a.len(), 0);
    }
}
