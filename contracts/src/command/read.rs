//! Reading one command.

use super::{AdjustStock, Command, DefineSale, Line, Lines, Reserve, SetStock, SkuList};
use crate::limits::{RESERVE_LINES_MAX, SALE_SKUS_MAX};
use crate::wire::{Field, Fields, Once, WireError, two_small_numbers, u32_of};
use crate::{CustomerId, LogId, LogTime, ReservationId, SaleTerms};

/// The command that nearly every record is made of, written as our builder writes it: a reservation of one line, fields
/// in order, no flag set. `None` is no verdict; whatever looks otherwise goes the long way.
#[inline]
pub(super) fn usual(message: &[u8]) -> Option<Reserve<'_>> {
    /// Kind and length, id, customer, tag and length of the line.
    const HEAD: usize = 2 + (2 + 16) + (1 + 8) + 2;
    let (head, line) = message.split_first_chunk::<HEAD>()?;
    let [0x0a, reserve_len, 0x0a, 0x10, ids @ .., 0x1a, line_len] = head else { return None };
    let (id, customer) = ids.split_last_chunk::<8>()?;
    let (id, [0x11]) = id.split_first_chunk::<16>()? else { return None };
    let lengths = (usize::from(*reserve_len), usize::from(*line_len));
    if lengths != (message.len() - 2, line.len()) || *reserve_len >= 0x80 {
        return None;
    }
    let line = match two_small_numbers(line) {
        Some((sku, quantity)) => Line { sku, quantity },
        None => self::line(line).ok()?,
    };
    Some(Reserve {
        reservation_id: ReservationId(*id),
        customer: CustomerId(u64::from_le_bytes(*customer)),
        lines: Lines::decoded(line, 1, &message[2..]),
        allow_partial: false,
        join_waitlist: false,
    })
}

/// Reads any `Command` message.
pub(super) fn any(message: &[u8]) -> Result<Command<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut found = None;
    while let Some((number, field)) = fields.next()? {
        if found.is_some() && (1..=13).contains(&number) {
            return Err(WireError::DuplicateField);
        }
        if let Some(command) = kind(number, field)? {
            found = Some(command);
        }
    }
    found.ok_or(WireError::UnknownKind)
}

#[inline]
fn kind(number: u32, field: Field<'_>) -> Result<Option<Command<'_>>, WireError> {
    Ok(Some(match number {
        1 => Command::Reserve(reserve(field.bytes()?)?),
        2 => {
            let about = About::read(field.bytes()?, 2)?;
            Command::BeginPayment { reservation_id: about.reservation_id, customer: about.customer }
        }
        3 => {
            let about = About::read(field.bytes()?, 3)?;
            let reacquire = match about.extra {
                0 => false,
                1 => true,
                _ => return Err(WireError::OutOfRange),
            };
            Command::Confirm { reservation_id: about.reservation_id, customer: about.customer, reacquire }
        }
        4 => {
            let about = About::read(field.bytes()?, 2)?;
            Command::Release { reservation_id: about.reservation_id, customer: about.customer }
        }
        5 => {
            let about = About::read(field.bytes()?, 4)?;
            Command::Extend {
                reservation_id: about.reservation_id,
                customer: about.customer,
                by_ms: u32_of(about.extra)?,
                command_id: about.command_id,
            }
        }
        6 => Command::SetStock(set_stock(field.bytes()?)?),
        7 => Command::AdjustStock(adjust_stock(field.bytes()?)?),
        8 => Command::DefineSale(define_sale(field.bytes()?)?),
        9 => Command::OpenSale { sale_id: named_sale(field.bytes()?, 1)?.0 },
        10 => {
            let (sale_id, freeze_ttl) = named_sale(field.bytes()?, 2)?;
            Command::PauseSale { sale_id, freeze_ttl }
        }
        11 => Command::CloseSale { sale_id: named_sale(field.bytes()?, 1)?.0 },
        12 => tick(field.bytes()?)?,
        13 => activate_rules(field.bytes()?)?,
        _ => return Ok(None),
    }))
}

#[inline]
fn reserve(message: &[u8]) -> Result<Reserve<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut reservation_id = None;
    let mut customer = CustomerId(0);
    let mut first = Line::default();
    let mut count = 0;
    let (mut allow_partial, mut join_waitlist) = (false, false);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => reservation_id = Some(field.id()?),
            2 => customer = CustomerId(field.fixed64()?),
            3 => {
                let line = line(field.bytes()?)?;
                if count == 0 {
                    first = line;
                }
                count += 1;
                if count as usize > RESERVE_LINES_MAX {
                    return Err(WireError::TooLarge);
                }
                continue;
            }
            4 => allow_partial = field.bool()?,
            5 => join_waitlist = field.bool()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(Reserve {
        reservation_id: reservation_id.ok_or(WireError::MissingField)?,
        customer,
        lines: Lines::decoded(first, count, message),
        allow_partial,
        join_waitlist,
    })
}

