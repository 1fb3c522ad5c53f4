//! Sections 5.1, 5.2 and 5.4.

use holdfast_contracts::SaleTerms;
use holdfast_contracts::decision::Reason;

use super::script::*;

const A1: &[(&str, u32, u32)] = &[("A", 1, 0)];

#[test]
fn expiries_come_by_deadline_and_then_by_place() {
    let mut s = Script::sale(TERMS, &[("A", 9)]);
    s.send(|b| {
        b.reserve(1, 7, &[("A", 1)]);
        b.reserve(2, 7, &[("A", 1)]);
        b.reserve(3, 7, &[("A", 1)]);
        b.extend(2, 0, 5, None);
        b.extend(1, 0, 6, None);
    });
    s.define("s", SaleTerms { hold_ttl_ms: 5, ..TERMS }, &["A"]);
    s.at(1_000).reserve(4, 7, &[("A", 1)]);
    assert_eq!(s.at(1_010).pass(), [expired(2, A1), expired(4, A1), expired(1, A1)]);
}

#[test]
fn work_beyond_the_limit_is_carried_over() {
    let mut s = Script::sale(TERMS, &[("A", 9)]);
    s.rules(1, 0, 2);
    for n in 1..=5 {
        s.reserve(n, 7, &[("A", 1)]);
    }
    assert_eq!(s.at(1_000).pass().len(), 2);
    assert_eq!(s.raw(&[]).expect("no stop").expect("malformed").events.len(), 2);
    assert_eq!(s.pass(), [expired(5, A1)]);
}

#[test]
fn an_expiry_serves_the_line_at_once_and_both_are_work() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    s.rules(1, 0, 3);
    s.reserve(1, 7, &[("A", 1)]);
    s.reserve(2, 7, &[("A", 1)]);
    s.join(3, 8, "A", 1);
    s.join(4, 8, "A", 1);
    let first = [expired(1, A1), offered(3, 400, "A", 1), expired(2, A1)];
    assert_eq!(s.at(1_000).pass(), first);
    assert_eq!(s.pass(), [offered(4, 400, "A", 1)]);
}

#[test]
fn the_limit_is_shared_with_the_commands_of_the_record() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.at(500).reserve(2, 7, &[("A", 1)]);
    s.join(3, 8, "A", 1);
    s.join(4, 8, "A", 1);
    s.rules(1, 0, 2);
    let out = s.at(1_000).send(|b| {
        b.release(2, 7);
        b.reserve(5, 9, &[("A", 1)]);
    });
    assert_eq!(out.events.len(), 2);
    assert_eq!(out.decisions[1].outcome, Some(refused_sku(Reason::InsufficientStock, "A", 0)));
    assert!(s.model.sku_view("A").expect("known").needs_service);
    assert_eq!(s.pass(), [offered(4, 400, "A", 1)]);
}

#[test]
fn lines_wait_for_service_in_the_order_found_and_go_to_the_end() {
    let mut s = Script::sale(TERMS, &[("A", 0), ("B", 0)]);
    for (n, sku) in [(1, "B"), (2, "B"), (3, "A"), (4, "B"), (5, "A")] {
        s.join(n, 8, sku, 1);
    }
    s.rules(1, 0, 1);
    let out = s.send(|b| {
        b.set(100, "B", 3, None, false);
        b.set(101, "A", 2, None, false);
    });
    assert_eq!(out.events.len(), 1);
    let rest: Vec<_> = (0..5).flat_map(|_| s.pass()).collect();
    let offer = |n, sku| offered(n, 400, sku, 1);
    assert_eq!(rest, [offer(2, "B"), offer(3, "A"), offer(4, "B"), offer(5, "A")]);
}

#[test]
fn returned_units_cover_the_shortfall_first() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 3)]);
    s.reserve(2, 7, &[("A", 2)]);
    s.cut("A", 1);
    assert_eq!(s.figures("A"), [5, 0, 5, 0, 0, 4]);
    s.release(1);
    assert_eq!(s.figures("A"), [2, 0, 2, 0, 0, 1]);
    s.release(2);
    assert_eq!(s.figures("A"), [1, 1, 0, 0, 0, 0]);
}

#[test]
fn waits_of_closed_sales_end_after_expiries_and_offers_in_order() {
    let mut s = Script::sale(TERMS, &[("A", 0), ("B", 0)]);
    s.define("t", TERMS, &["C", "D"]);
    s.open("t");
    s.set("D", 1);
    s.reserve(9, 7, &[("D", 1)]);
    for (n, sku) in [(1, "B"), (2, "A"), (3, "B"), (4, "C")] {
        s.join(n, 8, sku, 1);
    }
    s.rules(1, 0, 3);
    s.send(|b| {
        for sale_id in ["t", "s"] {
            b.push(&holdfast_contracts::command::Command::CloseSale { sale_id });
        }
    });
    let first = [expired(9, &[("D", 1, 0)]), wait_ended(4, "C", 1), wait_ended(2, "A", 1)];
    assert_eq!(s.at(1_000).pass(), first);
    assert_eq!(s.pass(), [wait_ended(1, "B", 1), wait_ended(3, "B", 1)]);
    assert_eq!(s.pass(), []);
}

#[test]
fn a_new_limit_holds_from_the_next_command_on() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    for n in 1..=4 {
        s.join(n, 8, "A", 1);
    }
    let out = s.send(|b| {
        b.rules(1, 0, 1);
        b.set(100, "A", 3, None, false);
        b.rules(1, 0, 2);
        b.adjust(101, "A", 1, 0);
    });
    assert_eq!(out.events.len(), 2);
    assert_eq!(s.pass().len(), 2);
}
