//! Section 3.

use holdfast_contracts::command::Line;
use holdfast_contracts::decision::Reason;
use holdfast_contracts::{LogTime, SaleTerms};

use super::script::*;

#[test]
fn a_grant_moves_units_from_available_to_held() {
    let mut s = Script::sale(TERMS, &[("A", 5), ("B", 5)]);
    let out = s.reserve(1, 7, &[("B", 2), ("A", 1), ("B", 1)]);
    assert_eq!(out, reserved(1_000, &[("A", 1, 0), ("B", 3, 0)]));
    assert_eq!(s.figures("B"), [5, 2, 3, 0, 0, 0]);
}

#[test]
fn the_deadline_is_the_first_moment_after_the_hold() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.reserve(1, 7, &[("A", 1)]);
    assert_eq!(s.at(999).pass(), []);
    assert_eq!(s.at(1_000).pass(), [expired(1, &[("A", 1, 0)])]);
    assert_eq!(s.figures("A"), [1, 1, 0, 0, 0, 0]);
}

#[test]
fn what_is_not_valid_comes_before_what_is_not_known() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    let invalid = refused(Reason::Invalid);
    assert_eq!(s.reserve(1, 0, &[("Z", 1)]), invalid);
    assert_eq!(s.reserve(2, 7, &[]), invalid);
    assert_eq!(s.reserve(3, 7, &[("A", 0)]), invalid);
    assert_eq!(s.reserve(4, 7, &[("A", 1_000_001)]), invalid);
    assert_eq!(s.reserve(5, 7, &[("A", 500_000), ("A", 500_001)]), invalid);
    assert_eq!(s.one(|b| b.reserve_with(6, 7, &[("A", 1)], true, true)), invalid);
    assert_eq!(s.one(|b| b.reserve_with(7, 7, &[("A", 1), ("B", 1)], false, true)), invalid);
    assert_eq!(s.one(|b| b.reserve_raw(8, 7, &[Line { sku: 0, quantity: 1 }], false, false)), invalid);
    assert_eq!(s.reserve(9, 7, &[("A", 1_000_000)]), refused_sku(Reason::InsufficientStock, "A", 5));
}

#[test]
fn two_indexes_of_one_sku_are_one_line() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    let out = s.one(|b| {
        let lines =
            [Line { sku: b.sku_again("A"), quantity: 1 }, Line { sku: b.sku_again("A"), quantity: 2 }];
        b.reserve_raw(1, 7, &lines, false, true);
    });
    assert_eq!(out, reserved(1_000, &[("A", 3, 0)]));
}

#[test]
fn the_first_unknown_sku_is_named_by_byte_order() {
    let mut s = Script::sale(TERMS, &[("B", 5)]);
    assert_eq!(s.reserve(1, 7, &[("C", 1), ("A", 1), ("B", 1)]), refused_sku(Reason::UnknownSku, "A", 0));
}

#[test]
fn a_sale_must_be_open_and_within_its_window() {
    let mut s = Script::empty();
    s.set("A", 5);
    assert_eq!(s.reserve(1, 7, &[("A", 1)]), refused_sku(Reason::SaleNotOpen, "A", 0));
    let window = SaleTerms { opens_at: LogTime(BASE + 10), closes_at: LogTime(BASE + 20), ..TERMS };
    s.define("s", window, &["A"]);
    assert_eq!(s.reserve(2, 7, &[("A", 1)]), refused_sku(Reason::SaleNotOpen, "A", 0));
    s.open("s");
    assert_eq!(s.at(9).reserve(3, 7, &[("A", 1)]), refused_sku(Reason::SaleNotOpen, "A", 0));
    assert_eq!(s.at(10).reserve(4, 7, &[("A", 1)]), reserved(1_000, &[("A", 1, 0)]));
    s.pause("s");
    assert_eq!(s.at(20).reserve(5, 7, &[("A", 1)]), refused_sku(Reason::SalePaused, "A", 0));
    s.open("s");
    assert_eq!(s.at(20).reserve(6, 7, &[("A", 1)]), refused_sku(Reason::SaleClosed, "A", 0));
    s.define("s", TERMS, &["A"]);
    assert_eq!(s.reserve(7, 7, &[("A", 1)]), reserved(1_000, &[("A", 1, 0)]));
    s.close("s");
    assert_eq!(s.reserve(8, 7, &[("A", 1)]), refused_sku(Reason::SaleClosed, "A", 0));
}

