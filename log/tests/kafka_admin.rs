//! Topics, the log's id, what is pinned with it, and dead letters, on real brokers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_contracts::{LogId, LogTime, Offset, PartitionId};
use holdfast_kafka_kit::{Brokers, Options};
use holdfast_log::Topic;
use holdfast_log::kafka::dead_letters::{DeadLetter, DeadLetters};
use holdfast_log::kafka::identity::{IdentityError, Pins, pin_or_check};
use holdfast_log::kafka::topics::{self, Severity, TopicsSpec};
use holdfast_log::kafka::{KafkaConfig, KafkaError, Profile, lookup};

const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIG_COMMAND: &str = "kafka.admin.ConfigCommand";

/// Topics of its own for each test, on a broker that all share.
fn config(brokers: &Brokers) -> KafkaConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let topic_prefix = format!("admin-{number}.");
    KafkaConfig { topic_prefix, ..KafkaConfig::new(brokers.bootstrap(), format!("admin-{number}")) }
}

fn created(brokers: &Brokers, partitions: u32) -> KafkaConfig {
    let config = config(brokers);
    let made = topics::create(&config, &TopicsSpec::new(partitions, Profile::Single)).unwrap();
    assert_eq!(made.findings, []);
    config
}

fn alter(brokers: &Brokers, topic: &str, setting: &str) {
    let entity =
        ["--bootstrap-server", brokers.bootstrap(), "--entity-type", "topics", "--entity-name", topic];
    let _ = brokers.tool(CONFIG_COMMAND, &[&entity[..], &["--alter", "--add-config", setting]].concat());
}

fn codes(config: &KafkaConfig, spec: &TopicsSpec) -> Vec<(&'static str, Severity)> {
    let findings = topics::check(config, spec).unwrap();
    for finding in &findings {
        assert!(finding.sentence.contains(&finding.topic) && !finding.advice.is_empty(), "{finding:?}");
    }
    findings.iter().map(|finding| (finding.code, finding.severity)).collect()
}

#[test]
fn topics_are_made_once_and_then_they_are_right() {
    let brokers = Brokers::shared();
    let config = config(&brokers);
    let spec = TopicsSpec::new(3, Profile::Single);
    assert_eq!(codes(&config, &spec), [("topic-missing", Severity::Error); 4]);
    assert!(matches!(lookup(&config), Err(KafkaError::NoTopic { .. })));

    let made = topics::create(&config, &spec).unwrap();
    assert_eq!((made.created.len(), made.existing.len(), made.findings.len()), (4, 0, 0), "{made:?}");
    let again = topics::create(&config, &spec).unwrap();
    assert_eq!((again.created.len(), again.existing.len(), again.findings.len()), (0, 4, 0), "{again:?}");

    let description = topics::describe(&config).unwrap();
    let partitions: Vec<_> = description.topics.iter().map(|topic| topic.partitions.len()).collect();
    assert_eq!(partitions, [3, 3, 3, 1]);
    let commands = &description.topics[0];
    assert_eq!(commands.name, config.topic_name(Topic::InventoryCommands));
    assert_eq!(commands.settings["message.timestamp.type"], "LogAppendTime");
    assert_eq!(commands.settings["retention.ms"], "-1");
    let first = &commands.partitions[0];
    assert_eq!((first.leader, first.low, first.end), (Some(1), Some(0), Some(0)));
    let shown = serde_json::to_value(&description).unwrap();
    assert_eq!(shown["log_id"], lookup(&config).unwrap().log_id.to_string());
}

