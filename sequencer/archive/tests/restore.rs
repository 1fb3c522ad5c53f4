//! A process without a checkpoint of its own, or with one that is of no use, begins with one of the archive.

mod kit;

use std::sync::Arc;

use bytes::Bytes;
use holdfast_archive::ObjectArchive;
use holdfast_contracts::{LogId, Offset, PartitionId};
use holdfast_engine::{
    ArchivedStore, CheckpointArchive, CheckpointStore, PageSink, Role, Shipped, StopReason, StoreError,
    read_back,
};
use holdfast_log::{OrderedLog, SimulatedLog};
use kit::{
    COMMANDS, DECISIONS, Host, LOG_ID, ONLY, append, files, flip, log_of, machine_for, open, opening,
    records, requests, run, save, settle, ship_config,
};

/// 120,000 ids, 70,000 holds.
fn large() -> Vec<Bytes> {
    std::iter::once(opening(70_000)).chain((0..60).map(|n| requests(2_000 * n, 2_000))).collect()
}

fn small() -> Vec<Bytes> {
    std::iter::once(opening(350)).chain((0..6).map(|n| requests(100 * n, 100))).collect()
}

/// What a worker that was never interrupted says to these.
fn truth(commands: &[Bytes]) -> (holdfast_contracts::Digest, Vec<Bytes>) {
    let (log, archive) = (log_of(LOG_ID, 1, commands), tempfile::tempdir().expect("a directory"));
    let worker = Host::new(&log, archive.path()).run().expect("nothing is wrong");
    (worker.machine().digest(), said(&log))
}

fn said(log: &SimulatedLog) -> Vec<Bytes> {
    records(log, DECISIONS).into_iter().map(|record| record.payload).collect()
}

#[test]
fn a_host_with_an_empty_disk_goes_on_as_the_one_before() {
    let (commands, archive) = (large(), tempfile::tempdir().expect("a directory"));
    let (digest, outputs) = truth(&commands);
    let log = log_of(LOG_ID, 1, &commands[..41]);
    {
        let first = Host::new(&log, archive.path());
        save(&mut first.run().expect("nothing is wrong"));
        let mut shipper = first.shipper(ship_config(1));
        assert_eq!(shipper.round().expect("it is shipped"), Shipped::Verified);
        assert!(shipper.status().bytes > 80_000 * 24, "every id is in it");
    }
    assert_eq!(log.watermarks(COMMANDS).low, Offset(40), "what the archive has is forgotten here");
    append(&log, &commands[41..]);
    let second = Host::new(&log, archive.path());
    let mut worker = second.run().expect("the archive has it");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (20, digest));
    assert_eq!((worker.checkpoint_damage(), said(&log)), (None, outputs));

    // From here on it has its own.
    save(&mut worker);
    drop(worker);
    std::fs::remove_dir_all(archive.path().join(LOG_ID.to_string())).expect("it is there");
    let worker = second.run().expect("its own checkpoint is whole");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (0, digest));
}

/// A host that has shipped checkpoints after 3 and after 5 records of 7, all of them still in the log.
fn shipped_twice(archive: &std::path::Path) -> (Arc<SimulatedLog>, Host) {
    let commands = small();
    let log = log_of(LOG_ID, 1, &commands[..3]);
    let host = Host::new(&log, archive);
    let mut shipper = host.shipper(ship_config(3));
    for upto in [3, 5] {
        append(&log, &commands[usize::try_from(log.watermarks(COMMANDS).end.0).expect("few")..upto]);
        save(&mut host.run().expect("nothing is wrong"));
        shipper.round().expect("it is shipped");
    }
    append(&log, &commands[5..]);
    assert_eq!(host.offsets(), [5, 3]);
    (log, host)
}

#[test]
fn any_changed_byte_is_found_and_an_older_checkpoint_stands_in() {
    let (digest, _) = truth(&small());
    // The description's hash, its first and last byte; the first, a middle and the last byte of pages.
    for (ending, place) in [
        (".json", 30),
        (".json", 90),
        (".json", usize::MAX),
        (".pages", 0),
        (".pages", 1_000),
        (".pages", usize::MAX),
    ] {
        let archive = tempfile::tempdir().expect("a directory");
        let (log, _) = shipped_twice(archive.path());
        let [file] = &files(archive.path(), 5, ending)[..] else { panic!("one file") };
        let len = usize::try_from(std::fs::metadata(file).expect("it is there").len()).expect("small");
        flip(file, place.min(len - 1));
        let worker = Host::new(&log, archive.path()).run().expect("the older one is whole");
        assert_eq!((worker.records_applied(), worker.machine().digest()), (4, digest), "{ending} {place}");
        // Pages are looked at when they are wanted, and then the hash is what tells.
        let told = worker.checkpoint_damage().is_some_and(|it| it.contains("other bytes than were shipped"));
        assert_eq!(told, ending == ".pages", "{ending} {place}");
    }
}

