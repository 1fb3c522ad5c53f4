//! Histories that look odd and that a correct server can make. None may be condemned.

use super::Check;
use super::tale::{ENDED_MS, Tale, again, gate, granted, no, refused, sold_out, stands};
use crate::books::{Answer, Code, State};

#[test]
fn a_refusal_between_a_release_and_its_answer() {
    // The release was under way; its place may lie behind the refusal's.
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .releases("a", (20, 100), stands("a", State::Released))
        .asks(2, 0, 1, (30, 40), sold_out(6))
        .buys(3, "b", 1, (101, 110), 8)
        .audited()
        .passes();
}

#[test]
fn a_grant_between_a_release_and_its_answer() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .releases("a", (20, 100), stands("a", State::Released))
        .buys(2, "b", 1, (30, 40), 7)
        .audited()
        .passes();
}

#[test]
fn a_grant_that_is_told_long_after_its_hold_was_over() {
    // The first answer was lost with the server, and the buyer heard of the hold when it had lapsed and its unit was
    // sold to somebody else.
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), Answer::Silence)
        .buys(2, "b", 1, (4_000, 4_010), 9)
        .asks(1, 0, 1, (5_000, 5_010), again(granted("a", 1, 5)))
        .confirms("a", (5_020, 5_030), no(Code::Expired))
        .audited()
        .passes();
}

#[test]
fn a_refusal_because_of_a_hold_that_nobody_knew_of_yet() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), Answer::Silence)
        .asks(2, 0, 1, (20, 30), sold_out(6))
        .asks(1, 0, 1, (40, 50), again(granted("a", 1, 5)))
        .confirms("a", (60, 70), stands("a", State::Confirmed))
        .audited()
        .passes();
}

#[test]
fn a_refusal_because_of_a_hold_that_nobody_ever_heard_of() {
    // Customer 1 was turned away by the gate when it asked again, and left; its first request had been granted.
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), Answer::Silence)
        .asks(2, 0, 1, (11, 15), sold_out(6))
        .asks(1, 0, 1, (12, 14), gate())
        .buys(3, "b", 1, (5_000, 5_010), 9)
        .audited()
        .passes();
}

#[test]
fn a_gate_that_turns_people_away_and_lets_them_in_later() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (11, 12), gate())
        .releases("a", (20, 30), stands("a", State::Released))
        // The same key again: the gate had decided nothing.
        .asks(2, 0, 1, (40, 50), granted("b", 1, 7))
        .confirms("b", (60, 70), stands("b", State::Confirmed))
        .audited()
        .passes();
}

#[test]
fn a_key_that_was_first_decided_in_the_audit() {
    Tale::of(1)
        .buys(1, "a", 1, (0, 10), 5)
        .asks(2, 0, 1, (11, 12), Answer::Silence)
        .asks(2, 0, 1, (13, 14), gate())
        .audited()
        .asks(2, 0, 1, (ENDED_MS, ENDED_MS + 5), granted("z", 1, 99))
        .passes();
}

#[test]
fn one_double_click_with_both_answers_told_as_the_first() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(1, 0, 1, (1, 11), granted("a", 1, 5))
        .confirms("a", (12, 20), stands("a", State::Confirmed))
        .confirms("a", (12, 21), stands("a", State::Confirmed))
        .audited()
        .passes();
}

#[test]
fn places_of_people_who_asked_at_the_same_time_in_any_order() {
    Tale::of(2).buys(1, "a", 1, (0, 10), 9).buys(2, "b", 1, (9, 20), 8).audited().passes();
}

#[test]
fn a_limit_that_was_reached_by_a_hold_which_lapsed_since() {
    Tale::of(3)
        .asks(1, 0, 2, (0, 10), granted("a", 2, 5))
        .asks(1, 1, 1, (20, 30), refused(Code::PurchaseLimit, 6))
        .asks(1, 2, 2, (6_000, 6_010), granted("b", 2, 9))
        .confirms("b", (6_020, 6_030), stands("b", State::Confirmed))
        .buys(2, "c", 1, (6_100, 6_110), 11)
        .audited()
        .passes();
}

#[test]
fn a_slow_confirmation_that_lost_against_the_deadline() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .confirms("a", (2_990, 3_200), no(Code::Expired))
        .buys(2, "b", 1, (3_210, 3_220), 9)
        .audited()
        .passes();
}

#[test]
fn an_early_confirmation_without_answer_that_is_repeated_after_the_deadline() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .confirms("a", (20, 30), Answer::Silence)
        .confirms("a", (7_000, 7_010), stands("a", State::Confirmed))
        .audited()
        .passes();
}

#[test]
fn deadlines_while_the_clocks_run_apart() {
    let mut tale = Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .asks(2, 0, 1, (9_000, 9_010), sold_out(6))
        .confirms("a", (9_020, 9_030), stands("a", State::Confirmed))
        .audited();
    tale.facts.clock_trusted = false;
    tale.passes();
}

#[test]
fn a_release_of_what_had_expired() {
    Tale::of(1)
        .asks(1, 0, 1, (0, 10), granted("a", 1, 5))
        .releases("a", (4_000, 4_010), stands("a", State::Expired))
        .buys(2, "b", 1, (4_011, 4_020), 9)
        .audited()
        .passes();
}

#[test]
fn a_sale_that_need_not_sell_out() {
    let sale = || Tale::of(2).buys(1, "a", 1, (0, 10), 5).audited();
    sale().leaves_some().passes();
    sale().fails(&[Check::Undersold]);
}

#[test]
fn buyers_who_give_up() {
    let sale = || {
        Tale::of(2)
            .buys(1, "a", 1, (0, 10), 5)
            // Turned away, and not tried again.
            .asks(2, 0, 1, (20, 30), Answer::Busy)
            // Nobody waited for the confirmation; its outcome can be read.
            .asks(3, 0, 1, (20, 30), granted("b", 1, 6))
            .confirms("b", (40, 50), Answer::Silence)
            .reads("b", (ENDED_MS, ENDED_MS + 1), stands("b", State::Confirmed))
            .audited_but_for("b")
    };
    sale().with_hasty_buyers().passes();
    sale().fails(&[Check::LostAnswers]);
    // Silence that stays is lost even so.
    sale().with_hasty_buyers().asks(4, 0, 1, (20, 30), Answer::Silence).fails(&[Check::LostAnswers]);
}

#[test]
fn another_body_that_was_faster_than_the_first() {
    // Customer 1's second request overtook the first. Its unit is taken, and the first is a conflict.
    Tale::of(2)
        .asks(1, 0, 1, (0, 30), no(Code::IdempotencyConflict))
        .asks(1, 0, 2, (5, 20), granted("a", 2, 5))
        .asks(2, 0, 1, (40, 50), sold_out(6))
        .releases("a", (60, 70), stands("a", State::Released))
        .buys(3, "b", 2, (80, 90), 8)
        .audited()
        .passes();
}

#[test]
fn another_body_that_may_have_been_granted_unseen() {
    Tale::of(2)
        .asks(1, 0, 1, (0, 30), no(Code::IdempotencyConflict))
        .asks(1, 0, 2, (5, 20), Answer::Silence)
        .asks(2, 0, 1, (40, 50), sold_out(6))
        .buys(3, "b", 2, (9_000, 9_010), 8)
        .audited()
        .passes();
}
