//! Writing: fields appended to a byte vector. Proto3 leaves out fields at their default, and so do we.

#[inline]
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

#[inline]
const fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

#[inline]
fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// A varint field, left out when 0.
#[inline]
pub(crate) fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_uint_always(out, number, value);
    }
}

/// A varint field with presence: written also when 0.
#[inline]
pub(crate) fn put_uint_always(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, 0);
    put_varint(out, value);
}

/// A `sint64` field, left out when 0.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, number: u32, value: i64) {
    put_uint(out, number, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

#[inline]
pub(crate) fn put_bool(out: &mut Vec<u8>, number: u32, value: bool) {
    put_uint(out, number, u64::from(value));
}

/// A `fixed64` field, left out when 0.
#[inline]
pub(crate) fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_tag(out, number, 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A length-delimited field, written also when empty.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A text field, left out when empty.
pub(crate) fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, number, text.as_bytes());
    }
}

/// A packed repeated varint field, left out when empty.
pub(crate) fn put_packed_u32(out: &mut Vec<u8>, number: u32, values: impl Iterator<Item = u32>) {
    let start = out.len();
    nested(out, number, |out| values.for_each(|value| put_varint(out, u64::from(value))));
    // Nothing but the tag and a zero length: as if never written.
    if out.len() == start + 2 {
        out.truncate(start);
    }
}

/// A nested message: `body` writes it, the length is filled in afterwards.
///
/// Nearly all of our messages are shorter than 128 bytes, so one byte is left for the length and the body is moved in
/// the rare case that it needs more.
#[inline]
pub(crate) fn nested(out: &mut Vec<u8>, number: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, number, 2);
    let at = out.len();
    out.push(0);
    body(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = low_byte(len as u64);
    } else {
        widen_length(out, at, len);
    }
}

#[cold]
fn widen_length(out: &mut Vec<u8>, at: usize, len: usize) {
    let end = out.len();
    put_varint(out, len as u64);
    let width = out.len() - end;
    // From "0, body, length" to "0, length, body"; then the byte that was left for a short length goes.
    out[at + 1..].rotate_right(width);
    out.remove(at);
}

/// A message shorter than 64 bytes at the end of the output.
///
/// Appending field by field makes sure of room for each byte, which takes longer than writing it. Here room is made once,
/// and what is too much is cut off at the end.
pub(crate) struct Short<'o> {
    bytes: &'o mut [u8; 64],
    len: usize,
}

impl<'o> Short<'o> {
    /// Begins at the end of the output.
    #[inline(always)]
    pub(crate) fn after(out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(&[0; 64]);
        Self { bytes: out.last_chunk_mut().expect("64 bytes were just added"), len: 0 }
    }

    /// How much of the output's end means nothing.
    #[inline(always)]
    pub(crate) const fn too_much(self) -> usize {
        64 - self.len
    }

    /// Appends bytes as they are.
    #[inline(always)]
    pub(crate) fn raw<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(bytes);
        self.len += N;
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        // The mask tells the compiler what the caller's messages make sure of.
        self.bytes[self.len & 63] = byte;
        self.len += 1;
    }

    /// A varint field, left out when 0.
    #[inline(always)]
    pub(crate) fn uint(&mut self, number: u8, value: u64) {
        if value == 0 {
            return;
        }
        self.push(number << 3);
        let mut value = value;
        while value >= 0x80 {
            self.push(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.push(low_byte(value));
    }

    /// Opens a nested message, to be closed with what this returns.
    #[inline(always)]
    pub(crate) fn open(&mut self, number: u8) -> usize {
        self.push(number << 3 | 2);
        self.push(0);
        self.len
    }

    /// Closes the nested message that begins here.
    #[inline(always)]
    pub(crate) fn close(&mut self, begin: usize) {
        self.bytes[(begin - 1) & 63] = low_byte((self.len - begin) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_gets_a_long_length() {
        for len in [0usize, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let mut out = vec![9, 9];
            nested(&mut out, 2, |out| out.resize(out.len() + len, 7));
            let mut fields = crate::wire::Fields::of(&out[2..]);
            let (number, field) = fields.next().expect("whole").expect("one field");
            assert_eq!((number, field), (2, crate::wire::Field::Bytes(&vec![7; len])));
            assert!(fields.is_empty());
        }
    }
}
