//! Reading one event.

use super::lines::granted;
use super::{Event, Granted, GrantedLines, What};
use crate::ReservationId;
use crate::wire::{Fields, Once, WireError, only_number};

pub(super) fn event(message: &[u8]) -> Result<Event<'_>, WireError> {
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
    let mut lines = GrantedLines::none(message, 1);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => lines.count_in(field)?,
            2 => {
                was_waiting = field.bool()?;
                once.see(number)?;
            }
            _ => {}
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
