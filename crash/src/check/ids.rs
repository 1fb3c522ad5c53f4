//! The partition of a SKU, and the ids that the intake derives, computed once more.

use holdfast_contracts::{CustomerId, ReservationId};

use crate::evidence::Ask;

/// MurmurHash2 with the seed of Kafka's default partitioner, over the bytes of the SKU.
fn murmur2(bytes: &[u8]) -> u32 {
    let m = 0x5bd1_e995_u32;
    let length = u32::try_from(bytes.len()).expect("a SKU is short");
    let mut h = 0x9747_b28c_u32 ^ length;
    let whole = bytes.len() / 4 * 4;
    for at in (0..whole).step_by(4) {
        let mut k = 0u32;
        for byte in (0..4).rev() {
            k = k << 8 | u32::from(bytes[at + byte]);
        }
        k = k.wrapping_mul(m);
        k = (k ^ (k >> 24)).wrapping_mul(m);
        h = h.wrapping_mul(m) ^ k;
    }
    let mut rest = 0u32;
    for at in (whole..bytes.len()).rev() {
        rest = rest << 8 | u32::from(bytes[at]);
    }
    if whole < bytes.len() {
        h = (h ^ rest).wrapping_mul(m);
    }
    h = (h ^ (h >> 13)).wrapping_mul(m);
    h ^ (h >> 15)
}

/// The partition of a SKU.
pub(super) fn partition_of(sku: &str, partitions: u32) -> u32 {
    (murmur2(sku.as_bytes()) & 0x7fff_ffff) % partitions.max(1)
}

/// Derives ids as the intake does, from the secret of the run.
#[derive(Debug, Clone)]
pub(super) struct Deriver {
    key: [u8; 32],
    partitions: u32,
}

impl Deriver {
    /// `None` if the text is not a key.
    pub(super) fn new(key: &str, partitions: u32) -> Option<Self> {
        let digits = |at: usize| key.get(at..at + 2).and_then(|it| u8::from_str_radix(it, 16).ok());
        let bytes: Vec<u8> = (0..64).step_by(2).map(digits).collect::<Option<_>>()?;
        (key.len() == 64).then(|| Self { key: bytes.try_into().expect("32 bytes"), partitions })
    }

    fn subject(&self, subject: &str) -> [u8; 32] {
        let input = [&[0u8][..], subject.as_bytes()].concat();
        *blake3::keyed_hash(&self.key, &input).as_bytes()
    }

    /// The pseudonym of a customer.
    pub(super) fn customer(&self, subject: &str) -> CustomerId {
        let hash = self.subject(subject);
        let number = hash[..8].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        CustomerId(number.max(1))
    }

    fn id(&self, operation: u8, subject: &str, about: &[u8], key: &str, partition: u32) -> ReservationId {
        let about_len = u8::try_from(about.len()).expect("names are short");
        let input = [&[operation], &self.subject(subject)[..], &[about_len], about, key.as_bytes()].concat();
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::keyed_hash(&self.key, &input).as_bytes()[..16]);
        let [_, _, high, low] = partition.to_be_bytes();
        (id[0], id[1]) = (high, low);
        ReservationId(id)
    }

    /// The id under which a request is known to the machine. None for requests that carry no id of their own.
    pub(super) fn id_of(&self, ask: &Ask) -> Option<ReservationId> {
        let of = |sku: &str| partition_of(sku, self.partitions);
        Some(match ask {
            Ask::Reserve { subject, key, lines } => {
                self.id(1, subject, b"", key, lines.first().map_or(0, |line| of(&line.sku)))
            }
            Ask::Extend { subject, key, reservation_id, .. } => {
                let about: ReservationId = reservation_id.parse().ok()?;
                let partition = u32::from(u16::from_be_bytes([about.0[0], about.0[1]]));
                self.id(2, subject, &about.0, key, partition)
            }
            Ask::SetStock { subject, key, sku, .. } => self.id(3, subject, sku.as_bytes(), key, of(sku)),
            Ask::AdjustStock { subject, key, sku, .. } => self.id(4, subject, sku.as_bytes(), key, of(sku)),
            // One id for all partitions.
            Ask::DefineSale { subject, key, sale_id, .. } => self.id(5, subject, sale_id.as_bytes(), key, 0),
            Ask::Confirm { .. } | Ask::Release { .. } | Ask::OpenSale { .. } | Ask::Availability { .. } => {
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that Apache Kafka publishes for its clients.
    #[test]
    fn the_hash_is_kafkas() {
        for (text, expected) in [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)] {
            assert_eq!(murmur2(text.as_bytes()), expected.cast_unsigned(), "{text}");
        }
        assert_eq!(murmur2(b"a-little-bit-long-string").cast_signed(), -985_981_536);
        assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8").cast_signed(), -58_897_971);
    }

    #[test]
    fn a_key_is_64_digits() {
        assert!(Deriver::new(&"0f".repeat(32), 4).is_some());
        assert!(Deriver::new(&"0f".repeat(31), 4).is_none());
        assert!(Deriver::new(&"zz".repeat(32), 4).is_none());
    }
}