#[test]
fn a_chunk_cut_off_or_missing_is_found_in_the_listing() {
    let archive = tempfile::tempdir().expect("a directory");
    let (_, host) = shipped_twice(archive.path());
    let [file] = &files(archive.path(), 5, ".pages")[..] else { panic!("one file") };
    let bytes = std::fs::read(file).expect("it can be read");
    std::fs::write(file, &bytes[..bytes.len() - 1]).expect("it can be written");
    assert_eq!(host.offsets(), [3]);
    std::fs::remove_file(file).expect("it can be removed");
    let listing = host.archive.list(LOG_ID, ONLY).expect("it can be listed");
    assert!(matches!(&listing.damaged[..], [(Offset(5), StoreError::Damaged(_))]), "{listing:?}");
}

#[test]
fn without_any_that_can_be_read_the_log_decides_if_it_is_whole() {
    let archive = tempfile::tempdir().expect("a directory");
    let (log, _) = shipped_twice(archive.path());
    for at in [3, 5] {
        flip(&files(archive.path(), at, ".pages")[0], 77);
    }
    let host = Host::new(&log, archive.path());
    let worker = host.run().expect("the log is whole");
    assert_eq!(worker.records_applied(), 7);
    drop(worker);
    log.trim(COMMANDS, Offset(2)).expect("they are durable");
    let stopped = Host::new(&log, archive.path()).run().err().expect("nothing is left");
    // Somebody may mend the archive, so it is asked again.
    let StopReason::Store(StoreError::Archive { source, .. }) = stopped else { panic!("{stopped:?}") };
    let lost = source.downcast_ref::<StopReason>().expect("that is behind it");
    let StopReason::CheckpointLost { damage, low: Offset(2) } = lost else { panic!("{lost:?}") };
    assert!(damage.contains("offset 5") && damage.contains("offset 3"), "{damage}");
}

#[test]
fn a_checkpoint_of_its_own_that_is_as_new_is_used() {
    let archive = tempfile::tempdir().expect("a directory");
    let (_, host) = shipped_twice(archive.path());
    // Whoever looked into these would stumble.
    for at in [3, 5] {
        flip(&files(archive.path(), at, ".pages")[0], 77);
    }
    let mut worker = host.run().expect("its own is whole");
    assert_eq!((worker.records_applied(), worker.checkpoint_damage()), (2, None));
    save(&mut worker);
    drop(worker);
    assert_eq!(host.run().expect("its own is newer").records_applied(), 0);
}

#[test]
fn a_checkpoint_of_its_own_that_is_older_gives_way() {
    let archive = tempfile::tempdir().expect("a directory");
    let commands = small();
    let log = log_of(LOG_ID, 1, &commands[..2]);
    let stale = Host::new(&log, archive.path());
    save(&mut stale.run().expect("nothing is wrong"));
    append(&log, &commands[2..6]);
    let owner = Host::new(&log, archive.path());
    save(&mut owner.run().expect("nothing is wrong"));
    owner.shipper(ship_config(1)).round().expect("it is shipped");
    append(&log, &commands[6..]);
    // The log has forgotten what its own would need, and what it has would be read from offset 6 on.
    assert_eq!(log.watermarks(COMMANDS).low, Offset(5));
    let worker = stale.run().expect("the archive has a newer one");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (1, truth(&commands).0));
    drop(worker);
    // Without the archive that is a gap with a name.
    let stopped = run(&log, stale.db.partition(ONLY)).err().expect("too much is forgotten");
    assert!(matches!(stopped, StopReason::TrimGap { needed: Offset(2), low: Offset(5) }), "{stopped:?}");
}

#[test]
fn a_damaged_checkpoint_of_its_own_gives_way_to_an_older_one() {
    let archive = tempfile::tempdir().expect("a directory");
    let (log, host) = shipped_twice(archive.path());
    save(&mut host.run().expect("nothing is wrong"));
    for entry in std::fs::read_dir(host.directory.path().join("checkpoints")).expect("the database") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|it| it == "blob") {
            let len = usize::try_from(std::fs::metadata(&path).expect("it is there").len()).expect("small");
            flip(&path, len / 2);
        }
    }
    let mut worker = host.run().expect("the archive has one");
    assert_eq!((worker.records_applied(), worker.machine().digest()), (2, truth(&small()).0));
    assert!(worker.checkpoint_damage().is_some());
    save(&mut worker);
    drop(worker);
    let worker = run(&log, host.db.partition(ONLY)).expect("it was written anew as a whole");
    assert_eq!((worker.records_applied(), worker.checkpoint_damage()), (0, None));
}

