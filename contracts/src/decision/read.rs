//! Reading a decision record.

use super::{
    CancelList, Decision, Envelope, Event, FirstDecided, Granted, HoldState, Outcome, Reason, SaleState,
    StockFigures, What,
};
use crate::command::BatchHeader;
use crate::limits::{CANCEL_LIST_MAX, DECISION_SKUS_MAX};
use crate::wire::{Field, Fields, Once, WireError, u32_of};
use crate::{Chain, Digest, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId};

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
    while let Some((number, field)) = fields.next()? {
        match number {
            8 => {
                decision(field.bytes()?)?;
                continue;
            }
            7 => {
                event(field.bytes()?)?;
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
            9 => batch.malformed = Some(malformed(field.bytes()?)?),
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
        self.each(6).filter_map(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// One decision per command.
    pub fn decisions(&self) -> impl Iterator<Item = Decision<'a>> + use<'a> {
        self.each(8).filter_map(|bytes| decision(bytes).ok())
    }

    /// What happened besides.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        self.each(7).filter_map(|bytes| event(bytes).ok())
    }

    /// The occurrences of a field that was checked when the record was decoded.
    fn each(&self, wanted: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        each(self.record, wanted)
    }
}

fn each(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    let mut fields = Fields::of(message);
    std::iter::from_fn(move || {
        loop {
            match fields.next() {
                Ok(Some((number, Field::Bytes(bytes)))) if number == wanted => return Some(bytes),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    })
}

fn malformed(message: &[u8]) -> Result<u32, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut code = 0;
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            code = field.u32()?;
            once.see(1)?;
        }
    }
    Ok(code)
}

fn decision(message: &[u8]) -> Result<Decision<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut decision = Decision { id: None, replay: false, outcome: None };
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => decision.id = Some(field.id()?),
            2 => decision.replay = field.bool()?,
            3..=9 => {
                if decision.outcome.is_some() {
                    return Err(WireError::DuplicateField);
                }
                decision.outcome = Some(outcome(number, field.bytes()?)?);
            }
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(decision)
}

fn outcome(number: u32, message: &[u8]) -> Result<Outcome<'_>, WireError> {
    match number {
        3 => reserved(message),
        4 => waiting(message),
        5 => refused(message),
        6 => moved(message),
        7 => stock_changed(message),
        8 => sale_changed(message),
        _ => malformed(message).map(|version| Outcome::RulesActivated { version }),
    }
}

fn reserved(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut expires_after_ms = 0;
    let mut first = FirstDecided::default();
    let lines = GrantedLines::checked(message, 2)?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => expires_after_ms = field.u64()?,
            3 => first.ago_ms = field.u64()?,
            4 => first.offset = field.u64()?,
            5 => first.index = field.u32()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(Outcome::Reserved { expires_after_ms, lines, first })
}

fn waiting(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut line = Granted::default();
    let mut first = FirstDecided::default();
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => line = granted(field.bytes()?)?,
            4 => first.offset = field.u64()?,
            5 => first.index = field.u32()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(Outcome::Waiting { line, first })
}

fn refused(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut code, mut sku, mut value) = (0, None, 0);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => code = field.u32()?,
            2 => sku = field.u32()?.checked_sub(1),
            3 => value = field.u64()?,
            _ => continue,
        }
        once.see(number)?;
    }
    let reason = Reason::from_code(code).ok_or(WireError::UnknownKind)?;
    Ok(Outcome::Refused { reason, sku, value })
}

fn moved(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut code, mut expires_after_ms, mut unchanged, mut late) = (0, 0, false, false);
    let lines = GrantedLines::checked(message, 3)?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => code = field.u32()?,
            2 => expires_after_ms = field.u64()?,
            4 => unchanged = field.bool()?,
            5 => late = field.bool()?,
            _ => continue,
        }
        once.see(number)?;
    }
    let state = HoldState::from_code(code).ok_or(WireError::UnknownKind)?;
    Ok(Outcome::Moved { state, expires_after_ms, lines, unchanged, late })
}

