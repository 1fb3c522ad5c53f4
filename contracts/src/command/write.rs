//! Writing a command record.

use super::{Command, Line, Reserve};
use crate::control::{CONTROL_MAC_BYTES, ControlKey, write_control_mac};
use crate::limits::{BATCH_COMMANDS_MAX, BATCH_SKUS_MAX, RECORD_BYTES_MAX};
use crate::wire::{
    nested, put_bool, put_bytes, put_fixed64, put_packed_u32, put_text, put_uint, put_uint_always, put_zigzag,
};
use crate::{CustomerId, IntakeId, LogId, PartitionId, RequestTag, ReservationId, SaleTerms};

/// Builds one command record after the other in the same memory.
///
/// SKUs enter the dictionary when they are first named, so a caller need not know them beforehand.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    commands: usize,
    has_control: bool,
    dictionary: Dictionary,
}

/// Room left for the largest single command and for the SKUs a reservation may bring along, so that `is_full` can be
/// asked before and not after. The definition of a sale may name thousands of new SKUs: it gets a record of its own.
const COMMAND_BYTES_MAX: usize = 32 * 1024;

impl BatchBuilder {
    /// Starts a record. What was built before is gone.
    pub fn start(&mut self, intake_id: IntakeId, first_request_tag: RequestTag) {
        self.bytes.clear();
        self.commands = 0;
        self.has_control = false;
        self.dictionary.clear();
        put_fixed64(&mut self.bytes, 1, intake_id.0);
        put_uint(&mut self.bytes, 2, first_request_tag.0);
    }

    /// Commands in the record so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.commands
    }

    /// Whether the record has no command yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// Whether the record has reached a bound of the contract and must be sent before another command goes in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.commands == BATCH_COMMANDS_MAX
            || self.dictionary.len() + crate::limits::RESERVE_LINES_MAX > BATCH_SKUS_MAX
            || self.bytes.len() + COMMAND_BYTES_MAX > RECORD_BYTES_MAX
    }

    /// Whether the record has a command that only an authenticated record may have where there is a control key.
    #[must_use]
    pub const fn has_control(&self) -> bool {
        self.has_control
    }

    /// The dictionary index of a SKU, entered if it is new.
    #[inline]
    pub fn sku(&mut self, sku: &str) -> u32 {
        if let Some(index) = self.dictionary.find(sku, &self.bytes) {
            return index;
        }
        put_bytes(&mut self.bytes, 3, sku.as_bytes());
        self.dictionary.enter(&self.bytes, sku.len())
    }

    /// Adds a reservation of one SKU: the common case, written without detours.
    #[inline]
    pub fn reserve_one(&mut self, reservation_id: ReservationId, customer: CustomerId, line: Line) {
        self.reserve(reservation_id, customer, &[line], false, false);
    }

    /// Adds a reservation.
    #[inline]
    pub fn reserve(
        &mut self,
        reservation_id: ReservationId,
        customer: CustomerId,
        lines: &[Line],
        allow_partial: bool,
        join_waitlist: bool,
    ) {
        self.commands += 1;
        nested(&mut self.bytes, 4, |out| {
            nested(out, 1, |out| {
                put_bytes(out, 1, &reservation_id.0);
                put_fixed64(out, 2, customer.0);
                for line in lines {
                    nested(out, 3, |out| put_line(out, *line));
                }
                put_bool(out, 4, allow_partial);
                put_bool(out, 5, join_waitlist);
            });
        });
    }

    /// Adds any command. Its SKUs are indexes that [`BatchBuilder::sku`] returned for this record.
    pub fn push(&mut self, command: &Command<'_>) {
        self.commands += 1;
        self.has_control |= command.is_control();
        nested(&mut self.bytes, 4, |out| put_command(out, command));
    }

    /// The record as built so far, without an authentication code.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The record as built so far, to be sent to this partition of this log: with an authentication code if there is a
    /// key and a command that needs one. More commands may be added afterwards, for another record to send.
    #[must_use]
    pub fn record_for(&self, key: Option<&ControlKey>, log_id: LogId, partition: PartitionId) -> Vec<u8> {
        let Some(key) = key.filter(|_| self.has_control) else { return self.bytes.clone() };
        let mut record = Vec::with_capacity(self.bytes.len() + CONTROL_MAC_BYTES);
        record.extend_from_slice(&self.bytes);
        write_control_mac(&mut record, key.mac(log_id, partition, &self.bytes));
        record
    }
}