#[test]
fn every_setting_that_a_promise_rests_on_is_looked_at_and_none_is_repaired() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    let spec = TopicsSpec::new(2, Profile::Single);
    let commands = config.topic_name(Topic::InventoryCommands);
    let wrong = [
        "message.timestamp.type=CreateTime",
        "cleanup.policy=compact",
        "unclean.leader.election.enable=true",
        "retention.bytes=1000000",
        "retention.ms=86400000",
        "max.message.bytes=1000",
    ];
    alter(&brokers, &commands, &wrong.join(","));
    alter(&brokers, &config.topic_name(Topic::InventoryDecisions), "max.message.bytes=8388608");
    let expected = [
        "timestamp-type",
        "cleanup-policy",
        "unclean-election",
        "retention-bytes",
        "retention-time",
        "record-size",
        "record-size",
    ]
    .map(|code| (code, Severity::Error));
    assert_eq!(codes(&config, &spec), expected);
    let made = topics::create(&config, &spec).unwrap();
    assert_eq!((made.created.len(), made.findings.len()), (0, expected.len()), "nothing is altered");

    // Decisions may be kept for a time, if that is what is asked for.
    alter(
        &brokers,
        &config.topic_name(Topic::InventoryDecisions),
        "max.message.bytes=9000000,retention.ms=3600000",
    );
    let of_decisions = |spec: &TopicsSpec| {
        let findings = topics::check(&config, spec).unwrap();
        findings.iter().filter(|it| it.topic == config.topic_name(Topic::InventoryDecisions)).count()
    };
    assert_eq!(of_decisions(&spec), 1);
    assert_eq!(of_decisions(&TopicsSpec { decisions_retention_ms: Some(3_600_000), ..spec.clone() }), 0);
    assert_eq!(of_decisions(&TopicsSpec { decisions_retention_ms: Some(3_600_001), ..spec }), 1);
}

#[test]
fn another_partition_count_and_a_profile_that_is_not_borne_out_are_refused() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    let three = codes(&config, &TopicsSpec::new(3, Profile::Single));
    assert_eq!(three, [("partition-count", Severity::Error); 3]);
    let replicated = codes(&config, &TopicsSpec::new(2, Profile::Replicated));
    let each = [("replication-factor", Severity::Error), ("min-insync", Severity::Error)];
    assert_eq!(replicated, each.repeat(4));

    let decisions = config.topic_name(Topic::InventoryDecisions);
    let alter =
        ["--bootstrap-server", brokers.bootstrap(), "--alter", "--topic", &decisions, "--partitions", "3"];
    let _ = brokers.tool(TOPIC_COMMAND, &alter);
    assert_eq!(codes(&config, &TopicsSpec::new(2, Profile::Single)), [("partition-count", Severity::Error)]);
    assert!(matches!(lookup(&config), Err(KafkaError::Layout(_))));
}

#[test]
fn a_log_that_begins_after_the_oldest_checkpoint_is_found_out() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    let spec = |from| TopicsSpec {
        needed_from: [(PartitionId(0), Offset(from)), (PartitionId(1), Offset(0))].into(),
        ..TopicsSpec::new(2, Profile::Single)
    };
    assert_eq!(codes(&config, &spec(0)), []);
    assert_eq!(codes(&config, &spec(1)), [("log-ends-too-early", Severity::Error)]);
    let commands = config.topic_name(Topic::InventoryCommands);
    // Dead letters are records too: any producer will do to write some.
    let other = KafkaConfig { topic_prefix: config.topic_prefix.clone(), ..config.clone() };
    write(&brokers, &other.topic_name(Topic::InventoryCommands), &["k:a", "k:b", "k:c", "k:d", "k:e", "k:f"]);
    let offsets = format!(
        r#"{{"partitions":[{{"topic":"{commands}","partition":0,"offset":-1}},{{"topic":"{commands}","partition":1,"offset":-1}}],"version":1}}"#
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), offsets).unwrap();
    let delete =
        ["--bootstrap-server", brokers.bootstrap(), "--offset-json-file", file.path().to_str().unwrap()];
    let _ = brokers.tool("org.apache.kafka.tools.DeleteRecordsCommand", &delete);
    let ends = topics::describe(&config).unwrap().topics[0].partitions.clone();
    // All records have one key, so one partition has them.
    let (full, low) = ends.iter().map(|it| (it.partition, it.low.unwrap())).max_by_key(|it| it.1).unwrap();
    assert_eq!(low, 6);
    let needed = |from| TopicsSpec {
        needed_from: [(PartitionId(full), Offset(from))].into(),
        ..TopicsSpec::new(2, Profile::Single)
    };
    assert_eq!(codes(&config, &needed(5)), [("log-begins-too-late", Severity::Error)]);
    assert_eq!(codes(&config, &needed(6)), []);
}