fn stock_changed(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut sku = 0;
    let mut figures = StockFigures::default();
    let mut count = 0u32;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => sku = field.u32()?,
            2 => figures.on_hand = field.u64()?,
            3 => figures.available = field.u64()?,
            4 => figures.held = field.u64()?,
            5 => figures.committed = field.u64()?,
            6 => figures.unavailable = field.u64()?,
            7 => figures.shortfall = field.u64()?,
            8 => {
                field.id()?;
                count += 1;
                if count as usize > CANCEL_LIST_MAX {
                    return Err(WireError::TooLarge);
                }
                continue;
            }
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(Outcome::StockChanged { sku, figures, cancel_first: CancelList { message, count } })
}

/// The ids of a `StockChanged` message that was decoded before.
pub(super) fn cancel_list(message: &[u8]) -> impl Iterator<Item = ReservationId> {
    each(message, 8).filter_map(|bytes| crate::wire::id_of(bytes).ok())
}

fn sale_changed(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut code, mut unchanged) = (0, false);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => code = field.u32()?,
            2 => unchanged = field.bool()?,
            _ => continue,
        }
        once.see(number)?;
    }
    let state = SaleState::from_code(code).ok_or(WireError::UnknownKind)?;
    Ok(Outcome::SaleChanged { state, unchanged })
}

fn event(message: &[u8]) -> Result<Event<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut cause, mut id, mut body) = (None, None, None);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => cause = field.u32()?.checked_sub(1),
            2 => id = Some(field.id()?),
            3..=6 => {
                if body.is_some() {
                    return Err(WireError::DuplicateField);
                }
                body = Some((number, field.bytes()?));
            }
            _ => continue,
        }
        once.see(number)?;
    }
    let (number, message) = body.ok_or(WireError::UnknownKind)?;
    let what = match number {
        3 => expired(id.ok_or(WireError::MissingField)?, message)?,
        4 => offered(id.ok_or(WireError::MissingField)?, message)?,
        5 => What::ClockSuspect { append_time_ms: only_number(message)? },
        _ => What::ClockTrusted { step_ms: only_number(message)? },
    };
    Ok(Event { cause, what })
}

fn expired(id: ReservationId, message: &[u8]) -> Result<What<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut was_waiting = false;
    let lines = GrantedLines::checked(message, 1)?;
    while let Some((number, field)) = fields.next()? {
        if number == 2 {
            was_waiting = field.bool()?;
            once.see(number)?;
        }
    }
    Ok(What::Expired { id, lines, was_waiting })
}

fn offered(id: ReservationId, message: &[u8]) -> Result<What<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut expires_after_ms, mut line) = (0, Granted::default());
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => expires_after_ms = field.u64()?,
            2 => line = granted(field.bytes()?)?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(What::Offered { id, expires_after_ms, line })
}

fn only_number(message: &[u8]) -> Result<u64, WireError> {
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

fn granted(message: &[u8]) -> Result<Granted, WireError> {
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

/// The lines of an answer, borrowed from its record.
#[derive(Debug, Clone, Copy)]
pub struct GrantedLines<'a> {
    message: &'a [u8],
    field: u32,
    count: u32,
}

impl<'a> GrantedLines<'a> {
    fn checked(message: &'a [u8], field: u32) -> Result<Self, WireError> {
        let mut fields = Fields::of(message);
        let mut count = 0;
        while let Some((number, value)) = fields.next()? {
            if number == field {
                granted(value.bytes()?)?;
                count += 1;
            }
        }
        Ok(Self { message, field, count: u32_of(count)? })
    }

    /// How many lines there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = Granted> + use<'a> {
        each(self.message, self.field).filter_map(|bytes| granted(bytes).ok())
    }
}

impl PartialEq for GrantedLines<'_> {
    /// Equal lines in equal order.
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for GrantedLines<'_> {}
