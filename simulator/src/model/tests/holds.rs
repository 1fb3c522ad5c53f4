//! Section 4: begin payment, confirm, release, reacquire.

use holdfast_contracts::SaleTerms;
use holdfast_contracts::decision::{HoldState, Reason};

use super::script::*;

const A1: &[(&str, u32, u32)] = &[("A", 1, 0)];

#[test]
fn unknown_comes_before_owner_and_zero_is_the_system() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.reserve(2, 7, &[("A", 9)]);
    assert_eq!(s.release(3), refused(Reason::UnknownReservation));
    assert_eq!(s.release(2), refused(Reason::UnknownReservation));
    assert_eq!(s.one(|b| b.release(1, 8)), refused(Reason::NotOwner));
    assert_eq!(s.one(|b| b.pay(1, 7)), moved(HoldState::Paying, 1_000, A1));
    assert_eq!(s.one(|b| b.confirm(1, 0, false)), moved(HoldState::Confirmed, 0, A1));
    assert_eq!(s.one(|b| b.release(1, 8)), refused(Reason::NotOwner));
}

#[test]
fn payment_gives_at_least_its_window_within_the_total() {
    let terms = SaleTerms { payment_window_ms: 2_500, ..TERMS };
    let mut s = Script::sale(terms, &[("A", 5)]);
    for n in 1..=3 {
        s.reserve(n, 7, &[("A", 1)]);
    }
    assert_eq!(s.at(100).pay(1), moved(HoldState::Paying, 2_500, A1));
    assert_eq!(s.at(900).pay(2), moved(HoldState::Paying, 2_100, A1));
    assert_eq!(s.at(950).pay(2), unchanged(HoldState::Paying, 2_050, A1));
    s.define("s", SaleTerms { payment_window_ms: 10, ..TERMS }, &["A"]);
    assert_eq!(s.pay(3), moved(HoldState::Paying, 50, A1));
}

#[test]
fn a_confirm_sells_once() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    assert_eq!(s.at(999).confirm(1), moved(HoldState::Confirmed, 0, A1));
    assert_eq!(s.at(9_000).confirm(1), unchanged(HoldState::Confirmed, 0, A1));
    assert_eq!(s.figures("A"), [5, 4, 0, 1, 0, 0]);
    let sold = refused(Reason::AlreadyConfirmed);
    assert_eq!((s.pay(1), s.release(1), s.extend(1, 5, None)), (sold.clone(), sold.clone(), sold));
}

#[test]
fn a_confirm_at_the_deadline_loses() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    let out = s.at(1_000).send(|b| b.confirm(1, 7, false));
    assert_eq!(out.events[0].what, expired(1, A1));
    assert_eq!(out.decisions[0].outcome, Some(refused(Reason::Expired)));
}

#[test]
fn what_is_over_answers_as_over() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.reserve(2, 7, &[("A", 1)]);
    assert_eq!(s.release(1), moved(HoldState::Released, 0, A1));
    assert_eq!(s.release(1), unchanged(HoldState::Released, 0, A1));
    let released = refused(Reason::Released);
    assert_eq!(
        (s.pay(1), s.confirm(1), s.extend(1, 5, None)),
        (released.clone(), released.clone(), released)
    );
    s.at(1_000).pass();
    assert_eq!(s.release(2), unchanged(HoldState::Expired, 0, A1));
    let expired = refused(Reason::Expired);
    assert_eq!((s.pay(2), s.confirm(2), s.extend(2, 5, None)), (expired.clone(), expired.clone(), expired));
}

#[test]
fn who_waits_can_only_leave() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.join(1, 7, "A", 1);
    let waits = refused(Reason::StillWaiting);
    assert_eq!((s.pay(1), s.confirm(1), s.extend(1, 5, None)), (waits.clone(), waits.clone(), waits.clone()));
    assert_eq!(s.reacquire(1), waits);
    assert_eq!(s.release(1), moved(HoldState::Released, 0, &[("A", 1, 1)]));
    assert_eq!(s.model.sku_view("A").expect("known").waiting, 0);
    assert_eq!(s.reacquire(1), refused(Reason::Released));
}

