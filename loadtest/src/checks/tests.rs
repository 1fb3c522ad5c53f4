//! Every check passes what a correct server can say, and condemns a history that only a wrong one could make.

mod balance;
mod several_lines;
mod soundness;
mod tale;

use super::Check;
use crate::books::{Answer, Code, State};
use tale::{ENDED_MS, Tale, again, gate, granted, no, refused, sold_out, stands};

/// One unit, two buyers; the second is refused and comes back when the first has let go.
fn resale() -> Tale {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (12, 20), sold_out(6))
        .releases("a", (30, 40), stands("a", State::Released))
        .buys(3, "b", 1, (41, 50), 8)
}

#[test]
fn a_good_sale_passes() {
    resale().audited().passes();
}

#[test]
fn selling_more_than_there_is_is_condemned() {
    Tale::of(1).buys(1, "a", 1, (0, 10), 5).buys(2, "b", 1, (20, 30), 6).audited().fails(&[Check::Oversold]);
}

#[test]
fn promising_a_unit_twice_at_one_moment_is_condemned() {
    // Both holds lapse later, so nothing is sold twice; but for two seconds the unit was promised to both.
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (1_000, 1_010), granted("b", 1, 6))
        .buys(3, "c", 1, (10_000, 10_010), 9)
        .audited()
        .fails(&[Check::Oversold]);
}

#[test]
fn granting_a_released_unit_before_it_was_released_is_condemned() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (20, 25), granted("b", 1, 6))
        .releases("a", (30, 40), stands("a", State::Released))
        .confirms("b", (50, 60), stands("b", State::Confirmed))
        .audited()
        .fails(&[Check::Oversold]);
}

#[test]
fn places_tell_what_overlapping_instants_cannot() {
    // Both answers came late and together. The places say that the second was granted while the first was held, and
    // the third answer says that both places had been written by 30.
    Tale::of(1)
        .asks(1, 0, 1, (0, 5_000), granted("a", 1, 5))
        .asks(2, 0, 1, (0, 5_000), granted("b", 1, 6))
        .asks(3, 0, 1, (20, 30), sold_out(7))
        .buys(4, "d", 1, (20_000, 20_010), 9)
        .audited()
        .fails(&[Check::Oversold]);
}

#[test]
fn refusing_a_free_unit_is_condemned() {
    Tale::of(2)
        .buys(1, "a", 1, (0, 10), 5)
        .asks(2, 0, 1, (20, 30), sold_out(6))
        .buys(3, "b", 1, (40, 50), 7)
        .audited()
        .fails(&[Check::Undersold]);
}

#[test]
fn refusing_a_unit_that_came_back_is_condemned() {
    resale_with_refusal_after_release().audited().fails(&[Check::Undersold]);
}

fn resale_with_refusal_after_release() -> Tale {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .releases("a", (30, 40), stands("a", State::Released))
        .asks(2, 0, 1, (41, 45), sold_out(7))
        .buys(3, "b", 1, (50, 60), 8)
}

#[test]
fn never_reselling_what_expired_is_condemned() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (9_000, 9_010), sold_out(7))
        .buys(3, "b", 1, (9_020, 9_030), 8)
        .audited()
        .fails(&[Check::Undersold]);
}

#[test]
fn a_wrong_refusal_that_was_only_ever_repeated_is_condemned() {
    // The first answer was lost, so nobody knows its place; but whenever it was decided, a unit was free.
    Tale::of(2)
        .buys(1, "a", 1, (0, 10), 5)
        .asks(2, 0, 1, (20, 30), Answer::Silence)
        .asks(2, 0, 1, (31, 40), again(sold_out(6)))
        .buys(3, "b", 1, (50, 60), 7)
        .audited()
        .fails(&[Check::Undersold]);
}

