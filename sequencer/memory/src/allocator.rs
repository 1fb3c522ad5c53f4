//! What the system's allocator does with memory that is freed.
#![expect(unsafe_code, reason = "mallopt is not in std")]

/// Tells the system's allocator to give large blocks back when they are freed, and to keep small ones in few places.
///
/// A server takes large blocks again and again: for a checkpoint that is written, shipped or read back. The GNU allocator
/// gives the first of each size back to the system when it is freed, learns from that to keep the next, and cuts them up for
/// others, in eight places for each processor. A sequencer then grows for minutes, to more than twice what it needs.
/// With this, a large block is the system's again the moment it is freed. Call it before threads are started. Does nothing
/// where the allocator is another one; one that says no works as before.
pub fn give_large_blocks_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// From here on a block is large: more than what any batch on the way takes, less than a part of a checkpoint.
        const LARGE: i32 = 1 << 20;
        /// Freed bytes that are kept at the end of a place.
        const KEPT_MAX: i32 = 64 << 20;
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let places = i32::try_from(processors.max(2)).unwrap_or(i32::MAX);
        let settings = [
            (libc::M_ARENA_MAX, places),
            (libc::M_MMAP_THRESHOLD, LARGE),
            (libc::M_TRIM_THRESHOLD, KEPT_MAX),
        ];
        for (setting, value) in settings {
            // SAFETY: mallopt takes two numbers by value and only changes how memory is looked for from now on.
            let _ = unsafe { libc::mallopt(setting, value) };
        }
    }
}
