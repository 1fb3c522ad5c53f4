//! Rule 3.1 and section 7.

use holdfast_contracts::command::Line;
use holdfast_contracts::decision::{FirstDecided, HoldState, Reason};
use holdfast_contracts::{LogTime, SaleTerms};

use super::script::*;
use crate::answer::{Decision, Outcome};

fn decision(script: &mut Script, fill: impl FnOnce(&mut Batch)) -> Decision {
    script.send(fill).decisions.remove(0)
}

#[test]
fn a_retry_gets_the_first_answer_whatever_became_of_it() {
    let mut s = Script::sale(TERMS, &[("A", 3), ("B", 3)]);
    s.at(10).send(|b| {
        b.tick(BASE);
        b.reserve(1, 7, &[("A", 1), ("B", 2)]);
    });
    s.at(30).release(1);
    let again = decision(s.at(40), |b| b.reserve(1, 7, &[("B", 1), ("A", 1), ("B", 1)]));
    let offset = 4;
    assert!(again.replay);
    assert_eq!(again.id, Some(id(1)));
    assert_eq!(
        again.outcome,
        Some(Outcome::Reserved {
            expires_after_ms: 1_000,
            lines: lines(&[("A", 1, 0), ("B", 2, 0)]),
            first: FirstDecided { ago_ms: 30, offset, index: 1 },
        })
    );
    assert_eq!(s.figures("A"), [3, 3, 0, 0, 0, 0]);
}

#[test]
fn refusals_are_remembered_too_even_after_restock_and_closing() {
    let mut s = Script::sale(TERMS, &[("A", 0)]);
    let first = s.reserve(1, 7, &[("A", 1)]);
    s.set("A", 5);
    s.close("s");
    let again = decision(&mut s, |b| b.reserve(1, 7, &[("A", 1)]));
    assert_eq!((again.replay, again.outcome), (true, Some(first)));
}

#[test]
fn an_invalid_request_is_remembered_too() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    let bad = [Line { sku: 5, quantity: 1 }];
    assert!(!decision(&mut s, |b| b.reserve_raw(1, 7, &bad, false, false)).replay);
    assert!(decision(&mut s, |b| b.reserve_raw(1, 7, &bad, false, false)).replay);
    let other = decision(&mut s, |b| b.reserve(1, 7, &[("A", 1)]));
    assert_eq!((other.replay, other.outcome), (false, Some(refused(Reason::IdReused))));
}

#[test]
fn a_replayed_wait_tells_the_line_and_the_place() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.join(1, 7, "A", 2);
    s.set("A", 2);
    assert_eq!(s.figures("A"), [2, 0, 2, 0, 0, 0]);
    let again = decision(s.at(50), |b| b.join(1, 7, "A", 2));
    let first = FirstDecided { ago_ms: 0, offset: 3, index: 0 };
    assert_eq!(again.outcome, Some(Outcome::Waiting { line: line("A", 2, 2), first }));
}

#[test]
fn another_body_or_another_kind_under_a_used_id_is_refused() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 7, &[("A", 1)]);
    let reused = refused(Reason::IdReused);
    assert_eq!(s.reserve(1, 8, &[("A", 1)]), reused);
    assert_eq!(s.reserve(1, 7, &[("A", 2)]), reused);
    assert_eq!(s.one(|b| b.partial(1, 7, &[("A", 1)])), reused);
    assert_eq!(s.join(1, 7, "A", 1), reused);
    assert_eq!(s.one(|b| b.adjust(1, "A", 1, 0)), reused);
    assert_eq!(s.one(|b| b.set(1, "A", 1, None, false)), reused);
    assert_eq!(s.one(|b| b.define(1, "s", TERMS, &["A"])), reused);
    assert_eq!(s.extend(1, 1, Some(1)), reused);
    s.extend(1, 1, Some(2));
    assert_eq!(s.reserve(2, 7, &[("A", 1)]), reused);
    assert!(decision(&mut s, |b| b.reserve(1, 7, &[("A", 1)])).replay);
}

