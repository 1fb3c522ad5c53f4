//! The lines of an answer.

use super::batch::Each;
use crate::limits::RESERVE_LINES_MAX;
use crate::wire::{Field, Fields, Once, WireError};

/// One line of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Granted {
    /// Index into the decision record's dictionary.
    pub sku: u32,
    /// Units asked for.
    pub quantity: u32,
    /// Units asked for but not granted.
    pub missing: u32,
}

impl Granted {
    /// Units granted.
    #[must_use]
    pub const fn granted(&self) -> u32 {
        self.quantity.saturating_sub(self.missing)
    }
}

/// Reads a `Granted` message.
pub(super) fn granted(message: &[u8]) -> Result<Granted, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut line = Granted::default();
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => line.sku = field.u32()?,
            2 => line.quantity = field.u32()?,
            3 => line.missing = field.u32()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(line)
}

/// The lines of an answer, borrowed from its record. Nearly always one, which is kept at hand.
#[derive(Debug, Clone, Copy)]
pub struct GrantedLines<'a> {
    message: &'a [u8],
    field: u8,
    count: u32,
    first: Granted,
}

impl<'a> GrantedLines<'a> {
    /// The lines of `message`, of which none has been read yet.
    pub(super) fn none(message: &'a [u8], field: u8) -> Self {
        Self { message, field, count: 0, first: Granted::default() }
    }

    /// The only line of `message`.
    pub(super) const fn one(line: Granted, message: &'a [u8], field: u8) -> Self {
        Self { message, field, count: 1, first: line }
    }

    /// Checks the next line of the message and counts it.
    pub(super) fn count_in(&mut self, field: Field<'_>) -> Result<(), WireError> {
        let line = granted(field.bytes()?)?;
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
        if self.count as usize > RESERVE_LINES_MAX { Err(WireError::TooLarge) } else { Ok(()) }
    }

    /// How many lines there are, at most 32.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The only line, if there is exactly one.
    #[must_use]
    #[inline]
    pub const fn single(&self) -> Option<Granted> {
        if self.count == 1 { Some(self.first) } else { None }
    }

    /// The lines, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Granted> + use<'a> {
        let mut single = self.single();
        let several = if self.count > 1 { self.message } else { &[] };
        let mut each = Each::of(several, self.field, |bytes| granted(bytes).ok());
        std::iter::from_fn(move || single.take().or_else(|| each.next()))
    }
}

impl PartialEq for GrantedLines<'_> {
    /// Equal lines in equal order.
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for GrantedLines<'_> {}
