//! Large flat memory for machines: growable paged arrays on huge pages, and prefetching.
//!
//! The machines themselves contain no `unsafe`. What needs it lives here: two hints to the hardware that cannot change
//! what a program computes, and one comparison that is a single instruction.

mod hints;
mod lanes;
mod page_vec;

pub use hints::{advise_huge_pages, prefetch};
pub use lanes::equal_bytes;
pub use page_vec::PageVec;
