//! Encrypted listeners and access control: each part can do what it is for, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset, PartitionId};
use holdfast_kafka_kit::{Brokers, Options, Status};
use holdfast_log::kafka::dead_letters::{DeadLetter, DeadLetters};
use holdfast_log::kafka::identity::{Pins, pin_or_check};
use holdfast_log::kafka::topics::{self, TopicsSpec};
use holdfast_log::kafka::{
    KafkaConfig, KafkaError, KafkaSettings, MemberEvent, Membership, MembershipConfig, Profile, lookup,
};
use holdfast_log::{KafkaLog, KafkaLogOptions, Layout, OrderedLog as _, StreamId, Topic};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 2;
const PREFIX: &str = "secure.";

/// Settings as an operator writes them, for SCRAM over TLS.
fn scram(status: &Status, user: &str, password: &str) -> KafkaConfig {
    let file = status.dir.join(format!("password-of-{user}-{}", password.len()));
    fs::write(&file, format!("{password}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    settings(&format!(
        "bootstrap = '{}'
        topic_prefix = '{PREFIX}'
        security.protocol = 'sasl_ssl'
        ssl.ca.location = '{}'
        sasl.mechanism = 'SCRAM-SHA-512'
        sasl.username = '{user}'
        sasl.password = {{ file = '{}' }}",
        status.sasl_ssl.as_ref().unwrap(),
        status.tls_dir.as_ref().unwrap().join("ca.pem").display(),
        file.display(),
    ))
}

/// Settings for mutual TLS: the certificate says who it is.
fn mutual_tls(status: &Status, user: &str) -> KafkaConfig {
    let tls = status.tls_dir.as_ref().unwrap();
    settings(&format!(
        "bootstrap = '{}'
        topic_prefix = '{PREFIX}'
        security.protocol = 'ssl'
        ssl.ca.location = '{}'
        ssl.certificate.location = '{}'
        ssl.key.location = '{}'",
        status.ssl.as_ref().unwrap(),
        tls.join("ca.pem").display(),
        tls.join(format!("{user}.pem")).display(),
        tls.join(format!("{user}.key")).display(),
    ))
}

fn settings(text: &str) -> KafkaConfig {
    toml::from_str::<KafkaSettings>(text).unwrap().resolve().unwrap()
}

fn right_password(status: &Status, user: &str) -> KafkaConfig {
    scram(status, user, status.password.as_ref().unwrap())
}

/// Gives the rights that are documented, with the script that documents them.
fn give_rights(brokers: &Brokers, trim: &str) {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..");
    let tool = root.join("scripts/kafka");
    let given = Command::new(root.join("config/kafka-acls.sh"))
        .args(["--bootstrap-server", brokers.bootstrap()])
        .env("KAFKA_ACLS", format!("{} tool org.apache.kafka.tools.AclCommand", tool.display()))
        .env("TOPIC_PREFIX", PREFIX)
        .env("TRIM", trim)
        .output()
        .unwrap();
    assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
}

fn letter() -> DeadLetter {
    DeadLetter {
        partition: PartitionId(0),
        offset: Offset(5),
        timestamp: LogTime(1),
        key: None,
        payload: Bytes::from_static(b"?"),
        reason: "no batch".to_owned(),
    }
}

fn assert_not_allowed<T: std::fmt::Debug>(what: &str, outcome: &Result<T, KafkaError>) {
    let Err(KafkaError::NotAllowed { reason, .. }) = outcome else { panic!("{what}: {outcome:?}") };
    assert!(reason.to_lowercase().contains("auth"), "{what}: {reason}");
}

