//! Decision records: ours and the reference's are the same, byte for byte and value for value.

use crate::commands::{each_damage, soup};
use crate::mangle::{self, Dice};
use crate::{reference, strategies};
use holdfast_contracts::decision::{decode_decisions, split_chain};
use holdfast_contracts::{Chain, WireError};
use holdfast_contracts_reference::{Message, inventory as pb};
use proptest::prelude::*;

/// Reads a record with our codec and says it in the reference's types.
pub(crate) fn read(record: &[u8]) -> Result<pb::DecisionBatch, WireError> {
    decode_decisions(record).map(|batch| reference::decision_batch(&batch))
}

/// Whatever the bytes: our reader does not panic, and what it takes the reference takes too, with the same meaning.
fn agree(record: &[u8]) {
    let Ok(ours) = read(record) else { return };
    let mut theirs = pb::DecisionBatch::decode(record).expect("what we read the reference reads");
    // Where a message has no use for a field, or a default says the same as its absence, we do not keep the difference.
    for event in &mut theirs.events {
        match &mut event.what {
            Some(pb::event::What::ClockSuspect(_) | pb::event::What::ClockTrusted(_)) => event.id.clear(),
            Some(pb::event::What::Offered(it)) => it.line = Some(it.line.unwrap_or_default()),
            _ => {}
        }
    }
    for decision in &mut theirs.decisions {
        if let Some(pb::decision::Outcome::Waiting(it)) = &mut decision.outcome {
            it.line = Some(it.line.unwrap_or_default());
        }
    }
    assert_eq!(theirs, ours);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_we_write_is_what_the_reference_writes(model in strategies::decisions()) {
        prop_assert_eq!(reference::write_decisions(&model), model.encode_to_vec());
    }

    #[test]
    fn what_the_reference_writes_we_read(model in strategies::decisions()) {
        prop_assert_eq!(read(&model.encode_to_vec()), Ok(model));
    }

    #[test]
    fn another_order_and_unknown_fields_change_nothing(model in strategies::decisions(), seed: u64) {
        let record = mangle::mangle(&model.encode_to_vec(), &mangle::DECISION_BATCH, &mut Dice(seed));
        prop_assert_eq!(pb::DecisionBatch::decode(&record[..]), Ok(model.clone()));
        prop_assert_eq!(read(&record), Ok(model));
    }

    #[test]
    fn damaged_records_are_refused_or_read_alike(
        model in strategies::decisions(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut record = model.encode_to_vec();
        for (at, byte) in damage {
            let at = at.index(record.len());
            record[at] = byte;
            agree(&record);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_alike(mut record in proptest::collection::vec(any::<u8>(), 0..400)) {
        agree(&record);
        end(&mut record);
        agree(&record);
    }

    #[test]
    fn any_fields_are_refused_or_read_alike(seed: u64) {
        let dice = &mut Dice(seed);
        let mut record = Vec::new();
        // Field 8, decisions, or field 7, events, around something that may be one.
        for _ in 0..=dice.below(4) {
            let body = soup(dice, 2);
            record.push(if dice.below(2) == 0 { 8 << 3 | 2 } else { 7 << 3 | 2 });
            record.extend((body.len() < 128).then(|| body.len().to_le_bytes()[0]));
            record.extend_from_slice(&body);
        }
        end(&mut record);
        agree(&record);
    }

    #[test]
    fn the_chain_is_split_off_what_it_covers(model in strategies::decisions()) {
        let record = reference::write_decisions(&model);
        let (body, chain) = split_chain(&record).expect("a chain at the end");
        prop_assert_eq!(body.len() + 18, record.len());
        prop_assert_eq!(chain, Chain(reference::id16(&model.chain)));
    }
}

/// The fields without which a record of decisions is refused for that reason alone.
fn end(record: &mut Vec<u8>) {
    record.extend_from_slice(&[2 << 3, 1, 15 << 3 | 2, 16]);
    record.extend_from_slice(&[0xc4; 16]);
}

#[test]
fn a_record_that_does_not_end_with_a_chain_is_not_split() {
    assert_eq!(split_chain(&[]), None);
    assert_eq!(split_chain(&[0x7a; 17]), None);
    assert_eq!(split_chain(&[0; 18]), None);
}

/// The reader has short cuts for the usual decisions. Around them, every wrong byte, and every pair of wrong lengths.
#[test]
fn the_usual_decisions_with_any_byte_wrong_are_refused_or_read_alike() {
    use pb::decision::Outcome;
    let granted = |sku, quantity, expires_after_ms| {
        let lines = vec![pb::Granted { sku, quantity, missing: 0 }];
        Outcome::Reserved(pb::Reserved { expires_after_ms, lines, ..pb::Reserved::default() })
    };
    let refused = |reason, sku_plus_one, value| Outcome::Refused(pb::Refused { reason, sku_plus_one, value });
    let outcomes = [
        granted(0, 1, 600_000),
        granted(3, 300, 5),
        refused(8, 1, 0),
        refused(1, 0, 0),
        refused(7, 200, 70_000),
    ];
    for outcome in outcomes {
        let decision = pb::Decision { id: vec![0x1a; 16], replay: false, outcome: Some(outcome) };
        let model = pb::DecisionBatch {
            decisions: vec![decision.clone(), decision],
            out_seq: 1,
            chain: vec![0x2a; 16],
            ..pb::DecisionBatch::default()
        };
        each_damage(&model.encode_to_vec(), agree);
    }
}
