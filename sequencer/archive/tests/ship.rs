//! Checkpoints are shipped, count once they were read back, and let the log and the archive go of what they cover.

mod kit;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_archive::ObjectArchive;
use holdfast_contracts::Offset;
use holdfast_core::Machine;
use holdfast_engine::{
    Assignment, CheckpointArchive, CheckpointStore, Page, PartitionState, PartitionStatus, Sequencer,
    SequencerConfig, ShipConfig, ShipError, Shipped, Shipping, StoreError, Trim,
};
use holdfast_log::OrderedLog;
use kit::{
    COMMANDS, DECISIONS, Driven, Host, LOG_ID, ONLY, PATIENCE, files, flip, id, log_of, machine_for, opening,
    quiet, save, ship_config,
};

fn begin(archive: &Path) -> (Host, Driven<impl CheckpointStore + use<>>) {
    let log = log_of(LOG_ID, 1, &[opening(350)]);
    let host = Host::new(&log, archive);
    let mut worker = host.run().expect("nothing is wrong");
    save(&mut worker);
    (host, worker)
}

fn low(host: &Host) -> (u64, u64) {
    (host.log.watermarks(COMMANDS).low.0, host.log.watermarks(DECISIONS).low.0)
}

#[test]
fn the_log_forgets_only_what_as_many_verified_checkpoints_as_are_kept_cover() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    let mut shipper = host.shipper(ship_config(2));
    let mut seen = Vec::new();
    for round in 0..4 {
        host.go_on(&mut worker, 100 * round, 100);
        assert_eq!(shipper.round().expect("it is shipped"), Shipped::Verified);
        assert_eq!(shipper.round().expect("nothing is wrong"), Shipped::NothingNew);
        seen.push((host.offsets(), low(&host), shipper.status().commands_below.0));
        let kept: Vec<u64> = shipper.status().kept.iter().map(|at| at.0).collect();
        assert_eq!(kept, host.offsets());
    }
    // The record before the oldest that is kept stays.
    let expected =
        [(vec![2], (0, 0), 0), (vec![3, 2], (1, 0), 1), (vec![4, 3], (2, 0), 2), (vec![5, 4], (3, 0), 3)];
    assert_eq!(seen, expected);
    assert_eq!(shipper.status().verified.as_ref(), Some(worker.checkpoint()));
}

#[test]
fn decisions_are_forgotten_only_where_that_is_asked_for() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    host.go_on(&mut worker, 0, 100);
    for (trim, expected) in
        [(Trim::Nothing, (0, 0)), (Trim::Commands, (1, 0)), (Trim::CommandsAndDecisions, (1, 2))]
    {
        host.shipper(ShipConfig { trim, ..ship_config(1) }).round().expect("it is shipped");
        assert_eq!(low(&host), expected, "{trim:?}");
    }
}

/// A page source that breaks off, as a process that dies.
fn torn(host: &Host, at: u64) {
    let mut anchor = holdfast_engine::Anchor::beginning(LOG_ID, 1);
    anchor.next_offset = Offset(at);
    let page = |number| Page { kind: 0, number, bytes: vec![1; 1 << 20].into() };
    let broken = Err(StoreError::Damaged("the disk is gone".to_owned()));
    let mut pages = (0..20).map(|number| Ok(page(number))).chain([broken]);
    let failed = host.archive.ship(ONLY, &anchor, &mut pages).expect_err("a page is missing");
    assert!(failed.is_damage(), "{failed:?}");
}

#[test]
fn what_was_never_finished_is_not_there_and_goes_away_with_age() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    torn(&host, 9);
    let staged = archive
        .path()
        .join(LOG_ID.to_string())
        .join("00000")
        .join(format!("{:020}", 9))
        .join("00002-x.pages#1");
    std::fs::write(&staged, b"half").expect("it can be written");
    assert_eq!(files(archive.path(), 9, ".pages").len(), 2, "two chunks were full by then");
    let listing = host.archive.list(LOG_ID, ONLY).expect("it can be listed");
    assert_eq!((listing.whole, listing.torn), (vec![], vec![Offset(9)]));
    assert_eq!(host.run().expect("nothing is wrong").records_applied(), 0, "its own checkpoint is used");

    // What somebody may still be writing is left alone.
    host.shipper(ship_config(1)).round().expect("it is shipped");
    assert_eq!(host.archive.list(LOG_ID, ONLY).expect("it can be listed").torn, [Offset(9)]);
    host.go_on(&mut worker, 0, 100);
    let at_once = ShipConfig { torn_after: Duration::ZERO, ..ship_config(1) };
    host.shipper(at_once).round().expect("it is shipped");
    assert_eq!(host.archive.list(LOG_ID, ONLY).expect("it can be listed").torn, []);
    assert!(!staged.exists());
    assert_eq!(host.offsets(), [2]);
}

