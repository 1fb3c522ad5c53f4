//! Chunks: pages one after the other, each with its kind, its number and its length.

use holdfast_engine::{Page, PageVisitor, Pages, StoreError};

/// A chunk is full when it has this many bytes. A page is whole in one chunk.
const CHUNK_BYTES: usize = 8 << 20;
/// Kind, number and length.
const HEAD_BYTES: usize = 1 + 8 + 4;

/// Some pages on their way.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pages: u64,
}

impl Filled {
    fn new() -> Self {
        Self { bytes: Vec::with_capacity(CHUNK_BYTES + (1 << 17)), pages: 0 }
    }

    fn push(&mut self, page: &Page) -> Result<(), StoreError> {
        let len = u32::try_from(page.bytes.len())
            .map_err(|_| StoreError::Damaged("a page has more than 4 GiB".to_owned()))?;
        self.bytes.push(page.kind);
        self.bytes.extend_from_slice(&page.number.to_le_bytes());
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(&page.bytes);
        self.pages += 1;
        Ok(())
    }
}

/// Packs all pages into chunks and hands these on, as long as `take` wants more. Says how many bytes the pages have.
pub(crate) fn pack(pages: &mut Pages<'_>, mut take: impl FnMut(Filled) -> bool) -> Result<u64, StoreError> {
    let (mut bytes, mut chunk) = (0, Filled::new());
    for page in pages {
        let page = page?;
        bytes += page.bytes.len() as u64;
        chunk.push(&page)?;
        if chunk.bytes.len() >= CHUNK_BYTES && !take(std::mem::replace(&mut chunk, Filled::new())) {
            return Ok(bytes);
        }
    }
    if chunk.pages > 0 {
        take(chunk);
    }
    Ok(bytes)
}

/// Hands the pages of a chunk on, and says how many there were and how many bytes they had.
pub(crate) fn unpack(mut chunk: &[u8], visit: &mut PageVisitor<'_>) -> Result<(u64, u64), StoreError> {
    let torn = || StoreError::Damaged("a page in it has no end".to_owned());
    let (mut pages, mut bytes) = (0, 0);
    while !chunk.is_empty() {
        let (head, rest) = chunk.split_first_chunk::<HEAD_BYTES>().ok_or_else(torn)?;
        let [kind, n0, n1, n2, n3, n4, n5, n6, n7, l0, l1, l2, l3] = *head;
        let number = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (page, rest) = rest.split_at_checked(len).ok_or_else(torn)?;
        visit(kind, number, page)?;
        (pages, bytes) = (pages + 1, bytes + len as u64);
        chunk = rest;
    }
    Ok((pages, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<Page> {
        let page =
            |n: u8, len: usize| Page { kind: n % 3, number: u64::from(n) << 40, bytes: vec![n; len].into() };
        (0..40).map(|n| page(n, usize::from(n) * 40_000)).collect()
    }

    #[test]
    fn pages_come_back_as_they_were_packed() {
        let mut chunks = Vec::new();
        let mut source = pages().into_iter().map(Ok);
        let bytes = pack(&mut source, |chunk| {
            chunks.push(chunk);
            true
        });
        assert!(chunks.len() > 2 && chunks.iter().all(|it| it.bytes.len() < 2 * CHUNK_BYTES));
        let (mut found, mut count) = (Vec::new(), 0);
        for chunk in &chunks {
            let (pages, bytes) = unpack(&chunk.bytes, &mut |kind, number, bytes| {
                found.push(Page { kind, number, bytes: bytes.into() });
                Ok(())
            })
            .expect("our own");
            assert_eq!(pages, chunk.pages);
            count += bytes;
        }
        assert_eq!((found, count), (pages(), bytes.expect("no page is missing")));
    }

    #[test]
    fn a_chunk_cut_off_is_noticed() {
        let mut chunk = Filled::new();
        chunk.push(&Page { kind: 1, number: 2, bytes: vec![3; 10].into() }).expect("it is small");
        for len in 1..chunk.bytes.len() {
            assert!(unpack(&chunk.bytes[..len], &mut |_, _, _| Ok(())).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn nobody_packs_on_when_nobody_takes() {
        let mut left = pages().into_iter().map(Ok);
        pack(&mut left, |_| false).expect("no page is missing");
        assert!(left.len() > 10);
    }
}
