//! What clients must not be told, and what must not be in the log without them.

use holdfast_contracts::decision::{HoldState, Reason};

use super::machine::good;
use super::tale::{SKU, Say, Tale, Trace};
use crate::check::Promise;
use crate::evidence::{Answer, Ask, AskedLine, Event, Evidence, LineWriter, Outcome, Place};

#[test]
fn s4_an_acknowledged_answer_is_not_in_the_commands_topic() {
    let mut tale = good();
    tale.reserve_traced("eve", "k", 1, Say::Grant, Trace::NoCommand);
    tale.breaks_only(Promise::S4);
}

#[test]
fn s4_an_acknowledged_answer_is_not_in_the_decisions_topic() {
    let mut tale = good();
    tale.reserve_traced("eve", "k", 1, Say::Grant, Trace::NoDecision);
    tale.breaks(Promise::S4);
}

#[test]
fn s4_an_answer_says_something_else_than_the_topic() {
    let lie = |change: fn(&mut Answer)| {
        let mut tale = good();
        let held = tale.reserve("eve", "k", 1, Say::Grant);
        tale.confirm("eve", held, 1, Say::Move(HoldState::Confirmed));
        tale.passes();
        for operation in tale.evidence.operations.iter_mut().rev().take(2) {
            let Outcome::Ok(answer) = &mut operation.outcome else { panic!("it was answered") };
            change(answer);
        }
        tale.breaks(Promise::S4);
        assert_eq!(tale.verdict().broken[&Promise::S4], 2);
    };
    lie(|answer| answer.state = Some("released".to_owned()));
    lie(|answer| answer.lines[0].granted = 0);
    lie(|answer| answer.position = Some(Place { partition: 0, offset: 3, index: 0 }));
    lie(|answer| answer.position = Some(Place { partition: 0, offset: 3_000, index: 0 }));
    lie(|answer| answer.position = None);
    lie(|answer| answer.reservation_id = Some("00".repeat(16)));
    lie(|answer| (answer.state, answer.code) = (None, Some("EXPIRED".to_owned())));
}

#[test]
fn s4_a_refusal_is_told_with_another_reason() {
    let mut tale = Tale::sale(1, 1);
    tale.reserve("ada", "k1", 1, Say::Grant);
    tale.reserve("ada", "k2", 1, Say::Refuse(Reason::PurchaseLimit, 0));
    tale.passes();
    let Outcome::Ok(answer) = &mut tale.evidence.operations.last_mut().unwrap().outcome else {
        panic!("answered")
    };
    answer.code = Some("INSUFFICIENT_STOCK".to_owned());
    tale.breaks_only(Promise::S4);
}

#[test]
fn s4_what_was_said_to_have_failed_is_in_the_log() {
    let mut tale = good();
    tale.reserve("eve", "k", 1, Say::Grant);
    let ended = tale.evidence.operations.last_mut().unwrap();
    ended.outcome =
        Outcome::Fail(Answer { status: Some(503), code: Some("OVERLOADED".to_owned()), ..Answer::default() });
    tale.breaks_only(Promise::S4);
    // If another attempt of it may have got through, that is no lie.
    let mut again = tale.evidence.operations.last().unwrap().clone();
    (again.invoke.op, again.outcome) = (1_000, Outcome::Unknown(None));
    tale.evidence.operations.push(again);
    tale.passes();
}

#[test]
fn s4_the_log_holds_a_command_that_nobody_sent() {
    let mut tale = good();
    tale.reserve("eve", "k", 1, Say::Grant);
    tale.evidence.operations.pop();
    tale.breaks_only(Promise::S4);
}

#[test]
fn s4_the_log_holds_a_command_with_other_content_than_was_sent() {
    let mut tale = good();
    tale.reserve("eve", "k", 1, Say::Grant);
    let asked = tale.evidence.operations.last_mut().unwrap();
    let Ask::Reserve { lines, .. } = &mut asked.invoke.ask else { panic!("a reservation") };
    *lines = vec![AskedLine { sku: SKU.to_owned(), quantity: 2 }];
    asked.outcome = Outcome::Unknown(None);
    tale.breaks_only(Promise::S4);
}

#[test]
fn an_unknown_request_may_be_in_the_log_or_not() {
    let mut tale = good();
    tale.reserve("eve", "k1", 1, Say::Grant);
    tale.evidence.operations.last_mut().unwrap().outcome = Outcome::Unknown(None);
    tale.reserve_traced("eve", "k2", 1, Say::Grant, Trace::NoCommand);
    tale.evidence.operations.last_mut().unwrap().outcome = Outcome::Unknown(None);
    tale.passes();
    assert_eq!(tale.verdict().counts["unknowns"], 2);
}

