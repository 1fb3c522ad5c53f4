//! Batches, decisions and gaps, on a log in memory.

mod stub;

use holdfast_contracts::decision::HoldState;
use holdfast_contracts::{Chain, LogTime, Offset, PartitionId};

use self::stub::{Record, deciding, decisions, ids_of, post, records_of};
use super::follower::Follower;
use super::questions::ask_all;
use super::read_back::ReadBack;
use super::worker::{Worker, WorkerConfig};
use super::{asking::Heard, *};
use crate::books::{Answer, Ask, Body, Customer, Exchange, Key, Moment, Sku, State, Stopwatch, Told};
use crate::drive::sku_names;
use crate::generator::{Standing, Times, Wheel};

fn reserve(serial: u32, sku: u16) -> (Customer, Ask) {
    let key = Key { customer: Customer(serial % 7), serial };
    (key.customer, Ask::Reserve { key, body: Body::one(Sku(sku), 2) })
}

/// Asks everything at the very beginning, and has no patience at all.
struct Hasty {
    questions: Vec<(Customer, Ask)>,
    asked: usize,
    heard: Vec<Heard>,
}

impl asking::Asking for Hasty {
    type Job = usize;

    fn next(&mut self, _: Moment, _: &mut Wheel<usize>) -> Option<(Moment, usize)> {
        self.asked += 1;
        (self.asked <= self.questions.len()).then_some((Moment(0), self.asked - 1))
    }

    fn ask<'a>(&'a self, job: &'a usize) -> Option<(Customer, &'a Ask)> {
        self.questions.get(*job).map(|(customer, ask)| (*customer, ask))
    }

    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    fn done(&mut self, _: usize, _: Times, heard: Heard, _: &mut Wheel<usize>) {
        self.heard.push(heard);
    }
}

/// What became of questions that nobody decides.
fn asked(post: &Post, questions: Vec<(Customer, Ask)>, skus: &[String], most: usize) -> (Hasty, Standing) {
    let config = WorkerConfig { under_way_max: most, is_closed: false };
    let asking = Hasty { questions, asked: 0, heard: Vec::new() };
    let worker = Worker::new(post, asking, skus, config, Stopwatch::start()).unwrap();
    worker.run()
}