#[test]
fn a_gate_that_does_not_reopen_is_condemned() {
    let turned_away_at = |ms| {
        Tale::of(1)
            .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
            .releases("a", (30, 40), stands("a", State::Released))
            .asks(2, 0, 1, (ms, ms + 5), gate())
            .buys(3, "b", 1, (3_000, 3_010), 8)
            .audited()
    };
    turned_away_at(1_035).passes();
    turned_away_at(1_045).fails(&[Check::Undersold]);
}

#[test]
fn a_unit_left_at_the_end_is_condemned() {
    Tale::of(2).buys(1, "a", 1, (0, 10), 5).audited().fails(&[Check::Undersold]);
}

#[test]
fn a_buyer_without_an_answer_is_condemned() {
    let sale = || Tale::of(1).buys(1, "a", 1, (0, 10), 5);
    for nothing in [Answer::Silence, Answer::Busy, Answer::Pending] {
        sale().asks(2, 0, 1, (20, 30), nothing).audited().fails(&[Check::LostAnswers]);
    }
    sale().asks(2, 0, 1, (20, 30), sold_out(6)).asks(2, 0, 1, (31, 40), Answer::Silence).audited().passes();
}

#[test]
fn a_confirmation_without_an_answer_is_condemned() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .confirms("a", (20, 30), Answer::Silence)
        .reads("a", (ENDED_MS, ENDED_MS + 1), stands("a", State::Confirmed))
        .asks(1, 0, 1, (ENDED_MS, ENDED_MS + 1), again(granted("a", 1, 5)))
        .fails(&[Check::LostAnswers]);
}

#[test]
fn a_grant_that_is_gone_afterwards_is_condemned() {
    Tale::of(1)
        .buys(1, "a", 1, (0, 10), 5)
        .reads("a", (1_000, 1_010), no(Code::NotFound))
        .audited()
        .fails(&[Check::LostAnswers, Check::UnexpectedAnswers]);
}

#[test]
fn a_decision_that_nobody_could_read_back_is_condemned() {
    Tale::of(1).buys(1, "a", 1, (0, 10), 5).fails(&[Check::LostAnswers]);
}

#[test]
fn a_confirmed_hold_that_is_open_again_is_condemned() {
    Tale::of(1)
        .buys(1, "a", 1, (0, 10), 5)
        .reads("a", (2_000, 2_010), stands("a", State::Held))
        .audited()
        .fails(&[Check::LostAnswers]);
}

#[test]
fn deciding_again_what_was_told_is_condemned() {
    // The same decision, but told as if it were new: the server has forgotten that it had answered.
    Tale::of(1)
        .buys(1, "a", 1, (0, 10), 5)
        .asks(1, 0, 1, (1_000, 1_010), granted("a", 1, 5))
        .audited()
        .fails(&[Check::LostAnswers]);
}

#[test]
fn two_decisions_for_one_key_are_condemned() {
    let other_decisions = [
        granted("a", 1, 6),
        granted("b", 1, 5),
        granted("a", 2, 5),
        sold_out(6),
        no(Code::IdempotencyConflict),
    ];
    for other in other_decisions {
        // A double click: both requests under way at once.
        let judged = Tale::of(5)
            .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
            .asks(1, 0, 1, (0, 11), other.clone())
            .audited()
            .judged();
        assert!(judged.contains(&Check::DoubleDecisions), "{other:?}: {judged:?}");
    }
}

#[test]
fn a_grant_that_the_gate_denies_is_condemned() {
    Tale::of(1)
        .buys(1, "a", 1, (0, 10), 5)
        .asks(1, 0, 1, (1_000, 1_010), gate())
        .audited()
        .fails(&[Check::DoubleDecisions]);
}

#[test]
fn a_grant_whose_answer_was_lost_and_that_the_gate_denies_is_condemned() {
    // The grant stands before an answer that came at 30, so it was written when its buyer asked again at 31.
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), Answer::Silence)
        .asks(2, 0, 1, (20, 30), sold_out(6))
        .asks(1, 0, 1, (31, 40), gate())
        .asks(1, 0, 1, (ENDED_MS, ENDED_MS + 1), again(granted("a", 1, 5)))
        .reads("a", (ENDED_MS, ENDED_MS + 1), stands("a", State::Expired))
        .buys(3, "b", 1, (5_000, 5_010), 9)
        .audited()
        .fails(&[Check::DoubleDecisions]);
}

