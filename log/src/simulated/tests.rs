//! What the strings of the simulated log do.

use std::time::Duration;

use holdfast_contracts::PartitionId;

use super::*;
use crate::port::AppendFailure;

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));

fn log(profile: Profile) -> SimulatedLog {
    let layout = Layout::inventory(2).unwrap();
    let config = SimulatedConfig::new(LogId([1; 16]), layout);
    SimulatedLog::new(SimulatedConfig { profile, pace: Pace::Stepwise, ..config })
}

fn append(log: &SimulatedLog, stream: StreamId, text: &'static str) -> Ticket {
    log.append(stream, Bytes::from_static(text.as_bytes())).unwrap()
}

fn texts(log: &SimulatedLog, stream: StreamId) -> Vec<String> {
    let mut records = Vec::new();
    log.read(stream, log.watermarks(stream).low, usize::MAX, &mut records).unwrap();
    records.iter().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()).collect()
}

fn is_unknown(ticket: &Ticket) -> bool {
    matches!(ticket.result(), Some(Err(AppendFailure::Unknown { .. })))
}

#[test]
fn nothing_moves_until_the_test_says_so() {
    let log = log(Profile::Kafka);
    let ticket = append(&log, COMMANDS, "a");
    assert_eq!((log.in_flight(COMMANDS), ticket.result()), (1, None));
    assert_eq!(log.land_nth(COMMANDS, 0), Offset(0));
    assert_eq!((log.unflushed(COMMANDS), ticket.result()), (1, None));
    assert!(texts(&log, COMMANDS).is_empty(), "a record was readable before it was durable");
    log.flush(COMMANDS);
    assert_eq!(ticket.wait(Duration::ZERO).unwrap().unwrap().offset, Offset(0));
    assert_eq!(texts(&log, COMMANDS), ["a"]);
}

#[test]
fn decisions_of_the_embedded_profile_are_readable_before_they_are_durable() {
    let log = log(Profile::Embedded);
    let ticket = append(&log, DECISIONS, "d");
    assert_eq!((texts(&log, DECISIONS), ticket.result()), (vec!["d".to_owned()], None));
    assert_eq!(log.watermarks(DECISIONS).durable, Offset(0));
}

#[test]
fn a_retry_lands_twice_and_the_ticket_tells_of_the_second() {
    let log = log(Profile::Kafka);
    let ticket = append(&log, COMMANDS, "a");
    append(&log, COMMANDS, "b");
    log.land_copy(COMMANDS, 0);
    log.land_nth(COMMANDS, 1);
    log.land_nth(COMMANDS, 0);
    log.flush(COMMANDS);
    assert_eq!(texts(&log, COMMANDS), ["a", "b", "a"]);
    assert_eq!(ticket.result().unwrap().unwrap().offset, Offset(2));
}

#[test]
fn a_failed_append_interrupts_its_stream_until_it_is_resumed() {
    for fail in [SimulatedLog::lose, SimulatedLog::turn_away, SimulatedLog::abandon] {
        let log = log(Profile::Kafka);
        let ticket = append(&log, COMMANDS, "a");
        fail(&log, COMMANDS, 0);
        assert!(matches!(ticket.result(), Some(Err(_))));
        assert_eq!(log.append(COMMANDS, Bytes::new()).unwrap_err(), AppendError::Interrupted);
        append(&log, DECISIONS, "another stream goes on");
        log.resume(COMMANDS);
        append(&log, COMMANDS, "b");
    }
}

#[test]
fn an_abandoned_append_may_land_late_and_its_ticket_stays_unknown() {
    let log = log(Profile::Kafka);
    let ticket = append(&log, COMMANDS, "a");
    log.abandon(COMMANDS, 0);
    log.resume(COMMANDS);
    append(&log, COMMANDS, "b");
    log.land_nth(COMMANDS, 1);
    log.land_nth(COMMANDS, 0);
    log.flush(COMMANDS);
    assert_eq!(texts(&log, COMMANDS), ["b", "a"]);
    assert!(is_unknown(&ticket));
}