#[test]
fn lines_of_several_sales_are_refused_after_each_lines_own_sale() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.set("B", 1);
    s.define("t", TERMS, &["B"]);
    assert_eq!(s.reserve(1, 7, &[("A", 1), ("B", 1)]), refused_sku(Reason::SaleNotOpen, "B", 0));
    s.open("t");
    assert_eq!(s.reserve(2, 7, &[("A", 1), ("B", 1)]), refused_sku(Reason::DifferentSales, "B", 0));
}

#[test]
fn the_reservations_limit_comes_before_the_customers() {
    let terms = SaleTerms { units_per_reservation_max: 3, units_per_customer_max: 2, ..TERMS };
    let mut s = Script::sale(terms, &[("A", 9), ("B", 9)]);
    assert_eq!(s.reserve(1, 7, &[("A", 2), ("B", 2)]), refused_value(Reason::PurchaseLimit, 3));
    assert_eq!(s.reserve(2, 7, &[("A", 1), ("B", 2)]), reserved(1_000, &[("A", 1, 0), ("B", 2, 0)]));
    assert_eq!(s.reserve(3, 7, &[("A", 1), ("B", 1)]), refused_sku(Reason::PurchaseLimit, "B", 0));
    assert_eq!(s.reserve(4, 7, &[("A", 2)]), refused_sku(Reason::PurchaseLimit, "A", 1));
    assert_eq!(s.reserve(5, 8, &[("A", 2)]), reserved(1_000, &[("A", 2, 0)]));
}

#[test]
fn held_paying_waiting_and_confirmed_units_count_and_come_back_at_the_end() {
    let terms = SaleTerms { units_per_customer_max: 4, ..TERMS };
    let mut s = Script::sale(terms, &[("A", 3)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.reserve(2, 7, &[("A", 1)]);
    s.reserve(3, 7, &[("A", 1)]);
    assert_eq!(s.join(4, 7, "A", 1), waiting("A", 1));
    s.pay(2);
    s.confirm(3);
    let full = refused_sku(Reason::PurchaseLimit, "A", 0);
    assert_eq!(s.join(5, 7, "A", 1), full);
    s.release(4);
    assert_eq!(s.join(6, 7, "A", 1), waiting("A", 1));
    s.release(6);
    s.at(1_000).pass();
    assert_eq!(s.reserve(7, 7, &[("A", 4)]), refused_sku(Reason::PurchaseLimit, "A", 3));
    s.define("s", SaleTerms { units_per_customer_max: 1, ..TERMS }, &["A"]);
    s.reserve(8, 7, &[("A", 1)]);
    assert_eq!(s.reserve(9, 7, &[("A", 1)]), full);
}

#[test]
fn one_line_too_many_refuses_all_and_changes_nothing() {
    let mut s = Script::sale(TERMS, &[("A", 5), ("B", 1)]);
    assert_eq!(s.reserve(1, 7, &[("A", 1), ("B", 2)]), refused_sku(Reason::InsufficientStock, "B", 1));
    assert_eq!(s.figures("A"), [5, 5, 0, 0, 0, 0]);
}

#[test]
fn allow_partial_takes_what_there_is() {
    let mut s = Script::sale(TERMS, &[("A", 0), ("B", 1), ("C", 5)]);
    let out = s.one(|b| b.partial(1, 7, &[("A", 1), ("B", 2), ("C", 2)]));
    assert_eq!(out, reserved(1_000, &[("A", 1, 1), ("B", 2, 1), ("C", 2, 0)]));
    assert_eq!(s.model.units_of("B", 7), 1);
    let out = s.one(|b| b.partial(2, 7, &[("B", 2), ("A", 1)]));
    assert_eq!(out, refused_sku(Reason::InsufficientStock, "A", 0));
    s.release(1);
    assert_eq!((s.figures("B")[1], s.figures("C")[1]), (1, 5));
}

#[test]
fn joining_needs_a_sale_with_a_waitlist() {
    let mut s = Script::sale(SaleTerms { waitlist: false, ..TERMS }, &[("A", 1)]);
    assert_eq!(s.join(1, 7, "A", 2), refused_sku(Reason::InsufficientStock, "A", 1));
    s.define("s", TERMS, &["A"]);
    assert_eq!(s.join(2, 7, "A", 2), waiting("A", 2));
    assert_eq!(s.model.units_of("A", 7), 2);
    assert_eq!(s.figures("A"), [1, 1, 0, 0, 0, 0]);
}
