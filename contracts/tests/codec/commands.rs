//! Command records: ours and the reference's are the same, byte for byte and value for value.

use crate::mangle::{self, Dice};
use crate::{reference, strategies};
use holdfast_contracts::WireError;
use holdfast_contracts::command::{BatchScratch, decode_batch};
use holdfast_contracts_reference::{Message, inventory as pb};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// Reads a record with our codec and says it in the reference's types.
pub(crate) fn read(record: &[u8]) -> Result<pb::CommandBatch, WireError> {
    let (mut skus, mut commands) = BatchScratch::default().lend();
    let header = decode_batch(record, &mut skus, &mut commands)?;
    Ok(reference::command_batch(header, &skus, &commands))
}

/// Whatever the bytes: our reader does not panic, and what it takes the reference takes too, with the same meaning.
fn agree(record: &[u8]) {
    if let Ok(ours) = read(record) {
        assert_eq!(pb::CommandBatch::decode(record).as_ref(), Ok(&ours));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_we_write_is_what_the_reference_writes(model in strategies::commands()) {
        prop_assert_eq!(reference::write_commands(&model), model.encode_to_vec());
    }

    #[test]
    fn what_the_reference_writes_we_read(model in strategies::commands()) {
        prop_assert_eq!(read(&model.encode_to_vec()), Ok(model));
    }

    #[test]
    fn another_order_and_unknown_fields_change_nothing(model in strategies::commands(), seed: u64) {
        let record = mangle::mangle(&model.encode_to_vec(), &mangle::COMMAND_BATCH, &mut Dice(seed));
        prop_assert_eq!(pb::CommandBatch::decode(&record[..]), Ok(model.clone()));
        prop_assert_eq!(read(&record), Ok(model));
    }

    #[test]
    fn damaged_records_are_refused_or_read_alike(
        model in strategies::commands(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut record = model.encode_to_vec();
        for (at, byte) in damage {
            let at = at.index(record.len());
            record[at] = byte;
            agree(&record);
        }
        agree(&record[..cut.index(record.len())]);
    }

    #[test]
    fn any_bytes_are_refused_or_read_alike(record in proptest::collection::vec(any::<u8>(), 0..400)) {
        agree(&record);
    }

    /// Bytes that look like fields reach further into the reader than noise does.
    #[test]
    fn any_fields_are_refused_or_read_alike(seed: u64) {
        agree(&soup(&mut Dice(seed), 3));
    }
}

/// Random fields with small numbers, nested `depth` deep, some of the expected length.
pub(crate) fn soup(dice: &mut Dice, depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..=dice.below(5) {
        let numbers = if dice.below(8) == 0 { 16 } else { 5 };
        let number = 1 + dice.below(numbers);
        let wire_type = [0, 1, 2, 2, 2, 5][usize::try_from(dice.below(6)).expect("an index")];
        out.push((number << 3 | wire_type).to_le_bytes()[0]);
        match wire_type {
            0 => out.push(dice.below(128).to_le_bytes()[0]),
            1 => out.extend_from_slice(&dice.below(u64::MAX).to_le_bytes()),
            2 => {
                let body = match (depth, dice.below(3)) {
                    (_, 0) | (0, _) => vec![b'a'; if dice.below(2) == 0 { 16 } else { 3 }],
                    (depth, _) => soup(dice, depth - 1),
                };
                let mut len = body.len() as u64;
                while len >= 0x80 {
                    out.push(len.to_le_bytes()[0] | 0x80);
                    len >>= 7;
                }
                out.push(len.to_le_bytes()[0]);
                out.extend_from_slice(&body);
            }
            _ => out.extend_from_slice(&[1; 4]),
        }
    }
    out
}

#[test]
fn every_prefix_of_a_record_is_refused_or_read_alike() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..20 {
        let model = strategies::commands().new_tree(&mut runner).expect("a value").current();
        let record = model.encode_to_vec();
        for end in 0..record.len() {
            agree(&record[..end]);
        }
    }
}

/// The reader has a short cut for the usual command. Around it, every wrong byte, and every pair of wrong lengths.
#[test]
fn the_usual_command_with_any_byte_wrong_is_refused_or_read_alike() {
    for (sku, quantity) in [(0, 1), (3, 2), (200, 1), (0, 300)] {
        let line = pb::Line { sku, quantity };
        let reserve = pb::Reserve {
            reservation_id: vec![0x11; 16],
            customer: 0x1a1a_1a1a_1a1a_1a1a,
            lines: vec![line],
            ..pb::Reserve::default()
        };
        let command = pb::Command { kind: Some(pb::command::Kind::Reserve(reserve)) };
        let model = pb::CommandBatch { commands: vec![command], ..pb::CommandBatch::default() };
        each_damage(&model.encode_to_vec(), agree);
        // Another command after it: what one length loses, the next field gains.
        let two = pb::CommandBatch { commands: vec![model.commands[0].clone(); 2], ..model };
        each_damage(&two.encode_to_vec(), agree);
    }
}

/// Hands out the record with each byte replaced by every other, and with each two bytes moved up or down a little.
pub(crate) fn each_damage(record: &[u8], check: fn(&[u8])) {
    let mut damaged = record.to_vec();
    for at in 0..record.len() {
        for byte in 0..=u8::MAX {
            damaged[at] = byte;
            check(&damaged);
        }
        for other in 0..at {
            for (up, down) in [(1, 1), (2, 2), (1, 2), (16, 16)] {
                damaged[at] = record[at].wrapping_add(up);
                damaged[other] = record[other].wrapping_sub(down);
                check(&damaged);
                damaged[at] = record[at].wrapping_sub(up);
                damaged[other] = record[other].wrapping_add(down);
                check(&damaged);
            }
            damaged[other] = record[other];
        }
        damaged[at] = record[at];
    }
}
