//! The counters of the server against what it told.

use super::Check;
use super::tale::{ENDED_MS, Tale, again, granted, no, stands};
use crate::books::{Answer, Code, State};

/// One of three units is sold, and one is held from 110 to 3,110 at least.
fn sale() -> Tale {
    Tale::of(3).leaves_some().buys(1, "a", 1, (0, 10), 5).asks(2, 0, 1, (100, 110), granted("b", 1, 6))
}

/// Whatever the server counts while the hold lives.
fn counted(counters: [u64; 3]) -> Tale {
    sale().counts((1_000, 1_010), counters).audited()
}

#[test]
fn counters_that_say_what_was_told_pass() {
    counted([1, 1, 1]).passes();
}

#[test]
fn counters_that_do_not_sum_to_the_stock_are_condemned() {
    counted([2, 1, 1]).fails(&[Check::Ledger]);
    counted([0, 1, 1]).fails(&[Check::Ledger]);
}

#[test]
fn a_sold_unit_that_is_not_counted_is_condemned() {
    counted([1, 2, 0]).fails(&[Check::Ledger]);
    counted([2, 1, 0]).fails(&[Check::Ledger]);
}

#[test]
fn a_unit_counted_as_sold_that_nobody_confirmed_is_condemned() {
    counted([1, 0, 2]).fails(&[Check::Ledger]);
    counted([0, 1, 2]).fails(&[Check::Ledger]);
}

#[test]
fn a_held_unit_that_is_counted_as_free_is_condemned() {
    counted([2, 0, 1]).fails(&[Check::Ledger]);
}

#[test]
fn units_held_for_nobody_are_condemned() {
    counted([0, 2, 1]).fails(&[Check::Ledger]);
    // The hold is over since long.
    sale().counts((20_000, 20_010), [1, 1, 1]).audited().fails(&[Check::Ledger]);
    sale().counts((20_000, 20_010), [2, 0, 1]).audited().passes();
}

#[test]
fn a_hold_that_may_just_expire_is_counted_or_not() {
    for counters in [[1, 1, 1], [2, 0, 1]] {
        sale().counts((3_000, 3_200), counters).audited().passes();
    }
}

#[test]
fn a_confirmation_under_way_is_counted_as_sold_or_as_held_but_not_as_free() {
    let under_way = |counters| {
        sale().confirms("b", (200, 500), stands("b", State::Confirmed)).counts((300, 310), counters)
    };
    under_way([1, 1, 1]).audited().passes();
    under_way([1, 0, 2]).audited().passes();
    under_way([2, 0, 1]).audited().fails(&[Check::Ledger]);
}

#[test]
fn a_confirmation_that_was_never_answered_may_have_come_or_not() {
    let silent = |counters, state| {
        sale()
            .with_hasty_buyers()
            .confirms("b", (200, 300), Answer::Silence)
            .counts((1_000, 1_010), counters)
            .reads("b", (ENDED_MS, ENDED_MS + 1), stands("b", state))
            .audited_but_for("b")
    };
    silent([1, 0, 2], State::Confirmed).passes();
    silent([1, 1, 1], State::Confirmed).passes();
    silent([1, 1, 1], State::Expired).passes();
    silent([1, 0, 2], State::Expired).fails(&[Check::Ledger]);
}

#[test]
fn a_release_under_way_is_counted_or_not() {
    for counters in [[1, 1, 1], [2, 0, 1]] {
        sale()
            .releases("b", (200, 500), stands("b", State::Released))
            .counts((300, 310), counters)
            .audited()
            .passes();
    }
    sale()
        .releases("b", (200, 250), stands("b", State::Released))
        .counts((300, 310), [1, 1, 1])
        .audited()
        .fails(&[Check::Ledger]);
}

#[test]
fn a_grant_that_nobody_knew_of_may_be_held() {
    let unseen = |counters| {
        sale().asks(3, 0, 1, (200, 210), Answer::Silence).counts((1_000, 1_010), counters).audited()
    };
    // Told by the audit: it had been granted.
    for counters in [[0, 2, 1], [1, 1, 1]] {
        let told = again(granted("c", 1, 7));
        let both = (ENDED_MS, ENDED_MS + 1);
        let judged =
            unseen(counters).asks(3, 0, 1, both, told).reads("c", both, stands("c", State::Expired)).judged();
        assert_eq!(judged, [], "{counters:?}");
    }
    // Decided only now: it had not been.
    let told = granted("c", 1, 99);
    unseen([0, 2, 1]).asks(3, 0, 1, (ENDED_MS, ENDED_MS + 1), told).fails(&[Check::Ledger]);
}

#[test]
fn deadlines_that_cannot_be_compared_say_nothing_of_holds() {
    for counters in [[1, 1, 1], [2, 0, 1]] {
        let mut tale = sale().counts((1_000, 1_010), counters).audited();
        tale.facts.clock_trusted = false;
        tale.passes();
    }
}

#[test]
fn whatever_was_not_counted_is_not_judged() {
    sale().audited().passes();
    sale()
        .confirms("b", (4_000, 4_010), no(Code::Expired))
        .counts((5_000, 5_010), [2, 0, 1])
        .audited()
        .passes();
}