fn line(message: &[u8]) -> Result<Line, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut line = Line::default();
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => line.sku = field.u32()?,
            2 => line.quantity = field.u32()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(line)
}

/// The lines of a `Reserve` message that was decoded before.
pub(super) fn lines(message: &[u8]) -> impl Iterator<Item = Line> + use<'_> {
    let mut fields = Fields::of(message);
    std::iter::from_fn(move || {
        loop {
            match fields.next() {
                Ok(Some((3, Field::Bytes(bytes)))) => return line(bytes).ok(),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    })
}

/// The fields that commands about one reservation share.
struct About {
    reservation_id: ReservationId,
    customer: CustomerId,
    extra: u64,
    command_id: Option<ReservationId>,
}

impl About {
    /// Reads the fields up to number `known`; a command that has fewer of them skips the others like any unknown field.
    fn read(message: &[u8], known: u32) -> Result<Self, WireError> {
        let mut fields = Fields::of(message);
        let mut once = Once::default();
        let mut reservation_id = None;
        let mut about = Self {
            reservation_id: ReservationId::default(),
            customer: CustomerId(0),
            extra: 0,
            command_id: None,
        };
        while let Some((number, field)) = fields.next()? {
            match number {
                _ if number > known => continue,
                1 => reservation_id = Some(field.id()?),
                2 => about.customer = CustomerId(field.fixed64()?),
                3 => about.extra = field.u64()?,
                4 => about.command_id = Some(field.id()?),
                _ => continue,
            }
            once.see(number)?;
        }
        about.reservation_id = reservation_id.ok_or(WireError::MissingField)?;
        Ok(about)
    }
}

fn set_stock(message: &[u8]) -> Result<SetStock<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut command_id = None;
    let mut it = SetStock {
        command_id: ReservationId::default(),
        sku: 0,
        on_hand: 0,
        expected: None,
        force: false,
        reason: "",
        reference: "",
    };
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => command_id = Some(field.id()?),
            2 => it.sku = field.u32()?,
            3 => it.on_hand = field.u64()?,
            4 => it.expected = Some(field.u64()?),
            5 => it.force = field.bool()?,
            6 => it.reason = field.text()?,
            7 => it.reference = field.text()?,
            _ => continue,
        }
        once.see(number)?;
    }
    it.command_id = command_id.ok_or(WireError::MissingField)?;
    Ok(it)
}

fn adjust_stock(message: &[u8]) -> Result<AdjustStock<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut command_id = None;
    let mut it = AdjustStock {
        command_id: ReservationId::default(),
        sku: 0,
        delta: 0,
        set_aside: 0,
        reason: "",
        reference: "",
    };
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => command_id = Some(field.id()?),
            2 => it.sku = field.u32()?,
            3 => it.delta = field.zigzag()?,
            4 => it.set_aside = field.zigzag()?,
            5 => it.reason = field.text()?,
            6 => it.reference = field.text()?,
            _ => continue,
        }
        once.see(number)?;
    }
    it.command_id = command_id.ok_or(WireError::MissingField)?;
    Ok(it)
}

