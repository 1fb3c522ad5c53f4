//! Section 6: stock.

use holdfast_contracts::PartitionId;
use holdfast_contracts::decision::Reason;
use holdfast_contracts::murmur2::partition_of;

use super::script::*;
use crate::answer::Outcome;

const MOST: u64 = 1 << 40;

fn told(outcome: Outcome) -> ([u64; 6], Vec<u8>) {
    let Outcome::StockChanged { figures, cancel_first, .. } = outcome else { panic!("{outcome:?}") };
    (list(figures), cancel_first.iter().map(|id| id.0[0]).collect())
}

#[test]
fn stock_is_set_around_what_is_promised() {
    let mut s = Script::sale(TERMS, &[("A", 10)]);
    s.reserve(1, 7, &[("A", 2)]);
    s.reserve(2, 7, &[("A", 1)]);
    s.confirm(2);
    s.adjust("A", 0, 1);
    assert_eq!(told(s.set("A", 8)), ([8, 4, 2, 1, 1, 0], vec![]));
    assert_eq!(told(s.set("A", 4)), ([4, 0, 2, 1, 1, 0], vec![]));
    assert_eq!(s.set("A", 3), refused_sku(Reason::StockBelowPromised, "A", 0));
}

#[test]
fn a_forced_cut_lists_the_newest_holds_until_they_cover_it() {
    let mut s = Script::sale(TERMS, &[("A", 10), ("B", 10)]);
    for (n, sku, units) in [(1, "A", 2), (2, "A", 1), (3, "B", 1), (4, "A", 1), (5, "A", 1)] {
        s.reserve(n, 7, &[(sku, units)]);
    }
    s.confirm(5);
    assert_eq!(told(s.cut("A", 3)), ([5, 0, 4, 1, 0, 2], vec![4, 2]));
    assert_eq!(told(s.cut("A", 0)), ([5, 0, 4, 1, 0, 5], vec![4, 2, 1]));
    assert_eq!(told(s.set("A", 5)), ([5, 0, 4, 1, 0, 0], vec![]));
}

#[test]
fn a_cancel_list_has_at_most_a_hundred() {
    let mut s = Script::sale(TERMS, &[("A", 150)]);
    for n in 1..=120 {
        s.reserve(n, 7, &[("A", 1)]);
    }
    let (figures, list) = told(s.cut("A", 0));
    assert_eq!((figures[5], list.len(), list[0]), (120, 100, 120));
}

#[test]
fn compare_and_set_compares_with_on_hand() {
    let mut s = Script::empty();
    assert_eq!(s.one(|b| b.set(1, "A", 5, Some(1), false)), refused_sku(Reason::StockChanged, "A", 0));
    assert!(s.model.sku_view("A").is_none());
    assert_eq!(told(s.one(|b| b.set(2, "A", 5, Some(0), false))).0, [5, 5, 0, 0, 0, 0]);
    assert_eq!(s.one(|b| b.set(3, "A", 9, Some(4), false)), refused_sku(Reason::StockChanged, "A", 5));
}

#[test]
fn numbers_have_bounds() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    let invalid = refused(Reason::Invalid);
    assert_eq!(s.set("A", MOST + 1), invalid);
    assert_eq!(s.adjust("A", 0, 0), invalid);
    assert_eq!(s.adjust("A", MOST.cast_signed() + 1, 0), invalid);
    assert_eq!(s.adjust("A", 1, i64::MIN), invalid);
    assert_eq!(s.adjust("A", MOST.cast_signed() - 4, 0), invalid);
    assert_eq!(s.adjust("Z", 0, 0), refused_sku(Reason::UnknownSku, "Z", 0));
    assert_eq!(told(s.adjust("A", MOST.cast_signed() - 5, 0)).0, [MOST, MOST, 0, 0, 0, 0]);
}

#[test]
fn adjustments_never_make_anything_negative() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    assert_eq!(told(s.adjust("A", 2, 3)).0, [7, 4, 0, 0, 3, 0]);
    assert_eq!(s.adjust("A", -5, 0), refused_sku(Reason::StockBelowPromised, "A", 4));
    assert_eq!(s.adjust("A", 0, 5), refused_sku(Reason::StockBelowPromised, "A", 4));
    assert_eq!(s.adjust("A", 0, -4), refused_sku(Reason::StockBelowPromised, "A", 3));
    assert_eq!(told(s.adjust("A", -4, 0)).0, [3, 0, 0, 0, 3, 0]);
    assert_eq!(told(s.adjust("A", -3, -3)).0, [0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_delivery_covers_the_shortfall_first() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 5)]);
    s.cut("A", 2);
    assert_eq!(told(s.adjust("A", 2, 0)).0, [5, 0, 5, 0, 0, 1]);
    // What is set aside on arrival never becomes available, so it covers nothing.
    assert_eq!(told(s.adjust("A", 1, 1)).0, [6, 0, 5, 0, 1, 1]);
    assert_eq!(told(s.adjust("A", 4, 1)).0, [9, 2, 5, 0, 2, 0]);
}

#[test]
fn a_sku_of_another_partition_is_unknown() {
    let name =
        (0..).map(|n| format!("S{n}")).find(|sku| partition_of(sku, 4) != PartitionId(0)).expect("some");
    let mut s = Script::of_partitions(4);
    assert_eq!(s.set(&name, 5), refused_sku(Reason::UnknownSku, &name, 0));
    assert_eq!(s.define("s", TERMS, &[&name]), refused_sku(Reason::UnknownSku, &name, 0));
}

#[test]
fn the_figures_told_are_those_after_the_line_was_served() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.join(1, 8, "A", 2);
    assert_eq!(told(s.set("A", 3)).0, [3, 1, 2, 0, 0, 0]);
}