#[test]
fn a_replayed_value_is_capped() {
    let mut s = Script::sale(TERMS, &[("A", 2_000_000)]);
    let first = s.one(|b| b.set(1, "A", 5, Some(4), false));
    assert_eq!(first, refused_sku(Reason::StockChanged, "A", 2_000_000));
    let again = decision(&mut s, |b| b.set(1, "A", 5, Some(4), false));
    assert_eq!(again.outcome, Some(refused_sku(Reason::StockChanged, "A", 1_048_575)));
    assert!(again.replay);
}

#[test]
fn an_id_is_remembered_for_four_generations_after_its_own() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.rules(1, 4_003, 0);
    s.at(999).reserve(1, 0, &[("A", 1)]);
    // Generations of 1,000 ms: the id belongs to number 0, and 4,999 is the end of number 4.
    assert!(decision(s.at(4_999), |b| b.reserve(1, 0, &[("A", 1)])).replay);
    assert!(!decision(s.at(5_000), |b| b.reserve(1, 0, &[("A", 1)])).replay);
}

#[test]
fn several_generations_may_pass_at_once() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.reserve(1, 0, &[("A", 1)]);
    s.rules(1, 400, 0);
    assert!(decision(s.at(499), |b| b.reserve(1, 0, &[("A", 1)])).replay);
    assert!(!decision(s.at(500), |b| b.reserve(1, 0, &[("A", 1)])).replay);
}

#[test]
fn a_live_reservation_is_remembered_until_it_ends() {
    let mut s = Script::sale(SaleTerms { hold_ttl_ms: 3_000, ..TERMS }, &[("A", 5)]);
    s.rules(1, 1, 0);
    s.reserve(1, 7, &[("A", 1)]);
    assert!(decision(s.at(2_999), |b| b.reserve(1, 7, &[("A", 1)])).replay);
    assert_eq!(s.release(1), moved(HoldState::Released, 0, &[("A", 1, 0)]));
    assert_eq!(s.release(1), refused(Reason::UnknownReservation));
    assert_eq!(s.reserve(1, 9, &[("A", 2)]), reserved(3_000, &[("A", 2, 0)]));
}

#[test]
fn a_confirmed_reservation_is_remembered_until_its_sale_is_closed() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.rules(1, 4, 0);
    s.reserve(1, 7, &[("A", 1)]);
    s.confirm(1);
    assert_eq!(s.at(9_000).confirm(1), unchanged(HoldState::Confirmed, 0, &[("A", 1, 0)]));
    s.close("s");
    assert_eq!(s.confirm(1), refused(Reason::UnknownReservation));
    assert_eq!(s.figures("A"), [5, 4, 0, 1, 0, 0]);
}

#[test]
fn a_new_window_holds_from_the_next_move_of_time_on() {
    let mut s = Script::sale(TERMS, &[("A", 5)]);
    s.at(5_000).reserve(1, 0, &[("A", 1)]);
    s.rules(1, 4_000, 0);
    assert!(decision(&mut s, |b| b.reserve(1, 0, &[("A", 1)])).replay);
    // The first generation began at 0; now five pass at once.
    assert!(!decision(s.at(5_001), |b| b.reserve(1, 0, &[("A", 1)])).replay);
}

#[test]
fn ids_of_commands_are_remembered_like_reservations() {
    let terms = SaleTerms { closes_at: LogTime(BASE + 90_000), ..TERMS };
    let mut s = Script::sale(terms, &[("A", 5)]);
    s.one(|b| b.adjust(1, "A", 2, 0));
    s.one(|b| b.define(2, "s", TERMS, &["A"]));
    s.reserve(3, 7, &[("A", 1)]);
    let again = decision(&mut s, |b| b.adjust(1, "A", 2, 0));
    let Some(Outcome::StockChanged { figures, .. }) = again.outcome else { panic!("{again:?}") };
    assert_eq!((again.replay, list(figures)), (true, [7, 6, 1, 0, 0, 0]));
    s.pause("s");
    let again = decision(&mut s, |b| b.define(2, "s", TERMS, &["A"]));
    let state = holdfast_contracts::decision::SaleState::Paused;
    assert_eq!(again.outcome, Some(Outcome::SaleChanged { state, unchanged: true }));
    assert!(again.replay);
}
