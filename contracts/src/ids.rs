//! Newtypes for ids, positions and times, so that two numbers side by side cannot be mixed up.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

macro_rules! bytes16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            /// Reads what `Display` writes: exactly 32 hexadecimal digits.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(NotAnId);
                }
                u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| NotAnId)
            }
        }
    };
}

/// A text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 32 hexadecimal digits")]
pub struct NotAnId;

number!(
    /// Number of a partition, from 0.
    PartitionId, u32
);
number!(
    /// Place of a record in its partition of a log, from 0, without holes.
    Offset, u64
);
number!(
    /// Milliseconds since 1970 as the log counts them. Never a local clock.
    LogTime, u64
);
number!(
    /// Dense number of an output record in its partition, from 1.
    OutSeq, u64
);
number!(
    /// Pseudonym of a buyer. 0 is the system itself and never a buyer.
    CustomerId, u64
);
number!(
    /// One intake instance waiting for answers. 0 is nobody.
    IntakeId, u64
);
number!(
    /// What an intake calls a request it waits for.
    RequestTag, u64
);

bytes16!(
    /// Id of a reservation, or of an administrative command: 128 bits that no two attempts share.
    ReservationId
);
bytes16!(
    /// Random id of a log, minted when the log is created.
    LogId
);
bytes16!(
    /// Hash over all records of a partition up to one of them.
    Chain
);

impl LogTime {
    /// This time `ms` later; stops at the end of the number range instead of wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, 0 if `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Offset {
    /// The offset of the next record.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Sum over the whole state of a machine. Equal states have equal digests; not a cryptographic hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Who was first: the partition, the record in it, and the command in the record. Nothing else counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Partition of the commands log.
    pub partition: PartitionId,
    /// Record in the partition.
    pub offset: Offset,
    /// Command in the record.
    pub index: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.partition, self.offset, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = ReservationId(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff");
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn an_id_is_32_digits_and_nothing_else() {
        for text in ["", "00", "+0102030405060708090a0b0c0d0eff0", "000102030405060708090a0b0c0d0egg"] {
            assert_eq!(text.parse::<ReservationId>(), Err(NotAnId), "{text:?}");
        }
    }
}
