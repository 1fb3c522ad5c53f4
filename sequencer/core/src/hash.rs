//! Mixing numbers: hashes for tables, and the elements that the state digest adds up.
//!
//! All of it is fixed arithmetic on 64 bits: the same state gives the same digest on every machine, for ever.

use holdfast_contracts::ReservationId;

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xd1b5_4a32_d192_ed03;
const C: u64 = 0xa076_1d64_78bd_642f;
const D: u64 = 0xe703_7ed1_a0b4_28db;

/// Multiplies to 128 bits and folds the halves together.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a 128-bit product are taken apart")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The two halves of an id as numbers.
#[inline]
pub(crate) fn id_words(id: ReservationId) -> (u64, u64) {
    let bytes = u128::from_le_bytes(id.0);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
    ((bytes as u64), (bytes >> 64) as u64)
}

/// Hash of a pair of numbers.
#[inline]
pub(crate) const fn hash_pair(a: u64, b: u64) -> u64 {
    fold(fold(a ^ A, b ^ B) ^ C, D)
}

/// Hash of a byte string.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = fold(bytes.len() as u64 ^ C, D);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        hash = fold(hash ^ word, A);
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    fold(hash ^ u64::from_le_bytes(last), B)
}

/// A hash over several numbers in a row.
#[derive(Clone, Copy)]
pub(crate) struct Mix(u64);

impl Mix {
    pub(crate) const fn new(kind: u64) -> Self {
        Self(kind ^ D)
    }

    #[inline]
    pub(crate) const fn with(self, value: u64) -> Self {
        Self(fold(self.0 ^ value, A).wrapping_add(C))
    }

    /// 32 bits of it.
    #[inline]
    pub(crate) const fn low32(self) -> u32 {
        let mixed = fold(self.0 ^ C, B);
        #[expect(clippy::cast_possible_truncation, reason = "32 bits are wanted")]
        {
            mixed as u32
        }
    }

    pub(crate) const fn finish(self) -> u64 {
        fold(self.0 ^ C, B)
    }
}

/// A sum of elements, equal for equal sets of elements whatever the order in which they came and went.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sum(pub(crate) u128);

impl Sum {
    #[inline]
    pub(crate) const fn add(&mut self, element: u128) {
        self.0 = self.0.wrapping_add(element);
    }

    #[inline]
    pub(crate) const fn remove(&mut self, element: u128) {
        self.0 = self.0.wrapping_sub(element);
    }
}

/// Odd constants without a pattern, one for each number that an element may have.
const KEYS: [u64; 10] = [
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
    0x8ebc_6af0_9c88_c6e3,
    0x5899_65cc_7537_4cc3,
    0x1d8e_4e27_c47d_124f,
    0xeb44_acca_b455_d165,
    0x9e37_79b9_7f4a_7c15,
    0xd1b5_4a32_d192_ed03,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
];

/// The element of a thing described by these numbers, at most ten; `kind` tells apart things of different kinds.
///
/// Numbers are multiplied in pairs and the products added (the NH hash of Black et al., UMAC, 1999), then mixed, so that
/// elements that differ little are far apart.
#[inline]
pub(crate) fn element<const N: usize>(kind: u64, words: [u64; N]) -> u128 {
    let mut sum = u128::from(kind);
    let mut at = 0;
    while at + 1 < N {
        let a = words[at].wrapping_add(KEYS[at]);
        let b = words[at + 1].wrapping_add(KEYS[at + 1]);
        sum = sum.wrapping_add(u128::from(a) * u128::from(b));
        at += 2;
    }
    if at < N {
        sum = sum.wrapping_add(u128::from(words[at].wrapping_add(KEYS[at])) * u128::from(KEYS[at + 1]));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
    let (low, high) = (sum as u64, (sum >> 64) as u64);
    let mixed = u128::from(low ^ A) * u128::from(high.rotate_left(32) ^ B);
    // The product alone would lose a factor of two or more now and then.
    mixed ^ (u128::from(high ^ C) << 64 | u128::from(low ^ D))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_forgets_what_was_removed() {
        let mut sum = Sum::default();
        let (a, b) = (element(1, [1, 2]), element(1, [2, 1]));
        assert_ne!(a, b);
        sum.add(a);
        sum.add(b);
        sum.remove(a);
        let mut only_b = Sum::default();
        only_b.add(b);
        assert_eq!(sum, only_b);
    }

    #[test]
    fn similar_texts_hash_apart() {
        let texts = ["", "a", "b", "aa", "a\0", "A1", "A2", "abcdefgh", "abcdefghi", "abcdefgi"];
        for (i, x) in texts.iter().enumerate() {
            for y in &texts[i + 1..] {
                assert_ne!(hash_bytes(x.as_bytes()), hash_bytes(y.as_bytes()), "{x:?} {y:?}");
            }
        }
    }
}