#[test]
fn what_comes_back_damaged_does_not_count_and_is_shipped_again() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, _worker) = begin(archive.path());
    // It was shipped by a process that died before it read it back, and the archive's disk is not to be trusted.
    host.shipper(ship_config(1)).round().expect("it is shipped");
    for file in files(archive.path(), 1, "")
        .iter()
        .filter(|it| it.to_str().is_some_and(|it| it.contains("verified-")))
    {
        std::fs::remove_file(file).expect("it can be removed");
    }
    flip(&files(archive.path(), 1, ".pages")[0], 50);
    let mut shipper = host.shipper(ship_config(1));
    let failed = shipper.round().expect_err("a byte was changed");
    assert!(matches!(failed, ShipError::Unverified(_)), "{failed:?}");
    assert_eq!((shipper.status().failures, shipper.status().verified.as_ref()), (1, None));
    assert_eq!(shipper.round().expect("it is shipped anew"), Shipped::Verified);
    assert!(shipper.status().failed.is_none());
    let whole = host.archive.list(LOG_ID, ONLY).expect("it can be listed").whole;
    assert!(whole.len() == 1 && whole[0].verified, "{whole:?}");
}

#[test]
fn an_archive_that_is_away_stops_nobody_and_gets_it_later() {
    let place = tempfile::tempdir().expect("a directory");
    let archive = place.path().join("archive");
    let (host, mut worker) = begin(&archive);
    let mut shipper = host.shipper(ship_config(1));
    shipper.round().expect("it is shipped");
    let away = place.path().join("away");
    std::fs::rename(&archive, &away).expect("it can be renamed");
    // Nobody who only looks makes it anew, or it would be written to where no disk is mounted.
    assert!(ObjectArchive::open(archive.to_str().expect("plain")).expect("it is a name").reach().is_err());
    for (round, is_a_file) in [(1, false), (2, true)] {
        if is_a_file {
            std::fs::write(&archive, b"no folder").expect("it can be written");
        }
        host.go_on(&mut worker, 100 * round, 100);
        let failed = shipper.round().expect_err("there is no archive");
        assert!(matches!(&failed, ShipError::Ship(StoreError::Archive { .. })), "{failed:?}");
        assert_eq!(shipper.status().failures, u32::try_from(round).expect("small"));
    }
    assert_eq!(low(&host), (0, 0), "nothing more is forgotten");
    // Whoever has a checkpoint does not need it.
    drop(worker);
    let mut worker = host.run().expect("its own is whole");
    assert_eq!((worker.records_applied(), worker.checkpoint_damage()), (0, None));
    std::fs::remove_file(&archive).expect("it can be removed");
    std::fs::rename(&away, &archive).expect("it can be renamed");
    assert_eq!(shipper.round().expect("it is back"), Shipped::Verified);
    assert_eq!((shipper.status().failures, host.offsets(), low(&host)), (0, vec![3], (2, 0)));
    save(&mut worker);
}

#[test]
fn an_empty_disk_without_its_archive_is_told_apart_from_a_lost_checkpoint() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    host.go_on(&mut worker, 0, 100);
    host.shipper(ship_config(1)).round().expect("it is shipped");
    let other = Host::new(&host.log, archive.path());
    std::fs::remove_dir_all(archive.path()).expect("it is there");
    let stopped = other.run().err().expect("the log alone is not enough");
    assert!(
        matches!(&stopped, holdfast_engine::StopReason::Store(StoreError::Archive { .. })),
        "{stopped:?}"
    );
}

#[test]
fn an_owner_with_an_empty_disk_waits_until_the_archive_is_back() {
    let place = tempfile::tempdir().expect("a directory");
    let (archive, away) = (place.path().join("archive"), place.path().join("away"));
    let (host, mut worker) = begin(&archive);
    host.go_on(&mut worker, 0, 100);
    host.shipper(ship_config(1)).round().expect("it is shipped");
    let shipped = host.offsets();
    drop(worker);
    let other = Arc::new(Host::new(&host.log, &archive));
    std::fs::rename(&archive, &away).expect("it can be renamed");
    let port = Arc::clone(&host.log) as Arc<dyn OrderedLog>;
    let partitions = vec![(quiet(), machine_for(port.as_ref()))];
    let config = SequencerConfig { partitions, threads: 1, standby: false };
    let stores = Arc::clone(&other);
    let sequencer = Sequencer::start_unassigned(&port, &config, move |_| stores.store());
    sequencer.set_assignment(ONLY, Assignment::Active).expect("it is run here");
    let wait = |what: &str, done: &dyn Fn(&PartitionStatus) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = sequencer.statuses().remove(0);
            assert!(!matches!(status.state, PartitionState::Stopped(_)), "{status:?}");
            if done(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {status:?}");
            std::thread::yield_now();
        }
    };
    wait("it does not say what it waits for", &|status| {
        status.stuck.as_ref().is_some_and(|stuck| stuck.why.contains("archive"))
    });
    // So it does where the folder is there and the disk is not mounted over it.
    std::fs::create_dir(&archive).expect("it can be made");
    wait("it does not say what it looks for", &|status| {
        status.stuck.as_ref().is_some_and(|stuck| stuck.why.contains("looking for a checkpoint"))
    });
    std::fs::remove_dir(&archive).expect("nobody has written to it");
    std::fs::rename(&away, &archive).expect("it can be renamed");
    wait("it does not go on", &|status| status.is_live() && status.stuck.is_none());
    // Not the digest: on a clock of today the holds of this log's day are due, and ticks take them back.
    assert_eq!(vec![sequencer.statuses().remove(0).checkpoint_offset.0], shipped);
    let seen =
        sequencer.ask(ONLY, |machine: &Machine, _| (0..100).filter(|n| machine.remembers(id(*n))).count());
    assert_eq!(seen.expect("it can be asked"), Some(100));
    sequencer.stop(PATIENCE);
}

