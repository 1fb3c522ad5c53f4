//! Section 1 and 2.

use holdfast_contracts::decision::HoldState;
use holdfast_contracts::{LogId, LogTime};

use super::script::*;
use crate::answer::{Expected, What};
use crate::model::Stopped;

const SUSPECT: fn(u64) -> What = |ms| What::ClockSuspect { append_time_ms: BASE + ms };
const TRUSTED: fn(u64) -> What = |step_ms| What::ClockTrusted { step_ms };

fn now(script: &Script) -> u64 {
    script.model.log_time_ms().expect("a record was seen") - BASE
}

#[test]
fn a_tick_alone_has_no_output() {
    let mut s = Script::empty();
    assert_eq!(s.try_send(|b| b.tick(BASE)), Ok(None));
}

#[test]
fn an_empty_decision_stands_beside_others() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    let out = s.send(|b| {
        b.tick(BASE);
        b.release(77, 0);
    });
    assert_eq!(out.decisions.len(), 2);
    assert_eq!((out.decisions[0].outcome.clone(), out.decisions[0].id), (None, None));
    assert_eq!((out.intake_id, out.first_request_tag), (3, 40));
}

#[test]
fn a_malformed_record_still_lets_time_pass() {
    let mut s = Script::sale(TERMS, &[("A", 1)]);
    s.reserve(1, 7, &[("A", 1)]);
    let out = s.at(1_000).raw(&[0xff]).expect("no stop").expect("an output");
    let code = holdfast_contracts::WireError::Truncated.code();
    assert_eq!(out.malformed, Some(code));
    assert_eq!(out.events.len(), 1);
    assert_eq!(
        Expected { events: Vec::new(), ..out },
        Expected { log_time_ms: BASE + 1_000, malformed: Some(code), ..Expected::default() }
    );
}

#[test]
fn log_time_never_goes_back_and_takes_steps_up_to_ten_seconds() {
    let mut s = Script::empty();
    s.at(5).pass();
    s.at(1).pass();
    assert_eq!(now(&s), 5);
    s.at(10_005).pass();
    assert_eq!(now(&s), 10_005);
    assert_eq!(s.at(20_006).pass(), [SUSPECT(20_006)]);
    assert_eq!(now(&s), 10_005);
}

#[test]
fn an_odd_append_time_is_forgotten_when_the_next_is_near() {
    let mut s = Script::empty();
    s.pass();
    assert_eq!(s.at(100_000).send(|b| b.push(&no_sale())).events.len(), 1);
    assert_eq!(s.at(100_001).send(|b| b.push(&no_sale())).events.len(), 0);
    let out = s.at(10_000).send(|b| b.push(&no_sale()));
    assert_eq!(
        out.events.iter().map(|e| (e.cause, e.what.clone())).collect::<Vec<_>>(),
        [(None, TRUSTED(0))]
    );
    assert_eq!(now(&s), 10_000);
}

fn no_sale() -> holdfast_contracts::command::Command<'static> {
    holdfast_contracts::command::Command::OpenSale { sale_id: "none" }
}

#[test]
fn an_odd_time_stays_odd_once_a_tick_disagreed() {
    let mut s = Script::empty();
    s.pass();
    s.at(100_000).send(|b| b.tick(BASE));
    assert_eq!(s.at(5).pass(), []);
    assert!(s.model.clock_is_suspect());
    assert_eq!(now(&s), 0);
}

#[test]
fn three_sane_ticks_let_time_go_and_move_what_was_decided_meanwhile() {
    let mut s = Script::sale(TERMS, &[("A", 9)]);
    s.reserve(1, 7, &[("A", 1)]);
    s.at(60_000).send(|b| b.reserve(2, 7, &[("A", 1)]));
    assert_eq!(s.pass(), []);
    assert_eq!(s.at(60_400).pass(), []);
    let out = s.at(60_500).send(|b| {
        b.tick(BASE + 60_500);
        b.pay(1, 0);
        b.pay(2, 0);
    });
    assert_eq!(out.log_time_ms, BASE);
    assert_eq!((out.events[0].cause, &out.events[0].what), (Some(0), &TRUSTED(60_500)));
    // The old hold is over and only waits for its turn; the young one lost nothing.
    assert_eq!(out.decisions[1].outcome, Some(refused(holdfast_contracts::decision::Reason::Expired)));
    assert_eq!(out.decisions[2].outcome, Some(moved(HoldState::Paying, 1_000, &[("A", 1, 0)])));
    assert_eq!(s.pass(), [expired(1, &[("A", 1, 0)])]);
}

#[test]
fn a_tick_that_disagrees_makes_the_clock_suspect_and_counts_start_again() {
    let mut s = Script::empty();
    s.pass();
    assert_eq!(s.send(|b| b.tick(BASE + 10_000)).events, []);
    let out = s.send(|b| b.tick(BASE + 10_001));
    assert_eq!((out.events[0].cause, &out.events[0].what), (Some(0), &SUSPECT(0)));
    assert_eq!((s.pass(), s.pass()), (vec![], vec![]));
    assert_eq!(s.send(|b| b.tick(BASE - 10_001)).events, []);
    assert_eq!((s.pass(), s.pass()), (vec![], vec![]));
    assert_eq!(s.pass(), [TRUSTED(0)]);
}

#[test]
fn one_record_may_hold_all_three_ticks() {
    let mut s = Script::empty();
    s.pass();
    let wall = BASE + 50_000;
    let out = s.at(50_000).send(|b| {
        b.tick(wall);
        b.tick(wall);
        b.tick(wall);
        b.tick(wall);
    });
    let events: Vec<_> = out.events.into_iter().map(|e| (e.cause, e.what)).collect();
    assert_eq!(events, [(None, SUSPECT(50_000)), (Some(2), TRUSTED(50_000))]);
}

#[test]
fn append_times_stay_between_2020_and_2050() {
    let mut s = Script::empty();
    s.time_is(0);
    s.send(|b| b.tick(1_577_836_800_000));
    assert_eq!(s.model.log_time_ms(), Some(1_577_836_800_000));
    s.time_is(u64::MAX);
    let out = s.send(|b| b.tick(2_524_608_000_000));
    assert_eq!(out.events[0].what, What::ClockSuspect { append_time_ms: 2_524_608_000_000 });
}

impl Script {
    fn time_is(&mut self, ms: u64) {
        self.at(ms.wrapping_sub(BASE));
    }
}

#[test]
fn a_tick_from_another_log_stops_the_partition() {
    let mut s = Script::empty();
    let tick = |log_id| holdfast_contracts::command::Command::Tick { wall: LogTime(BASE), log_id };
    assert_eq!(s.try_send(|b| b.push(&tick(None))), Ok(None));
    assert_eq!(s.try_send(|b| b.push(&tick(Some(LogId([8; 16]))))), Err(Stopped::OtherLog));
}
