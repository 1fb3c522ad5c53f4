//! What runs through all sections: who is first, in which order a request is judged, and that an end is an end.

use holdfast_contracts::decision::{HoldState, Reason};
use holdfast_contracts::{LogTime, SaleTerms};

use super::script::*;
use crate::answer::Outcome;

#[test]
fn the_last_unit_goes_to_whoever_is_first_in_the_log() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    let answers = s.send(|b| {
        b.reserve(1, 7, &[("A", 1)]);
        b.reserve(2, 8, &[("A", 2)]);
        b.reserve(3, 9, &[("A", 1)]);
    });
    let outcomes: Vec<_> = answers.decisions.into_iter().map(|it| it.outcome.expect("an answer")).collect();
    let units = reserved(1_000, &[("A", 1, 0)]);
    assert_eq!(outcomes, [units.clone(), refused_sku(Reason::InsufficientStock, "A", 1), units]);
    // A record that the log took in later is later, whatever its own time says.
    s.release(1);
    s.at(50).reserve(4, 7, &[("A", 1)]);
    assert_eq!(s.at(0).reserve(5, 8, &[("A", 1)]), refused_sku(Reason::InsufficientStock, "A", 0));
}

/// One request that is wrong in every way there is, put right one step after the other.
#[test]
fn a_request_is_judged_in_one_order() {
    let terms = SaleTerms {
        units_per_reservation_max: 3,
        units_per_customer_max: 2,
        opens_at: LogTime(BASE + 100),
        ..TERMS
    };
    let mut s = Script::empty();
    s.reserve(1, 7, &[("A", 1)]);
    // Known, though nothing else about it is right.
    assert_eq!(s.reserve(1, 0, &[("Z", 0)]), refused(Reason::IdReused));
    assert_eq!(s.reserve(2, 0, &[("Z", 9)]), refused(Reason::Invalid));
    assert_eq!(s.reserve(3, 7, &[("A", 9)]), refused_sku(Reason::UnknownSku, "A", 0));
    s.set("A", 1);
    assert_eq!(s.reserve(4, 7, &[("A", 9)]), refused_sku(Reason::SaleNotOpen, "A", 0));
    s.define("s", terms, &["A"]);
    s.open("s");
    assert_eq!(s.reserve(5, 7, &[("A", 9)]), refused_sku(Reason::SaleNotOpen, "A", 0));
    s.at(100);
    assert_eq!(s.reserve(6, 7, &[("A", 9)]), refused_value(Reason::PurchaseLimit, 3));
    assert_eq!(s.reserve(7, 7, &[("A", 3)]), refused_sku(Reason::PurchaseLimit, "A", 2));
    assert_eq!(s.reserve(8, 7, &[("A", 2)]), refused_sku(Reason::InsufficientStock, "A", 1));
    assert_eq!(s.figures("A"), [1, 1, 0, 0, 0, 0], "nobody who was refused took anything");
    assert_eq!(s.reserve(9, 7, &[("A", 1)]), reserved(1_000, &[("A", 1, 0)]));
}

#[test]
fn the_same_lines_in_another_order_are_the_same_request() {
    let mut s = Script::sale(TERMS, &[("A", 9), ("B", 9)]);
    let first = s.reserve(1, 7, &[("A", 1), ("B", 3)]);
    let again = s.reserve(1, 7, &[("B", 1), ("A", 1), ("B", 2)]);
    let lines = |outcome: &Outcome| match outcome {
        Outcome::Reserved { lines, expires_after_ms, .. } => (lines.clone(), *expires_after_ms),
        other => panic!("{other:?}"),
    };
    assert_eq!(lines(&first), lines(&again));
    assert_eq!(s.reserve(1, 7, &[("B", 4), ("A", 1)]), refused(Reason::IdReused));
    assert_eq!(s.figures("B"), [9, 6, 3, 0, 0, 0]);
}

#[test]
fn a_release_again_changes_nothing_and_what_is_sold_is_not_released() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    for n in 1..=3 {
        s.reserve(n, 7, &[("A", 1)]);
    }
    s.release(1);
    s.confirm(2);
    s.at(1_000).pass();
    let figures = s.figures("A");
    assert!(matches!(s.release(1), Outcome::Moved { state: HoldState::Released, unchanged: true, .. }));
    assert!(matches!(s.release(3), Outcome::Moved { state: HoldState::Expired, unchanged: true, .. }));
    assert_eq!(s.release(2), refused(Reason::AlreadyConfirmed));
    assert_eq!((s.figures("A"), figures), ([5, 4, 0, 1, 0, 0], figures));
}

/// Confirm, release and the deadline in every order: the first in the log wins, and the units end in one place.
#[test]
fn a_hold_ends_once_whichever_comes_first() {
    let end = |s: &mut Script, how: &str| match how {
        "confirm" => drop(s.confirm(1)),
        "release" => drop(s.release(1)),
        _ => drop(s.at(1_000).pass()),
    };
    for first in ["confirm", "release", "expiry"] {
        for second in ["confirm", "release", "expiry"] {
            let mut s = Script::sale(TERMS, &[("A", 1)]);
            s.reserve(1, 7, &[("A", 1)]);
            end(&mut s, first);
            end(&mut s, second);
            let sold = u64::from(first == "confirm");
            assert_eq!(s.figures("A"), [1, 1 - sold, 0, sold, 0, 0], "{first}, then {second}");
        }
    }
}

#[test]
fn returned_goods_serve_the_line_before_the_public_and_damaged_ones_nobody() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.confirm(1);
    s.join(2, 8, "A", 1);
    // Inspected and damaged: on hand, not for sale.
    s.adjust("A", 1, 1);
    assert_eq!(s.figures("A"), [2, 0, 0, 1, 1, 0]);
    // Inspected and good.
    s.adjust("A", 1, 0);
    assert_eq!(s.figures("A"), [3, 0, 1, 1, 1, 0], "whoever stood in line has it");
    assert_eq!(s.reserve(3, 9, &[("A", 1)]), refused_sku(Reason::InsufficientStock, "A", 0));
}

#[test]
fn records_before_an_activation_are_decided_under_the_old_rules() {
    let before_and_after = |activate_first: bool| {
        let mut s = Script::sale(TERMS, &[("A", 1)]);
        s.join(1, 7, "A", 2);
        if activate_first {
            s.rules(2, 0, 0);
        }
        let outcome = s.reserve(2, 8, &[("A", 1)]);
        if !activate_first {
            s.rules(2, 0, 0);
        }
        outcome
    };
    // Under the first rules nobody passes the line, under the second whoever fits does.
    assert_eq!(before_and_after(false), refused_sku(Reason::InsufficientStock, "A", 0));
    assert_eq!(before_and_after(true), reserved(1_000, &[("A", 1, 0)]));
}