#[test]
fn s5_an_unknown_request_in_the_log_must_have_its_effect() {
    let mut tale = good();
    tale.reserve_traced("eve", "k", 1, Say::Grant, Trace::NoDecision);
    tale.evidence.operations.last_mut().unwrap().outcome = Outcome::Unknown(None);
    tale.breaks_only(Promise::S5);
}

#[test]
fn s10_an_earlier_answer_lies_later() {
    let mut tale = good();
    tale.reserve("eve", "k", 1, Say::Grant);
    let last = tale.evidence.operations.len() - 1;
    // The last request was answered before all the others were sent.
    tale.evidence.operations[last].invoke.at_us = 1;
    let Outcome::Ok(answer) = &mut tale.evidence.operations[last].outcome else { panic!("answered") };
    answer.at_us = 2;
    tale.breaks_only(Promise::S10);
}

fn gate_refusal(tale: &mut Tale, units: u32) {
    let lines = vec![AskedLine { sku: SKU.to_owned(), quantity: units }];
    let ask = Ask::Reserve { subject: "zoe".to_owned(), key: "g".to_owned(), lines };
    let code = Some("INSUFFICIENT_STOCK".to_owned());
    let decided_by = Some("gate".to_owned());
    tale.operation(ask, Outcome::Fail(Answer { status: Some(422), code, decided_by, ..Answer::default() }));
}

#[test]
fn s10_the_gate_refuses_while_there_is_enough() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    gate_refusal(&mut tale, 1);
    tale.passes();
    tale.release("ada", held, 1, Say::Move(HoldState::Released));
    gate_refusal(&mut tale, 1);
    tale.breaks_only(Promise::S10);
}

#[test]
fn the_gate_of_another_intake_may_not_know_yet() {
    let mut tale = Tale::sale(1, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.release("ada", held, 1, Say::Move(HoldState::Released));
    gate_refusal(&mut tale, 1);
    tale.evidence.operations.last_mut().unwrap().invoke.intake = "i2".to_owned();
    tale.passes();
}

#[test]
fn s10_units_are_left_although_everybody_was_refused() {
    let mut tale = Tale::sale(2, 0);
    let held = tale.reserve("ada", "k", 1, Say::Grant);
    tale.confirm("ada", held, 1, Say::Move(HoldState::Confirmed));
    tale.evidence.settings.bought_out = vec![SKU.to_owned()];
    tale.breaks_only(Promise::S10);
    let held = tale.reserve("bob", "k", 1, Say::Grant);
    tale.confirm("bob", held, 1, Say::Move(HoldState::Confirmed));
    tale.passes();
}

#[test]
fn s16_a_read_tells_what_was_never_so() {
    let mut tale = Tale::sale(2, 0);
    tale.reserve("ada", "k", 1, Say::Grant);
    let read = |offset, available| Answer {
        status: Some(200),
        position: Some(Place { partition: 0, offset, index: 0 }),
        figures: Some([2, available, 2 - available, 0, 0, 0]),
        ..Answer::default()
    };
    let ask = || Ask::Availability { sku: SKU.to_owned() };
    tale.operation(ask(), Outcome::Ok(read(2, 2)));
    tale.operation(ask(), Outcome::Ok(read(3, 1)));
    tale.passes();
    tale.operation(ask(), Outcome::Ok(read(3, 2)));
    tale.breaks_only(Promise::S16);
}

#[test]
fn evidence_reads_back_from_its_files() {
    use crate::evidence::{COMMANDS, DECISIONS, DIGESTS, DumpWriter, FAULTS, HISTORY, SETTINGS};
    let tale = good();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file(SETTINGS), serde_json::to_vec(&tale.evidence.settings).unwrap()).unwrap();
    let mut history = LineWriter::create(&file(HISTORY)).unwrap();
    for operation in &tale.evidence.operations {
        history.write(&Event::Invoke(operation.invoke.clone())).unwrap();
        let Outcome::Ok(answer) = &operation.outcome else { panic!("all are answered") };
        history.write(&Event::Ok(answer.clone())).unwrap();
    }
    LineWriter::create(&file(FAULTS)).unwrap();
    LineWriter::create(&file(DIGESTS)).unwrap();
    for (name, dump) in [(COMMANDS, &tale.evidence.commands), (DECISIONS, &tale.evidence.decisions)] {
        let mut writer = DumpWriter::create(&file(name)).unwrap();
        for it in &dump.records {
            writer.write(it.partition, it.offset, it.append_ms, &it.payload).unwrap();
        }
        writer.finish().unwrap();
    }
    let read = Evidence::load(directory.path()).unwrap();
    assert_eq!(read.operations, tale.evidence.operations);
    assert_eq!(read.settings, tale.evidence.settings);
    assert_eq!(read.commands, tale.evidence.commands);
    assert_eq!(read.decisions, tale.evidence.decisions);
}
