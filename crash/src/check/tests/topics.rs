//! What must not be in the topics, and what must.

use holdfast_contracts::decision::Reason;

use super::machine::good;
use super::tale::{Say, Tale, Trace};
use crate::check::{Judgement, Promise};
use crate::evidence::{Fault, FaultLine, Minimums, OwnerDigest, Role};

#[test]
fn s5_a_record_is_passed_over() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve_traced("ada", "k", 1, Say::Grant, Trace::NoDecision);
    tale.reserve("bob", "k", 1, Say::Grant);
    tale.breaks(Promise::S5);
}

#[test]
fn s5_the_last_record_is_never_answered() {
    let mut tale = Tale::sale(5, 0);
    tale.reserve_traced("ada", "k", 1, Say::Grant, Trace::NoDecision);
    tale.breaks(Promise::S5);
}

#[test]
fn s5_a_tick_with_nothing_to_say_is_answered() {
    let mut tale = Tale::sale(5, 0);
    tale.tick();
    tale.now_ms -= 1;
    tale.output(tale.next_offset() - 1, &[], |w| w.nothing());
    tale.breaks_only(Promise::S5);
}

#[test]
fn s5_outputs_answer_records_out_of_order() {
    let mut tale = Tale::sale(5, 0);
    let id = tale.reserve_traced("ada", "k", 1, Say::Grant, Trace::NoDecision);
    tale.reserve("bob", "k", 1, Say::Grant);
    tale.output(tale.next_offset() - 2, &[super::tale::SKU], |w| super::tale::decide(w, id, 1, Say::Grant));
    tale.breaks(Promise::S5);
}

#[test]
fn s5_bytes_nobody_understands_are_answered_as_malformed() {
    let mut tale = Tale::sale(5, 0);
    let bytes = vec![0xff; 3];
    let code = holdfast_contracts::command::decode_batch(&bytes, &mut Vec::new(), &mut Vec::new())
        .unwrap_err()
        .code();
    let offset = tale.raw_command(bytes);
    tale.output(offset, &[], |w| w.malformed(code + 1));
    tale.breaks(Promise::S5);
}

#[test]
fn s6_two_owners_differ() {
    let digest = |who: &str, digest: &str| OwnerDigest {
        at_us: 1,
        who: who.to_owned(),
        partition: 0,
        next_offset: 4,
        digest: digest.to_owned(),
    };
    let mut tale = good();
    tale.evidence.digests = vec![digest("s1", "aa"), digest("s2", "aa")];
    tale.passes();
    assert_eq!(tale.verdict().counts["digests_compared"], 1);
    tale.evidence.digests.push(digest("s3", "ab"));
    tale.breaks_only(Promise::S6);
}

#[test]
fn s6_an_owner_differs_from_the_output() {
    let mut tale = Tale::sale(5, 0);
    let wall = holdfast_contracts::LogTime(tale.now_ms);
    let ask = crate::evidence::Ask::OpenSale { sale_id: super::tale::SALE.to_owned() };
    let offset = tale.command(|b| {
        b.push(&holdfast_contracts::command::Command::OpenSale { sale_id: super::tale::SALE });
        b.push(&holdfast_contracts::command::Command::Tick { wall, log_id: None });
    });
    tale.output_with(offset, &[], Some(5), |w| {
        w.sale_changed(None, false, holdfast_contracts::decision::SaleState::Open, true);
        w.nothing();
    });
    let answer =
        crate::evidence::Answer { status: Some(200), state: Some("open".to_owned()), ..Default::default() };
    tale.operation(ask, crate::evidence::Outcome::Ok(answer));
    let told = |digest: u128| OwnerDigest {
        at_us: 1,
        who: "s1".to_owned(),
        partition: 0,
        next_offset: offset + 1,
        digest: format!("{digest:032x}"),
    };
    tale.evidence.digests = vec![told(5)];
    tale.passes();
    tale.evidence.digests = vec![told(6)];
    tale.breaks_only(Promise::S6);
}

/// Writes an output once more, as a former owner does.
fn repeat(tale: &mut Tale, which: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let records = &mut tale.evidence.decisions.records;
    let mut copy = records[which].clone();
    copy.offset = records.len() as u64;
    copy.append_ms += 5_000;
    change(&mut copy.payload);
    records.push(copy);
}

#[test]
fn s7_an_identical_duplicate_is_dropped_and_another_one_is_not() {
    let mut tale = good();
    repeat(&mut tale, 4, |_| ());
    tale.passes();
    assert_eq!(tale.verdict().counts["duplicate_outputs"], 1);
    repeat(&mut tale, 4, |bytes| *bytes.last_mut().unwrap() ^= 1);
    tale.breaks_only(Promise::S7);
}

#[test]
fn s7_a_gap_stays_open() {
    let mut tale = good();
    let removed = tale.evidence.decisions.records.len() - 2;
    tale.evidence.decisions.records.remove(removed);
    tale.evidence.decisions.records.last_mut().unwrap().offset -= 1;
    tale.breaks(Promise::S7);
}

#[test]
fn s7_a_gap_that_is_filled_is_no_breach() {
    let mut tale = good();
    let records = &mut tale.evidence.decisions.records;
    let last = records.len() - 1;
    // The last two come in the wrong order, and then again in the right one.
    records.swap(last - 1, last);
    for (at, record) in records.iter_mut().enumerate() {
        record.offset = at as u64;
    }
    repeat(&mut tale, last - 1, |_| ());
    tale.passes();
    assert_eq!(tale.verdict().counts["outputs_beyond_gap"], 1);
}

