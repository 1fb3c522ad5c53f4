//! Crashes: the power goes, or the process is killed, at every operation; what was acknowledged is still there.

use std::sync::{Mutex, OnceLock};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::embedded::disk::simulated::Fault;

/// What the test knows of a log it writes: everything that was offered and accepted, per stream.
#[derive(Clone, Default)]
struct Offered(Vec<Vec<Bytes>>);

impl Offered {
    fn new(config: &EmbeddedConfig) -> Self {
        Self(vec![Vec::new(); config.layout.stream_count()])
    }

    /// Checks that a log that was opened again holds a beginning of each stream, and at least what was acknowledged.
    /// What it holds is what was offered from now on.
    fn check(&mut self, found: &[Vec<Record>], acknowledged: &[Offset], what: &str) {
        for ((offered, found), &acknowledged) in self.0.iter_mut().zip(found).zip(acknowledged) {
            assert!(
                end_of(found) >= acknowledged,
                "{what}: acknowledged {acknowledged}, found {}",
                found.len()
            );
            for (nr, record) in found.iter().enumerate() {
                assert_eq!(record.offset, Offset(nr as u64), "{what}");
                assert_eq!(Some(&record.payload), offered.get(nr), "{what}: record {nr}");
            }
            offered.truncate(found.len());
        }
    }
}

fn durable_ends(log: &EmbeddedLog) -> Vec<Offset> {
    log.shared.streams.iter().map(|stream| stream.durable()).collect()
}

/// Appends some records, waiting for about every third. Stops when the log refuses. With `trim`, what was read is
/// given up now and then.
fn work(log: &EmbeddedLog, offered: &mut Offered, seed: u64, count: u64) {
    let ids: Vec<_> = log.shared.layout.streams().collect();
    let mut choose = chooser(seed);
    for _ in 0..count {
        let stream = choose(ids.len() as u64) as usize;
        let payload = noise(choose(1 << 40), choose(900) as usize);
        let Ok(ticket) = append(log, ids[stream], &payload) else { return };
        offered.0[stream].push(payload);
        if choose(3) == 0 && !matches!(ticket.wait(PATIENCE), Some(Ok(_))) {
            return;
        }
    }
}

/// What was acknowledged at some moment, and the disk as it was then.
type Then = (Vec<Offset>, SimDisk);

/// Takes the power away before every single operation of the disk, a few times each with other sectors surviving.
#[test]
fn the_power_may_go_at_any_operation() {
    const RECORDS: u64 = 120;
    let config = config(2);
    let total = {
        let disk = SimDisk::default();
        let log = open(&disk, &config).unwrap();
        work(&log, &mut Offered::new(&config), 1, RECORDS);
        drop(log);
        disk.operations()
    };
    assert!(total > 100, "only {total} operations; is the test writing?");
    for operation in 0..total {
        let disk = SimDisk::default();
        let seen: Arc<Mutex<Option<Then>>> = Arc::default();
        let current: Arc<OnceLock<EmbeddedLog>> = Arc::default();
        disk.set_hook({
            let (seen, current) = (Arc::clone(&seen), Arc::clone(&current));
            move |disk, number| {
                if number == operation {
                    let ends = current.get().map(durable_ends).unwrap_or_default();
                    *seen.lock().unwrap() = Some((ends, disk.after_kill()));
                }
            }
        });
        let mut offered = Offered::new(&config);
        let log = open(&disk, &config).unwrap();
        let log = current.get_or_init(|| log);
        work(log, &mut offered, operation, RECORDS);
        log.close();
        // The order of operations differs a little from run to run, so the last ones may not happen.
        let Some((mut acknowledged, then)) = seen.lock().unwrap().take() else { continue };
        acknowledged.resize(config.layout.stream_count(), Offset(0));
        for seed in 0..4 {
            let what = format!("operation {operation}, seed {seed}");
            let disk = then.after_power_loss(&mut chooser(seed));
            let found = read_all(&disk, &config).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            offered.clone().check(&found, &acknowledged, &what);
        }
    }
}

/// How one life of a log ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Closed,
    Killed,
    PowerLost,
    /// The disk fails an operation, the process is restarted, and the machine goes on running.
    Fault(u64),
}

