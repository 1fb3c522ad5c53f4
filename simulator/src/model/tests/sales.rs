//! Section 6: sales and rules.

use holdfast_contracts::decision::{HoldState, Reason, SaleState};
use holdfast_contracts::{LogTime, SaleTerms};

use super::script::*;
use crate::answer::Outcome;
use crate::model::Stopped;

const A1: &[(&str, u32, u32)] = &[("A", 1, 0)];

#[test]
fn a_definition_makes_skus_known_and_a_draft() {
    let mut s = Script::empty();
    assert_eq!(s.define("s", TERMS, &["B", "A", "B"]), sale_is(SaleState::Draft));
    assert_eq!(s.figures("A"), [0; 6]);
    assert_eq!(s.model.sku_view("B").and_then(|view| view.sale), Some((SaleState::Draft, TERMS)));
}

#[test]
fn terms_and_names_have_bounds() {
    let mut s = Script::empty();
    let invalid = refused(Reason::Invalid);
    assert_eq!(s.define("", TERMS, &[]), invalid);
    assert_eq!(s.define(&"s".repeat(65), TERMS, &[]), invalid);
    for terms in [
        SaleTerms { hold_ttl_ms: 0, ..TERMS },
        SaleTerms { payment_window_ms: 0, ..TERMS },
        SaleTerms { offer_ttl_ms: 0, ..TERMS },
        SaleTerms { hold_total_max_ms: 2_592_000_001, ..TERMS },
        SaleTerms { payment_window_ms: 2_592_000_001, ..TERMS },
        SaleTerms { hold_ttl_ms: 3_001, ..TERMS },
        SaleTerms { offer_ttl_ms: 3_001, ..TERMS },
        SaleTerms { extend_max: 16, ..TERMS },
        SaleTerms { opens_at: LogTime(5), closes_at: LogTime(5), ..TERMS },
    ] {
        assert_eq!(s.define("s", terms, &["A"]), invalid, "{terms:?}");
    }
    assert!(s.model.sku_view("A").is_none());
    assert_eq!(s.define(&"s".repeat(64), TERMS, &[]), sale_is(SaleState::Draft));
}

#[test]
fn a_sku_is_in_one_sale_and_leaves_it_only_when_nothing_lives_in_it() {
    let mut s = Script::sale(TERMS, &[("A", 1), ("B", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    assert_eq!(s.define("t", TERMS, &["C", "B"]), refused_sku(Reason::SkuInOtherSale, "B", 0));
    assert_eq!(s.define("s", TERMS, &["B"]), refused_sku(Reason::SkuInUse, "A", 0));
    s.release(1);
    s.join(2, 7, "A", 2);
    assert_eq!(s.define("s", TERMS, &["B"]), refused_sku(Reason::SkuInUse, "A", 0));
    s.release(2);
    assert_eq!(s.define("s", TERMS, &["B"]), sale_is(SaleState::Open));
    assert_eq!(s.reserve(3, 7, &[("A", 1)]), refused_sku(Reason::SaleNotOpen, "A", 0));
}

#[test]
fn a_sku_new_to_the_sale_starts_with_fresh_accounts() {
    let terms = SaleTerms { units_per_customer_max: 1, ..TERMS };
    let mut s = Script::sale(terms, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.confirm(1);
    assert_eq!(s.reserve(2, 7, &[("A", 1)]), refused_sku(Reason::PurchaseLimit, "A", 0));
    s.define("s", terms, &[]);
    s.define("s", terms, &["A"]);
    assert_eq!(s.reserve(3, 7, &[("A", 1)]), reserved(1_000, A1));
}

#[test]
fn a_sku_from_a_closed_sale_keeps_that_sales_holds() {
    let short = SaleTerms { units_per_customer_max: 2, ..TERMS };
    let mut s = Script::sale(short, &[("A", 2)]);
    s.reserve(1, 7, &[("A", 2)]);
    s.close("s");
    let long = SaleTerms { units_per_customer_max: 1, payment_window_ms: 2_900, ..TERMS };
    assert_eq!(s.define("t", long, &["A"]), sale_is(SaleState::Draft));
    s.open("t");
    s.join(2, 7, "A", 1);
    // The old sale's window, not the new one's.
    assert_eq!(s.at(900).pay(1), moved(HoldState::Paying, 500, &[("A", 2, 0)]));
    let out = s.at(1_400).pass();
    assert_eq!(out, [expired(1, &[("A", 2, 0)]), offered(2, 400, "A", 1)]);
    assert_eq!(s.reacquire(1), refused(Reason::Expired));
}

#[test]
fn sales_open_pause_and_close() {
    let mut s = Script::empty();
    let wrong = refused(Reason::SaleState);
    assert_eq!(s.open("s"), refused(Reason::UnknownSale));
    s.define("s", TERMS, &["A"]);
    assert_eq!(s.pause("s"), wrong);
    assert_eq!(s.open("s"), sale_is(SaleState::Open));
    assert_eq!(s.open("s"), Outcome::SaleChanged { state: SaleState::Open, unchanged: true });
    assert_eq!(s.pause("s"), sale_is(SaleState::Paused));
    assert_eq!(s.freeze("s"), Outcome::SaleChanged { state: SaleState::Paused, unchanged: true });
    assert_eq!(s.close("s"), sale_is(SaleState::Closed));
    assert_eq!(s.close("s"), Outcome::SaleChanged { state: SaleState::Closed, unchanged: true });
    assert_eq!(
        (s.open("s"), s.pause("s"), s.define("s", TERMS, &["A"])),
        (wrong.clone(), wrong.clone(), wrong)
    );
    s.define("t", TERMS, &[]);
    assert_eq!(s.close("t"), sale_is(SaleState::Closed));
}

#[test]
fn live_holds_of_a_closed_sale_may_still_be_confirmed() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.close("s");
    assert_eq!(s.at(999).confirm(1), moved(HoldState::Confirmed, 0, A1));
}

#[test]
fn an_ordinary_pause_lets_deadlines_strike() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.pause("s");
    assert_eq!(s.at(1_000).pass(), [expired(1, A1)]);
}

#[test]
fn a_freeze_holds_deadlines_and_moves_them_by_its_length() {
    let mut s = Script::sale(TERMS, &[("A", 2)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.at(400).freeze("s");
    assert_eq!(s.at(5_000).pass(), []);
    // Over by its deadline, alive by the freeze; what is left is told as nothing.
    assert_eq!(s.pay(1), moved(HoldState::Paying, 0, A1));
    s.open("s");
    assert_eq!(s.at(5_599).pass(), []);
    assert_eq!(s.at(7_599).pass(), []);
    // Paying gave it until 3,000 at most, 4,600 of frozen time came on top.
    assert_eq!(s.at(7_600).pass(), [expired(1, A1)]);
}

#[test]
fn closing_a_frozen_sale_ends_the_freeze() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.join(2, 7, "A", 1);
    s.at(400).freeze("s");
    s.at(5_000).close("s");
    assert_eq!(s.at(5_599).pass(), [wait_ended(2, "A", 1)]);
    assert_eq!(s.at(5_600).pass(), [expired(1, A1)]);
}

#[test]
fn unknown_rules_stop_the_partition() {
    for version in [0, 3] {
        let mut s = Script::empty();
        s.rules(2, 0, 0);
        s.rules(1, 0, 0);
        assert_eq!(s.try_send(|b| b.rules(version, 0, 0)), Err(Stopped::UnknownRules(version)));
    }
}
