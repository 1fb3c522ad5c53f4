//! Comparing many bytes at once.

/// One bit for each of the bytes that equals `byte`, the lowest for the first.
#[inline(always)]
#[must_use]
pub fn equal_bytes(bytes: &[u8; 32], byte: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        sse2::equal_bytes(bytes, byte)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        plain(bytes, byte)
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn plain(bytes: &[u8; 32], byte: u8) -> u32 {
    bytes.iter().rev().fold(0, |bits, found| bits << 1 | u32::from(*found == byte))
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    #![expect(
        unsafe_code,
        reason = "std offers the comparison as an instruction only, which every x86-64 has"
    )]
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};

    #[inline(always)]
    pub(super) fn equal_bytes(bytes: &[u8; 32], byte: u8) -> u32 {
        let (low, high) = bytes.split_at(16);
        u32::from(sixteen(low, byte)) | u32::from(sixteen(high, byte)) << 16
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the mask has 16 bits")]
    fn sixteen(bytes: &[u8], byte: u8) -> u16 {
        assert!(bytes.len() == 16, "a half has 16 bytes");
        // SAFETY: the 16 bytes were checked to be there, the load needs no alignment, and SSE2 belongs to x86-64.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()))) as u16
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_where_bytes_are_equal() {
        let bytes = std::array::from_fn(|n| [0, 1, 0x7f, 0x80, 0xff][n * n % 5]);
        for byte in 0..=255 {
            assert_eq!(equal_bytes(&bytes, byte), plain(&bytes, byte), "{byte}");
        }
        assert_eq!(equal_bytes(&[7; 32], 7), u32::MAX);
        assert_eq!(plain(&std::array::from_fn(|n| u8::from(n == 3)), 1), 8);
    }
}