/// Writes records, as `key:value`, with a client that is not ours.
fn write(brokers: &Brokers, topic: &str, records: &[&str]) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let root = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let mut producer = Command::new(root.join("../scripts/kafka"))
        .args(["tool", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", brokers.bootstrap()])
        .args([
            "--topic",
            topic,
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "key.separator=:",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    producer.stdin.take().unwrap().write_all((records.join("\n") + "\n").as_bytes()).unwrap();
    assert!(producer.wait().unwrap().success());
}

#[test]
fn a_topic_that_was_made_again_is_another_log() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    let log = lookup(&config).unwrap();
    assert_eq!(lookup(&config).unwrap(), log, "asking changes nothing");
    assert_eq!(log.layout.partitions(Topic::InventoryCommands), 2);
    let other = created(&brokers, 2);
    assert_ne!(lookup(&other).unwrap().log_id, log.log_id);

    let commands = config.topic_name(Topic::InventoryCommands);
    let _ = brokers
        .tool(TOPIC_COMMAND, &["--bootstrap-server", brokers.bootstrap(), "--delete", "--topic", &commands]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !matches!(lookup(&config), Err(KafkaError::NoTopic { .. })) {
        assert!(Instant::now() < deadline, "the topic is not deleted");
    }
    topics::create(&config, &TopicsSpec::new(2, Profile::Single)).unwrap();
    let again = lookup(&config).unwrap();
    assert_ne!(again.log_id, log.log_id);
    assert_eq!(again.cluster_id, log.cluster_id);
}

#[test]
fn a_broker_that_is_away_is_said_to_be_away() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let error = lookup(&KafkaConfig::new(nobody.to_string(), "admin-away")).unwrap_err();
    assert!(matches!(error, KafkaError::Away { .. }) && error.is_retryable(), "{error}");
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
}

fn pins(partitions: u32, key: &str) -> Pins {
    Pins { partitions: Some(partitions), reservation_id_key: Some(key.to_owned()), ..Pins::default() }
}

#[test]
fn who_comes_first_pins_and_others_are_held_to_it() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    assert_eq!(pin_or_check(&config, &pins(2, "one")).unwrap(), pins(2, "one"));
    assert_eq!(pin_or_check(&config, &pins(2, "one")).unwrap(), pins(2, "one"));
    let refused = pin_or_check(&config, &pins(2, "two")).unwrap_err();
    assert!(
        matches!(&refused, IdentityError::Other { pinned, given, .. } if pinned == "one" && given == "two")
    );
    assert!(matches!(pin_or_check(&config, &pins(4, "one")), Err(IdentityError::Other { .. })));

    // What another role knows is pinned beside it, once.
    let log_id = Some(LogId([7; 16]));
    let more = Pins { control_key: Some("c".to_owned()), log_id, ..Pins::default() };
    let all = Pins { control_key: Some("c".to_owned()), log_id, ..pins(2, "one") };
    assert_eq!(pin_or_check(&config, &more).unwrap(), all);
    let end = |config: &KafkaConfig| topics::describe(config).unwrap().topics[3].partitions[0].end;
    assert_eq!(end(&config), Some(2), "what is pinned is not written again");
    let other_log = Pins { log_id: Some(LogId([8; 16])), ..Pins::default() };
    assert!(matches!(pin_or_check(&config, &other_log), Err(IdentityError::Other { .. })));
}

#[test]
fn processes_that_race_agree_on_one_value() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    const RACERS: u32 = 4;
    let start = Barrier::new(RACERS as usize);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (config, start) = (&config, &start);
                scope.spawn(move || {
                    start.wait();
                    pin_or_check(config, &pins(2, &format!("key {racer}")))
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(winners.len(), 1, "{losers:?}");
    let won = winners.into_iter().next().unwrap().unwrap().reservation_id_key.unwrap();
    for loser in losers {
        assert!(matches!(&loser, Err(IdentityError::Other { pinned, .. }) if *pinned == won), "{loser:?}");
    }
}

#[test]
fn a_record_that_nobody_understands_in_the_identity_stops_everybody() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    write(&brokers, &config.identity_topic(), &["k:hello"]);
    let refused = pin_or_check(&config, &pins(2, "one")).unwrap_err();
    assert!(matches!(refused, IdentityError::Kafka(KafkaError::Foreign { .. })), "{refused}");
}

#[test]
fn dead_letters_are_whole_and_know_where_they_came_from() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 2);
    let letters = DeadLetters::open(&config).unwrap();
    let partition = PartitionId(1);
    assert_eq!(letters.last_sent(partition).unwrap(), None);
    let letter = |offset: u64| DeadLetter {
        partition,
        offset: Offset(offset),
        timestamp: LogTime(1_700_000_000_000 + offset),
        key: offset.is_multiple_of(2).then(|| Bytes::from(format!("SKU-{offset}"))),
        payload: Bytes::from(vec![0xff; usize::try_from(offset).unwrap()]),
        reason: format!("no batch: {offset}"),
    };
    for offset in [3, 0, 1_000, 7] {
        letters.send(&letter(offset)).unwrap();
    }
    // The largest record a foreign client can have written fits with its headers.
    let largest = DeadLetter { payload: Bytes::from(vec![1; 1_048_400]), ..letter(2_000) };
    letters.send(&largest).unwrap();
    write(&brokers, &config.dead_letters_topic(), &["k:no letter at all"]);
    // Another process, or this one after its death, finds the place again.
    let reopened = DeadLetters::open(&config).unwrap();
    assert_eq!(reopened.last_sent(partition).unwrap(), Some(Offset(2_000)));
    assert_eq!(reopened.last_sent(PartitionId(0)).unwrap(), None);
    let listed = reopened.list(partition, Offset(0), 100).unwrap();
    let places: Vec<_> = listed.iter().map(|it| it.place.0).collect();
    assert_eq!(places, [0, 1, 2, 3, 4]);
    let found: Vec<_> = listed.into_iter().map(|it| it.letter).collect();
    assert_eq!(found, [letter(3), letter(0), letter(1_000), letter(7), largest]);
    let one = reopened.list(partition, Offset(2), 1).unwrap();
    assert_eq!(one.into_iter().map(|it| it.letter).collect::<Vec<_>>(), [letter(1_000)]);
    assert_eq!(reopened.list(partition, Offset(99), 1).unwrap(), []);
    assert_eq!(reopened.counts(2).unwrap().iter().sum::<u64>(), 6);
}

