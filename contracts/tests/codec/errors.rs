//! Every way a record can be wrong, made by hand.

use holdfast_contracts::WireError;
use holdfast_contracts::command::{BatchScratch, decode_batch};
use holdfast_contracts::decision::decode_decisions;
use holdfast_contracts::limits::{
    BATCH_COMMANDS_MAX, BATCH_SKUS_MAX, CANCEL_LIST_MAX, DECISION_SKUS_MAX, RECORD_BYTES_MAX,
    RESERVE_LINES_MAX, SALE_SKUS_MAX, SKU_BYTES_MAX, TEXT_BYTES_MAX,
};

/// A field with a length, its number below 16.
fn bytes(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = body.len();
    while len >= 0x80 {
        out.push(len.to_le_bytes()[0] | 0x80);
        len >>= 7;
    }
    out.push(len.to_le_bytes()[0]);
    out.extend_from_slice(body);
    out
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

const ID: [u8; 16] = [9; 16];

/// A record of one command of kind `kind`.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    bytes(4, &bytes(kind, body))
}

fn tick() -> Vec<u8> {
    record(12, &[])
}

fn commands_error(record: &[u8]) -> Option<WireError> {
    let (mut skus, mut commands) = BatchScratch::default().lend();
    decode_batch(record, &mut skus, &mut commands).err()
}

#[test]
fn a_record_that_ends_inside_a_field() {
    let whole = record(2, &bytes(1, &ID));
    assert_eq!(commands_error(&whole), None);
    for end in 1..whole.len() {
        assert_eq!(commands_error(&whole[..end]), Some(WireError::Truncated), "cut at {end}");
    }
    // Inside fixed numbers, and inside a nested message whose own length is right.
    assert_eq!(commands_error(&[1 << 3 | 1, 0, 0]), Some(WireError::Truncated));
    assert_eq!(commands_error(&[99u8 << 3 | 5, 0, 0]), Some(WireError::Truncated));
    assert_eq!(commands_error(&record(2, &[1 << 3 | 2, 16, 0])), Some(WireError::Truncated));
}

#[test]
fn a_varint_beyond_64_bits() {
    let mut eleven = vec![2 << 3];
    eleven.extend_from_slice(&[0xff; 11]);
    assert_eq!(commands_error(&eleven), Some(WireError::VarintTooLong));
    let mut bit_65 = vec![2 << 3];
    bit_65.extend_from_slice(&[0xff; 9]);
    bit_65.push(2);
    assert_eq!(commands_error(&bit_65), Some(WireError::VarintTooLong));
}

#[test]
fn a_field_number_out_of_range() {
    assert_eq!(commands_error(&[0, 0]), Some(WireError::BadFieldNumber));
    // The first tag that needs more than 32 bits.
    assert_eq!(commands_error(&[0x80, 0x80, 0x80, 0x80, 0x10, 0]), Some(WireError::BadFieldNumber));
}

#[test]
fn a_wrong_wire_type() {
    for group in [3, 4, 6, 7] {
        assert_eq!(commands_error(&[9 << 3 | group, 0]), Some(WireError::WrongWireType), "wire type {group}");
    }
    assert_eq!(commands_error(&varint(1, 0)), Some(WireError::WrongWireType), "intake id as varint");
    assert_eq!(commands_error(&varint(4, 0)), Some(WireError::WrongWireType), "command as varint");
    assert_eq!(commands_error(&record(2, &varint(1, 1))), Some(WireError::WrongWireType), "id as varint");
    assert_eq!(commands_error(&record(12, &bytes(1, &ID))), Some(WireError::WrongWireType), "time as bytes");
}

#[test]
fn a_singular_field_given_twice() {
    let twice = [varint(2, 7), varint(2, 7), tick()].concat();
    assert_eq!(commands_error(&twice), Some(WireError::DuplicateField));
    let two_codes = [tick(), bytes(15, &ID), bytes(15, &ID)].concat();
    assert_eq!(commands_error(&two_codes), Some(WireError::DuplicateField));
    let two_ids = [bytes(1, &ID), bytes(1, &ID)].concat();
    for kind in 1..=8 {
        assert_eq!(commands_error(&record(kind, &two_ids)), Some(WireError::DuplicateField), "kind {kind}");
    }
    let two_kinds = bytes(4, &[bytes(12, &[]), bytes(9, &[])].concat());
    assert_eq!(commands_error(&two_kinds), Some(WireError::DuplicateField));
    let one_kind_twice = bytes(4, &[bytes(12, &[]), bytes(12, &[])].concat());
    assert_eq!(commands_error(&one_kind_twice), Some(WireError::DuplicateField));
}

