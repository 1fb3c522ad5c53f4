//! What the machine must not do.

use holdfast_contracts::decision::{Granted, HoldState, Reason};

use super::tale::{SKU, Say, TTL_MS, Tale, decide};
use crate::check::Promise;

/// A sale of three units with everything that may happen to a reservation.
pub(super) fn good() -> Tale {
    let mut tale = Tale::sale(3, 2);
    let at = tale.next_offset();
    let begun = tale.now_ms;
    let first = tale.reserve("ada", "k1", 2, Say::Grant);
    let ago_ms = tale.now_ms - begun;
    tale.reserve("ada", "k1", 2, Say::Replay { ago_ms, offset: at });
    tale.reserve("ada", "k1", 1, Say::Refuse(Reason::IdReused, 0));
    tale.reserve("ada", "k2", 1, Say::Refuse(Reason::PurchaseLimit, 0));
    tale.reserve("bob", "k1", 2, Say::Refuse(Reason::InsufficientStock, 1));
    tale.reserve("bob", "k1", 2, Say::RefuseAgain(Reason::InsufficientStock, 1));
    let second = tale.reserve("bob", "k2", 1, Say::Grant);
    tale.confirm("ada", first, 2, Say::Move(HoldState::Confirmed));
    tale.confirm("ada", first, 2, Say::Stay(HoldState::Confirmed));
    tale.release("ada", first, 2, Say::Refuse(Reason::AlreadyConfirmed, 0));
    tale.wait(u64::from(TTL_MS));
    tale.expire(second, 1);
    tale.confirm("bob", second, 1, Say::Refuse(Reason::Expired, 0));
    let third = tale.reserve("bob", "k3", 1, Say::Grant);
    tale.release("bob", third, 1, Say::Move(HoldState::Released));
    tale.tick();
    tale
}

#[test]
fn a_good_history_passes_and_is_counted() {
    let tale = good();
    tale.passes();
    let counts = tale.verdict().counts;
    let expected = [
        ("granted", 3),
        ("replays", 2),
        ("id_reused", 1),
        ("sold_out", 1),
        ("confirmed", 1),
        ("released", 1),
        ("expiries", 1),
    ];
    for (name, count) in expected {
        assert_eq!(counts.get(name), Some(&count), "{name}");
    }
}

#[test]
fn s1_a_unit_that_is_not_there_is_granted() {
    let mut tale = Tale::sale(1, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.passes();
    tale.reserve("bob", "k", 1, Say::Grant);
    tale.breaks_only(Promise::S1);
}

#[test]
fn s2_stock_is_told_that_does_not_add_up() {
    use holdfast_contracts::command::{AdjustStock, Command};
    use holdfast_contracts::decision::StockFigures;

    use crate::evidence::{Answer, Ask, Outcome};
    let tale = |available| {
        let mut tale = Tale::sale(5, 0);
        tale.reserve("ada", "k", 2, Say::Grant);
        let (subject, key, sku) = ("admin".to_owned(), "a".to_owned(), SKU.to_owned());
        let ask = Ask::AdjustStock { subject, key, sku, delta: 3, set_aside: 1 };
        let command_id = tale.id(&ask);
        let adjust = AdjustStock { command_id, sku: 0, delta: 3, set_aside: 1, reason: "r", reference: "" };
        let offset = tale.command(|b| {
            b.sku(SKU);
            b.push(&Command::AdjustStock(adjust));
        });
        let figures =
            StockFigures { on_hand: 8, available, held: 2, committed: 0, unavailable: 1, shortfall: 0 };
        tale.output(offset, &[SKU], |w| w.stock_changed(command_id, false, 0, figures, &[]));
        let told = Some([8, available, 2, 0, 1, 0]);
        tale.operation(ask, Outcome::Ok(Answer { status: Some(200), figures: told, ..Answer::default() }));
        tale
    };
    tale(5).passes();
    tale(6).breaks_only(Promise::S2);
}

#[test]
fn s3_a_retry_is_decided_again() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.breaks(Promise::S3);
}

#[test]
fn s3_a_refusal_is_forgotten() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.reserve("bob", "k", 1, Say::Refuse(Reason::InsufficientStock, 0));
    tale.release("ada", held, 1, Say::Move(HoldState::Released));
    tale.reserve("bob", "k", 1, Say::Grant);
    tale.breaks(Promise::S3);
}

#[test]
fn s3_another_request_under_the_same_key_is_not_noticed() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.reserve("ada", "k", 2, Say::Grant);
    tale.breaks(Promise::S3);
}

#[test]
fn s3_a_replay_tells_another_answer() {
    let mut tale = Tale::sale(5, 0);
    let begun = tale.now_ms;
    let at = tale.next_offset();
    tale.reserve("ada", "k", 1, Say::Grant);
    let ago_ms = tale.now_ms - begun + 1;
    tale.reserve("ada", "k", 1, Say::Replay { ago_ms, offset: at });
    tale.breaks_only(Promise::S3);
}

#[test]
fn s8_a_hold_ends_before_its_deadline() {
    let mut tale = Tale::sale(1, 0);
    let begun = tale.now_ms;
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.now_ms = begun + u64::from(TTL_MS) - 1;
    tale.expire(held, 1);
    tale.breaks_only(Promise::S8);
    let mut tale = Tale::sale(1, 0);
    let begun = tale.now_ms;
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.now_ms = begun + u64::from(TTL_MS);
    tale.expire(held, 1);
    tale.passes();
}

