//! Reading a whole command record.

use super::{Command, read};
use crate::limits::{BATCH_COMMANDS_MAX, BATCH_SKUS_MAX, RECORD_BYTES_MAX, SKU_BYTES_MAX};
use crate::wire::{Fields, Once, WireError};
use crate::{ControlMac, IntakeId, RequestTag};

/// Who waits for the answers of a record, and who vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchHeader {
    /// The intake instance, 0 if nobody waits.
    pub intake_id: IntakeId,
    /// Tag of the first command; the others count on from it.
    pub first_request_tag: RequestTag,
    /// The authentication code of a command record, unchecked and wherever it stands: see [`crate::control`]. A decision
    /// record has none.
    pub control_mac: Option<ControlMac>,
}

/// Memory for decoding records one after the other without allocating for each.
#[derive(Debug, Default)]
pub struct BatchScratch {
    skus: Vec<&'static str>,
    commands: Vec<Command<'static>>,
}

impl BatchScratch {
    /// Lends the vectors, empty, for one record.
    #[must_use]
    pub fn lend<'a>(&mut self) -> (Vec<&'a str>, Vec<Command<'a>>) {
        (shorten(std::mem::take(&mut self.skus)), shorten(std::mem::take(&mut self.commands)))
    }

    /// Takes them back for the next record.
    pub fn take_back(&mut self, skus: Vec<&str>, commands: Vec<Command<'_>>) {
        self.skus = lengthen(skus);
        self.commands = lengthen(commands);
    }
}

/// An empty vector whose elements may live shorter. Collecting an emptied vector of one layout keeps its memory.
fn shorten<'a, T: Shorter<'a>>(vec: Vec<T>) -> Vec<T::Short> {
    empty_as(vec)
}

fn lengthen<T: Longer>(vec: Vec<T>) -> Vec<T::Long> {
    empty_as(vec)
}

fn empty_as<A, B>(mut vec: Vec<A>) -> Vec<B> {
    vec.clear();
    vec.into_iter().filter_map(|_| None::<B>).collect()
}

trait Shorter<'a> {
    type Short;
}
trait Longer {
    type Long;
}
impl<'a> Shorter<'a> for &'static str {
    type Short = &'a str;
}
impl<'a> Shorter<'a> for Command<'static> {
    type Short = Command<'a>;
}
impl Longer for &str {
    type Long = &'static str;
}
impl Longer for Command<'_> {
    type Long = Command<'static>;
}

/// Reads a record: its dictionary into `skus`, its commands into `commands`, both emptied first.
///
/// Everything is checked before anything is returned: a record is decided whole or answered as malformed.
///
/// # Errors
/// What is wrong, as [`WireError`]. Never panics, whatever the bytes.
pub fn decode_batch<'a>(
    record: &'a [u8],
    skus: &mut Vec<&'a str>,
    commands: &mut Vec<Command<'a>>,
) -> Result<BatchHeader, WireError> {
    skus.clear();
    commands.clear();
    if record.len() > RECORD_BYTES_MAX {
        return Err(WireError::TooLarge);
    }
    let mut header = BatchHeader::default();
    let mut once = Once::default();
    let mut fields = Fields::of(record);
    loop {
        // Commands stand one after the other; no need to look at each as at any field.
        while let Some(message) = fields.short_if(4 << 3 | 2) {
            push(commands, message)?;
        }
        let Some((number, field)) = fields.next()? else { break };
        match number {
            4 => {
                push(commands, field.bytes()?)?;
                continue;
            }
            3 => {
                if skus.len() == BATCH_SKUS_MAX {
                    return Err(WireError::TooLarge);
                }
                skus.push(sku(field.bytes()?)?);
                continue;
            }
            1 => header.intake_id = IntakeId(field.fixed64()?),
            2 => header.first_request_tag = RequestTag(field.u64()?),
            15 => header.control_mac = Some(ControlMac(field.id()?.0)),
            _ => continue,
        }
        once.see(number)?;
    }
    if commands.is_empty() { Err(WireError::Empty) } else { Ok(header) }
}

#[inline]
fn push<'a>(commands: &mut Vec<Command<'a>>, message: &'a [u8]) -> Result<(), WireError> {
    if commands.len() == BATCH_COMMANDS_MAX {
        return Err(WireError::TooLarge);
    }
    // Two pushes and not one: the usual command is then put together where it will stay.
    match read::usual(message) {
        Some(reserve) => commands.push(Command::Reserve(reserve)),
        None => commands.push(read::any(message)?),
    }
    Ok(())
}

pub(crate) fn sku(bytes: &[u8]) -> Result<&str, WireError> {
    if bytes.is_empty() || bytes.len() > SKU_BYTES_MAX {
        return Err(WireError::BadSku);
    }
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_memory_comes_back() {
        let mut scratch = BatchScratch::default();
        let (mut skus, mut commands) = scratch.lend();
        skus.reserve(100);
        commands.reserve(100);
        let (sku_memory, command_memory) = (skus.as_ptr() as usize, commands.as_ptr() as usize);
        scratch.take_back(skus, commands);
        let (skus, commands) = scratch.lend();
        assert!(skus.capacity() >= 100 && commands.capacity() >= 100);
        assert_eq!((skus.as_ptr() as usize, commands.as_ptr() as usize), (sku_memory, command_memory));
    }
}
