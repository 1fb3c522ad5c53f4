//! Who owns a partition changes while it runs. Nothing is lost by it, nothing is decided twice, and two who both believe to be
//! owner say the same.

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_contracts::{LogTime, Offset, SaleTerms};
use holdfast_engine::{Assignment, Handover, PartitionState, SequencerError, Settled, WorkerConfig};
use holdfast_log::simulated::{Pace, Profile};
use holdfast_log::{Layout, OrderedLog, SimulatedConfig, SimulatedLog};
use kit::owners::{Owner, all_is_said};
use kit::steps::{LOG_ID, out_seq_of, quiet, records, simulated};
use kit::{COMMANDS, DECISIONS, ONLY, PATIENCE, opening, requests, wait_for};

fn sale(units: u64) -> Arc<SimulatedLog> {
    let log = simulated(1, &[]);
    // No hold is due as long as the test runs, by whichever clock.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    log.set_clocks(LogTime(u64::try_from(now.as_millis()).expect("not that late")));
    log.append(COMMANDS, opening(units, SaleTerms::default())).expect("the log takes it");
    log
}

/// Says that the work is over, also when it ends in a panic.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Appends a record of ten requests.
fn ask(log: &SimulatedLog, round: u64) {
    log.append(COMMANDS, requests(10 * round, 10)).expect("the log takes it");
}

#[test]
fn a_standby_takes_over_while_the_old_owner_lives_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let old = Owner::start(&log, &directory.path().join("old"));
    let new = Owner::start(&log, &directory.path().join("new"));
    assert_eq!(old.becomes(Assignment::Active), Settled::Orderly);
    assert_eq!(new.becomes(Assignment::Standby), Settled::Orderly);
    new.catches_up();
    for round in 0..200 {
        ask(&log, round);
        if round == 100 {
            assert_eq!(new.becomes(Assignment::Active), Settled::Orderly);
        }
    }
    old.catches_up();
    let status = new.catches_up();
    assert_eq!((status.promotions, status.assignment), (1, Assignment::Active));
    all_is_said(&log);
    wait_for(log.as_ref(), DECISIONS, || (records(log.as_ref(), DECISIONS).len() > 201).then_some(()));
    // Both go on.
    ask(&log, 1_000);
    old.catches_up();
    new.catches_up();
    all_is_said(&log);
}

#[test]
fn a_partition_is_handed_over_under_load_without_a_gap_or_a_second_decision() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let old = Owner::start(&log, &directory.path().join("old"));
    let new = Owner::start(&log, &directory.path().join("new"));
    old.becomes(Assignment::Active);
    new.becomes(Assignment::Standby);
    let goes_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let buyers = scope.spawn(|| {
            let mut round = 0;
            while goes_on.load(Ordering::SeqCst) || round < 300 {
                if log.watermarks(COMMANDS).end.0 < log.watermarks(DECISIONS).end.0 + 100 {
                    ask(&log, round);
                    round += 1;
                } else {
                    std::thread::yield_now();
                }
            }
        });
        wait_for(log.as_ref(), DECISIONS, || (log.watermarks(DECISIONS).end > Offset(50)).then_some(()));
        let until = Until(&goes_on);
        let how = Handover { patience: PATIENCE, checkpoint: true };
        let told = old.assign(Assignment::None, how).recv_timeout(PATIENCE).expect("in time");
        assert_eq!(told, Settled::Orderly);
        let said = log.watermarks(DECISIONS).end;
        let status = old.status();
        assert!(matches!(status.state, PartitionState::Unassigned), "{status:?}");
        assert_eq!((status.handovers, status.is_settled), (1, true));
        assert_eq!(new.becomes(Assignment::Active), Settled::Orderly);
        wait_for(log.as_ref(), DECISIONS, || (log.watermarks(DECISIONS).end > said).then_some(()));
        drop(until);
        buyers.join().expect("they end");
    });
    new.catches_up();
    all_is_said(&log);
    let numbers: Vec<u64> =
        records(log.as_ref(), DECISIONS).iter().map(|it| out_seq_of(&it.payload).0).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "each output is said once: {numbers:?}");
}

#[test]
fn a_hundred_handovers_to_and_fro_change_no_decision() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(5_000);
    let owners = ["a", "b"].map(|name| Owner::start(&log, &directory.path().join(name)));
    owners[0].becomes(Assignment::Active);
    owners[1].becomes(Assignment::Standby);
    // One that is still loading would begin as the owner, which is no promotion.
    owners[1].catches_up();
    for round in 0..100 {
        for more in 0..5 {
            ask(&log, 5 * round + more);
        }
        let [from, to] = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        if round % 3 == 0 {
            // For a while both own it.
            owners[to].becomes(Assignment::Active);
        }
        let settled = owners[from].becomes(Assignment::Standby);
        assert_eq!(settled, Settled::Orderly);
        owners[to].becomes(Assignment::Active);
    }
    let statuses = owners.each_ref().map(Owner::catches_up);
    assert_eq!(statuses[0].promotions + statuses[1].promotions, 100);
    assert_eq!(statuses[0].handovers + statuses[1].handovers, 100);
    assert_eq!(statuses[0].rebuilds + statuses[1].rebuilds, 0, "the machines stayed");
    all_is_said(&log);
}

