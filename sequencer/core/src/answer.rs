//! What the id table remembers of an answer: 32 bits.
//!
//! Bit 31 set: a reservation, with the number of its hold. Clear: 5 bits of reason (0: an administrative command that was
//! done), 6 bits of line, 20 bits of value.

use holdfast_contracts::decision::Reason;

/// Values above this come back as this.
pub(crate) const VALUE_MAX: u64 = (1 << 20) - 1;
/// No line is to blame.
pub(crate) const NO_LINE: u8 = 63;

const HOLD: u32 = 1 << 31;

/// A remembered answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A reservation that was granted or waits.
    Hold(u32),
    /// An administrative command that was done.
    Done,
    /// A refusal: why, which merged line is to blame, and the value that came with it.
    Refused { reason: Reason, line: u8, value: u64 },
}

impl Answer {
    #[inline]
    pub(crate) fn pack(self) -> u32 {
        match self {
            Self::Hold(number) => HOLD | number,
            Self::Done => 0,
            Self::Refused { reason, line, value } => {
                let value = u32::try_from(value.min(VALUE_MAX)).expect("20 bits");
                reason.code() << 26 | u32::from(line) << 20 | value
            }
        }
    }

    #[inline]
    pub(crate) fn unpack(word: u32) -> Self {
        if word & HOLD != 0 {
            return Self::Hold(word & !HOLD);
        }
        match Reason::from_code(word >> 26) {
            None => Self::Done,
            Some(reason) => Self::Refused {
                reason,
                line: u8::try_from(word >> 20 & 63).expect("6 bits"),
                value: u64::from(word & 0xf_ffff),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_as_it_was() {
        for reason in Reason::ALL {
            for (line, value) in [(0, 0), (31, 1_000_000), (NO_LINE, VALUE_MAX)] {
                let answer = Answer::Refused { reason, line, value };
                assert_eq!(Answer::unpack(answer.pack()), answer);
            }
        }
        for answer in [Answer::Done, Answer::Hold(0), Answer::Hold((1 << 28) - 1)] {
            assert_eq!(Answer::unpack(answer.pack()), answer);
        }
    }
}
