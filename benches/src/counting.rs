//! Counts what the program asks of its allocator, so that "no allocation per command" is a number.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator with a counter per thread. A binary that wants to count makes it its global allocator.
#[derive(Debug)]
pub struct Counting;

#[expect(
    unsafe_code,
    reason = "the only way to count allocations; everything is handed on to the system's allocator"
)]
// SAFETY: the calls go to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as our caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: as our caller promised.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[inline]
fn count(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get().wrapping_add(1));
    BYTES.set(BYTES.get().wrapping_add(bytes as u64));
}

/// What a thread asked of its allocator. Growing an allocation in place counts like a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allocations {
    /// How often.
    pub count: u64,
    /// For how many bytes, freed or not.
    pub bytes: u64,
}

/// What the calling thread has asked so far. Nothing, ever, in a binary that does not count.
#[must_use]
pub fn allocations() -> Allocations {
    Allocations { count: ALLOCATIONS.get(), bytes: BYTES.get() }
}

/// What the calling thread asks while `work` runs.
pub fn allocations_of<R>(work: impl FnOnce() -> R) -> (R, Allocations) {
    let before = allocations();
    let result = work();
    let after = allocations();
    let spent = Allocations {
        count: after.count.wrapping_sub(before.count),
        bytes: after.bytes.wrapping_sub(before.bytes),
    };
    (result, spent)
}
