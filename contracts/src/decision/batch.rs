//! Reading a whole decision record.

use super::{Decision, Envelope, Event, events, read};
use crate::command::BatchHeader;
use crate::limits::DECISION_SKUS_MAX;
use crate::wire::{Field, Fields, Once, WireError, only_number, u32_of};
use crate::{Chain, Digest, IntakeId, LogTime, Offset, OutSeq, RequestTag};

/// A decision record, checked whole, its parts read on demand without copying.
#[derive(Debug, Clone, Copy)]
pub struct DecisionBatch<'a> {
    /// What the engine wrote.
    pub envelope: Envelope,
    /// When it was decided.
    pub log_time: LogTime,
    /// Who waits.
    pub header: BatchHeader,
    /// The command record could not be decoded: the error's code.
    pub malformed: Option<u32>,
    /// Digest of the state after this record, on some records.
    pub state_digest: Option<Digest>,
    /// Hash over all records up to this one.
    pub chain: Chain,
    record: &'a [u8],
}

/// Splits a decision record into what the chain covers and the chain. `None` if the record does not end with one.
#[must_use]
pub fn split_chain(record: &[u8]) -> Option<(&[u8], Chain)> {
    let (body, tail) = record.split_last_chunk::<18>()?;
    let [0x7a, 0x10, chain @ ..] = tail else { return None };
    Some((body, Chain(*chain)))
}

/// Reads a decision record.
///
/// # Errors
/// What is wrong, as [`WireError`]. Never panics, whatever the bytes.
pub fn decode_decisions(record: &[u8]) -> Result<DecisionBatch<'_>, WireError> {
    let mut batch = DecisionBatch {
        envelope: Envelope::default(),
        log_time: LogTime(0),
        header: BatchHeader::default(),
        malformed: None,
        state_digest: None,
        chain: Chain::default(),
        record,
    };
    let mut once = Once::default();
    let mut skus = 0usize;
    let mut fields = Fields::of(record);
    loop {
        // Decisions stand one after the other; no need to look at each as at any field.
        while let Some(message) = fields.short_if(8 << 3 | 2) {
            read::check(message)?;
        }
        let Some((number, field)) = fields.next()? else { break };
        match number {
            8 => {
                read::check(field.bytes()?)?;
                continue;
            }
            7 => {
                events::event(field.bytes()?)?;
                continue;
            }
            6 => {
                crate::command::sku_of(field.bytes()?)?;
                skus += 1;
                if skus > DECISION_SKUS_MAX {
                    return Err(WireError::TooLarge);
                }
                continue;
            }
            1 => batch.envelope.source_offset = Offset(field.u64()?),
            2 => batch.envelope.out_seq = OutSeq(field.u64()?),
            3 => batch.log_time = LogTime(field.u64()?),
            4 => batch.header.intake_id = IntakeId(field.fixed64()?),
            5 => batch.header.first_request_tag = RequestTag(field.u64()?),
            9 => batch.malformed = Some(u32_of(only_number(field.bytes()?)?)?),
            14 => batch.state_digest = Some(Digest(u128::from_be_bytes(field.id()?.0))),
            15 => batch.chain = Chain(field.id()?.0),
            _ => continue,
        }
        once.see(number)?;
    }
    if !once.saw(2) || !once.saw(15) {
        return Err(WireError::MissingField);
    }
    Ok(batch)
}

impl<'a> DecisionBatch<'a> {
    /// The dictionary.
    pub fn skus(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        Each::of(self.record, 6, |bytes| std::str::from_utf8(bytes).ok())
    }

    /// One decision per command.
    #[inline]
    pub fn decisions(&self) -> impl Iterator<Item = Decision<'a>> + use<'a> {
        Each::of(self.record, 8, |bytes| read::usual(bytes).or_else(|| read::any(bytes).ok()))
    }

    /// What happened besides.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        Each::of(self.record, 7, |bytes| events::event(bytes).ok())
    }
}

/// Reads one field of a message again and again. The message was checked when its record was decoded, so whatever cannot
/// be read is not there, and ends the walk.
#[derive(Debug)]
pub(super) struct Each<'a, R> {
    fields: Fields<'a>,
    /// Number of the field, which has a one-byte tag.
    wanted: u8,
    read: R,
}

impl<'a, R> Each<'a, R> {
    #[inline]
    pub(super) const fn of(message: &'a [u8], wanted: u8, read: R) -> Self {
        Self { fields: Fields::of(message), wanted, read }
    }
}

impl<'a, T, R: FnMut(&'a [u8]) -> Option<T>> Iterator for Each<'a, R> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        loop {
            match self.fields.next() {
                Ok(Some((number, Field::Bytes(bytes)))) if number == u32::from(self.wanted) => {
                    return (self.read)(bytes);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}
