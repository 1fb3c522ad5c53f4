//! The bytes of a group on their way into a segment: whole pages, in memory that can be written directly.

use super::{disk::DIRECT_ALIGN, segment::PAGE_BYTES};

/// Bytes of a segment from a page boundary on.
///
/// It begins with what the segment's last page holds already, when that page is not full: it is written again with the
/// frames that follow, and its bytes stay the same.
pub(super) struct Staging {
    /// First some bytes to get to an aligned address, then the pages.
    memory: Vec<u8>,
    start: usize,
    /// Where in the segment the pages begin.
    at: u32,
}

impl Staging {
    /// Nothing but the part of a page that lies before `position`.
    pub(super) fn new(capacity: usize, position: u32, page: &[u8]) -> Self {
        let memory = Vec::with_capacity(capacity);
        let mut staging = Self { memory, start: 0, at: 0 };
        staging.restart(position, page);
        staging
    }

    /// Forgets everything and begins at another place.
    pub(super) fn restart(&mut self, position: u32, page: &[u8]) {
        debug_assert_eq!(page.len(), (position % PAGE_BYTES) as usize);
        self.at = position - position % PAGE_BYTES;
        self.memory.clear();
        self.align();
        self.memory.extend_from_slice(page);
    }

    fn align(&mut self) {
        self.start = self.memory.as_ptr().align_offset(DIRECT_ALIGN);
        self.memory.resize(self.start, 0);
    }

    /// Where the next frame begins.
    pub(super) fn position(&self) -> u32 {
        let used = self.memory.len() - self.start;
        self.at + u32::try_from(used).expect("a group is at most some megabytes")
    }

    /// To add frames to the end of.
    pub(super) fn frames(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// The pages, the last one filled up with zeros, and where they go.
    pub(super) fn pages(&mut self) -> (u64, &[u8]) {
        let used = self.memory.len() - self.start;
        if self.memory.as_ptr().align_offset(DIRECT_ALIGN) != self.start {
            // The memory has grown and moved. That is rare, for it does not shrink again.
            let pages = self.memory.split_off(self.start);
            self.memory.clear();
            self.memory.reserve(pages.len() + 2 * DIRECT_ALIGN);
            self.align();
            self.memory.extend_from_slice(&pages);
        }
        self.memory.resize(self.start + used.next_multiple_of(PAGE_BYTES as usize), 0);
        (u64::from(self.at), &self.memory[self.start..])
    }

    /// Goes on at `position`, which lies in the last of the pages or right after it.
    pub(super) fn go_on(&mut self, position: u32) {
        let page = position - position % PAGE_BYTES;
        let from = self.start + (page - self.at) as usize;
        let to = self.start + (position - self.at) as usize;
        self.memory.copy_within(from..to, self.start);
        self.memory.truncate(self.start + (to - from));
        self.at = page;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_and_repeat_what_the_last_one_held() {
        // A small capacity, so that the memory moves while it is used.
        let mut staging = Staging::new(0, 4096 + 3, b"abc");
        staging.frames().extend_from_slice(&[7; 5000]);
        let position = staging.position();
        assert_eq!(position, 4096 + 5003);
        let (at, pages) = staging.pages();
        assert_eq!((at, pages.len(), pages.as_ptr().align_offset(4096)), (4096, 8192, 0));
        assert_eq!((&pages[..3], &pages[3..5003]), (&b"abc"[..], &[7; 5000][..]));
        assert!(pages[5003..].iter().all(|&byte| byte == 0));
        staging.go_on(position);
        assert_eq!(staging.position(), position);
        staging.frames().push(9);
        let (at, pages) = staging.pages();
        assert_eq!((at, pages.len()), (8192, 4096));
        assert_eq!((&pages[..907], pages[907], pages[908]), (&[7; 907][..], 9, 0));
    }

    #[test]
    fn a_full_page_is_not_written_again() {
        let mut staging = Staging::new(1 << 20, 0, b"");
        staging.frames().extend_from_slice(&[1; 4096]);
        staging.pages();
        staging.go_on(4096);
        staging.frames().push(2);
        let (at, pages) = staging.pages();
        assert_eq!((at, pages[0]), (4096, 2));
    }
}