#[test]
fn a_place_or_a_reservation_for_two_keys_is_condemned() {
    Tale::of(2)
        .buys(1, "a", 1, (0, 10), 5)
        .buys(2, "b", 1, (0, 10), 5)
        .audited()
        .fails(&[Check::DoubleDecisions]);
    let judged = Tale::of(2)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (0, 10), granted("a", 1, 6))
        .audited()
        .judged();
    assert!(judged.contains(&Check::DoubleDecisions));
}

#[test]
fn two_ends_of_one_reservation_are_condemned() {
    Tale::of(1)
        .buys(1, "a", 1, (0, 10), 5)
        .releases("a", (20, 30), stands("a", State::Released))
        .audited()
        .fails(&[Check::DoubleDecisions]);
}

#[test]
fn another_body_under_a_used_key_must_conflict() {
    let sale = || Tale::of(1).buys(1, "a", 1, (0, 10), 5);
    sale().asks(1, 0, 2, (20, 30), no(Code::IdempotencyConflict)).audited().passes();
    sale()
        .asks(1, 0, 2, (20, 30), sold_out(6))
        .audited()
        .fails(&[Check::DoubleDecisions, Check::UnexpectedAnswers]);
    sale().asks(1, 0, 2, (20, 30), gate()).audited().fails(&[Check::UnexpectedAnswers]);
}

#[test]
fn overtaking_somebody_who_was_already_answered_is_condemned() {
    Tale::of(2)
        .buys(1, "a", 1, (0, 10), 9)
        .buys(2, "b", 1, (11, 20), 8)
        .audited()
        .fails(&[Check::OutOfOrder]);
}

#[test]
fn more_than_the_limit_is_condemned() {
    Tale::of(3)
        .buys(1, "a", 2, (0, 10), 5)
        .asks(1, 1, 1, (20, 30), granted("b", 1, 6))
        .confirms("b", (40, 50), stands("b", State::Confirmed))
        .audited()
        .fails(&[Check::LimitExceeded]);
}

#[test]
fn a_limit_that_was_not_reached_is_condemned() {
    Tale::of(2)
        .buys(1, "a", 1, (0, 10), 5)
        .asks(1, 1, 1, (20, 30), refused(Code::PurchaseLimit, 6))
        .buys(2, "b", 1, (40, 50), 7)
        .audited()
        .fails(&[Check::LimitExceeded]);
}

#[test]
fn a_hold_that_ends_too_early_or_too_late_is_condemned() {
    let held = || Tale::of(1).asks(1, 0, 1, (0, 10), granted("a", 1, 5)).buys(2, "b", 1, (8_000, 8_010), 9);
    held().confirms("a", (1_000, 1_010), no(Code::Expired)).audited().fails(&[Check::WrongDeadlines]);
    held().reads("a", (7_000, 7_010), stands("a", State::Held)).audited().fails(&[Check::WrongDeadlines]);
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .confirms("a", (5_000, 5_010), stands("a", State::Confirmed))
        .audited()
        .fails(&[Check::WrongDeadlines]);
}

#[test]
fn an_answer_outside_the_contract_is_condemned() {
    let sale = || Tale::of(1).buys(1, "a", 1, (0, 10), 5);
    let odd = Answer::Odd { status: 500, what: String::new() };
    sale().asks(2, 0, 1, (20, 30), odd.clone()).audited().fails(&[Check::UnexpectedAnswers]);
    sale().confirms("a", (50, 60), odd).audited().fails(&[Check::UnexpectedAnswers]);
    // Confirmed without anybody having asked for it.
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .reads("a", (20, 30), stands("a", State::Confirmed))
        .audited()
        .fails(&[Check::UnexpectedAnswers]);
}