fn put_line(out: &mut Vec<u8>, line: Line) {
    put_uint(out, 1, u64::from(line.sku));
    put_uint(out, 2, u64::from(line.quantity));
}

fn put_about(out: &mut Vec<u8>, reservation_id: ReservationId, customer: CustomerId) {
    put_bytes(out, 1, &reservation_id.0);
    put_fixed64(out, 2, customer.0);
}

fn put_command(out: &mut Vec<u8>, command: &Command<'_>) {
    match command {
        Command::Reserve(it) => nested(out, 1, |out| put_reserve(out, it)),
        Command::BeginPayment { reservation_id, customer } => {
            nested(out, 2, |out| put_about(out, *reservation_id, *customer));
        }
        Command::Confirm { reservation_id, customer, reacquire } => nested(out, 3, |out| {
            put_about(out, *reservation_id, *customer);
            put_bool(out, 3, *reacquire);
        }),
        Command::Release { reservation_id, customer } => {
            nested(out, 4, |out| put_about(out, *reservation_id, *customer));
        }
        Command::Extend { reservation_id, customer, by_ms, command_id } => nested(out, 5, |out| {
            put_about(out, *reservation_id, *customer);
            put_uint(out, 3, u64::from(*by_ms));
            if let Some(id) = command_id {
                put_bytes(out, 4, &id.0);
            }
        }),
        Command::SetStock(it) => nested(out, 6, |out| {
            put_bytes(out, 1, &it.command_id.0);
            put_uint(out, 2, u64::from(it.sku));
            put_uint(out, 3, it.on_hand);
            if let Some(expected) = it.expected {
                put_uint_always(out, 4, expected);
            }
            put_bool(out, 5, it.force);
            put_text(out, 6, it.reason);
            put_text(out, 7, it.reference);
        }),
        Command::AdjustStock(it) => nested(out, 7, |out| {
            put_bytes(out, 1, &it.command_id.0);
            put_uint(out, 2, u64::from(it.sku));
            put_zigzag(out, 3, it.delta);
            put_zigzag(out, 4, it.set_aside);
            put_text(out, 5, it.reason);
            put_text(out, 6, it.reference);
        }),
        Command::DefineSale(it) => nested(out, 8, |out| {
            put_bytes(out, 1, &it.command_id.0);
            put_text(out, 2, it.sale_id);
            nested(out, 3, |out| put_terms(out, &it.terms));
            put_packed_u32(out, 4, it.skus.iter());
        }),
        Command::OpenSale { sale_id } => nested(out, 9, |out| put_text(out, 1, sale_id)),
        Command::PauseSale { sale_id, freeze_ttl } => nested(out, 10, |out| {
            put_text(out, 1, sale_id);
            put_bool(out, 2, *freeze_ttl);
        }),
        Command::CloseSale { sale_id } => nested(out, 11, |out| put_text(out, 1, sale_id)),
        Command::Tick { wall, log_id } => nested(out, 12, |out| {
            put_uint(out, 1, wall.0);
            if let Some(id) = log_id {
                put_bytes(out, 2, &id.0);
            }
        }),
        Command::ActivateRules { version, dedupe_window_ms, work_per_record_max } => nested(out, 13, |out| {
            put_uint(out, 1, u64::from(*version));
            put_uint(out, 2, *dedupe_window_ms);
            put_uint(out, 3, u64::from(*work_per_record_max));
        }),
    }
}

fn put_reserve(out: &mut Vec<u8>, it: &Reserve<'_>) {
    put_about(out, it.reservation_id, it.customer);
    for line in it.lines.iter() {
        nested(out, 3, |out| put_line(out, line));
    }
    put_bool(out, 4, it.allow_partial);
    put_bool(out, 5, it.join_waitlist);
}

