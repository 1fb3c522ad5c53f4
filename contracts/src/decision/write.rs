//! Writing a decision record.
//!
//! The engine writes the envelope and the chain, the machine writes what is between them. Protobuf allows the parts in
//! any order, so neither needs to know of the other.

use super::{FirstDecided, Granted, HoldState, Reason, SaleState, StockFigures};
use crate::wire::{Short, nested, put_bool, put_bytes, put_fixed64, put_uint};
use crate::{Chain, Digest, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId};

/// The fields of a decision record that the engine fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The command record answered.
    pub source_offset: Offset,
    /// Dense number of this record.
    pub out_seq: OutSeq,
}

/// Writes the envelope. Call first, on an empty record.
pub fn write_envelope(out: &mut Vec<u8>, envelope: Envelope) {
    put_uint(out, 1, envelope.source_offset.0);
    put_uint(out, 2, envelope.out_seq.0);
}

/// Writes the digest of the state after this record.
pub fn write_digest(out: &mut Vec<u8>, digest: Digest) {
    put_bytes(out, 14, &digest.0.to_be_bytes());
}

/// Writes the chain. Call last: the chain covers every byte before it.
pub fn write_chain(out: &mut Vec<u8>, chain: Chain) {
    put_bytes(out, 15, &chain.0);
}

/// Writes the machine's part of a decision record: dictionary, events, decisions.
///
/// Every `sku` it takes is an index that [`BodyWriter::sku`] returned for this record.
#[derive(Debug)]
pub struct BodyWriter<'o> {
    out: &'o mut Vec<u8>,
    skus: u32,
}

impl<'o> BodyWriter<'o> {
    /// Continues a record that has its envelope.
    #[must_use]
    pub const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, skus: 0 }
    }

    /// Writes when, and who waits.
    pub fn header(&mut self, log_time: LogTime, intake_id: IntakeId, first_request_tag: RequestTag) {
        put_uint(self.out, 3, log_time.0);
        put_fixed64(self.out, 4, intake_id.0);
        put_uint(self.out, 5, first_request_tag.0);
    }

    /// Enters a SKU into the dictionary. The caller enters each one once.
    pub fn sku(&mut self, sku: &str) -> u32 {
        put_bytes(self.out, 6, sku.as_bytes());
        self.skus += 1;
        self.skus - 1
    }

    /// Length of the record so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The record could not be decoded.
    pub fn malformed(&mut self, code: u32) {
        nested(self.out, 9, |out| put_uint(out, 1, u64::from(code)));
    }

    /// A decision without content.
    pub fn nothing(&mut self) {
        nested(self.out, 8, |_| {});
    }

    /// The first answer to a reservation of one SKU that was granted in full: the common case.
    #[inline]
    pub fn reserved_one(&mut self, id: ReservationId, expires_after_ms: u32, sku: u32, quantity: u32) {
        let mut short = Short::after(self.out);
        let decision = short.open(8);
        put_id(&mut short, id);
        let reserved = short.open(3);
        short.uint(1, u64::from(expires_after_ms));
        let line = short.open(2);
        short.uint(1, u64::from(sku));
        short.uint(2, u64::from(quantity));
        short.close(line);
        short.close(reserved);
        short.close(decision);
        let too_much = short.too_much();
        self.out.truncate(self.out.len() - too_much);
    }

    /// The first refusal of a request: the common case when there is nothing left.
    #[inline]
    pub fn refused_first(&mut self, id: ReservationId, reason: Reason, sku: Option<u32>, value: u64) {
        let mut short = Short::after(self.out);
        let decision = short.open(8);
        put_id(&mut short, id);
        let refused = short.open(5);
        short.uint(1, u64::from(reason.code()));
        short.uint(2, sku.map_or(0, |sku| u64::from(sku) + 1));
        short.uint(3, value);
        short.close(refused);
        short.close(decision);
        let too_much = short.too_much();
        self.out.truncate(self.out.len() - too_much);
    }

    /// Units are set aside; `first` makes it a replay.
    #[inline]
    pub fn reserved(
        &mut self,
        id: ReservationId,
        expires_after_ms: u64,
        lines: &[Granted],
        first: Option<FirstDecided>,
    ) {
        self.decision(Some(id), first.is_some(), |out| {
            nested(out, 3, |out| {
                put_uint(out, 1, expires_after_ms);
                put_lines(out, 2, lines);
                if let Some(first) = first {
                    put_uint(out, 3, first.ago_ms);
                    put_first(out, first);
                }
            });
        });
    }

    /// The buyer stands in line; `first` makes it a replay.
    pub fn waiting(&mut self, id: ReservationId, line: Granted, first: Option<FirstDecided>) {
        self.decision(Some(id), first.is_some(), |out| {
            nested(out, 4, |out| {
                put_lines(out, 1, &[line]);
                if let Some(first) = first {
                    put_first(out, first);
                }
            });
        });
    }

    /// No.
    #[inline]
    pub fn refused(
        &mut self,
        id: Option<ReservationId>,
        replay: bool,
        reason: Reason,
        sku: Option<u32>,
        value: u64,
    ) {
        self.decision(id, replay, |out| {
            nested(out, 5, |out| {
                put_uint(out, 1, u64::from(reason.code()));
                put_uint(out, 2, sku.map_or(0, |sku| u64::from(sku) + 1));
                put_uint(out, 3, value);
            });
        });
    }

    /// A reservation moved or stays.
    pub fn moved(&mut self, id: ReservationId, moved: Moved, lines: &[Granted]) {
        self.decision(Some(id), moved.replay, |out| {
            nested(out, 6, |out| {
                put_uint(out, 1, moved.state as u64);
                put_uint(out, 2, moved.expires_after_ms);
                put_lines(out, 3, lines);
                put_bool(out, 4, moved.unchanged);
                put_bool(out, 5, moved.late);
            });
        });
    }

    /// Stock was set or adjusted.
    pub fn stock_changed(
        &mut self,
        id: ReservationId,
        replay: bool,
        sku: u32,
        figures: StockFigures,
        cancel_first: &[ReservationId],
    ) {
        self.decision(Some(id), replay, |out| {
            nested(out, 7, |out| {
                put_uint(out, 1, u64::from(sku));
                put_uint(out, 2, figures.on_hand);
                put_uint(out, 3, figures.available);
                put_uint(out, 4, figures.held);
                put_uint(out, 5, figures.committed);
                put_uint(out, 6, figures.unavailable);
                put_uint(out, 7, figures.shortfall);
                for id in cancel_first {
                    put_bytes(out, 8, &id.0);
                }
            });
        });
    }

    /// A sale was defined, opened, paused or closed.
    pub fn sale_changed(
        &mut self,
        id: Option<ReservationId>,
        replay: bool,
        state: SaleState,
        unchanged: bool,
    ) {
        self.decision(id, replay, |out| {
            nested(out, 8, |out| {
                put_uint(out, 1, state as u64);
                put_bool(out, 2, unchanged);
            });
        });
    }

    /// New rules hold.
    pub fn rules_activated(&mut self, version: u32) {
        self.decision(None, false, |out| nested(out, 9, |out| put_uint(out, 1, u64::from(version))));
    }

    /// A reservation ended without a command.
    pub fn expired(&mut self, cause: Option<u32>, id: ReservationId, lines: &[Granted], was_waiting: bool) {
        self.event(cause, |out| {
            put_bytes(out, 2, &id.0);
            nested(out, 3, |out| {
                put_lines(out, 1, lines);
                put_bool(out, 2, was_waiting);
            });
        });
    }

    /// A waiting reservation got its units.
    pub fn offered(&mut self, cause: Option<u32>, id: ReservationId, expires_after_ms: u64, line: Granted) {
        self.event(cause, |out| {
            put_bytes(out, 2, &id.0);
            nested(out, 4, |out| {
                put_uint(out, 1, expires_after_ms);
                put_lines(out, 2, &[line]);
            });
        });
    }

    /// Log time stands still.
    pub fn clock_suspect(&mut self, cause: Option<u32>, append_time: LogTime) {
        self.event(cause, |out| nested(out, 5, |out| put_uint(out, 1, append_time.0)));
    }

    /// Log time moves again.
    pub fn clock_trusted(&mut self, cause: Option<u32>, step_ms: u64) {
        self.event(cause, |out| nested(out, 6, |out| put_uint(out, 1, step_ms)));
    }

    #[inline]
    fn decision(&mut self, id: Option<ReservationId>, replay: bool, body: impl FnOnce(&mut Vec<u8>)) {
        nested(self.out, 8, |out| {
            if let Some(id) = id {
                put_bytes(out, 1, &id.0);
            }
            put_bool(out, 2, replay);
            body(out);
        });
    }

    fn event(&mut self, cause: Option<u32>, body: impl FnOnce(&mut Vec<u8>)) {
        nested(self.out, 7, |out| {
            put_uint(out, 1, cause.map_or(0, |index| u64::from(index) + 1));
            body(out);
        });
    }
}