#[test]
fn s7_the_chain_is_broken() {
    let mut tale = good();
    let body = tale.evidence.decisions.records[3].payload.len();
    tale.evidence.decisions.records[3].payload[body - 1] ^= 1;
    tale.breaks_only(Promise::S7);
}

#[test]
fn s13_a_partition_that_must_stop_goes_on_or_says_why_it_stopped() {
    let line = |fault| FaultLine { at_us: 1, fault };
    let must = |scenario: &str| {
        let reasons = vec!["the log begins at".to_owned()];
        line(Fault::MustStop { scenario: scenario.to_owned(), reasons })
    };
    let stopped = |scenario: &str, reason: &str| {
        line(Fault::Stopped { scenario: scenario.to_owned(), reason: reason.to_owned() })
    };
    let mut tale = good();
    tale.evidence.faults =
        vec![must("trimmed"), stopped("trimmed", "commands are needed, but the log begins at 9")];
    tale.passes();
    assert_eq!(tale.verdict().counts["stops"], 1);
    tale.evidence.faults.push(must("recreated"));
    tale.breaks_only(Promise::S13);
    tale.evidence.faults.push(stopped("recreated", "no space left on device"));
    tale.breaks_only(Promise::S13);
}

#[test]
fn s14_a_kill_damages_a_checkpoint() {
    let mut tale = good();
    let what = "the checkpoint was DAMAGED".to_owned();
    let fault = Fault::Complained { who: "s1".to_owned(), what };
    tale.evidence.faults = vec![FaultLine { at_us: 1, fault }];
    tale.breaks_only(Promise::S14);
}

#[test]
fn a_clean_history_with_too_little_evidence_is_inconclusive() {
    let mut tale = good();
    tale.evidence.settings.minimums = Minimums { kills_mid_traffic: 1, ..Minimums::default() };
    let verdict = tale.verdict();
    assert_eq!(verdict.verdict, Judgement::Inconclusive, "{verdict}");
    assert!(verdict.unmet[0].contains("kills_mid_traffic"), "{verdict}");
    assert_eq!((Judgement::Pass.exit_code(), Judgement::Fail.exit_code()), (0, 1));
    assert_eq!(verdict.verdict.exit_code(), 3);
    // One in the middle of a request is enough; one between two requests is not.
    let at_us = tale.evidence.operations[4].invoke.at_us;
    let killed = |at_us| FaultLine {
        at_us,
        fault: Fault::Killed { role: Role::Sequencer, who: "s1".to_owned(), moment: "random".to_owned() },
    };
    tale.evidence.faults = vec![killed(at_us - 50)];
    assert_eq!(tale.verdict().verdict, Judgement::Inconclusive);
    tale.evidence.faults = vec![killed(at_us + 50)];
    tale.passes();
}

#[test]
fn a_breach_outweighs_missing_evidence() {
    let mut tale = Tale::sale(2, 0);
    tale.reserve("ada", "k", 1, Say::Refuse(Reason::InsufficientStock, 0));
    tale.evidence.settings.minimums.acks = 1_000;
    tale.evidence.settings.settled = false;
    tale.breaks_only(Promise::S10);
}

#[test]
fn a_run_that_was_not_quiet_is_inconclusive() {
    let mut tale = good();
    tale.reserve_traced("eve", "k", 1, Say::Grant, Trace::NoCommand);
    tale.evidence.operations.pop();
    tale.evidence.settings.settled = false;
    assert_eq!(tale.verdict().verdict, Judgement::Inconclusive);
}

#[test]
fn a_dump_with_a_hole_is_inconclusive() {
    let mut tale = good();
    tale.evidence.commands.records.pop();
    tale.evidence.commands.records.last_mut().unwrap().offset += 1;
    tale.evidence.decisions.records.pop();
    let verdict = tale.verdict();
    assert!(verdict.unmet.iter().any(|it| it.contains("hole")), "{verdict}");
}

#[test]
fn zombies_and_re_emissions_are_seen_in_the_topics() {
    let mut tale = good();
    let started = tale.evidence.settings.started_wall_ms;
    let written = tale.evidence.decisions.records[5].append_ms;
    let at_us = |ms: u64| (ms - started) * 1_000;
    let line = |ms, fault| FaultLine { at_us: at_us(ms), fault };
    let (role, who) = (Role::Sequencer, "s1".to_owned());
    tale.evidence.faults = vec![
        line(written - 1, Fault::Paused { role, who: who.clone() }),
        line(written + 100, Fault::Resumed { role, who: who.clone() }),
    ];
    assert_eq!(tale.verdict().counts["zombie_overlaps"], 0);
    repeat(&mut tale, 5, |_| ());
    tale.passes();
    assert_eq!(tale.verdict().counts["zombie_overlaps"], 1);
    // A command that waited across a kill.
    let last = tale.evidence.decisions.records.len() - 2;
    let appended = tale.evidence.decisions.records[last].append_ms;
    tale.evidence.decisions.records[last].append_ms += 500;
    tale.evidence.faults.push(line(appended + 100, Fault::Killed { role, who, moment: "random".to_owned() }));
    assert_eq!(tale.verdict().counts["reemissions"], 1);
}