#[test]
fn two_owners_may_ship_the_same_offset_at_once() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    // A zombie, which has got its pages in another order of events.
    let zombie = Host::new(&host.log, archive.path());
    let mut other = zombie.run().expect("nothing is wrong");
    for round in 0..5_u64 {
        host.go_on(&mut worker, 1_000 * round, 1_000);
        save(&mut other);
        let shippers = [&host, &zombie].map(|it| it.shipper(ship_config(2)));
        std::thread::scope(|scope| {
            let rounds = shippers.map(|mut shipper| {
                scope.spawn(move || {
                    let deadline = Instant::now() + PATIENCE;
                    // One may find what the other is putting in its place.
                    while let Err(error) = shipper.round() {
                        assert!(Instant::now() < deadline, "{error:?}");
                    }
                })
            });
            rounds.into_iter().for_each(|round| round.join().expect("it has an end"));
        });
        assert_eq!(host.offsets()[0], round + 2);
        let fresh = Host::new(&host.log, archive.path()).run().expect("it can be loaded");
        assert_eq!((fresh.records_applied(), fresh.machine().digest()), (0, worker.machine().digest()));
    }
}

#[test]
fn whoever_lost_its_partition_ships_nothing_older_and_forgets_nothing() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, _worker) = begin(archive.path());
    let next = Host::new(&host.log, archive.path());
    let mut worker = next.run().expect("nothing is wrong");
    next.go_on(&mut worker, 0, 100);
    let mut shipper = next.shipper(ship_config(1));
    shipper.round().expect("it is shipped");
    assert_eq!(low(&host).0, 1);
    next.go_on(&mut worker, 100, 100);
    shipper.round().expect("it is shipped");
    let mut old = host.shipper(ship_config(1));
    assert_eq!(old.round().expect("that is nothing to fail for"), Shipped::NothingNew);
    assert_eq!((host.offsets(), low(&host)), (vec![3], (2, 0)));
}

#[test]
fn a_running_sequencer_ships_by_itself() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    let every = Duration::from_millis(20);
    let shipping = Shipping::start(vec![host.shipper(ShipConfig { every, ..ship_config(1) })]);
    for round in 0..3 {
        host.go_on(&mut worker, 100 * round, 100);
        let deadline = Instant::now() + PATIENCE;
        let is_shipped = || {
            let (_, status) = shipping.statuses().remove(0);
            assert!(status.failed.is_none(), "{status:?}");
            status.verified.as_ref() == Some(worker.checkpoint())
        };
        while !is_shipped() {
            assert!(Instant::now() < deadline, "nothing was shipped");
            std::thread::yield_now();
        }
    }
    drop(shipping);
    // Asked for, it does not wait until it is due.
    let never = Duration::from_secs(1 << 20);
    let shipping = Shipping::start(vec![host.shipper(ShipConfig { every: never, ..ship_config(1) })]);
    host.go_on(&mut worker, 1_000, 100);
    shipping.ship_now();
    let deadline = Instant::now() + PATIENCE;
    while shipping.statuses()[0].1.verified.as_ref() != Some(worker.checkpoint()) {
        assert!(Instant::now() < deadline, "nothing was shipped");
        std::thread::yield_now();
    }
}

#[test]
fn commands_that_a_reader_needs_are_kept() {
    let archive = tempfile::tempdir().expect("a directory");
    let (host, mut worker) = begin(archive.path());
    host.go_on(&mut worker, 0, 100);
    let readers = Arc::new(holdfast_engine::ReaderMarks::default());
    let mark = readers.enter(COMMANDS, Offset(0));
    let log = Arc::clone(&host.log) as Arc<dyn OrderedLog>;
    let machine = machine_for(host.log.as_ref());
    let mut shipper = holdfast_engine::Shipper::<Machine>::new(
        ONLY,
        machine,
        log,
        Arc::clone(&host.db),
        host.archive(),
        readers,
        ship_config(1),
    );
    shipper.round().expect("it is shipped");
    assert_eq!(low(&host).0, 0);
    mark.advance(Offset(9));
    host.go_on(&mut worker, 100, 100);
    shipper.round().expect("it is shipped");
    assert_eq!(low(&host).0, 2);
}
