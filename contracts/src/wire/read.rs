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

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The bytes after `tag`, if that one-byte tag comes next, fewer than 128 bytes long; otherwise nothing is read.
    #[inline]
    pub(crate) fn short_if(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [first, len, after @ ..] = self.rest else { return None };
        if *first != tag || *len >= 0x80 {
            return None;
        }
        let (short, rest) = after.split_at_checked(usize::from(*len))?;
        self.rest = rest;
        Some(short)
    }

    /// The varint after `tag`, if that one-byte tag comes next and the varint is whole; otherwise nothing is read.
    #[inline]
    pub(crate) fn uint_if(&mut self, tag: u8) -> Option<u64> {
        let [first, after @ ..] = self.rest else { return None };
        if *first != tag {
            return None;
        }
        let mut fields = Fields::of(after);
        let value = fields.varint().ok()?;
        *self = fields;
        Some(value)
    }

    /// A varint of two to eight bytes, where eight can be looked at, without a loop: the first byte without its high bit
    /// ends it, and groups of seven bits close ranks by halves.
    #[inline]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let Some(eight) = self.rest.first_chunk::<8>() else { return self.any_varint() };
        let eight = u64::from_le_bytes(*eight);
        let ends = !eight & HIGH;
        if ends == 0 {
            return self.any_varint();
        }
        let upto_end = eight & (ends ^ (ends - 1)) & !HIGH;
        let pairs = (upto_end & 0x007f_007f_007f_007f) | (upto_end & 0x7f00_7f00_7f00_7f00) >> 1;
        let quads = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        self.rest = &self.rest[ends.trailing_zeros() as usize / 8 + 1..];
        Ok((quads & 0x0fff_ffff) | (quads & 0x0fff_ffff_0000_0000) >> 4)
    }

    #[cold]
    fn any_varint(&mut self) -> Result<u64, WireError> {
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

/// Numbers 1 and 2 of a message that has nothing else in it, if the second takes one byte and the first at most two;
/// number 1 may be left out. `None` is no verdict.
#[inline(always)]
pub(crate) const fn two_small_numbers(message: &[u8]) -> Option<(u32, u32)> {
    match message {
        [0x10, second] if *second < 0x80 => Some((0, *second as u32)),
        [0x08, first, 0x10, second] if *first < 0x80 && *second < 0x80 => {
            Some((*first as u32, *second as u32))
        }
        [0x08, low, high, 0x10, second] if *low >= 0x80 && *high < 0x80 && *second < 0x80 => {
            Some(((*low & 0x7f) as u32 | (*high as u32) << 7, *second as u32))
        }
        _ => None,
    }
}

/// The number in field 1, for a message that has no other field.
pub(crate) fn only_number(message: &[u8]) -> Result<u64, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut value = 0;
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            value = field.u64()?;
            once.see(1)?;
        }
    }
    Ok(value)
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

    /// The same number whether the varint stands at the end of the record or has bytes after it.
    #[test]
    fn a_varint_is_read_alike_wherever_it_stands() {
        for bits in 0..=64 {
            for value in [
                1u64.checked_shl(bits).map_or(u64::MAX, |bit| bit - 1),
                0x0123_4567_89ab_cdef >> (64 - bits).min(63),
            ] {
                let mut bytes = Vec::new();
                let mut rest = value;
                while rest >= 0x80 {
                    bytes.push(rest.to_le_bytes()[0] | 0x80);
                    rest >>= 7;
                }
                bytes.push(rest.to_le_bytes()[0]);
                let mut alone = Fields::of(&bytes);
                assert_eq!((alone.varint(), alone.is_empty()), (Ok(value), true));
                let followed = [&bytes[..], &[0xff; 12]].concat();
                let mut fields = Fields::of(&followed);
                assert_eq!((fields.varint(), fields.rest().len()), (Ok(value), 12));
            }
        }
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
