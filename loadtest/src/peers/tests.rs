//! What is wrong is found: in made-up stories, and in servers that do a little less than they should.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use super::check::{Stored, faults, sample};
use super::config::{PeersConfig, System};
use super::course::{Peer, Setup, directory, one_run};
use super::postgres::{OPTIMISTIC, Postgres, ROW_LOCK};
use super::redis::{RESERVE, Redis};
use super::report::{Measured, PeersReport};
use super::told::Told;
use super::work::{Answer, Outcome, Work, Workload};

const REQUESTS: u64 = 505;
const STOCK_SOLD_OUT: u64 = 6;

/// A run that was right.
struct Story {
    work: Work,
    told: Told,
    again: Told,
    stored: Stored,
}

impl Story {
    fn honest(workload: Workload) -> Self {
        let work = Work::new(workload, REQUESTS, 1);
        let mut has = std::collections::BTreeMap::new();
        let mut story = Self { work, told: Told::new(), again: Told::new(), stored: Stored::default() };
        for number in 0..work.requests {
            let units = has.entry(work.request(number).customer).or_insert(0);
            let outcome = match (*units, story.stored.held) {
                (2.., _) => Outcome::OverLimit,
                (_, held) if held == work.stock => Outcome::SoldOut,
                _ => Outcome::Granted,
            };
            let granted = outcome == Outcome::Granted;
            *units += u64::from(granted);
            story.stored.held += u64::from(granted);
            let answer = Answer { outcome, mark: if granted { number + 1 } else { 0 }, again: false };
            story.told.note(number, Ok(answer), Duration::from_micros(number));
        }
        for number in sample(&story.told) {
            let (_, answer) = story.told.answers[usize::try_from(number).unwrap()];
            story.again.note(number, Ok(Answer { again: true, ..answer }), Duration::ZERO);
        }
        story.stored = Stored {
            decided: Some(REQUESTS),
            held: story.stored.held,
            left: work.stock - story.stored.held,
            deadlines: Some(story.stored.held),
            above_limit: Some(0),
        };
        story
    }

    fn faults(&self) -> Vec<String> {
        faults(&self.work, &self.told, &self.again, &self.stored)
    }

    /// The first answer with this outcome.
    fn first(&mut self, outcome: Outcome) -> &mut Answer {
        self.told.answers.iter_mut().map(|(_, it)| it).find(|it| it.outcome == outcome).unwrap()
    }
}

#[test]
fn an_honest_run_has_no_faults() {
    for (workload, granted) in [(Workload::Accept, 500), (Workload::SoldOut, STOCK_SOLD_OUT)] {
        let story = Story::honest(workload);
        assert_eq!(story.faults(), Vec::<String>::new());
        assert_eq!(story.stored.held, granted);
    }
    // A server that has no way to tell some of it is believed.
    let mut silent = Story::honest(Workload::Accept);
    silent.stored = Stored { decided: None, deadlines: None, above_limit: None, ..silent.stored };
    assert_eq!(silent.faults(), Vec::<String>::new());
}

#[track_caller]
fn caught(workload: Workload, fault: &str, tamper: impl FnOnce(&mut Story)) {
    let mut story = Story::honest(workload);
    tamper(&mut story);
    let faults = story.faults();
    assert!(faults.iter().any(|it| it.contains(fault)), "{fault}: {faults:?}");
}

#[test]
fn what_was_told_wrongly_is_found() {
    use Workload::{Accept, SoldOut};
    caught(SoldOut, "oversold: 7 units of 6", |it| it.first(Outcome::SoldOut).outcome = Outcome::Granted);
    caught(SoldOut, "undersold: 5 units", |it| it.first(Outcome::Granted).outcome = Outcome::SoldOut);
    caught(Accept, "undersold: 499 units", |it| it.first(Outcome::Granted).outcome = Outcome::OverLimit);
    caught(Accept, "1 customers were granted more than 2", |it| {
        it.first(Outcome::OverLimit).outcome = Outcome::Granted;
    });
    caught(SoldOut, "told of a limit", |it| it.first(Outcome::SoldOut).outcome = Outcome::OverLimit);
    caught(Accept, "1 new requests were told", |it| it.first(Outcome::Granted).again = true);
    caught(Accept, "1 requests failed, the first: silence", |it| {
        it.told.note(0, Err("silence".to_owned()), Duration::ZERO);
    });
    caught(Accept, "nothing was answered", |it| it.told = Told::new());
}