#[test]
fn a_record_whose_answer_was_lost_is_there_and_unknown() {
    let log = log(Profile::Kafka);
    let ticket = append(&log, COMMANDS, "a");
    log.land_unanswered(COMMANDS, 0);
    log.flush(COMMANDS);
    assert_eq!(texts(&log, COMMANDS), ["a"]);
    assert!(is_unknown(&ticket));
}

#[test]
fn a_crash_keeps_a_prefix_of_what_landed_over_all_streams() {
    for kept in 0..=4 {
        let log = log(Profile::Embedded);
        append(&log, COMMANDS, "durable");
        log.flush(COMMANDS);
        let late = [(COMMANDS, "1"), (DECISIONS, "2"), (COMMANDS, "3"), (DECISIONS, "4")];
        let tickets = late.map(|(stream, text)| append(&log, stream, text));
        log.crash(Survivors::FirstLanded(kept));
        let expect = |stream| late[..kept].iter().filter(move |(s, _)| *s == stream).map(|(_, text)| *text);
        assert_eq!(
            texts(&log, COMMANDS),
            ["durable"].into_iter().chain(expect(COMMANDS)).collect::<Vec<_>>()
        );
        assert_eq!(texts(&log, DECISIONS), expect(DECISIONS).collect::<Vec<_>>());
        assert!(tickets.iter().all(is_unknown));
        let marks = log.watermarks(COMMANDS);
        assert_eq!(marks.durable, marks.end);
        append(&log, COMMANDS, "life goes on");
    }
}

#[test]
fn a_crash_can_cut_each_stream_elsewhere() {
    let log = log(Profile::Embedded);
    for text in ["a", "b", "c"] {
        append(&log, COMMANDS, text);
        append(&log, DECISIONS, text);
    }
    let mut keep = |stream, count| if stream == COMMANDS { count - 1 } else { 0 };
    log.crash(Survivors::PerStream(&mut keep));
    assert_eq!((texts(&log, COMMANDS).len(), texts(&log, DECISIONS).len()), (2, 0));
}

#[test]
fn an_unclean_election_takes_durable_records_away() {
    let log = log(Profile::Kafka);
    for text in ["a", "b", "c"] {
        append(&log, COMMANDS, text);
    }
    log.land_all(COMMANDS);
    log.flush_to(COMMANDS, Offset(2));
    log.truncate(COMMANDS, Offset(1));
    assert_eq!(texts(&log, COMMANDS), ["a"]);
    let beyond = log.read(COMMANDS, Offset(2), 1, &mut Vec::new());
    assert!(matches!(beyond, Err(ReadError::BeyondEnd { end: Offset(1) })));
}

