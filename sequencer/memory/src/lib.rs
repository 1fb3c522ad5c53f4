//! Large flat memory for machines: growable paged arrays on huge pages, and prefetching.
//!
//! The machines themselves contain no `unsafe`. What needs it lives here: hints to the hardware and the allocator that
//! cannot change what a program computes, and one comparison that is a single instruction.

mod allocator;
mod hints;
mod lanes;
mod page_vec;

pub use allocator::give_large_blocks_back;
pub use hints::{advise_huge_pages, prefetch};
pub use lanes::equal_bytes;
pub use page_vec::PageVec;