#[test]
fn checkpoints_of_another_log_are_not_looked_at_and_those_in_a_wrong_place_are_refused() {
    let archive = tempfile::tempdir().expect("a directory");
    shipped_twice(archive.path());
    let other_id = LogId([8; 16]);
    let other = log_of(other_id, 1, &small()[..2]);
    let host = Host::new(&other, archive.path());
    assert_eq!(host.run().expect("it begins at the beginning").records_applied(), 2);
    // Somebody moves them to where they do not belong.
    let (from, to) = (archive.path().join(LOG_ID.to_string()), archive.path().join(other_id.to_string()));
    std::fs::rename(&from, &to).expect("it can be renamed");
    let listing = host.archive.list(other_id, ONLY).expect("it can be listed");
    assert!(listing.whole.is_empty() && listing.damaged.len() == 2, "{listing:?}");
    let (_, reason) = &listing.damaged[0];
    assert!(reason.to_string().contains(&LOG_ID.to_string()), "{reason}");
    std::fs::rename(&to, &from).expect("it can be renamed");
    std::fs::rename(from.join("00000"), from.join("00001")).expect("it can be renamed");
    let listing = host.archive.list(LOG_ID, PartitionId(1)).expect("it can be listed");
    assert!(listing.whole.is_empty() && listing.damaged.len() == 2, "{listing:?}");
}

#[test]
fn a_log_with_another_partition_count_is_refused() {
    let archive = tempfile::tempdir().expect("a directory");
    shipped_twice(archive.path());
    let log = log_of(LOG_ID, 2, &small());
    let stopped = Host::new(&log, archive.path()).run().err().expect("it has two");
    assert!(matches!(stopped, StopReason::PartitionCount { checkpoint: 1, log: 2 }), "{stopped:?}");
}

#[test]
fn a_log_that_lost_what_the_archive_has_seen_is_refused() {
    let archive = tempfile::tempdir().expect("a directory");
    shipped_twice(archive.path());
    let log = log_of(LOG_ID, 1, &small()[..4]);
    let stopped = Host::new(&log, archive.path()).run().err().expect("it ends too early");
    assert!(matches!(stopped, StopReason::LogLost { checkpoint: Offset(5), end: Offset(4) }), "{stopped:?}");
}

#[test]
fn a_follower_begins_with_the_archive_and_writes_nothing() {
    let archive = tempfile::tempdir().expect("a directory");
    let (log, host) = shipped_twice(archive.path());
    let mut owner = host.run().expect("nothing is wrong");
    let before = host.archive.list(LOG_ID, ONLY).expect("it can be listed").whole;
    let store = ArchivedStore::reading_only(host.archive(), LOG_ID, ONLY);
    let mut follower = open(Role::Standby, &log, store).expect("the archive has one");
    settle(&mut follower).expect("nothing is wrong");
    assert_eq!((follower.records_applied(), follower.machine().digest()), (2, owner.machine().digest()));
    host.go_on(&mut owner, 5_000, 100);
    settle(&mut follower).expect("nothing is wrong");
    assert_eq!(follower.machine().digest(), owner.machine().digest());
    assert_eq!(host.archive.list(LOG_ID, ONLY).expect("it can be listed").whole, before);
    let mut store = follower.into_store();
    store.put(0, 0, &[1]);
    store.commit(owner.checkpoint());
    assert!(store.poll().is_err(), "whoever wants to write here is told");
}

#[test]
fn operators_find_and_verify_what_there_is() {
    let archive = tempfile::tempdir().expect("a directory");
    let (log, host) = shipped_twice(archive.path());
    let url = format!("file://{}", archive.path().to_str().expect("plain"));
    let opened = ObjectArchive::open(&url).expect("it is a folder");
    assert_eq!(opened.logs().expect("it can be listed"), [LOG_ID]);
    assert_eq!(opened.partitions(LOG_ID).expect("it can be listed"), [ONLY]);
    let whole = opened.list(LOG_ID, ONLY).expect("it can be listed").whole;
    assert!(whole.iter().all(|archived| archived.verified && archived.bytes > 0), "{whole:?}");
    let verify = |at| {
        let machine = machine_for(log.as_ref());
        read_back::<holdfast_core::Machine>(&opened, &machine, LOG_ID, ONLY, Offset(at))
    };
    let (machine, anchor) = verify(5).expect("it is whole").expect("it is there");
    assert_eq!((machine.digest(), &anchor), (anchor.digest, &whole[0].anchor));
    assert!(verify(4).expect("nothing is wrong").is_none());
    flip(&files(archive.path(), 3, ".pages")[0], 99);
    assert!(verify(3).expect_err("a byte was changed").is_damage());
    drop(host);
}
