//! Reservations for several SKUs: all of it or none of it.

use super::Check;
use super::tale::{Tale, again, granted, refused, sold_out, stands};
use crate::books::{Answer, Body, Code, Position, Sku, State, Told};

fn both(first: u32, second: u32) -> Body {
    Body::of(&[(Sku(0), first), (Sku(1), second)])
}

/// Customer 1 has a unit of each of two SKUs; of the second one is left.
fn sale() -> Tale {
    Tale::of_each(&[1, 2]).asks_for(1, 0, both(1, 1), (0, 10), granted("a", 2, 5)).confirms(
        "a",
        (20, 30),
        stands("a", State::Confirmed),
    )
}

/// Somebody buys the last unit of the second SKU.
fn sells_the_rest(sale: Tale) -> Tale {
    sale.asks_for(9, 0, Body::one(Sku(1), 1), (1_000, 1_010), granted("z", 1, 90))
        .confirms("z", (1_020, 1_030), stands("z", State::Confirmed))
        .audited()
}

#[test]
fn one_line_that_lacks_units_is_reason_enough() {
    sells_the_rest(sale().asks_for(2, 0, both(1, 1), (40, 50), sold_out(6))).passes();
    sells_the_rest(sale().asks_for(2, 0, Body::of(&[(Sku(1), 2), (Sku(0), 1)]), (40, 50), sold_out(6)))
        .passes();
}

#[test]
fn whichever_line_lacks_units_is_reason_enough() {
    // Of the first SKU one is left, of the second none.
    let refused = |body| {
        Tale::of_each(&[2, 1])
            .leaves_some()
            .asks_for(1, 0, both(1, 1), (0, 10), granted("a", 2, 5))
            .asks_for(2, 0, body, (40, 50), sold_out(6))
            .audited()
    };
    refused(both(1, 1)).passes();
    refused(Body::one(Sku(0), 2)).passes();
    refused(Body::one(Sku(0), 1)).fails(&[Check::Undersold]);
    refused(Body::up_to(Sku(0), 2)).fails(&[Check::Undersold]);
}

#[test]
fn refusing_several_lines_while_each_has_enough_is_condemned() {
    Tale::of_each(&[2, 2])
        .asks_for(1, 0, both(1, 1), (0, 10), granted("a", 2, 5))
        .confirms("a", (20, 30), stands("a", State::Confirmed))
        .asks_for(2, 0, both(1, 1), (40, 50), sold_out(6))
        .asks_for(3, 0, both(1, 1), (60, 70), granted("b", 2, 7))
        .confirms("b", (80, 90), stands("b", State::Confirmed))
        .audited()
        .fails(&[Check::Undersold]);
}

#[test]
fn every_line_counts_against_its_own_stock() {
    // There are two of the second SKU, and one of the first.
    sells_the_rest(sale())
        .asks_for(2, 0, both(1, 1), (40, 50), granted("b", 2, 6))
        .judged()
        .iter()
        .find(|it| **it == Check::Oversold)
        .expect("two units of the first SKU were taken");
}

#[test]
fn a_unit_left_of_any_line_is_condemned() {
    sale().audited().fails(&[Check::Undersold]);
    sale().leaves_some().audited().passes();
}

#[test]
fn a_limit_that_one_line_goes_beyond_is_reason_enough() {
    let over = |body| {
        Tale::of_each(&[5, 5])
            .leaves_some()
            .asks_for(1, 0, both(2, 1), (0, 10), granted("a", 3, 5))
            .confirms("a", (20, 30), stands("a", State::Confirmed))
            .asks_for(1, 1, body, (40, 50), refused(Code::PurchaseLimit, 6))
            .audited()
    };
    over(both(1, 1)).passes();
    over(both(1, 2)).passes();
    over(Body::one(Sku(1), 1)).fails(&[Check::LimitExceeded]);
}

#[test]
fn more_than_the_limit_of_one_line_is_condemned() {
    Tale::of_each(&[5, 5])
        .leaves_some()
        .asks_for(1, 0, both(1, 2), (0, 10), granted("a", 3, 5))
        .asks_for(1, 1, both(1, 1), (20, 30), granted("b", 2, 6))
        .audited()
        .fails(&[Check::LimitExceeded]);
}

#[test]
fn a_part_of_several_lines_is_condemned() {
    // One line of two.
    sells_the_rest(Tale::of_each(&[1, 2]).asks_for(1, 0, both(1, 1), (0, 10), granted("a", 1, 5)))
        .judged()
        .iter()
        .find(|it| **it == Check::UnexpectedAnswers)
        .expect("half a grant is none");
}

#[test]
fn other_lines_that_make_the_same_sum_are_condemned() {
    let position = Position { partition: 0, offset: 5, index: 0 };
    let other =
        Answer::Granted { reservation: "a".into(), units: 2, as_asked: false, position, told: Told::First };
    let judged = Tale::of_each(&[1, 1])
        .asks_for(1, 0, both(1, 1), (0, 10), other)
        .confirms("a", (20, 30), stands("a", State::Confirmed))
        .audited()
        .judged();
    assert_eq!(judged, [Check::UnexpectedAnswers]);
}

#[test]
fn one_sku_in_two_partitions_has_no_order() {
    let elsewhere = |body| {
        let position = Position { partition: 1, offset: 6, index: 0 };
        let (units, told) = (1, Told::First);
        let answer = Answer::Granted { reservation: "z".into(), units, as_asked: true, position, told };
        sale()
            .asks_for(9, 0, body, (1_000, 1_010), answer)
            .confirms("z", (1_020, 1_030), stands("z", State::Confirmed))
            .audited()
    };
    elsewhere(Body::one(Sku(1), 1)).fails(&[Check::OutOfOrder]);
}

#[test]
fn a_grant_that_is_told_again_with_other_units_is_condemned() {
    sells_the_rest(sale())
        .asks_for(1, 0, both(1, 1), (40, 50), again(granted("a", 1, 5)))
        .fails(&[Check::DoubleDecisions, Check::UnexpectedAnswers]);
}
