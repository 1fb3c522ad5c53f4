//! The hash that decides a SKU's partition: MurmurHash2 as Kafka's Java clients compute it.

use crate::PartitionId;

/// MurmurHash2, 32 bits, with the seed of Kafka's default partitioner (`Utils.murmur2` in `kafka-clients`).
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // The algorithm folds the length in modulo 2^32, as Java's int arithmetic does.
    #[expect(clippy::cast_possible_truncation, reason = "defined modulo 2^32")]
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a SKU: the hash without its sign bit, modulo the pinned partition count.
///
/// `partitions` must not be 0.
#[must_use]
pub fn partition_of(sku: &str, partitions: u32) -> PartitionId {
    PartitionId((murmur2(sku.as_bytes()) & 0x7fff_ffff) % partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of `UtilsTest.testMurmur2` in Apache Kafka.
    #[test]
    fn equals_javas_published_vectors() {
        let vectors: [(&str, i32); 7] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (text, expected) in vectors {
            assert_eq!(murmur2(text.as_bytes()), expected.cast_unsigned(), "{text:?}");
        }
    }

    #[test]
    fn a_partition_is_below_the_count() {
        for n in 1..=64 {
            for sku in ["A1", "B2", "ÄÖÜ", "a-longer-sku-with-a-name"] {
                assert!(partition_of(sku, n).0 < n);
            }
        }
    }
}
