//! What a request costs on the log: a sale's most common record, counted in bytes.

use holdfast_contracts::command::{BatchBuilder, Line};
use holdfast_contracts::decision::{BodyWriter, Envelope, Reason, write_chain, write_envelope};
use holdfast_contracts::{Chain, CustomerId, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId};

const COMMANDS: u32 = 1_000;
/// An intake waits, tags have been counted up a while, and it is the year 2026.
const INTAKE: IntakeId = IntakeId(0x1234_5678_9abc_def0);
const TAG: RequestTag = RequestTag(1 << 40);
const NOW: LogTime = LogTime(1_790_000_000_000);

fn random_id(n: u32) -> ReservationId {
    let half = (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half);
    id[8..].copy_from_slice(&half);
    ReservationId(id)
}

#[test]
fn a_thousand_reservations_of_one_unit() {
    let mut builder = BatchBuilder::default();
    builder.start(INTAKE, TAG);
    for n in 0..COMMANDS {
        let sku = builder.sku("SNEAKER-42");
        builder.reserve_one(random_id(n), CustomerId(u64::from(n) << 32 | 1), Line { sku, quantity: 1 });
    }
    // 16 of them are the id and 8 the customer. The record's own fields are 9 + 7 + 12 bytes.
    assert_eq!(builder.bytes().len(), 28 + 1_000 * 35);
}

/// The body between envelope and chain, with the fields around it.
fn decisions(each: impl Fn(&mut BodyWriter<'_>, u32)) -> usize {
    let mut out = Vec::new();
    write_envelope(&mut out, Envelope { source_offset: Offset(1_000_000), out_seq: OutSeq(1_000_000) });
    let mut body = BodyWriter::new(&mut out);
    body.header(NOW, INTAKE, TAG);
    body.sku("SNEAKER-42");
    for n in 0..COMMANDS {
        each(&mut body, n);
    }
    write_chain(&mut out, Chain([7; 16]));
    out.len()
}

#[test]
fn a_thousand_grants() {
    // A TTL of ten minutes. The record's own fields, dictionary and chain are 61 bytes.
    assert_eq!(decisions(|body, n| body.reserved_one(random_id(n), 600_000, 0, 1)), 61 + 1_000 * 30);
}

#[test]
fn a_thousand_refusals() {
    let sold_out = |body: &mut BodyWriter<'_>, n| {
        body.refused(Some(random_id(n)), false, Reason::InsufficientStock, Some(0), 0);
    };
    assert_eq!(decisions(sold_out), 61 + 1_000 * 26);
}