#[test]
fn what_is_due_together_goes_together_and_a_record_has_a_limit() {
    let (post, skus) = (post(1), sku_names("SKU", 3, None));
    let questions: Vec<_> = (0..2_500).map(|it| reserve(it, u16::try_from(it % 3).unwrap())).collect();
    let (hasty, standing) = asked(&post, questions, &skus, 10_000);
    let records = records_of(&post, PartitionId(0));
    assert_eq!(records.iter().map(|it| it.ids.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    assert_eq!(records.iter().map(|it| it.first_tag).collect::<Vec<_>>(), [0, 1_000, 2_000]);
    // Each SKU stands once in a record, not once in each command.
    assert!(records.iter().all(|it| it.skus == 3));
    let counts = standing.counts;
    assert_eq!((counts.due, counts.sent, counts.timed_out, counts.dropped), (2_500, 2_500, 2_500, 0));
    assert_eq!((standing.in_flight, standing.lag.len()), (0, 2_500));
    assert!(hasty.heard.len() == 2_500 && hasty.heard.iter().all(|it| it.answer == Answer::Silence));
}

#[test]
fn every_sku_goes_to_its_own_partition_and_so_does_what_follows() {
    let (post, skus) = (post(4), sku_names("SKU", 40, None));
    let mut questions: Vec<_> = (0..40).map(|it| reserve(u32::from(it), it)).collect();
    let ids: Vec<_> = questions.iter().map(|(_, ask)| ids_of(&post, ask, &skus)).collect();
    questions.extend(ids.iter().map(|id| (Customer(0), Ask::Release { reservation: id.to_string().into() })));
    asked(&post, questions, &skus, 1_000);
    let mut found = 0;
    for partition in (0..4).map(PartitionId) {
        let records: Vec<Record> = records_of(&post, partition);
        let there: Vec<_> = records.iter().flat_map(|it| &it.ids).collect();
        assert!(there.iter().all(|id| ids::partition_of(**id) == partition));
        found += there.len();
    }
    assert_eq!(found, 80, "forty reservations, and forty that are given back");
}

#[test]
fn what_is_too_much_is_dropped_and_counted() {
    let (post, skus) = (post(1), sku_names("SKU", 1, None));
    let (_, standing) = asked(&post, (0..100).map(|it| reserve(it, 0)).collect(), &skus, 60);
    assert_eq!((standing.counts.due, standing.counts.sent, standing.counts.dropped), (100, 60, 40));
}

#[test]
fn everybody_hears_of_the_decision_that_is_theirs() {
    let (post, skus) = (post(2), sku_names("SKU", 6, None));
    let questions: Vec<_> = (0..3_000).map(|it| reserve(it, u16::try_from(it % 6).unwrap())).collect();
    let mut books: Vec<Exchange> = Vec::new();
    let decided = deciding(&post, || {
        ask_all(&post, &skus, Stopwatch::start(), &questions, &mut books).unwrap();
    });
    assert_eq!((decided, books.len()), (3_000, 3_000));
    let mut positions = Vec::new();
    for exchange in &books {
        let Answer::Granted { reservation, units, as_asked, position, told } = &exchange.answer else {
            panic!("{:?} was answered {:?}", exchange.ask, exchange.answer);
        };
        assert_eq!(**reservation, ids_of(&post, &exchange.ask, &skus).to_string());
        assert_eq!((*units, *as_asked, *told), (2, true, Told::First));
        assert!(exchange.sent <= exchange.received);
        positions.push(*position);
    }
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 3_000, "two were decided at one place");
    assert!(post.faults().is_empty(), "{:?}", post.faults());
}

/// Follows decisions with these numbers and chains.
fn followed(numbers: &[(u64, u8)]) -> (Vec<u64>, Vec<String>) {
    let post = post(1);
    for (number, chain) in numbers {
        stub::decide(&post, PartitionId(0), *number, Chain([*chain; 16]), |_| {});
    }
    let (mut follower, mut taken) = (Follower::new(PartitionId(0), Offset(0)), Vec::new());
    while follower.read(post.log.as_ref(), |batch, _| taken.push(batch.envelope.out_seq.0)) {}
    (taken, follower.finish().1)
}

#[test]
fn a_gap_that_nobody_fills_is_a_fault_and_copies_are_none() {
    assert_eq!(followed(&[(4, 4), (5, 5), (4, 4), (5, 5), (6, 6)]), (vec![4, 5, 6], vec![]));
    assert_eq!(followed(&[(4, 4), (6, 6), (5, 5), (6, 6)]), (vec![4, 5, 6], vec![]));
    let (taken, faults) = followed(&[(4, 4), (5, 5), (7, 7), (8, 8)]);
    assert_eq!(taken, [4, 5], "nothing is taken beyond a gap");
    assert_eq!(faults, ["decisions are missing in partition 0: after number 5 came 7"]);
    let (_, faults) = followed(&[(4, 4), (5, 5), (5, 9)]);
    assert!(faults.len() == 1 && faults[0].contains("says something else"), "{faults:?}");
}

#[test]
fn how_a_hold_stands_follows_from_what_was_decided_about_it() {
    let (post, skus) = (post(1), sku_names("SKU", 1, None));
    let ids: Vec<_> = (0..5).map(|it| ids_of(&post, &reserve(it, 0).1, &skus)).collect();
    let [held, sold, given_back, expired, due] = ids[..] else { panic!("five") };
    stub::decide(&post, PartitionId(0), 1, Chain([1; 16]), |body| {
        ids[..4].iter().for_each(|id| body.reserved_one(*id, 50_000, 0, 2));
        body.reserved_one(due, 40, 0, 2);
    });
    stub::decide(&post, PartitionId(0), 2, Chain([2; 16]), |body| {
        body.expired(None, expired, &[], false);
        body.moved(sold, stub::moved(HoldState::Confirmed), &[]);
        body.moved(given_back, stub::moved(HoldState::Released), &[]);
    });
    let mut back = ReadBack::default();
    decisions(&post, |batch| back.take(batch));
    back.pass(&[LogTime(stub::LOG_TIME.0 + 40)]);
    let states = [held, sold, given_back, expired, due].map(|id| back.state(&id.to_string()));
    let expected = [State::Held, State::Confirmed, State::Released, State::Expired, State::Expired];
    assert_eq!(states, expected.map(Some));
    assert_eq!(back.state("0123456789abcdef0123456789abcdef"), None);
}

#[test]
fn a_file_gives_what_was_not_said_and_never_another_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("holdfast.toml");
    let text = "partitions = 3\n[kafka]\nbootstrap = 'there:1'\nclient_id = 'server'\ntopic_prefix = 'p-'\n\
                \"security.protocol\" = 'ssl'\n";
    std::fs::write(&file, text).unwrap();
    let through = |topic_prefix: Option<&str>, settings| ThroughKafka {
        bootstrap: "here:2".to_owned(),
        topic_prefix: topic_prefix.map(str::to_owned),
        settings,
        linger: Duration::ZERO,
    };
    let read = config(&through(None, Some(file.clone()))).unwrap();
    assert_eq!((read.bootstrap.as_str(), read.topic_prefix.as_str()), ("here:2", "p-"));
    assert_eq!(read.common.get("security.protocol").map(String::as_str), Some("ssl"));
    assert_ne!(read.client_id, "server");
    assert_eq!(config(&through(Some("q-"), Some(file.clone()))).unwrap().topic_prefix, "q-");
    std::fs::write(&file, "[kafka]\nacks = 1\n").unwrap();
    let error = config(&through(None, Some(file))).unwrap_err();
    assert!(error.is_about_what_was_asked() && error.to_string().contains("acks"), "{error}");
    let nowhere = config(&through(None, Some("/nowhere/at.all".into()))).unwrap_err();
    assert!(nowhere.is_about_what_was_asked(), "{nowhere}");
}
