//! Reading one decision.

use super::batch::Each;
use super::lines::granted;
use super::{
    CancelList, Decision, FirstDecided, Granted, GrantedLines, HoldState, Outcome, Reason, SaleState,
    StockFigures,
};
use crate::ReservationId;
use crate::limits::CANCEL_LIST_MAX;
use crate::wire::{Fields, Once, WireError, only_number, two_small_numbers, u32_of};

/// Checks a `Decision` message.
#[inline]
pub(super) fn check(message: &[u8]) -> Result<(), WireError> {
    if usual(message).is_none() {
        any(message)?;
    }
    Ok(())
}

/// The decisions that nearly every record is made of, written as our writer writes them: the first answer to a
/// reservation, one line granted in full, or refused. `None` is no verdict; whatever looks otherwise goes the long way.
#[inline]
pub(super) fn usual(message: &[u8]) -> Option<Decision<'_>> {
    /// The id, and tag and length of the outcome.
    const HEAD: usize = (2 + 16) + 2;
    let (head, body) = message.split_first_chunk::<HEAD>()?;
    let [0x0a, 0x10, id @ .., tag, len] = head else { return None };
    if usize::from(*len) != body.len() || *len >= 0x80 {
        return None;
    }
    let outcome = match tag {
        0x1a => usual_grant(body)?,
        0x2a => usual_refusal(body)?,
        _ => return None,
    };
    Some(Decision { id: Some(ReservationId(*id)), replay: false, outcome: Some(outcome) })
}

#[inline]
fn usual_grant(message: &[u8]) -> Option<Outcome<'_>> {
    let mut fields = Fields::of(message);
    let expires_after_ms = fields.uint_if(0x08)?;
    let [0x12, len, line @ ..] = fields.rest() else { return None };
    if usize::from(*len) != line.len() || *len >= 0x80 {
        return None;
    }
    let line = match two_small_numbers(line) {
        Some((sku, quantity)) => Granted { sku, quantity, missing: 0 },
        None => granted(line).ok()?,
    };
    let lines = GrantedLines::one(line, message, 2);
    Some(Outcome::Reserved { expires_after_ms, lines, first: FirstDecided::default() })
}

#[inline]
fn usual_refusal(message: &[u8]) -> Option<Outcome<'_>> {
    let mut fields = Fields::of(message);
    let reason = Reason::from_code(u32_of(fields.uint_if(0x08)?).ok()?)?;
    let sku = u32_of(fields.uint_if(0x10).unwrap_or(0)).ok()?.checked_sub(1);
    let value = fields.uint_if(0x18).unwrap_or(0);
    fields.is_empty().then_some(Outcome::Refused { reason, sku, value })
}

/// Reads any `Decision` message.
pub(super) fn any(message: &[u8]) -> Result<Decision<'_>, WireError> {
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
        _ => Ok(Outcome::RulesActivated { version: u32_of(only_number(message)?)? }),
    }
}

fn reserved(message: &[u8]) -> Result<Outcome<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut expires_after_ms = 0;
    let mut first = FirstDecided::default();
    let mut lines = GrantedLines::none(message, 2);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => expires_after_ms = field.u64()?,
            2 => {
                lines.count_in(field)?;
                continue;
            }
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
    let mut lines = GrantedLines::none(message, 3);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => code = field.u32()?,
            2 => expires_after_ms = field.u64()?,
            3 => {
                lines.count_in(field)?;
                continue;
            }
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
    Each::of(message, 8, |bytes| crate::wire::id_of(bytes).ok())
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