/// Writes one record where the caller says, with Kafka's own producer.
fn produce(config: &KafkaConfig, directory: &std::path::Path, topic: &str) -> bool {
    use std::io::Write as _;
    let jaas = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{}\";",
        config.common["sasl.username"], config.common["sasl.password"]
    );
    let properties = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n\
         ssl.truststore.location={}\nsasl.jaas.config={jaas}\nmax.block.ms=15000\n",
        config.common["ssl.ca.location"]
    );
    let file = directory.join("producer.properties");
    fs::write(&file, properties).unwrap();
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let mut producer = Command::new(root.join("../scripts/kafka"))
        .args(["tool", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", &config.bootstrap])
        .args(["--topic", topic, "--command-config", file.to_str().unwrap(), "--sync"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    producer.stdin.take().unwrap().write_all(b"record\n").unwrap();
    let output = producer.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    output.status.success() && !String::from_utf8_lossy(&said).contains("AuthorizationException")
}

/// Whether a principal may delete a topic, by Kafka's own tool.
fn may_delete(brokers: &Brokers, config: &KafkaConfig, topic: &str) -> bool {
    let properties = brokers.begun().dir.join("producer.properties");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let output = Command::new(root.join("../scripts/kafka"))
        .args(["tool", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", &config.bootstrap])
        .args(["--command-config", properties.to_str().unwrap(), "--delete", "--topic", topic])
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() || said.contains("TopicAuthorizationException"), "{said}");
    output.status.success()
}

fn owns_partitions(config: &KafkaConfig) -> Result<usize, String> {
    let member = Membership::join(config, MembershipConfig::new(), Waker::noop().clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut owned = 0;
    while owned < PARTITIONS as usize {
        match member.next_until(deadline) {
            Some(MemberEvent::Assigned { .. }) => owned += 1,
            Some(MemberEvent::Failed { reason }) => return Err(reason),
            other => panic!("{other:?} {:?}", member.numbers()),
        }
    }
    Ok(owned)
}

#[test]
fn each_part_may_do_what_it_is_for_and_nothing_else() {
    let brokers = Brokers::start(Options { secure: true, ..Options::default() });
    let status = brokers.begun().clone();
    let spec = TopicsSpec::new(PARTITIONS, Profile::Single);
    let administrator = KafkaConfig {
        topic_prefix: PREFIX.to_owned(),
        ..KafkaConfig::new(brokers.bootstrap(), "administrator")
    };
    assert_eq!(topics::create(&administrator, &spec).unwrap().findings, []);
    let log = lookup(&administrator).unwrap();
    let [intake, sequencer, reader, stranger] =
        ["intake", "sequencer", "reader", "stranger"].map(|user| right_password(&status, user));

    // Nobody has a right before it is given.
    assert_not_allowed("a stranger's look", &lookup(&stranger));
    assert_not_allowed("the sequencer without rights", &lookup(&sequencer));
    give_rights(&brokers, "");

    for (name, config) in [("intake", &intake), ("sequencer", &sequencer), ("reader", &reader)] {
        assert_eq!(lookup(config).unwrap(), log, "{name}");
        assert_eq!(topics::check(config, &spec).unwrap(), [], "{name}");
        assert_eq!(lookup(&mutual_tls(&status, name)).unwrap(), log, "{name} with its certificate");
    }
    assert_not_allowed("a stranger's look", &lookup(&stranger));
    assert_not_allowed("a stranger's look with a certificate", &lookup(&mutual_tls(&status, "stranger")));

    // What belongs to the log is pinned by whoever works on it.
    let pins = Pins { partitions: Some(PARTITIONS), ..Pins::default() };
    assert_eq!(pin_or_check(&intake, &pins).unwrap(), pins);
    assert_eq!(pin_or_check(&mutual_tls(&status, "sequencer"), &pins).unwrap(), pins);

    // Dead letters are the sequencer's to write and others' to read.
    let letters = |config| DeadLetters::open(config).unwrap();
    letters(&sequencer).send(&letter()).unwrap();
    assert_eq!(letters(&sequencer).last_sent(PartitionId(0)).unwrap(), Some(Offset(5)));
    assert_eq!(letters(&reader).list(PartitionId(0), Offset(0), 10).unwrap()[0].letter, letter());
    assert_not_allowed("the reader's dead letter", &letters(&reader).send(&letter()));
    assert_not_allowed("the intake's dead letter", &letters(&intake).send(&letter()));

    // Partitions are the sequencer's.
    assert_eq!(owns_partitions(&sequencer), Ok(PARTITIONS as usize));
    assert!(owns_partitions(&intake).unwrap_err().to_lowercase().contains("group authorization"));

    let [commands, decisions] = Topic::ALL.map(|topic| administrator.topic_name(topic));
    assert!(produce(&intake, &status.dir, &commands), "the intake appends commands");
    assert!(!produce(&intake, &status.dir, &decisions), "only the sequencer appends decisions");
    assert!(produce(&sequencer, &status.dir, &decisions));
    // The sequencer's settings are the ones in the file.
    assert!(!may_delete(&brokers, &sequencer, &decisions), "nobody deletes a topic");
    assert_eq!(lookup(&administrator).unwrap(), log);
    assert_eq!(topics::check(&administrator, &spec).unwrap(), []);

    // A topic that is missing is not made by a part of Holdfast.
    let elsewhere = KafkaConfig { topic_prefix: "secure.other.".to_owned(), ..sequencer };
    assert_not_allowed("the sequencer's new topics", &topics::create(&elsewhere, &spec));
}

/// Makes the topics, as an administrator who needs no password.
fn make_topics(brokers: &Brokers, partitions: u32) {
    let administrator = KafkaConfig {
        topic_prefix: PREFIX.to_owned(),
        ..KafkaConfig::new(brokers.bootstrap(), "administrator")
    };
    topics::create(&administrator, &TopicsSpec::new(partitions, Profile::Single)).unwrap();
}

#[test]
fn a_log_over_tls_works_and_forgets_only_with_the_right_to() {
    const STREAM: StreamId = StreamId::inventory_decisions(PartitionId(0));
    let brokers = Brokers::start(Options { secure: true, ..Options::default() });
    make_topics(&brokers, 1);
    give_rights(&brokers, "");
    let sequencer = right_password(brokers.begun(), "sequencer");
    let found = lookup(&sequencer).unwrap();
    let options = KafkaLogOptions::new(found.log_id, Layout::inventory(1).unwrap());
    let log = KafkaLog::open(&sequencer, options).unwrap();
    for nr in 0..3_u8 {
        log.append(STREAM, Bytes::copy_from_slice(&[nr])).unwrap().wait(PATIENCE).unwrap().unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    let until = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(Instant::now() < deadline, "{what}: {:?}", log.stats());
            std::thread::yield_now();
        }
    };
    log.trim(STREAM, Offset(2)).unwrap();
    let complaint = || log.stats().last_error.unwrap_or_default().to_lowercase();
    until("nobody complained", &|| complaint().contains("authorization"));
    assert_eq!(log.refresh(STREAM).unwrap().low, Offset(0), "it forgot without the right to");

    give_rights(&brokers, "yes");
    until("nothing was forgotten", &|| log.refresh(STREAM).unwrap().low == Offset(2));
    let kept = std::cell::RefCell::new(Vec::new());
    until("the rest does not come", &|| {
        log.read(STREAM, Offset(2), 1_000, &mut kept.borrow_mut()).unwrap();
        !kept.borrow().is_empty()
    });
    let kept: Vec<_> = kept.take().iter().map(|record| (record.offset, record.payload.to_vec())).collect();
    assert_eq!(kept, [(Offset(2), vec![2])]);
}

#[test]
fn who_is_not_let_in_hears_why_and_no_secret_is_told() {
    const WRONG: &str = "n0t-the-passw0rd-of-anybody";
    let brokers = Brokers::start(Options { secure: true, ..Options::default() });
    let status = brokers.begun().clone();
    let wrong = scram(&status, "sequencer", WRONG);
    let begun = Instant::now();
    let refused = lookup(&wrong).unwrap_err();
    assert!(matches!(refused, KafkaError::NotLetIn { .. }), "{refused}");
    assert!(!refused.is_retryable());
    assert!(refused.to_string().to_lowercase().contains("authentication"), "{refused}");
    assert!(begun.elapsed() < PATIENCE);
    let letter_refused = DeadLetters::open(&wrong).unwrap().send(&letter()).unwrap_err();
    assert!(matches!(letter_refused, KafkaError::NotLetIn { .. }), "{letter_refused}");

    let member = Membership::join(&wrong, MembershipConfig::new(), Waker::noop().clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while member.numbers().last_error.is_none() {
        assert!(Instant::now() < deadline);
        assert_eq!(member.next_until(Instant::now() + Duration::from_millis(50)), None);
    }
    let shown = [
        refused.to_string(),
        format!("{refused:?}"),
        format!("{letter_refused:?}"),
        format!("{member:?}"),
        format!("{wrong:?}"),
        serde_json::to_string(&wrong).unwrap(),
    ];
    assert!(shown.iter().all(|text| !text.contains(WRONG)), "{shown:?}");

    // A broker that shows a certificate of somebody else's is not trusted with a password.
    let other = tempfile::tempdir().unwrap();
    let strange_ca = other.path().join("ca.pem");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=other",
            "-keyout",
            "/dev/null",
            "-out",
        ])
        .arg(&strange_ca)
        .output()
        .unwrap();
    assert!(made.status.success());
    let mut distrustful = right_password(&status, "sequencer");
    distrustful.common.insert("ssl.ca.location".to_owned(), strange_ca.display().to_string());
    let refused = lookup(&distrustful).unwrap_err();
    assert!(matches!(refused, KafkaError::NotLetIn { .. }), "{refused}");

    // Without a certificate the other listener stays closed.
    let mut nameless = mutual_tls(&status, "sequencer");
    nameless.common.retain(|key, _| key == "security.protocol" || key == "ssl.ca.location");
    let refused = lookup(&nameless).unwrap_err();
    assert!(matches!(refused, KafkaError::NotLetIn { .. } | KafkaError::Away { .. }), "{refused}");
}