#[test]
fn clocks_jump_as_told_and_only_the_embedded_profile_clamps() {
    for (profile, expected) in [(Profile::Kafka, [5, 3, 9]), (Profile::Embedded, [5, 5, 9])] {
        let log = log(profile);
        for time in [5, 3, 9] {
            log.set_clock(COMMANDS, LogTime(time));
            append(&log, COMMANDS, "a");
            log.land_all(COMMANDS);
        }
        log.flush(COMMANDS);
        let mut records = Vec::new();
        log.read(COMMANDS, Offset(0), usize::MAX, &mut records).unwrap();
        assert_eq!(records.iter().map(|record| record.append_time.0).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_full_disk_refuses_commands_first_and_heals() {
    let log = log(Profile::Embedded);
    log.set_room(Room::DecisionsOnly);
    assert_eq!(log.status(), Status::DiskFull);
    assert_eq!(log.append(COMMANDS, Bytes::new()).unwrap_err(), AppendError::DiskFull);
    append(&log, DECISIONS, "d");
    log.set_room(Room::Nothing);
    assert_eq!(log.append(DECISIONS, Bytes::new()).unwrap_err(), AppendError::DiskFull);
    log.set_room(Room::Plenty);
    append(&log, COMMANDS, "c");
    assert_eq!(log.status(), Status::Healthy);
}

#[test]
fn the_queue_is_bounded_and_tells_when_there_is_room() {
    let config = SimulatedConfig::new(LogId([1; 16]), Layout::inventory(1).unwrap());
    let config = SimulatedConfig { pace: Pace::Stepwise, unsettled_records_max: 2, ..config };
    let log = SimulatedLog::new(config);
    append(&log, COMMANDS, "a");
    append(&log, DECISIONS, "b");
    let (bell, mut listener) = crate::doorbell();
    let _room = log.subscribe(DECISIONS, bell.waker());
    assert_eq!(log.append(DECISIONS, Bytes::new()).unwrap_err(), AppendError::Full);
    assert!(!listener.take());
    log.flush(COMMANDS);
    assert!(listener.take(), "room on another stream was not announced");
    append(&log, DECISIONS, "c");
}

#[test]
fn a_failed_log_leaves_its_tickets_unknown_until_it_restarts() {
    let log = log(Profile::Embedded);
    let ticket = append(&log, COMMANDS, "a");
    log.fail("the disk is on fire");
    assert!(is_unknown(&ticket));
    assert!(matches!(log.append(COMMANDS, Bytes::new()), Err(AppendError::Failed { .. })));
    assert!(matches!(log.status(), Status::Failed { .. }));
    log.crash(Survivors::FirstLanded(1));
    assert_eq!(texts(&log, COMMANDS), ["a"]);
    assert!(is_unknown(&ticket), "a ticket changed its mind");
}

#[test]
fn a_recreated_log_is_empty_and_has_another_id() {
    let log = log(Profile::Kafka);
    let ticket = append(&log, COMMANDS, "a");
    log.recreate(LogId([2; 16]));
    assert_eq!((log.log_id(), log.watermarks(COMMANDS).end), (LogId([2; 16]), Offset(0)));
    assert!(is_unknown(&ticket));
}

#[test]
fn reading_fails_stalls_and_finds_damage_as_told() {
    let log = log(Profile::Embedded);
    append(&log, DECISIONS, "a");
    append(&log, DECISIONS, "b");
    let read = |from| {
        let mut out = Vec::new();
        log.read(DECISIONS, Offset(from), usize::MAX, &mut out).map(|()| out.len())
    };
    log.set_reading(DECISIONS, Reading::Stalls);
    assert_eq!(read(0).unwrap(), 0);
    log.set_reading(DECISIONS, Reading::Fails);
    assert!(matches!(read(0), Err(ReadError::Io(_))));
    log.set_reading(DECISIONS, Reading::Works);
    log.set_damaged(DECISIONS, Some(Offset(0)));
    assert!(matches!(read(0), Err(ReadError::Corrupt(_))));
    assert_eq!(read(1).unwrap(), 1);
}

#[test]
fn a_view_that_lags_knows_what_it_asked_or_read_last() {
    let log = Arc::new(log(Profile::Embedded));
    let view = log.view();
    append(&log, DECISIONS, "a");
    assert_eq!(view.watermarks(DECISIONS).end, Offset(1));
    view.lag();
    append(&log, DECISIONS, "b");
    append(&log, DECISIONS, "c");
    assert_eq!(view.watermarks(DECISIONS).end, Offset(1));
    let mut out = Vec::new();
    view.read(DECISIONS, Offset(1), 1, &mut out).unwrap();
    assert_eq!((out.len(), view.watermarks(DECISIONS).end), (1, Offset(2)));
    assert_eq!(view.refresh(DECISIONS).unwrap(), log.watermarks(DECISIONS));
    assert_eq!(view.watermarks(DECISIONS), log.watermarks(DECISIONS));
    append(&log, DECISIONS, "d");
    assert_eq!(view.watermarks(DECISIONS).end, Offset(3));
    view.keep_up();
    assert_eq!(view.watermarks(DECISIONS).end, Offset(4));
}

#[test]
fn a_view_that_is_cut_off_leaves_the_others_alone() {
    let log = Arc::new(log(Profile::Embedded));
    let (view, other) = (log.view(), log.view());
    view.cut_off();
    assert!(matches!(view.append(COMMANDS, Bytes::new()), Err(AppendError::Full)));
    assert!(matches!(view.refresh(COMMANDS), Err(ReadError::Io(_))));
    assert!(matches!(view.read(COMMANDS, Offset(0), 1, &mut Vec::new()), Err(ReadError::Io(_))));
    other.append(COMMANDS, Bytes::new()).unwrap();
    view.reconnect();
    assert_eq!(view.refresh(COMMANDS).unwrap(), other.watermarks(COMMANDS));
}
