//! The lines of a reservation.

use super::read;

/// Units wanted of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Dictionary index.
    pub sku: u32,
    /// Units, not yet checked.
    pub quantity: u32,
}

/// The lines of a reservation, in the order sent. Nearly always one, which is kept at hand.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    first: Line,
    count: u32,
    all: All<'a>,
}

#[derive(Debug, Clone, Copy)]
enum All<'a> {
    /// A `Reserve` message, checked when it was decoded.
    Message(&'a [u8]),
    Slice(&'a [Line]),
}

impl<'a> Lines<'a> {
    /// Lines to be sent; at most 32 are read back.
    #[must_use]
    pub fn of(lines: &'a [Line]) -> Self {
        let first = lines.first().copied().unwrap_or_default();
        Self { first, count: u32::try_from(lines.len()).unwrap_or(u32::MAX), all: All::Slice(lines) }
    }

    pub(super) const fn decoded(first: Line, count: u32, message: &'a [u8]) -> Self {
        Self { first, count, all: All::Message(message) }
    }

    /// How many lines there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The only line, if there is exactly one.
    #[must_use]
    #[inline]
    pub const fn single(&self) -> Option<Line> {
        if self.count == 1 { Some(self.first) } else { None }
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = Line> + use<'a> {
        let (message, slice): (&[u8], &[Line]) = match self.all {
            All::Message(message) => (message, &[]),
            All::Slice(slice) => (&[], slice),
        };
        read::lines(message).chain(slice.iter().copied())
    }
}

impl PartialEq for Lines<'_> {
    /// Equal lines in equal order, however they were encoded.
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for Lines<'_> {}

/// The SKUs of a sale: dictionary indexes, in the order sent.
#[derive(Debug, Clone, Copy)]
pub struct SkuList<'a> {
    count: u32,
    all: Indexes<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Indexes<'a> {
    /// A `DefineSale` message, checked when it was decoded.
    Message(&'a [u8]),
    Slice(&'a [u32]),
}

impl<'a> SkuList<'a> {
    /// Indexes to be sent.
    #[must_use]
    pub fn of(indexes: &'a [u32]) -> Self {
        Self { count: u32::try_from(indexes.len()).unwrap_or(u32::MAX), all: Indexes::Slice(indexes) }
    }

    pub(super) const fn decoded(count: u32, message: &'a [u8]) -> Self {
        Self { count, all: Indexes::Message(message) }
    }

    /// How many indexes follow.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether the sale has no SKU in this partition.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The dictionary indexes, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (message, slice): (&[u8], &[u32]) = match self.all {
            Indexes::Message(message) => (message, &[]),
            Indexes::Slice(slice) => (&[], slice),
        };
        read::sku_indexes(message).chain(slice.iter().copied())
    }
}

impl PartialEq for SkuList<'_> {
    /// Equal indexes in equal order, however they were encoded.
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for SkuList<'_> {}