#[test]
fn a_hold_whose_turn_to_expire_has_not_come_counts_as_expired() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.rules(1, 0, 1);
    s.reserve(1, 7, &[("A", 1)]);
    s.reserve(2, 7, &[("A", 1)]);
    let out = s.at(1_000).send(|b| {
        b.release(2, 7);
        b.confirm(2, 7, false);
    });
    assert_eq!(out.events.len(), 1);
    assert_eq!(out.decisions[0].outcome, Some(unchanged(HoldState::Expired, 0, A1)));
    assert_eq!(out.decisions[1].outcome, Some(refused(Reason::Expired)));
    assert_eq!(s.figures("A"), [5, 4, 1, 0, 0, 0]);
    assert_eq!(s.pass(), [expired(2, A1)]);
}

#[test]
fn reacquire_takes_the_units_again_if_they_are_free() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.at(1_000).pass();
    assert_eq!(s.reacquire(1), late(A1));
    assert_eq!(s.figures("A"), [1, 0, 0, 1, 0, 0]);
    assert_eq!(s.model.units_of("A", 7), 1);
    assert_eq!(s.confirm(1), unchanged(HoldState::Confirmed, 0, A1));
    s.set("A", 2);
    s.reserve(2, 7, &[("A", 1)]);
    s.release(2);
    assert_eq!(s.reacquire(2), late(A1));
}

#[test]
fn reacquire_fails_for_each_reason() {
    let terms = SaleTerms { units_per_customer_max: 2, ..TERMS };
    let mut s = Script::sale(terms, &[("A", 2), ("B", 2)]);
    s.reserve(1, 7, &[("A", 1), ("B", 1)]);
    s.release(1);
    let released = refused(Reason::Released);
    // The limit.
    s.reserve(2, 7, &[("A", 2)]);
    assert_eq!(s.reacquire(1), released);
    s.release(2);
    // The stock.
    s.reserve(3, 8, &[("B", 2)]);
    assert_eq!(s.reacquire(1), released);
    s.release(3);
    // The sale.
    s.pause("s");
    assert_eq!(s.reacquire(1), released);
    s.open("s");
    // Somebody waits.
    s.set("B", 1);
    s.join(4, 9, "B", 2);
    assert_eq!(s.reacquire(1), released);
    s.release(4);
    // Another sale.
    s.define("s", terms, &["A"]);
    s.define("t", terms, &["B"]);
    s.open("t");
    assert_eq!(s.reacquire(1), released);
    s.close("t");
    // A SKU that left the sale and came back has not been in it ever since.
    s.define("s", terms, &["A", "B"]);
    assert_eq!(s.reacquire(1), released);
}

#[test]
fn reacquire_of_a_due_hold_expires_it_first_without_counting_as_work() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    s.rules(1, 0, 1);
    s.reserve(1, 7, &[("A", 1)]);
    s.reserve(2, 7, &[("A", 1)]);
    let out = s.at(1_000).send(|b| b.confirm(2, 7, true));
    let events: Vec<_> = out.events.into_iter().map(|e| (e.cause, e.what)).collect();
    assert_eq!(events, [(None, expired(1, A1)), (Some(0), expired(2, A1))]);
    assert_eq!(out.decisions[0].outcome, Some(late(A1)));
}

#[test]
fn reacquire_of_a_due_hold_may_lose_its_units_to_the_line() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.join(2, 8, "A", 1);
    s.join(3, 8, "A", 1);
    // The tick brings time to the deadline in the middle of a record, so nothing has expired yet.
    s.at(60_000).pass();
    s.pass();
    let out = s.at(60_000).send(|b| {
        b.tick(BASE + 60_000);
        b.confirm(1, 7, true);
    });
    let events: Vec<_> = out.events.iter().skip(1).map(|e| (e.cause, e.what.clone())).collect();
    assert_eq!(events, [(Some(1), expired(1, A1)), (Some(1), offered(2, 400, "A", 1))]);
    assert_eq!(out.decisions[1].outcome, Some(refused(Reason::Expired)));
}
