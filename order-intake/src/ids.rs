//! Ids derived from who asks and with which key, so that every intake asks the machine about the same one.

use holdfast_contracts::{CustomerId, PartitionId, ReservationId};

use crate::keys::IdKey;

/// What is asked for; the same key means something else in another operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    Reserve = 1,
    Extend = 2,
    SetStock = 3,
    AdjustStock = 4,
    DefineSale = 5,
}

/// Domain of subjects, apart from all operations.
const SUBJECT: u8 = 0;

/// Derives ids with the secret key. Nobody without it can tell whose an id is, or guess one.
#[derive(Clone)]
pub(crate) struct Ids(IdKey);

impl Ids {
    pub(crate) const fn new(key: IdKey) -> Self {
        Self(key)
    }

    /// Keyed hash of a subject.
    pub(crate) fn subject(&self, subject: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.0);
        hasher.update(&[SUBJECT]).update(subject.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The pseudonym of a subject in the log: never 0, which is the system itself.
    pub(crate) fn customer(subject: &[u8; 32]) -> CustomerId {
        let (head, _) = subject.split_first_chunk().expect("32 bytes begin with 8");
        CustomerId(u64::from_le_bytes(*head).max(1))
    }

    /// The id of an attempt: the partition in the first two bytes, so that it can be found again, then 112 bits of a
    /// keyed hash over who asks, for what, about what, and with which key.
    pub(crate) fn attempt(
        &self,
        operation: Operation,
        subject: &[u8; 32],
        about: &[u8],
        key: &[u8],
        partition: PartitionId,
    ) -> ReservationId {
        // Everything but the last part has a fixed length or says it, so no two inputs run together.
        let mut input = [0u8; 1 + 32 + 1 + 64 + 255];
        let mut len = 0;
        let about_len = u8::try_from(about.len().min(64)).expect("at most 64");
        for part in [&[operation as u8][..], subject, &[about_len], &about[..usize::from(about_len)], key] {
            let part = &part[..part.len().min(input.len() - len)];
            input[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        let hash = blake3::keyed_hash(&self.0.0, &input[..len]);
        let (head, _) = hash.as_bytes().split_first_chunk::<16>().expect("32 bytes begin with 16");
        in_partition(ReservationId(*head), partition)
    }
}

/// The id that the same attempt has in another partition.
pub(crate) fn in_partition(mut id: ReservationId, partition: PartitionId) -> ReservationId {
    // A log has at most 1,024 partitions.
    let [_, _, high, low] = partition.0.to_be_bytes();
    id.0[0] = high;
    id.0[1] = low;
    id
}

/// The partition that an id names. It may be one that does not exist.
pub(crate) fn partition_of(id: ReservationId) -> PartitionId {
    PartitionId(u32::from(u16::from_be_bytes([id.0[0], id.0[1]])))
}

/// An id that nobody can repeat, for a command that was sent without a key.
pub(crate) fn random() -> Option<ReservationId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).ok()?;
    Some(ReservationId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Ids {
        Ids::new(IdKey([7; 32]))
    }

    #[test]
    fn an_id_depends_on_everything_it_is_derived_from_and_names_its_partition() {
        let (one, two) = (ids().subject("one"), ids().subject("two"));
        let id = |operation, subject, about: &[u8], key: &[u8], partition| {
            ids().attempt(operation, subject, about, key, PartitionId(partition))
        };
        let base = id(Operation::Reserve, &one, b"", b"k", 3);
        assert_eq!(base, id(Operation::Reserve, &one, b"", b"k", 3));
        let others = [
            id(Operation::Extend, &one, b"", b"k", 3),
            id(Operation::Reserve, &two, b"", b"k", 3),
            id(Operation::Reserve, &one, b"k", b"", 3),
            id(Operation::Reserve, &one, b"", b"kk", 3),
            id(Operation::Reserve, &one, b"", b"k", 4),
            Ids::new(IdKey([8; 32])).attempt(Operation::Reserve, &one, b"", b"k", PartitionId(3)),
        ];
        for other in others {
            assert_ne!(base, other);
        }
        assert_eq!(partition_of(base), PartitionId(3));
        assert_eq!(partition_of(others[4]), PartitionId(4));
        assert_eq!(base.0[2..], others[4].0[2..], "the key is the same one in every partition");
    }

    #[test]
    fn the_longest_key_counts_to_its_end() {
        let subject = ids().subject("one");
        let id = |key: &[u8]| ids().attempt(Operation::SetStock, &subject, &[b's'; 64], key, PartitionId(0));
        let mut key = [b'x'; 255];
        let first = id(&key);
        key[254] = b'y';
        assert_ne!(first, id(&key));
    }
}
