//! Section 5.3.

use holdfast_contracts::decision::{HoldState, Reason};
use holdfast_contracts::{LogTime, SaleTerms};

use super::script::*;

#[test]
fn under_rules_one_only_the_first_in_line_is_looked_at() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.join(1, 8, "A", 3);
    s.join(2, 8, "A", 1);
    s.set("A", 2);
    assert_eq!(s.figures("A"), [2, 2, 0, 0, 0, 0]);
    assert_eq!(s.reserve(3, 9, &[("A", 1)]), refused_sku(Reason::InsufficientStock, "A", 0));
    let out = s.send(|b| b.adjust(100, "A", 2, 0));
    assert_eq!(
        out.events.into_iter().map(|e| (e.cause, e.what)).collect::<Vec<_>>(),
        [(Some(0), offered(1, 400, "A", 3)), (Some(0), offered(2, 400, "A", 1))]
    );
}

#[test]
fn under_rules_two_the_first_that_fits_is_served_and_the_public_may_take_the_rest() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.rules(2, 0, 0);
    s.join(1, 8, "A", 3);
    s.join(2, 8, "A", 1);
    let out = s.send(|b| b.set(100, "A", 2, None, false));
    assert_eq!(out.events[0].what, offered(2, 400, "A", 1));
    assert_eq!(s.reserve(3, 9, &[("A", 2)]), refused_sku(Reason::InsufficientStock, "A", 1));
    assert_eq!(s.reserve(4, 9, &[("A", 1)]), reserved(1_000, &[("A", 1, 0)]));
}

#[test]
fn under_rules_two_only_the_leading_64_are_looked_at() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.rules(2, 0, 0);
    for n in 1..=64 {
        s.join(n, 8, "A", 2);
    }
    s.join(65, 8, "A", 1);
    assert_eq!(s.send(|b| b.set(100, "A", 1, None, false)).events, []);
    assert_eq!(s.figures("A")[1], 1);
    // Once one of the 64 has left, the small one is among them.
    assert_eq!(s.send(|b| b.release(10, 0)).events[0].what, offered(65, 400, "A", 1));
    assert_eq!(s.figures("A")[1], 0);
}

#[test]
fn an_offer_lives_and_dies_like_any_hold_and_is_remembered_as_it_joined() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.join(1, 8, "A", 1);
    s.join(2, 8, "A", 1);
    s.at(100).set("A", 1);
    assert_eq!(s.pay(1), moved(HoldState::Paying, 500, &[("A", 1, 0)]));
    let out = s.at(600).pass();
    assert_eq!(out, [expired(1, &[("A", 1, 0)]), offered(2, 400, "A", 1)]);
    assert_eq!(s.confirm(2), moved(HoldState::Confirmed, 0, &[("A", 1, 0)]));
}

#[test]
fn a_wait_ends_with_the_sales_end_as_it_was_when_it_joined() {
    let closing = SaleTerms { closes_at: LogTime(BASE + 500), ..TERMS };
    let mut s = Script::sale(closing, &[("A", 0)]);
    s.join(1, 8, "A", 1);
    s.define("s", TERMS, &["A"]);
    s.join(2, 8, "A", 1);
    assert_eq!(s.at(500).pass(), [wait_ended(1, "A", 1)]);
    assert_eq!(s.release(1), unchanged(HoldState::Expired, 0, &[("A", 1, 1)]));
    assert_eq!(s.reacquire(1), refused(Reason::Expired));
    s.at(9_000).set("A", 1);
    assert_eq!(s.confirm(2), moved(HoldState::Confirmed, 0, &[("A", 1, 0)]));
}

#[test]
fn when_the_first_leaves_the_next_may_fit() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.join(1, 8, "A", 3);
    s.join(2, 8, "A", 2);
    s.join(3, 8, "A", 1);
    assert_eq!(s.send(|b| b.release(2, 0)).events, []);
    assert_eq!(s.send(|b| b.release(1, 0)).events[0].what, offered(3, 400, "A", 1));
}

#[test]
fn a_paused_sale_serves_nobody_until_it_is_resumed() {
    let mut s = Script::sale(TERMS, &[("A", 0), ("B", 0)]);
    s.join(1, 8, "B", 1);
    s.join(2, 8, "A", 1);
    s.pause("s");
    s.set("A", 1);
    s.set("B", 1);
    assert_eq!(s.figures("A"), [1, 1, 0, 0, 0, 0]);
    let out = s.send(|b| b.push(&holdfast_contracts::command::Command::OpenSale { sale_id: "s" }));
    let events: Vec<_> = out.events.into_iter().map(|e| e.what).collect();
    assert_eq!(events, [offered(2, 400, "A", 1), offered(1, 400, "B", 1)]);
}

#[test]
fn new_terms_serve_the_line_when_they_open_the_sale() {
    let shut = SaleTerms { opens_at: LogTime(BASE + 9_000), ..TERMS };
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.join(1, 8, "A", 1);
    s.define("s", shut, &["A"]);
    s.set("A", 1);
    assert_eq!(s.figures("A")[1], 1);
    let out = s.send(|b| b.define(100, "s", TERMS, &["A"]));
    assert_eq!(out.events[0].what, offered(1, 400, "A", 1));
}

#[test]
fn a_line_that_waits_for_work_keeps_its_units_from_the_public() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.rules(2, 0, 1);
    s.join(1, 8, "A", 1);
    s.join(2, 8, "A", 1);
    let out = s.send(|b| {
        b.set(100, "A", 5, None, false);
        b.reserve(3, 9, &[("A", 1)]);
        b.release(2, 0);
        b.reserve(4, 9, &[("A", 1)]);
    });
    assert_eq!(out.events.len(), 1);
    let nothing = Some(refused_sku(Reason::InsufficientStock, "A", 0));
    assert_eq!(out.decisions[1].outcome, nothing);
    assert_eq!(out.decisions[3].outcome, nothing);
    assert_eq!(s.reserve(5, 9, &[("A", 4)]), reserved(1_000, &[("A", 4, 0)]));
}