#[test]
fn nothing_is_said_after_a_partition_was_taken_away_while_it_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(100_000);
    for round in 0..3_000 {
        ask(&log, round);
    }
    let worker = WorkerConfig { read_bytes_max: 1, ..quiet() };
    let owner = Owner::start_as(worker, &log, directory.path());
    let mut revoked = 0;
    for _ in 0..50 {
        let taken = owner.assign(Assignment::Active, Handover::AT_ONCE);
        let told = owner.assign(Assignment::None, Handover::AT_ONCE);
        told.recv_timeout(PATIENCE).expect("it is settled in time");
        let told = taken.recv_timeout(PATIENCE).expect("it was told");
        revoked += u32::from(told == Settled::Replaced);
        let said = log.watermarks(DECISIONS).end;
        owner.wait(|status| matches!(status.state, PartitionState::Unassigned));
        assert_eq!(log.watermarks(DECISIONS).end, said, "it went on after it was told to stop");
    }
    assert!(revoked > 0 || log.watermarks(DECISIONS).end < Offset(3_001), "it was never interrupted");
    owner.becomes(Assignment::Active);
    owner.catches_up();
    all_is_said(&log);
}

#[test]
fn a_zombie_that_wakes_up_with_an_old_view_of_the_log_stops_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let zombie = Owner::start(&log, &directory.path().join("zombie"));
    let next = Owner::start(&log, &directory.path().join("next"));
    zombie.becomes(Assignment::Active);
    ask(&log, 0);
    zombie.catches_up();
    zombie.view.lag();
    zombie.view.cut_off();
    next.becomes(Assignment::Active);
    for round in 1..100 {
        ask(&log, round);
    }
    next.catches_up();
    let before = log.watermarks(DECISIONS).end;
    zombie.view.reconnect();
    zombie.catches_up();
    wait_for(log.as_ref(), DECISIONS, || (log.watermarks(DECISIONS).end > before).then_some(()));
    // It also hands over and takes over with that view.
    assert_eq!(zombie.becomes(Assignment::Standby), Settled::Orderly);
    ask(&log, 100);
    assert_eq!(zombie.becomes(Assignment::Active), Settled::Orderly);
    next.becomes(Assignment::None);
    ask(&log, 101);
    zombie.catches_up();
    all_is_said(&log);
    assert_eq!(zombie.status().rebuilds, 0);
}

#[test]
fn a_log_that_is_away_stops_nobody_for_good() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let owner = Owner::start(&log, &directory.path().join("owner"));
    let follower = Owner::start(&log, &directory.path().join("follower"));
    owner.view.cut_off();
    owner.sequencer.set_assignment(ONLY, Assignment::Active).expect("it is run here");
    let away = owner.wait(|status| status.stuck.is_some());
    assert!(away.stuck.is_some_and(|stuck| stuck.why.contains("cut the process off")), "it says why");
    owner.view.reconnect();
    owner.wait(|status| status.is_live() && status.stuck.is_none());
    follower.becomes(Assignment::Standby);
    for round in 0..10 {
        for who in [&owner, &follower] {
            who.view.cut_off();
        }
        for more in 0..5 {
            ask(&log, 5 * round + more);
        }
        owner.wait(|status| status.stuck.is_some());
        follower.wait(|status| status.stuck.is_some());
        for who in [&owner, &follower] {
            who.view.reconnect();
        }
        owner.catches_up();
        follower.catches_up();
        all_is_said(&log);
        owner.wait(|status| status.stuck.is_none() && status.acknowledged_offset == status.next_offset);
    }
    assert_eq!(owner.status().rebuilds, 0, "a machine is not loaded again because the log was away");
}

#[test]
fn outputs_that_are_lost_again_and_again_are_said_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = SimulatedConfig::new(LOG_ID, Layout::inventory(1).expect("a layout"));
    let log = SimulatedLog::new(SimulatedConfig { profile: Profile::Kafka, pace: Pace::Stepwise, ..config });
    let log = Arc::new(log);
    log.append(COMMANDS, opening(100, SaleTerms::default())).expect("the log takes it");
    ask(&log, 0);
    log.land_all(COMMANDS);
    log.flush(COMMANDS);
    let owner = Owner::start(&log, directory.path());
    owner.becomes(Assignment::Active);
    // More often than a worker is rebuilt that has a fault of its own.
    for _ in 0..5 {
        wait_for(log.as_ref(), DECISIONS, || (log.in_flight(DECISIONS) >= 2).then_some(()));
        let before = owner.status().rebuilds;
        log.lose(DECISIONS, 0);
        log.lose(DECISIONS, 0);
        let status = owner.wait(|status| status.rebuilds > before);
        assert!(status.stuck.is_some(), "{status:?}");
    }
    wait_for(log.as_ref(), DECISIONS, || (log.in_flight(DECISIONS) >= 2).then_some(()));
    log.set_pace(Pace::Automatic);
    log.land_all(DECISIONS);
    log.flush(DECISIONS);
    owner.wait(|status| status.outputs_unacknowledged == 0 && status.stuck.is_none());
    ask(&log, 1);
    all_is_said(&log);
}