fn put_terms(out: &mut Vec<u8>, terms: &SaleTerms) {
    put_uint(out, 1, u64::from(terms.hold_ttl_ms));
    put_uint(out, 2, u64::from(terms.payment_window_ms));
    put_uint(out, 3, u64::from(terms.units_per_customer_max));
    put_uint(out, 4, u64::from(terms.units_per_reservation_max));
    put_uint(out, 5, u64::from(terms.extend_max));
    put_uint(out, 6, u64::from(terms.hold_total_max_ms));
    put_uint(out, 7, u64::from(terms.offer_ttl_ms));
    put_uint(out, 8, terms.opens_at.0);
    put_uint(out, 9, terms.closes_at.0);
    put_bool(out, 10, terms.waitlist);
}

/// Finds a SKU of the record being built. Open addressing over places in the record; only looked up, never iterated.
#[derive(Debug, Default)]
struct Dictionary {
    /// Where each entry's bytes stand in the record.
    entries: Vec<(u32, u32)>,
    /// Index plus one, 0 for an empty slot. A power of two long, at most half full.
    slots: Vec<u32>,
}

impl Dictionary {
    fn clear(&mut self) {
        self.entries.clear();
        self.slots.fill(0);
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, sku: &str, bytes: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.home(sku.as_bytes());
        loop {
            let index = self.slots[slot].checked_sub(1)?;
            if self.sku(bytes, index) == sku.as_bytes() {
                return Some(index);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    /// Enters the SKU that makes up the last `len` bytes of the record.
    #[expect(clippy::cast_possible_truncation, reason = "a record is smaller than 2^32 bytes")]
    fn enter(&mut self, bytes: &[u8], len: usize) -> u32 {
        let index = self.entries.len() as u32;
        self.entries.push(((bytes.len() - len) as u32, len as u32));
        if self.slots.len() < 2 * self.entries.len() {
            self.slots.clear();
            self.slots.resize((4 * self.entries.len()).next_power_of_two(), 0);
            for known in 0..=index {
                self.place(bytes, known);
            }
        } else {
            self.place(bytes, index);
        }
        index
    }

    fn sku<'b>(&self, bytes: &'b [u8], index: u32) -> &'b [u8] {
        let (start, len) = self.entries[index as usize];
        &bytes[start as usize..(start + len) as usize]
    }

    fn home(&self, sku: &[u8]) -> usize {
        crate::murmur2::murmur2(sku) as usize & (self.slots.len() - 1)
    }

    fn place(&mut self, bytes: &[u8], index: u32) {
        let mut slot = self.home(self.sku(bytes, index));
        while self.slots[slot] != 0 {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = index + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gets_a_code_if_it_has_a_control_command_and_there_is_a_key() {
        let (log_id, partition) = (LogId([1; 16]), PartitionId(2));
        let key = ControlKey::new(&[7; 32]);
        let mut builder = BatchBuilder::default();
        builder.start(IntakeId(1), RequestTag(0));
        let release = Command::Release { reservation_id: ReservationId([1; 16]), customer: CustomerId(1) };
        builder.push(&release);
        assert_eq!(builder.record_for(Some(&key), log_id, partition), builder.bytes());
        builder.push(&Command::OpenSale { sale_id: "s" });
        assert_eq!(builder.record_for(None, log_id, partition), builder.bytes());
        let first = builder.record_for(Some(&key), log_id, partition);
        builder.push(&release);
        let second = builder.record_for(Some(&key), log_id, partition);
        for record in [&first, &second] {
            assert!(key.verifies(log_id, partition, record));
        }
        assert_eq!(crate::control::split_control_mac(&second).map(|(bytes, _)| bytes), Some(builder.bytes()));
        builder.start(IntakeId(1), RequestTag(0));
        builder.push(&release);
        assert_eq!(builder.record_for(Some(&key), log_id, partition), builder.bytes());
    }

    #[test]
    fn a_sku_enters_the_dictionary_once() {
        let mut builder = BatchBuilder::default();
        for round in 0..3 {
            builder.start(IntakeId(round), RequestTag(0));
            for n in 0..1000u32 {
                assert_eq!(builder.sku(&format!("sku-{n}")), n);
            }
            for n in (0..1000u32).rev() {
                assert_eq!(builder.sku(&format!("sku-{n}")), n);
            }
        }
    }
}