#[test]
fn the_original_of_a_letter_is_found_with_its_key() {
    let brokers = Brokers::shared();
    let config = created(&brokers, 1);
    let letters = DeadLetters::open(&config).unwrap();
    let partition = PartitionId(0);
    assert_eq!(letters.original(partition, Offset(0)).unwrap(), None);
    write(&brokers, &config.topic_name(Topic::InventoryCommands), &["SKU-1:not protobuf", "SKU-2:neither"]);
    let record = letters.original(partition, Offset(1)).unwrap().unwrap();
    assert_eq!(record.key.as_deref(), Some(&b"SKU-2"[..]));
    assert_eq!(record.payload, "neither");
    assert!(record.timestamp > LogTime(1_700_000_000_000));
    assert_eq!(letters.original(partition, Offset(2)).unwrap(), None);
}

#[test]
fn the_replicated_profile_needs_three_brokers_and_says_when_one_is_away() {
    let brokers = Brokers::start(Options { brokers: 3, ..Options::default() });
    let config = config(&brokers);
    let spec = TopicsSpec::new(2, Profile::Replicated);
    let made = topics::create(&config, &spec).unwrap();
    assert_eq!(made.findings, []);
    brokers.kill(3);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "nobody says that one is away");
        // The brokers may be choosing who leads just now.
        let findings = match topics::check(&config, &spec) {
            Err(error) if error.is_retryable() => continue,
            findings => findings.unwrap(),
        };
        let found: Vec<_> = findings.iter().map(|finding| (finding.code, finding.severity)).collect();
        assert!(found.iter().all(|(_, severity)| *severity == Severity::Warning), "{found:?}");
        if found == [("under-replicated", Severity::Warning); 4] {
            break;
        }
    }
    let pinned = pin_or_check(&config, &pins(2, "one")).unwrap();
    assert_eq!(pinned, pins(2, "one"), "one of three is not missed");
}