#[test]
fn what_was_told_differently_again_is_found() {
    let fault = "ids were told something else again";
    caught(Workload::Accept, fault, |it| it.again.answers[0].1.outcome = Outcome::SoldOut);
    caught(Workload::Accept, fault, |it| it.again.answers[0].1.mark += 1);
    caught(Workload::Accept, fault, |it| it.again.answers[0].1.again = false);
    caught(Workload::Accept, "1 repetitions failed", |it| {
        it.again.note(0, Err("silence".to_owned()), Duration::ZERO);
    });
}

#[test]
fn what_is_stored_otherwise_is_found() {
    type Tamper = fn(&mut Stored);
    let tampers: [(&str, Tamper); 5] = [
        ("ids decided: the server has 504, its answers say 505", |it| it.decided = Some(504)),
        ("units held: the server has 501, its answers say 500", |it| it.held += 1),
        ("units left: the server has 4, its answers say 5", |it| it.left -= 1),
        ("expiries registered: the server has 0, its answers say 500", |it| it.deadlines = Some(0)),
        ("customers above the limit: the server has 1", |it| it.above_limit = Some(1)),
    ];
    for (fault, tamper) in tampers {
        caught(Workload::Accept, fault, |it| tamper(&mut it.stored));
    }
}

#[test]
fn a_wrong_run_stands_in_the_table_and_spoils_the_report() {
    let mut report = PeersReport::new(&PeersConfig::new("holdfast".into()));
    for (system, took) in [(System::Holdfast, 1), (System::RedisLua, 4), (System::RedisLua, 2)] {
        let story = Story::honest(Workload::Accept);
        let told = Told { took: Duration::from_secs(took), ..story.told };
        report.add(system, Workload::Accept, 64, Measured::new(story.work, &told, vec![]));
    }
    report.finish();
    assert!(report.is_right());
    let ratios: Vec<_> = report.rows().iter().map(|row| row.holdfast_ratio).collect();
    assert_eq!(ratios, [Some(1.0), Some(4.0)], "of two runs the lower is the median");

    let story = Story::honest(Workload::Accept);
    let wrong = Measured::new(story.work, &story.told, vec!["oversold".to_owned()]);
    report.add(System::RedisLua, Workload::Accept, 64, wrong);
    report.finish();
    assert!(!report.is_right() && report.table().contains("WRONG: oversold"), "{}", report.table());
}

/// What is wrong with a real server that runs this script.
fn run<P: Peer>(script: String, workload: Workload) -> Vec<String> {
    let directory = directory(None).unwrap();
    let setup = Setup {
        directory: directory.path(),
        work: Work::new(workload, REQUESTS, 1),
        connections: 8,
        server: Path::new("holdfast"),
        script: Cow::Owned(script),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(one_run::<P>(&setup, Duration::from_secs(60))).unwrap().faults
}

/// The script with one thing changed.
fn instead(script: &str, this: &str, that: &str) -> String {
    assert!(script.contains(this), "{this} is not in the script any more");
    script.replace(this, that)
}

#[track_caller]
fn caught_in<P: Peer>(script: String, workload: Workload, fault: &str) {
    let faults = run::<P>(script, workload);
    assert!(faults.iter().any(|it| it.contains(fault)), "{fault}: {faults:?}");
}

#[test]
fn a_script_without_the_limit_is_caught() {
    let script = instead(RESERVE, "had + units > units_max", "false");
    caught_in::<Redis>(script, Workload::Accept, "customers were granted more than 2 units");
}

#[test]
fn a_script_that_forgets_refusals_is_caught() {
    let decided = "redis.call('HSET', decided";
    let script = instead(RESERVE, decided, &format!("if outcome == 1 then {decided}"));
    let script = instead(&script, "quantity))\nreturn", "quantity)) end\nreturn");
    caught_in::<Redis>(script, Workload::SoldOut, "ids decided");
}

#[test]
fn a_function_without_the_version_is_caught() {
    // It takes what was there when it looked, whatever others have taken since.
    let script =
        instead(OPTIMISTIC, "available = available - wanted", "available = shelf.available - wanted");
    let script = instead(&script, " AND version = shelf.version", "");
    caught_in::<Postgres>(script, Workload::Accept, "units left");
}

#[test]
fn a_function_that_sells_an_empty_shelf_does_not_get_far() {
    // The table itself refuses to go below nothing.
    let script = instead(ROW_LOCK, "shelf.available >= wanted", "true");
    let script = instead(&script, "WHERE sku = wanted_sku AND available >= wanted", "WHERE sku = wanted_sku");
    caught_in::<Postgres>(
        script,
        Workload::SoldOut,
        "requests failed, the first: new row for relation \"stock\"",
    );
}
