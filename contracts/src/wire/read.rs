//! Reading: fields of a message, one after the other, borrowed from the record.

use super::WireError;
use crate::ReservationId;
use crate::limits::TEXT_BYTES_MAX;

/// One field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub(crate) fn u64(self) -> Result<u64, WireError> {
        match self {
            Self::Varint(n) => Ok(n),
            _ => Err(WireError::WrongWireType),
        }
    }

    pub(crate) fn u32(self) -> Result<u32, WireError> {
        u32_of(self.u64()?)
    }

    /// The ZigZag form of Protobuf's `sint64`.
    pub(crate) fn zigzag(self) -> Result<i64, WireError> {
        self.u64().map(|n| (n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    /// Protobuf reads every non-zero varint as true; we take only the two canonical ones.
    pub(crate) fn bool(self) -> Result<bool, WireError> {
        match self.u64()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::OutOfRange),
        }
    }

    pub(crate) fn fixed64(self) -> Result<u64, WireError> {
        match self {
            Self::Fixed64(n) => Ok(n),
            _ => Err(WireError::WrongWireType),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::WrongWireType),
        }
    }

    pub(crate) fn id(self) -> Result<ReservationId, WireError> {
        id_of(self.bytes()?)
    }

    pub(crate) fn text(self) -> Result<&'a str, WireError> {
        text_of(self.bytes()?)
    }
}

/// A number that must fit 32 bits.
pub(crate) fn u32_of(n: u64) -> Result<u32, WireError> {
    u32::try_from(n).map_err(|_| WireError::OutOfRange)
}

/// An id of exactly 16 bytes.
///
/// # Errors
/// [`WireError::BadId`] for any other length.
pub fn id_of(bytes: &[u8]) -> Result<ReservationId, WireError> {
    bytes.try_into().map(ReservationId).map_err(|_| WireError::BadId)
}

/// A UTF-8 text of at most 256 bytes.
///
/// # Errors
/// [`WireError::TextTooLong`] or [`WireError::NotUtf8`].
pub fn text_of(bytes: &[u8]) -> Result<&str, WireError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(WireError::TextTooLong);
    }
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8)
}

/// Walks over the fields of a message. Stops for good after an error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value, or `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        // Field numbers have 29 bits, so a tag has 32.
        let tag = u32::try_from(tag).map_err(|_| WireError::BadFieldNumber)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(WireError::BadFieldNumber);
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(WireError::WrongWireType),
        };
        Ok(Some((number, field)))
    }

    /// A bare varint, as inside a packed field.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if i == 9 && bits > 1 {
                return Err(WireError::VarintTooLong);
            }
            value |= bits << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() >= 10 { WireError::VarintTooLong } else { WireError::Truncated })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(len).map_err(|_| WireError::Truncated)?;
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

/// Remembers which singular fields of a message were seen, to refuse a second one.
#[derive(Debug, Default)]
pub(crate) struct Once(u64);

impl Once {
    #[inline]
    pub(crate) fn see(&mut self, number: u32) -> Result<(), WireError> {
        let bit = 1u64 << (number & 63);
        if self.0 & bit != 0 {
            return Err(WireError::DuplicateField);
        }
        self.0 |= bit;
        Ok(())
    }

    pub(crate) const fn saw(&self, number: u32) -> bool {
        self.0 & (1u64 << (number & 63)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_of_eleven_bytes_is_refused() {
        assert_eq!(Fields::of(&[0x80; 11]).varint(), Err(WireError::VarintTooLong));
        assert_eq!(Fields::of(&[0xff; 9]).varint(), Err(WireError::Truncated));
        let mut max = [0xff; 10];
        max[9] = 1;
        assert_eq!(Fields::of(&max).varint(), Ok(u64::MAX));
        max[9] = 2;
        assert_eq!(Fields::of(&max).varint(), Err(WireError::VarintTooLong));
    }

    #[test]
    fn a_length_beyond_the_record_is_truncation_not_a_panic() {
        let mut huge = vec![0x0a];
        huge.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert_eq!(Fields::of(&huge).next(), Err(WireError::Truncated));
    }

    #[test]
    fn groups_and_field_zero_are_refused() {
        assert_eq!(Fields::of(&[0x0b]).next(), Err(WireError::WrongWireType));
        assert_eq!(Fields::of(&[0x00, 0x00]).next(), Err(WireError::BadFieldNumber));
    }
}