#[test]
fn a_number_that_does_not_fit() {
    let by_ms = [bytes(1, &ID), vec![3 << 3, 0x80, 0x80, 0x80, 0x80, 0x10]].concat();
    assert_eq!(commands_error(&record(5, &by_ms)), Some(WireError::OutOfRange));
    let flag = [bytes(1, &ID), varint(4, 2)].concat();
    assert_eq!(commands_error(&record(1, &flag)), Some(WireError::OutOfRange));
    let packed = [bytes(1, &ID), bytes(3, &[]), bytes(4, &[0x80, 0x80, 0x80, 0x80, 0x10])].concat();
    assert_eq!(commands_error(&record(8, &packed)), Some(WireError::OutOfRange));
}

#[test]
fn a_text_that_is_not_utf8() {
    assert_eq!(commands_error(&record(9, &bytes(1, &[0xff]))), Some(WireError::NotUtf8));
    assert_eq!(commands_error(&[bytes(3, &[0xff]), tick()].concat()), Some(WireError::NotUtf8));
}

#[test]
fn an_id_that_is_not_16_bytes() {
    for len in [0, 15, 17] {
        assert_eq!(
            commands_error(&record(1, &bytes(1, &vec![0; len]))),
            Some(WireError::BadId),
            "{len} bytes"
        );
    }
    assert_eq!(commands_error(&record(12, &bytes(2, &[0; 8]))), Some(WireError::BadId));
    for code in [&[][..], &ID[..15], &[0; 17]] {
        assert_eq!(commands_error(&[tick(), bytes(15, code)].concat()), Some(WireError::BadId), "{code:?}");
    }
    assert_eq!(commands_error(&[tick(), bytes(15, &ID)].concat()), None);
}

#[test]
fn a_sku_of_no_length_or_too_much() {
    assert_eq!(commands_error(&[bytes(3, &[]), tick()].concat()), Some(WireError::BadSku));
    assert_eq!(commands_error(&[bytes(3, &[b'a'; SKU_BYTES_MAX]), tick()].concat()), None);
    assert_eq!(
        commands_error(&[bytes(3, &[b'a'; SKU_BYTES_MAX + 1]), tick()].concat()),
        Some(WireError::BadSku)
    );
}

#[test]
fn a_text_that_is_too_long() {
    assert_eq!(commands_error(&record(9, &bytes(1, &[b'a'; TEXT_BYTES_MAX]))), None);
    let long = record(9, &bytes(1, &[b'a'; TEXT_BYTES_MAX + 1]));
    assert_eq!(commands_error(&long), Some(WireError::TextTooLong));
}

#[test]
fn a_record_without_a_command() {
    assert_eq!(commands_error(&[]), Some(WireError::Empty));
    assert_eq!(commands_error(&varint(2, 7)), Some(WireError::Empty));
}

#[test]
fn too_many_or_too_much() {
    let times = |field: Vec<u8>, n: usize| field.repeat(n);
    assert_eq!(commands_error(&times(tick(), BATCH_COMMANDS_MAX)), None);
    assert_eq!(commands_error(&times(tick(), BATCH_COMMANDS_MAX + 1)), Some(WireError::TooLarge));

    assert_eq!(commands_error(&[times(bytes(3, b"a"), BATCH_SKUS_MAX), tick()].concat()), None);
    let skus = [times(bytes(3, b"a"), BATCH_SKUS_MAX + 1), tick()].concat();
    assert_eq!(commands_error(&skus), Some(WireError::TooLarge));

    let lines = |n| record(1, &[bytes(1, &ID), times(bytes(3, &varint(2, 1)), n)].concat());
    assert_eq!(commands_error(&lines(RESERVE_LINES_MAX)), None);
    assert_eq!(commands_error(&lines(RESERVE_LINES_MAX + 1)), Some(WireError::TooLarge));

    let sale = |n| record(8, &[bytes(1, &ID), bytes(3, &[]), bytes(4, &vec![0; n])].concat());
    assert_eq!(commands_error(&sale(SALE_SKUS_MAX)), None);
    assert_eq!(commands_error(&sale(SALE_SKUS_MAX + 1)), Some(WireError::TooLarge));

    // Padding in a field nobody knows counts too.
    let padded = |len: usize| [tick(), bytes(9, &vec![0; len])].concat();
    let overhead = padded(RECORD_BYTES_MAX / 2).len() - RECORD_BYTES_MAX / 2;
    assert_eq!(commands_error(&padded(RECORD_BYTES_MAX - overhead)), None);
    assert_eq!(commands_error(&padded(RECORD_BYTES_MAX - overhead + 1)), Some(WireError::TooLarge));
}

