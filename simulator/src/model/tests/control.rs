//! Section 1.1.

use holdfast_contracts::command::Command;
use holdfast_contracts::decision::{Reason, SaleState};

use super::script::*;
use crate::answer::{Decision, Outcome, Refusal};
use crate::model::{Settings, Stopped};

const SECRET: [u8; 32] = [7; 32];

/// The refusal of a control command with this id.
fn refused(id: Option<u8>) -> Decision {
    let outcome = Some(Outcome::Refused(Refusal::plain(Reason::UnauthenticatedControl)));
    Decision { id: id.map(self::id), replay: false, outcome }
}

fn opened(unchanged: bool) -> Outcome {
    Outcome::SaleChanged { state: SaleState::Open, unchanged }
}

/// A sale of one SKU with a key.
fn sale() -> Script {
    let mut s = Script::with_key(SECRET);
    s.define("s", TERMS, &["A"]);
    s.set("A", 1);
    assert_eq!(s.open("s"), opened(false));
    s
}

#[test]
fn every_control_command_without_a_code_is_refused_and_buyers_beside_it_are_not() {
    let mut s = sale();
    let out = s.send_as(
        |b| {
            b.set(1, "A", 5, None, false);
            b.adjust(2, "A", 5, 0);
            b.define(3, "t", TERMS, &[]);
            b.push(&Command::OpenSale { sale_id: "s" });
            b.push(&Command::PauseSale { sale_id: "s", freeze_ttl: true });
            b.push(&Command::CloseSale { sale_id: "s" });
            b.tick(0);
            b.rules(2, 1, 1);
            b.reserve(9, 7, &[("A", 1)]);
        },
        |_, _| {},
    );
    let ids = [Some(1), Some(2), Some(3), None, None, None, None, None];
    assert_eq!(out.decisions[..8], ids.map(refused));
    assert!(matches!(out.decisions[8].outcome, Some(Outcome::Reserved { .. })));
    assert_eq!(out.events, []);
    assert_eq!(s.figures("A"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(s.open("s"), opened(true));
}

#[test]
fn a_refused_control_command_is_not_remembered_and_a_remembered_one_is_not_told() {
    let mut s = sale();
    let set = |b: &mut Batch| b.set(1, "A", 5, None, false);
    assert_eq!(s.send_as(set, |_, _| {}).decisions, [refused(Some(1))]);
    assert!(matches!(s.one(set), Outcome::StockChanged { .. }));
    assert_eq!(s.figures("A"), [5, 5, 0, 0, 0, 0]);
    assert_eq!(s.send_as(set, |_, _| {}).decisions, [refused(Some(1))]);
    assert_eq!(s.figures("A"), [5, 5, 0, 0, 0, 0]);
}

#[test]
fn a_forged_control_command_does_not_stop_the_partition_and_a_genuine_one_does() {
    let mut s = sale();
    let other = holdfast_contracts::LogId([1; 16]);
    let tick = |b: &mut Batch| {
        b.push(&Command::Tick { wall: holdfast_contracts::LogTime(BASE), log_id: Some(other) });
    };
    let rules = |b: &mut Batch| b.rules(9, 0, 0);
    assert_eq!(s.send_as(tick, |_, _| {}).decisions, [refused(None)]);
    assert_eq!(s.send_as(rules, |_, _| {}).decisions, [refused(None)]);
    assert_eq!(s.try_send(rules), Err(Stopped::UnknownRules(9)));
    assert_eq!(sale().try_send(tick), Err(Stopped::OtherLog));
}

#[test]
fn a_code_holds_for_one_key_log_partition_and_record() {
    let mut s = sale();
    let open = |b: &mut Batch| b.push(&Command::OpenSale { sale_id: "s" });
    let forgeries: [fn(Settings, &mut Vec<u8>); 6] = [
        |it, record| it.sign(&[8; 32], record),
        |it, record| {
            Settings { partition: holdfast_contracts::PartitionId(1), ..it }.sign(&SECRET, record);
        },
        |it, record| Settings { log_id: holdfast_contracts::LogId([1; 16]), ..it }.sign(&SECRET, record),
        |it, record| {
            it.sign(&SECRET, record);
            record.extend_from_slice(&[0x30, 1]);
        },
        |it, record| {
            it.sign(&SECRET, record);
            let last = record.len() - 1;
            record[last] ^= 1;
        },
        |_, record| record.extend_from_slice(&[&[0x7a, 16][..], &[0; 16]].concat()),
    ];
    for forgery in forgeries {
        assert_eq!(s.send_as(open, forgery).decisions, [refused(None)]);
    }
    assert_eq!(s.one(open), opened(true));
}

#[test]
fn a_copy_of_a_genuine_record_is_as_genuine() {
    let mut s = sale();
    let mut record = Vec::new();
    let open = |b: &mut Batch| b.push(&Command::OpenSale { sale_id: "s" });
    s.send_as(open, |it, bytes| {
        it.sign(&SECRET, bytes);
        record.clone_from(bytes);
    });
    s.pause("s");
    let out = s.raw(&record).expect("no stop").expect("an output");
    assert_eq!(out.decisions[0].outcome, Some(opened(false)));
}

#[test]
fn without_a_key_a_code_says_nothing() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    let open = |b: &mut Batch| b.push(&Command::OpenSale { sale_id: "s" });
    let out = s.send_as(open, |it, record| it.sign(&[8; 32], record));
    assert_eq!(out.decisions[0].outcome, Some(opened(true)));
}

#[test]
fn a_refused_tick_is_told_and_moves_nothing() {
    let mut s = sale();
    let out = s.at(20_000).send_as(|b| b.tick(BASE + 20_000), |_, _| {});
    assert_eq!(out.decisions, [refused(None)]);
    // The record's own time counts whoever wrote it; only ticks make it trusted again.
    for _ in 0..3 {
        s.send_as(|b| b.tick(BASE + 20_000), |_, _| {});
    }
    assert!(s.model.clock_is_suspect());
    for _ in 0..3 {
        s.send(|b| b.tick(BASE + 20_000));
    }
    assert!(!s.model.clock_is_suspect());
}
