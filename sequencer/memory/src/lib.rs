//! Large flat memory for machines: growable paged arrays on huge pages, and prefetching.
//!
//! The machines themselves contain no `unsafe`; the two hints to the hardware that need it live here, and neither can
//! change what a program computes.

mod hints;
mod page_vec;

pub use hints::{advise_huge_pages, prefetch};
pub use page_vec::PageVec;
