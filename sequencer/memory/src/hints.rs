//! Hints to the memory hardware. They change how fast memory answers, never what it says.
#![expect(unsafe_code, reason = "madvise and prefetch are hints that std does not offer")]

/// Starts loading the cache line of `value` so that a later access finds it.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching reads nothing architecturally and never faults; the pointer comes from a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Makes the system give the memory now and not when it is first written.
pub(crate) fn touch<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let step = (PAGE / size_of::<T>().max(1)).max(1);
    for element in memory.iter_mut().step_by(step) {
        *element = std::mem::MaybeUninit::zeroed();
    }
    if let Some(last) = memory.last_mut() {
        *last = std::mem::MaybeUninit::zeroed();
    }
}

/// Asks for huge pages behind a large allocation, so that random accesses do not miss the address cache as well.
///
/// Does nothing for allocations below 2 MiB or where the system does not support it.
pub fn advise_huge_pages<T>(memory: &[std::mem::MaybeUninit<T>]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE_PAGE: usize = 2 << 20;
        let start = memory.as_ptr() as usize;
        let end = start + size_of_val(memory);
        // Only whole huge pages inside the allocation: neighbours of ours keep their own page size.
        let first = start.next_multiple_of(HUGE_PAGE);
        let last = end - end % HUGE_PAGE;
        if first < last {
            let at = std::ptr::without_provenance_mut::<std::ffi::c_void>(first);
            // SAFETY: MADV_HUGEPAGE keeps the content of the range, which lies inside a live allocation.
            // A kernel without huge pages says no; the memory works all the same.
            let _ = unsafe { rustix::mm::madvise(at, last - first, rustix::mm::Advice::LinuxHugepage) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