#[test]
fn s8_a_live_hold_is_said_to_be_over() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.confirm("ada", held, 1, Say::Refuse(Reason::Expired, 0));
    tale.breaks_only(Promise::S8);
}

#[test]
fn s9_a_hold_outlives_its_deadline() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.wait(u64::from(TTL_MS));
    tale.reserve("bob", "k", 1, Say::Grant);
    tale.breaks_only(Promise::S9);
}

#[test]
fn s9_a_due_hold_ends_in_no_record() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.wait(u64::from(TTL_MS));
    tale.tick();
    tale.breaks(Promise::S9);
}

#[test]
fn s9_holds_end_out_of_turn() {
    let tale = |swap| {
        let mut tale = Tale::sale(5, 0);
        let begun = tale.now_ms;
        let one = tale.reserve("ada", "k", 1, Say::Grant);
        let two = tale.reserve("bob", "k", 1, Say::Grant);
        tale.now_ms = begun + 2 * u64::from(TTL_MS);
        let wall = holdfast_contracts::LogTime(tale.now_ms);
        let offset =
            tale.command(|b| b.push(&holdfast_contracts::command::Command::Tick { wall, log_id: None }));
        let line = [Granted { sku: 0, quantity: 1, missing: 0 }];
        tale.output(offset, &[SKU], |w| {
            for id in if swap { [two, one] } else { [one, two] } {
                w.expired(None, id, &line, false);
            }
            w.nothing();
        });
        tale
    };
    tale(false).passes();
    tale(true).breaks_only(Promise::S9);
}

#[test]
fn s9_log_time_is_another_than_the_logs() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    // The record is appended a moment later than its output says.
    tale.evidence.commands.records.last_mut().unwrap().append_ms += 1;
    tale.breaks_only(Promise::S9);
}

#[test]
fn s10_a_buyer_is_refused_while_there_is_enough() {
    let mut tale = Tale::sale(2, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    tale.reserve("bob", "k", 1, Say::Refuse(Reason::InsufficientStock, 0));
    tale.breaks_only(Promise::S10);
}

#[test]
fn s10_units_that_came_back_are_not_offered() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.release("ada", held, 1, Say::Move(HoldState::Released));
    tale.reserve("bob", "k", 1, Say::Refuse(Reason::InsufficientStock, 0));
    tale.breaks_only(Promise::S10);
}

#[test]
fn s11_a_reservation_is_sold_after_its_deadline() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.wait(u64::from(TTL_MS));
    tale.expire(held, 1);
    tale.confirm("ada", held, 1, Say::Move(HoldState::Confirmed));
    tale.breaks_only(Promise::S11);
}

#[test]
fn s11_a_sold_reservation_expires() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.confirm("ada", held, 1, Say::Move(HoldState::Confirmed));
    tale.wait(u64::from(TTL_MS));
    tale.expire(held, 1);
    tale.breaks_only(Promise::S11);
}

#[test]
fn s11_a_reservation_is_released_twice() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.release("ada", held, 1, Say::Move(HoldState::Released));
    tale.release("ada", held, 1, Say::Move(HoldState::Released));
    tale.breaks_only(Promise::S11);
}

#[test]
fn a_customer_gets_more_than_one_may_have() {
    let mut tale = Tale::sale(5, 2);
    tale.reserve("ada", "k1", 2, Say::Grant);
    tale.passes();
    tale.reserve("ada", "k2", 1, Say::Grant);
    tale.breaks_only(Promise::Limit);
}

#[test]
fn a_customer_is_refused_what_one_may_have() {
    let mut tale = Tale::sale(5, 2);
    tale.reserve("ada", "k1", 1, Say::Grant);
    tale.reserve("ada", "k2", 1, Say::Refuse(Reason::PurchaseLimit, 0));
    tale.breaks_only(Promise::Limit);
}

#[test]
fn a_hold_lives_as_long_as_the_sale_says() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 1, Say::GrantFor(u64::from(TTL_MS) - 1));
    tale.breaks_only(Promise::Rules);
}

#[test]
fn nobody_gets_a_part_who_did_not_ask_for_it() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 2, Say::Short(1));
    tale.breaks_only(Promise::Rules);
}

#[test]
fn an_open_sale_is_not_said_to_be_over() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve("ada", "k", 2, Say::Refuse(Reason::SaleClosed, 0));
    tale.breaks_only(Promise::Rules);
}

#[test]
fn what_the_checker_does_not_judge_makes_no_pass() {
    use crate::check::Judgement;
    let mut tale = Tale::sale(5, 0);
    let ask = crate::evidence::Ask::OpenSale { sale_id: "x".to_owned() };
    let (id, customer) = (holdfast_contracts::ReservationId([9; 16]), tale.customer("ada"));
    let offset = tale.command(|b| {
        let sku = b.sku(SKU);
        b.reserve(id, customer, &[holdfast_contracts::command::Line { sku, quantity: 1 }], false, true);
    });
    tale.output(offset, &[SKU], |w| decide(w, id, 1, Say::Grant));
    let _ = ask;
    let verdict = tale.verdict();
    assert!(verdict.unmet.iter().any(|it| it.contains("waitlist")), "{verdict}");
    assert_ne!(verdict.verdict, Judgement::Pass);
}