#[test]
fn a_command_of_an_unknown_kind() {
    assert_eq!(commands_error(&record(14, &[])), Some(WireError::UnknownKind));
    assert_eq!(commands_error(&bytes(4, &[])), Some(WireError::UnknownKind));
}

#[test]
fn a_required_field_that_is_missing() {
    for kind in 1..=8 {
        assert_eq!(
            commands_error(&record(kind, &[])),
            Some(WireError::MissingField),
            "the id of kind {kind}"
        );
    }
    assert_eq!(commands_error(&record(8, &bytes(1, &ID))), Some(WireError::MissingField), "terms");
}

/// A record of decisions with these fields in it.
fn decisions_error(fields: &[Vec<u8>]) -> Option<WireError> {
    decode_decisions(&[fields.concat(), varint(2, 1), bytes(15, &ID)].concat()).err()
}

/// A record with one decision.
fn decision_error(fields: &[Vec<u8>]) -> Option<WireError> {
    decisions_error(&[bytes(8, &fields.concat())])
}

#[test]
fn wrong_records_of_decisions() {
    assert_eq!(decisions_error(&[]), None);
    assert_eq!(decode_decisions(&varint(2, 1)).err(), Some(WireError::MissingField), "no chain");
    assert_eq!(decode_decisions(&bytes(15, &ID)).err(), Some(WireError::MissingField), "no out_seq");
    assert_eq!(decisions_error(&[varint(1, 1), varint(1, 1)]), Some(WireError::DuplicateField));
    assert_eq!(decisions_error(&[bytes(9, &[]), bytes(9, &[])]), Some(WireError::DuplicateField));
    assert_eq!(decisions_error(&[bytes(14, &[0; 15])]), Some(WireError::BadId), "digest");
    assert_eq!(decisions_error(&[bytes(6, b"a").repeat(DECISION_SKUS_MAX)]), None);
    assert_eq!(decisions_error(&[bytes(6, b"a").repeat(DECISION_SKUS_MAX + 1)]), Some(WireError::TooLarge));
    assert_eq!(decisions_error(&[bytes(6, b"")]), Some(WireError::BadSku));
}

#[test]
fn wrong_decisions() {
    assert_eq!(decision_error(&[]), None, "a tick has nothing to say");
    assert_eq!(decision_error(&[bytes(1, &[1])]), Some(WireError::BadId));
    assert_eq!(decision_error(&[varint(2, 2)]), Some(WireError::OutOfRange));
    assert_eq!(decision_error(&[bytes(9, &[]), bytes(9, &[])]), Some(WireError::DuplicateField));
    let outcome = |number, body: Vec<u8>| decision_error(&[bytes(number, &body)]);
    assert_eq!(outcome(5, vec![]), Some(WireError::UnknownKind), "a refusal without a reason");
    assert_eq!(outcome(5, varint(1, 25)), Some(WireError::UnknownKind));
    assert_eq!(outcome(6, varint(1, 7)), Some(WireError::UnknownKind));
    assert_eq!(outcome(8, varint(1, 5)), Some(WireError::UnknownKind));
    assert_eq!(outcome(7, bytes(8, &ID).repeat(CANCEL_LIST_MAX)), None);
    assert_eq!(outcome(7, bytes(8, &ID).repeat(CANCEL_LIST_MAX + 1)), Some(WireError::TooLarge));
    assert_eq!(outcome(7, bytes(8, &[1])), Some(WireError::BadId));
    let line = bytes(2, &varint(2, 1));
    assert_eq!(outcome(3, line.repeat(RESERVE_LINES_MAX)), None);
    assert_eq!(outcome(3, line.repeat(RESERVE_LINES_MAX + 1)), Some(WireError::TooLarge));
    assert_eq!(outcome(3, bytes(2, &[varint(1, 1), varint(1, 1)].concat())), Some(WireError::DuplicateField));
}

#[test]
fn wrong_events() {
    let event = |fields: &[Vec<u8>]| decisions_error(&[bytes(7, &fields.concat())]);
    assert_eq!(event(&[bytes(5, &[])]), None);
    assert_eq!(event(&[]), Some(WireError::UnknownKind));
    assert_eq!(event(&[bytes(3, &[])]), Some(WireError::MissingField), "an expiry of nothing");
    assert_eq!(event(&[bytes(4, &[])]), Some(WireError::MissingField), "an offer of nothing");
    assert_eq!(event(&[bytes(5, &[]), bytes(6, &[])]), Some(WireError::DuplicateField));
    assert_eq!(event(&[bytes(5, &[varint(1, 1), varint(1, 1)].concat())]), Some(WireError::DuplicateField));
}
