//! Why bytes are not a record of ours.

/// What is wrong with the bytes of a record. The codes are part of the contract: a malformed record is answered with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The record ends inside a field.
    #[error("the record ends inside a field")]
    Truncated,
    /// A varint is longer than ten bytes or does not fit 64 bits.
    #[error("a varint does not fit 64 bits")]
    VarintTooLong,
    /// A tag has field number 0, or one beyond Protobuf's range.
    #[error("a field number is out of range")]
    BadFieldNumber,
    /// A wire type that Protobuf 3 does not use (groups), or that this field does not have.
    #[error("a field has the wrong wire type")]
    WrongWireType,
    /// A singular field is given twice.
    #[error("a singular field is given twice")]
    DuplicateField,
    /// A number does not fit its field.
    #[error("a number does not fit its field")]
    OutOfRange,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// An id is not 16 bytes.
    #[error("an id is not 16 bytes")]
    BadId,
    /// A SKU is empty or longer than 64 bytes.
    #[error("a SKU is empty or longer than 64 bytes")]
    BadSku,
    /// A text is longer than 256 bytes.
    #[error("a text is longer than 256 bytes")]
    TextTooLong,
    /// The record has no command.
    #[error("the record has no command")]
    Empty,
    /// The record is longer, or has more commands, SKUs or lines, than the contract allows.
    #[error("the record has more bytes, commands, SKUs or lines than allowed")]
    TooLarge,
    /// A command, decision or event of a kind this version does not know.
    #[error("a command of a kind this version does not know")]
    UnknownKind,
    /// A required field is missing.
    #[error("a required field is missing")]
    MissingField,
}

impl WireError {
    /// All errors, in the order of their codes.
    const ALL: [Self; 14] = [
        Self::Truncated,
        Self::VarintTooLong,
        Self::BadFieldNumber,
        Self::WrongWireType,
        Self::DuplicateField,
        Self::OutOfRange,
        Self::NotUtf8,
        Self::BadId,
        Self::BadSku,
        Self::TextTooLong,
        Self::Empty,
        Self::TooLarge,
        Self::UnknownKind,
        Self::MissingField,
    ];

    /// The error that a `Malformed` answer names.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.code() == code)
    }

    /// The number that stands for this error in a `Malformed` answer. Never changes.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Truncated => 1,
            Self::VarintTooLong => 2,
            Self::BadFieldNumber => 3,
            Self::WrongWireType => 4,
            Self::DuplicateField => 5,
            Self::OutOfRange => 6,
            Self::NotUtf8 => 7,
            Self::BadId => 8,
            Self::BadSku => 9,
            Self::TextTooLong => 10,
            Self::Empty => 11,
            Self::TooLarge => 12,
            Self::UnknownKind => 13,
            Self::MissingField => 14,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_by_its_code() {
        for (error, code) in WireError::ALL.into_iter().zip(1..) {
            assert_eq!(error.code(), code);
            assert_eq!(WireError::from_code(code), Some(error));
        }
        assert_eq!(WireError::from_code(0), None);
        assert_eq!(WireError::from_code(15), None);
    }
}
