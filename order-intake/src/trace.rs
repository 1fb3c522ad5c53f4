//! Trace ids: taken from the caller's `traceparent`, else made here, and told in every answer.

use std::cell::Cell;

/// 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace(pub(crate) [u8; 32]);

impl Trace {
    /// The trace id of a `traceparent` header, if it is one.
    pub(crate) fn from_parent(header: &[u8]) -> Option<Self> {
        // version "-" trace id "-" span id "-" flags; later versions may append to it.
        let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if header.len() < 55 || header[2] != b'-' || header[35] != b'-' || header[52] != b'-' {
            return None;
        }
        let version_fits = header[..2] != *b"ff" && (header[..2] != *b"00" || header.len() == 55);
        let (trace, span) = (&header[3..35], &header[36..52]);
        let zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
        if !version_fits
            || ![&header[..2], trace, span, &header[53..55]].into_iter().all(is_hex)
            || zero(trace)
        {
            return None;
        }
        trace.try_into().ok().map(Self)
    }
}

/// Makes trace ids that no two requests share: a random half for the thread, and a count that is stirred.
pub(crate) struct Traces {
    thread: u64,
    count: Cell<u64>,
}

impl Traces {
    pub(crate) fn new() -> Self {
        // Without random bytes ids may repeat after a restart; nothing else depends on them.
        let thread = getrandom::u64().unwrap_or(1) | 1;
        Self { thread, count: Cell::new(getrandom::u64().unwrap_or_default()) }
    }

    pub(crate) fn next(&self) -> Trace {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        // An odd factor permutes the numbers, so counts stay apart.
        let stirred = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let number = u128::from(self.thread) << 64 | u128::from(stirred);
        Trace(hex(number.to_be_bytes()))
    }
}

/// The lower-case hexadecimal digits of 16 bytes.
pub(crate) fn hex(bytes: [u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_callers_trace_goes_on() {
        let trace = Trace::from_parent(PARENT).unwrap();
        assert_eq!(&trace.0, b"4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let with = |at: usize, byte: u8| {
            let mut header = PARENT.to_vec();
            header[at] = byte;
            header
        };
        let bad = [
            with(0, b'g'),
            with(3, b'A'),
            with(2, b' '),
            PARENT[..54].to_vec(),
            [PARENT, b"-x"].concat(),
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_vec(),
        ];
        for header in bad {
            assert_eq!(Trace::from_parent(&header), None, "{}", String::from_utf8_lossy(&header));
        }
    }

    #[test]
    fn made_ids_are_digits_and_differ() {
        let traces = Traces::new();
        let (one, two) = (traces.next(), traces.next());
        assert_ne!(one, two);
        assert!(one.0.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(
            &hex(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff"),
            b"000102030405060708090a0b0c0d0eff"
        );
    }
}