fn define_sale(message: &[u8]) -> Result<DefineSale<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let mut command_id = None;
    let mut sale_id = "";
    let mut sale_terms = None;
    let mut count = 0usize;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => command_id = Some(field.id()?),
            2 => sale_id = field.text()?,
            3 => sale_terms = Some(terms(field.bytes()?)?),
            4 => {
                count += sku_list_part(field)?;
                if count > SALE_SKUS_MAX {
                    return Err(WireError::TooLarge);
                }
                continue;
            }
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(DefineSale {
        command_id: command_id.ok_or(WireError::MissingField)?,
        sale_id,
        terms: sale_terms.ok_or(WireError::MissingField)?,
        skus: SkuList::decoded(u32_of(count as u64)?, message),
    })
}

/// Checks one occurrence of a repeated index field, packed or not, and counts its indexes.
fn sku_list_part(field: Field<'_>) -> Result<usize, WireError> {
    let Field::Bytes(packed) = field else {
        return field.u32().map(|_| 1);
    };
    let mut inner = Fields::of(packed);
    let mut count = 0;
    while !inner.is_empty() {
        u32_of(inner.varint()?)?;
        count += 1;
    }
    Ok(count)
}

/// The indexes of a `DefineSale` message that was decoded before.
pub(super) fn sku_indexes(message: &[u8]) -> impl Iterator<Item = u32> + use<'_> {
    let mut fields = Fields::of(message);
    let mut packed = Fields::of(&[]);
    std::iter::from_fn(move || {
        loop {
            if !packed.is_empty() {
                return packed.varint().ok().and_then(|n| u32_of(n).ok());
            }
            match fields.next() {
                Ok(Some((4, Field::Bytes(bytes)))) => packed = Fields::of(bytes),
                Ok(Some((4, field))) => return field.u32().ok(),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    })
}

fn terms(message: &[u8]) -> Result<SaleTerms, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    // On the wire an absent number is 0, not our default: whoever writes terms writes them whole.
    let mut terms = SaleTerms {
        hold_ttl_ms: 0,
        payment_window_ms: 0,
        units_per_customer_max: 0,
        units_per_reservation_max: 0,
        extend_max: 0,
        hold_total_max_ms: 0,
        offer_ttl_ms: 0,
        opens_at: LogTime(0),
        closes_at: LogTime(0),
        waitlist: false,
    };
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => terms.hold_ttl_ms = field.u32()?,
            2 => terms.payment_window_ms = field.u32()?,
            3 => terms.units_per_customer_max = field.u32()?,
            4 => terms.units_per_reservation_max = field.u32()?,
            5 => terms.extend_max = field.u32()?,
            6 => terms.hold_total_max_ms = field.u32()?,
            7 => terms.offer_ttl_ms = field.u32()?,
            8 => terms.opens_at = LogTime(field.u64()?),
            9 => terms.closes_at = LogTime(field.u64()?),
            10 => terms.waitlist = field.bool()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(terms)
}

/// The fields that commands about one sale share, up to number `known`.
fn named_sale(message: &[u8], known: u32) -> Result<(&str, bool), WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut sale_id, mut flag) = ("", false);
    while let Some((number, field)) = fields.next()? {
        match number {
            _ if number > known => continue,
            1 => sale_id = field.text()?,
            2 => flag = field.bool()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok((sale_id, flag))
}

fn tick(message: &[u8]) -> Result<Command<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut wall, mut log_id) = (LogTime(0), None);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => wall = LogTime(field.u64()?),
            2 => log_id = Some(LogId(field.id()?.0)),
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(Command::Tick { wall, log_id })
}

fn activate_rules(message: &[u8]) -> Result<Command<'_>, WireError> {
    let mut fields = Fields::of(message);
    let mut once = Once::default();
    let (mut version, mut dedupe_window_ms, mut work_per_record_max) = (0, 0, 0);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => version = field.u32()?,
            2 => dedupe_window_ms = field.u64()?,
            3 => work_per_record_max = field.u32()?,
            _ => continue,
        }
        once.see(number)?;
    }
    Ok(Command::ActivateRules { version, dedupe_window_ms, work_per_record_max })
}