/// What a command about a reservation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// State now.
    pub state: HoldState,
    /// Time left, 0 for an ended hold.
    pub expires_after_ms: u64,
    /// It was so before.
    pub unchanged: bool,
    /// Confirmed after its end.
    pub late: bool,
    /// The command's id was known.
    pub replay: bool,
}

#[inline(always)]
fn put_id(short: &mut Short<'_>, id: ReservationId) {
    short.raw(&[1 << 3 | 2, 16]);
    short.raw(&id.0);
}

#[inline]
fn put_lines(out: &mut Vec<u8>, number: u32, lines: &[Granted]) {
    for line in lines {
        nested(out, number, |out| {
            put_uint(out, 1, u64::from(line.sku));
            put_uint(out, 2, u64::from(line.quantity));
            put_uint(out, 3, u64::from(line.missing));
        });
    }
}

fn put_first(out: &mut Vec<u8>, first: FirstDecided) {
    put_uint(out, 4, first.offset);
    put_uint(out, 5, u64::from(first.index));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a writer appends.
    fn written(write: impl FnOnce(&mut BodyWriter<'_>)) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        write(&mut BodyWriter::new(&mut out));
        out
    }

    #[test]
    fn the_short_cuts_write_what_the_long_way_writes() {
        let id = ReservationId([7; 16]);
        for n in [0, 1, 127, 128, 600_000, u32::MAX] {
            for sku in [0, 1, 300, u32::MAX] {
                let line = Granted { sku, quantity: n, missing: 0 };
                assert_eq!(
                    written(|body| body.reserved_one(id, n, sku, n)),
                    written(|body| body.reserved(id, u64::from(n), &[line], None))
                );
            }
        }
        for reason in Reason::ALL {
            for sku in [None, Some(0), Some(126), Some(127), Some(u32::MAX)] {
                for value in [0, 1, 127, 1 << 20, u64::MAX] {
                    assert_eq!(
                        written(|body| body.refused_first(id, reason, sku, value)),
                        written(|body| body.refused(Some(id), false, reason, sku, value))
                    );
                }
            }
        }
    }
}