#[test]
fn a_follower_answers_for_the_offset_it_has_reached_and_says_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let owner = Owner::start(&log, &directory.path().join("owner"));
    let follower = Owner::start(&log, &directory.path().join("follower"));
    follower.becomes(Assignment::Standby);
    ask(&log, 0);
    let status = follower.catches_up();
    assert_eq!(log.watermarks(DECISIONS).end, Offset(0));
    assert!(status.output_waits_since.is_some(), "nobody decides, and it knows");
    assert_eq!((status.lag_records(), status.lag_ms), (0, 0));
    let look = |machine: &holdfast_core::Machine, status: &holdfast_engine::PartitionStatus| {
        (machine.digest(), status.next_offset)
    };
    owner.becomes(Assignment::Active);
    owner.catches_up();
    let [owned, followed] = [&owner, &follower].map(|it| it.sequencer.ask(ONLY, look).expect("it answers"));
    assert_eq!(owned, followed);
    assert_eq!(followed.expect("it is live").1, Offset(2));
    follower.wait(|status| status.output_waits_since.is_none() && status.acknowledged_offset == Offset(2));
    assert_eq!(records(log.as_ref(), DECISIONS).len(), 2, "one of them says it");
}

#[test]
fn a_standby_that_was_given_up_begins_again_from_its_own_checkpoint() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let owner = Owner::start(&log, directory.path());
    owner.becomes(Assignment::Active);
    for round in 0..20 {
        ask(&log, round);
    }
    owner.catches_up();
    let how = Handover { patience: PATIENCE, checkpoint: true };
    let told = owner.assign(Assignment::None, how).recv_timeout(PATIENCE).expect("in time");
    assert_eq!(told, Settled::Orderly);
    assert!(owner.sequencer.ask(ONLY, |_, _| ()).expect("its thread lives").is_none(), "it has no machine");
    owner.becomes(Assignment::Standby);
    let status = owner.catches_up();
    assert_eq!((status.records_applied, status.checkpoint_offset), (0, Offset(21)));
}

#[test]
fn whoever_assigns_hears_what_came_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(1_000);
    let owner = Owner::start(&log, directory.path());
    let first = owner.sequencer.set_assignment(ONLY, Assignment::Active).expect("it is run here");
    owner.catches_up();
    log.set_pace(Pace::Stepwise);
    owner.view.cut_off();
    ask(&log, 0);
    log.flush(COMMANDS);
    owner.view.reconnect();
    // The log has the output and does not make it durable.
    owner.wait(|status| status.outputs_unacknowledged == 1);
    let patient = owner.assign(Assignment::Standby, Handover { patience: PATIENCE, checkpoint: false });
    let back = owner.assign(Assignment::Active, Handover::AT_ONCE);
    assert_eq!(patient.recv_timeout(PATIENCE).expect("it is told"), Settled::Replaced);
    assert_eq!(back.recv_timeout(PATIENCE).expect("it is told"), Settled::Orderly);
    let abrupt = owner.assign(Assignment::Standby, Handover::AT_ONCE);
    assert_eq!(abrupt.recv_timeout(PATIENCE).expect("it is told"), Settled::Abrupt);
    assert!(owner.status().generation > first);
    let back = owner.assign(Assignment::Active, Handover::AT_ONCE);
    assert_eq!(back.recv_timeout(PATIENCE).expect("it is told"), Settled::Orderly);
    ask(&log, 1);
    log.flush(COMMANDS);
    owner.wait(|status| status.outputs_unacknowledged > 0);
    let told = owner.assign(Assignment::None, Handover { patience: PATIENCE, checkpoint: false });
    drop(owner);
    assert_eq!(told.recv_timeout(PATIENCE).expect("it is told"), Settled::Ended);
}

#[test]
fn what_was_fixed_at_the_start_cannot_be_assigned() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = kit::open_log(directory.path());
    let db = kit::open_db(directory.path());
    let sequencer = kit::start(&log, &db, false);
    assert_eq!(sequencer.set_assignment(ONLY, Assignment::None), Err(SequencerError::Fixed));
}

#[test]
fn a_quiet_owner_whose_ticks_are_not_acknowledged_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = sale(10);
    let worker = WorkerConfig { idle_tick_ms: 1, ..quiet() };
    let owner = Owner::start_as(worker, &log, directory.path());
    owner.becomes(Assignment::Active);
    owner.wait(|status| status.is_live() && status.next_offset > Offset(2));
    log.set_pace(Pace::Stepwise);
    owner.wait(|status| status.stuck.is_some());
    log.set_pace(Pace::Automatic);
    log.flush_all();
    owner.wait(|status| status.stuck.is_none());
}
