//! Section 4: extend.

use holdfast_contracts::SaleTerms;
use holdfast_contracts::decision::{HoldState, Reason};

use super::script::*;

const A1: &[(&str, u32, u32)] = &[("A", 1, 0)];

#[test]
fn an_extension_moves_the_deadline_and_keeps_the_state() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    assert_eq!(s.at(400).extend(1, 500, None), moved(HoldState::Held, 1_100, A1));
    s.pay(1);
    assert_eq!(s.extend(1, 500, None), moved(HoldState::Paying, 1_600, A1));
    assert_eq!(s.extend(1, 1, None), refused(Reason::ExtendLimit));
    assert_eq!(s.at(1_999).pass(), []);
    assert_eq!(s.at(2_000).pass(), [expired(1, A1)]);
}

#[test]
fn the_total_life_is_a_limit_and_its_rest_is_told() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    assert_eq!(s.at(500).extend(1, 2_001, None), refused_value(Reason::ExtendLimit, 2_000));
    assert_eq!(s.extend(1, 2_000, None), moved(HoldState::Held, 2_500, A1));
    assert_eq!(s.extend(1, 1, None), refused_value(Reason::ExtendLimit, 0));
    let shorter = SaleTerms { hold_total_max_ms: 1_000, ..TERMS };
    s.define("s", shorter, &["A"]);
    assert_eq!(s.extend(1, 1, None), refused_value(Reason::ExtendLimit, 0));
}

#[test]
fn zero_is_invalid_but_only_for_a_live_hold() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    assert_eq!(s.extend(2, 0, None), refused(Reason::UnknownReservation));
    assert_eq!(s.extend(1, 0, None), refused(Reason::Invalid));
    s.release(1);
    assert_eq!(s.extend(1, 0, None), refused(Reason::Released));
}

#[test]
fn a_repeated_extension_with_an_id_extends_once() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.extend(1, 100, Some(50));
    let again = s.at(600).send(|b| b.extend(1, 0, 100, Some(50))).decisions.remove(0);
    assert_eq!((again.replay, again.id), (true, Some(id(1))));
    assert_eq!(again.outcome, Some(unchanged(HoldState::Held, 500, A1)));
    assert_eq!(s.extend(1, 101, Some(50)), refused(Reason::IdReused));
    assert_eq!(s.one(|b| b.extend(1, 7, 100, Some(50))), refused(Reason::IdReused));
    s.confirm(1);
    let again = s.send(|b| b.extend(1, 0, 100, Some(50))).decisions.remove(0);
    assert_eq!(again.outcome, Some(unchanged(HoldState::Confirmed, 0, A1)));
}

#[test]
fn a_refused_extension_is_remembered_with_its_value_capped() {
    let terms = SaleTerms { hold_total_max_ms: 2_592_000_000, ..TERMS };
    let mut s = Script::sale(terms, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    let far = u32::MAX;
    assert_eq!(s.extend(1, far, Some(50)), refused_value(Reason::ExtendLimit, 2_591_999_000));
    let again = s.send(|b| b.extend(1, 0, far, Some(50))).decisions.remove(0);
    assert!(again.replay);
    assert_eq!(again.outcome, Some(refused_value(Reason::ExtendLimit, 1_048_575)));
    assert_eq!(s.extend(9, 5, Some(51)), refused(Reason::UnknownReservation));
    s.reserve(9, 7, &[("A", 1)]);
    assert_eq!(s.extend(9, 5, Some(51)), refused(Reason::UnknownReservation));
}

#[test]
fn an_offers_total_life_counts_from_the_offer() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    s.join(1, 7, "A", 1);
    s.at(2_900).set("A", 1);
    assert_eq!(s.extend(1, 2_600, None), moved(HoldState::Held, 3_000, A1));
    assert_eq!(s.extend(1, 1, None), refused_value(Reason::ExtendLimit, 0));
}