/// How many records a life appends, from which seed, and how it ends.
#[derive(Debug, Clone, Copy)]
struct Life {
    records: u64,
    seed: u64,
    ending: Ending,
}

fn life() -> impl Strategy<Value = Life> {
    let ending = prop_oneof![
        Just(Ending::Closed),
        Just(Ending::Killed),
        Just(Ending::PowerLost),
        (0_u64..60).prop_map(Ending::Fault),
    ];
    (0_u64..40, any::<u64>(), ending).prop_map(|(records, seed, ending)| Life { records, seed, ending })
}

/// A log goes through many lives. What one life acknowledged or showed to a reader as durable, the next ones find,
/// whatever happens in between: also a flush that failed, a restart that found its data in memory, and then the power.
#[test]
fn what_was_ever_durable_survives_every_later_life() {
    let runner = Config { cases: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(runner)
        .run(&prop::collection::vec(life(), 1..6), |lives| {
            let config = config(2);
            let mut disk = SimDisk::default();
            let mut offered = Offered::new(&config);
            let mut acknowledged = vec![Offset(0); config.layout.stream_count()];
            for (nr, life) in lives.iter().enumerate() {
                let what = format!("life {nr}, {life:?}");
                let found =
                    read_all(&disk.after_kill(), &config).unwrap_or_else(|error| panic!("{what}: {error:?}"));
                offered.check(&found, &acknowledged, &what);
                disk = live(&disk, &config, life, &mut offered, &mut acknowledged);
            }
            let found = read_all(&disk, &config).unwrap_or_else(|error| panic!("at the end: {error:?}"));
            offered.check(&found, &acknowledged, "at the end");
            Ok(())
        })
        .unwrap();
}

/// Lives one life and returns the disk that the next one finds.
fn live(
    disk: &SimDisk,
    config: &EmbeddedConfig,
    life: &Life,
    offered: &mut Offered,
    acknowledged: &mut Vec<Offset>,
) -> SimDisk {
    if let Ending::Fault(operations) = life.ending {
        let operation = disk.operations() + operations;
        disk.set_fault(Some(Fault { operation, kind: std::io::ErrorKind::Other }));
    }
    // The fault may hit while opening; then this life is over before it began.
    let Ok(log) = open(disk, config) else { return disk.after_kill() };
    work(&log, offered, life.seed, life.records);
    *acknowledged = durable_ends(&log);
    match life.ending {
        Ending::Killed => disk.after_kill(),
        Ending::PowerLost => disk.after_power_loss(&mut chooser(life.seed)),
        Ending::Closed => {
            log.close();
            *acknowledged = durable_ends(&log);
            let all: Vec<_> = offered.0.iter().map(|stream| Offset(stream.len() as u64)).collect();
            assert_eq!(acknowledged, &all, "closing left something behind");
            disk.after_power_loss(&mut chooser(life.seed))
        }
        Ending::Fault(_) => {
            log.close();
            *acknowledged = durable_ends(&log);
            disk.after_kill()
        }
    }
}

/// The flush fails, the process is restarted and offers what it finds, and then the power goes.
#[test]
fn what_a_restart_offers_after_a_failed_flush_is_really_on_the_disk() {
    let config = config(1);
    let mut offered_something = 0;
    for operation in 0..30 {
        let disk = SimDisk::default();
        let log = open(&disk, &config).unwrap();
        append_group(&log, COMMANDS, noise(1, 100));
        disk.set_fault(Some(Fault {
            operation: disk.operations() + operation,
            kind: std::io::ErrorKind::Other,
        }));
        let mut offered = Offered::new(&config);
        work(&log, &mut offered, operation, 40);
        log.close();
        let restarted = disk.after_kill();
        let log = open(&restarted, &config).unwrap();
        let ends = durable_ends(&log);
        offered_something += usize::from(ends.iter().any(|end| end.0 > 1));
        let disk = restarted.after_power_loss(&mut |_| 0);
        drop(log);
        let found = read_all(&disk, &config).unwrap();
        for (found, end) in found.iter().zip(ends) {
            assert!(end_of(found) >= end, "operation {operation}: offered up to {end}, and then it was gone");
        }
    }
    assert!(offered_something > 5, "hardly any restart found anything");
}
