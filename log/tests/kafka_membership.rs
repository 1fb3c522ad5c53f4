//! Who owns which partition, with real brokers and processes that are really killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use holdfast_contracts::{Offset, PartitionId};
use holdfast_kafka_kit::{Brokers, Options};
use holdfast_log::Topic;
use holdfast_log::kafka::topics::{self, TopicsSpec};
use holdfast_log::kafka::{Generation, KafkaConfig, MemberEvent, Membership, MembershipConfig, Profile};

const PATIENCE: Duration = Duration::from_secs(60);
const SESSION: Duration = Duration::from_millis(3_000);
const GROUP_COMMAND: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
/// What a child is told. Set only for a child.
const CHILD: &str = "HOLDFAST_TEST_MEMBER";

fn topics_of_its_own(brokers: &Brokers) -> KafkaConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let topic_prefix = format!("member-{number}.");
    let config = KafkaConfig { topic_prefix, ..KafkaConfig::new(brokers.bootstrap(), "admin") };
    topics::create(&config, &TopicsSpec::new(4, Profile::Single)).unwrap();
    config
}

fn named(config: &KafkaConfig, client_id: &str) -> KafkaConfig {
    KafkaConfig { client_id: client_id.to_owned(), ..config.clone() }
}

fn quick() -> MembershipConfig {
    MembershipConfig {
        session_timeout: SESSION,
        commit_every: Duration::from_millis(100),
        ..MembershipConfig::new()
    }
}

/// A member that does what an owner does: notes what it owns and releases what is taken from it.
struct Owner {
    membership: Membership,
    owned: BTreeMap<PartitionId, Generation>,
    seen: Vec<MemberEvent>,
    highest: Generation,
}

impl Owner {
    fn join(config: &KafkaConfig, client_id: &str, membership: MembershipConfig) -> Self {
        let membership =
            Membership::join(&named(config, client_id), membership, Waker::noop().clone()).unwrap();
        Self { membership, owned: BTreeMap::new(), seen: Vec::new(), highest: Generation(0) }
    }

    fn take(&mut self, event: MemberEvent) {
        match event {
            MemberEvent::Assigned { partition, generation } => {
                assert!(generation > self.highest, "generations rise");
                self.highest = generation;
                assert_eq!(self.owned.insert(partition, generation), None, "it was not owned before");
            }
            MemberEvent::Revoked { partition, generation } => {
                assert_eq!(self.owned.remove(&partition), Some(generation));
                self.membership.release(partition, generation);
            }
            MemberEvent::Lost { partition, generation } => {
                assert_eq!(self.owned.remove(&partition), Some(generation));
            }
            MemberEvent::Fenced | MemberEvent::Failed { .. } | MemberEvent::Left => {}
        }
        self.seen.push(event);
    }

    fn serve(&mut self) {
        let step = Instant::now() + Duration::from_millis(20);
        if let Some(event) = self.membership.next_until(step) {
            self.take(event);
        }
    }

    fn partitions(&self) -> BTreeSet<u32> {
        self.owned.keys().map(|partition| partition.0).collect()
    }
}

/// Serves the owners until all of them look as they should.
fn until(what: &str, owners: &mut [&mut Owner], done: impl Fn(&[&mut Owner]) -> bool) -> Duration {
    let begun = Instant::now();
    while !done(owners) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: {:?}",
            owners.iter().map(|it| &it.seen).collect::<Vec<_>>()
        );
        for owner in owners.iter_mut() {
            owner.serve();
        }
    }
    begun.elapsed()
}

fn shared_evenly(owners: &[&mut Owner]) -> bool {
    let sizes_fit = owners.iter().all(|owner| owner.owned.len() == 4 / owners.len());
    let all: BTreeSet<u32> = owners.iter().flat_map(|owner| owner.partitions()).collect();
    sizes_fit && all.len() == 4
}

#[test]
fn a_second_member_takes_half_without_touching_the_rest_and_a_leaver_hands_over_at_once() {
    let brokers = Brokers::shared();
    let config = topics_of_its_own(&brokers);
    let slow = MembershipConfig {
        session_timeout: Duration::from_secs(30),
        instance_id: Some("first".to_owned()),
        ..quick()
    };
    let mut first = Owner::join(&config, "first", slow.clone());
    until("the first owns all", &mut [&mut first], shared_evenly);
    let before = first.owned.clone();
    let slow = MembershipConfig { instance_id: Some("second".to_owned()), ..slow };
    let mut second = Owner::join(&config, "second", slow);
    until("they share", &mut [&mut first, &mut second], shared_evenly);
    for (partition, generation) in &first.owned {
        assert_eq!(before.get(partition), Some(generation), "what stays is not taken and given again");
    }
    assert!(
        !second.seen.iter().any(|event| !matches!(event, MemberEvent::Assigned { .. })),
        "{:?}",
        second.seen
    );

    // Static members that end otherwise keep their partitions for 30 s.
    let left_at = Instant::now();
    first.membership.leave();
    until("the second owns all", &mut [&mut first, &mut second], |owners| owners[1].owned.len() == 4);
    assert!(left_at.elapsed() < Duration::from_secs(30), "nobody waited for the session to end");
    until("the first has left", &mut [&mut first], |owners| {
        owners[0].seen.last() == Some(&MemberEvent::Left)
    });
    assert!(first.owned.is_empty());
    let numbers = second.membership.numbers();
    assert_eq!(numbers.assigned, second.owned);
    assert!(numbers.rebalances >= 2 && numbers.group_generation.is_some_and(|it| it >= 3), "{numbers:?}");
}

#[test]
fn a_partition_that_is_not_released_in_time_is_lost_and_one_that_was_released_early_is_not_waited_for() {
    let brokers = Brokers::shared();
    let config = topics_of_its_own(&brokers);
    let stubborn = MembershipConfig { release_timeout: Duration::from_millis(500), ..quick() };
    let mut first = Owner::join(&config, "first", stubborn);
    until("the first owns all", &mut [&mut first], shared_evenly);
    let second = Membership::join(&named(&config, "second"), quick(), Waker::noop().clone()).unwrap();
    let mut revoked = BTreeSet::new();
    let mut lost = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while lost.len() < 2 {
        assert!(Instant::now() < deadline, "{revoked:?} {lost:?}");
        match first.membership.next_until(deadline) {
            Some(MemberEvent::Revoked { partition, .. }) => assert!(revoked.insert(partition)),
            Some(MemberEvent::Lost { partition, .. }) => assert!(lost.insert(partition)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(revoked, lost);
    let mut owned = BTreeMap::new();
    while owned.len() < 2 {
        match second.next_until(deadline) {
            Some(MemberEvent::Assigned { partition, generation }) => owned.insert(partition, generation),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(owned.keys().copied().collect::<BTreeSet<_>>(), lost);

    // The second has done with them before anybody asks: leaving it waits for nothing.
    for (partition, generation) in &owned {
        second.release(*partition, *generation);
    }
    second.leave();
    let mut events = Vec::new();
    while events.last() != Some(&MemberEvent::Left) {
        events.push(second.next_until(deadline).expect("it leaves in time"));
    }
    assert_eq!(events.iter().filter(|event| matches!(event, MemberEvent::Revoked { .. })).count(), 2);
    assert!(!events.iter().any(|event| matches!(event, MemberEvent::Lost { .. })), "{events:?}");
}

#[test]
fn whose_brokers_are_gone_is_in_no_group() {
    let brokers = Brokers::start(Options::default());
    let config = topics_of_its_own(&brokers);
    let mut member = Owner::join(&config, "first", quick());
    until("it owns all", &mut [&mut member], shared_evenly);
    until("it is in the group", &mut [&mut member], |owners| {
        owners[0].membership.numbers().group_generation.is_some()
    });
    brokers.kill(1);
    until("it owns nothing", &mut [&mut member], |owners| owners[0].owned.is_empty());
    until("it is in no group", &mut [&mut member], |owners| {
        owners[0].membership.numbers().group_generation.is_none()
    });
}

/// Lines of Kafka's own tool about the partitions of the commands: committed offset, end, lag.
fn lag(brokers: &Brokers, config: &KafkaConfig) -> BTreeMap<u32, (String, String, String)> {
    let group = format!("{}holdfast-sequencer", config.topic_prefix);
    let told = brokers
        .tool(GROUP_COMMAND, &["--bootstrap-server", brokers.bootstrap(), "--describe", "--group", &group]);
    let commands = config.topic_name(Topic::InventoryCommands);
    let fields = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = fields.filter(|fields| fields.len() > 5 && fields[1] == commands);
    ours.map(|it| (it[2].parse().unwrap(), (it[3].to_owned(), it[4].to_owned(), it[5].to_owned()))).collect()
}

#[test]
fn tools_show_the_true_lag() {
    let brokers = Brokers::shared();
    let config = topics_of_its_own(&brokers);
    let records: String = (0..100).map(|n| format!("key-{n}:value\n")).collect();
    let root = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let topic = config.topic_name(Topic::InventoryCommands);
    let mut producer = Command::new(root.join("../scripts/kafka"))
        .args(["tool", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", brokers.bootstrap()])
        .args([
            "--topic",
            &topic,
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "key.separator=:",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    producer.stdin.take().unwrap().write_all(records.as_bytes()).unwrap();
    assert!(producer.wait().unwrap().success());
    let described = topics::describe(&config).unwrap();
    let ends: Vec<u64> = described.topics[0].partitions.iter().map(|it| it.end.unwrap()).collect();
    assert!(ends.iter().all(|end| *end > 3), "{ends:?}");

    let mut owner = Owner::join(&config, "owner", quick());
    until("it owns all", &mut [&mut owner], shared_evenly);
    // Each partition is applied up to its number of records before the end.
    let lags = [0, 1, 2, 3];
    for (partition, lag) in (0_u32..).zip(lags) {
        owner.membership.commit(PartitionId(partition), Offset(ends[partition as usize] - lag));
    }
    let expected: BTreeMap<_, _> = (0_u32..)
        .zip(ends.iter().zip(lags))
        .map(|(partition, (end, lag))| {
            (partition, ((end - lag).to_string(), end.to_string(), lag.to_string()))
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = lag(&brokers, &config);
        if told == expected {
            break;
        }
        assert!(Instant::now() < deadline, "{told:?}, not {expected:?}; {:?}", owner.membership.numbers());
    }
    assert_eq!(owner.membership.numbers().fetched, 0, "records are read by others");
    // What is noted last is sent when the member ends.
    owner.membership.commit(PartitionId(3), Offset(ends[3]));
    drop(owner);
    assert_eq!(lag(&brokers, &config)[&3].2, "0");
}

/// Counts how often it was woken.
struct Counter(AtomicU64);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn events_wake_and_a_membership_ends_although_nobody_answers() {
    let brokers = Brokers::start(Options::default());
    let config = topics_of_its_own(&brokers);
    let counter = Arc::new(Counter(AtomicU64::new(0)));
    let brief = MembershipConfig { close_timeout: Duration::from_millis(500), ..quick() };
    let member = Membership::join(&config, brief, Waker::from(Arc::clone(&counter))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut events = 0;
    while events < 4 {
        assert!(member.next_until(deadline).is_some());
        events += 1;
    }
    // An event may be taken a moment before its wake.
    while counter.0.load(Ordering::SeqCst) < 4 {
        assert!(Instant::now() < deadline);
        assert_eq!(member.next_until(Instant::now() + Duration::from_millis(10)), None);
    }
    assert_eq!(member.try_next(), None);
    // The broker is gone; the client library would wait for it for a while.
    drop(brokers);
    let begun = Instant::now();
    drop(member);
    assert!(begun.elapsed() < PATIENCE, "ending has an end");
}

#[test]
fn two_processes_with_one_instance_id_fence_each_other() {
    let brokers = Brokers::shared();
    let config = topics_of_its_own(&brokers);
    let same = MembershipConfig { instance_id: Some("same".to_owned()), ..quick() };
    let mut first = Owner::join(&config, "first", same.clone());
    until("the first owns all", &mut [&mut first], shared_evenly);
    let mut second = Owner::join(&config, "second", same);
    until("the first is fenced", &mut [&mut first, &mut second], |owners| {
        owners[0].seen.last() == Some(&MemberEvent::Fenced) && owners[1].owned.len() == 4
    });
    assert!(first.owned.is_empty());
}

#[test]
fn a_member_without_the_right_topics_or_brokers_waits_and_says_why() {
    let brokers = Brokers::shared();
    let config =
        KafkaConfig { topic_prefix: "not-there.".to_owned(), ..KafkaConfig::new(brokers.bootstrap(), "x") };
    let member = Membership::join(&config, quick(), Waker::noop().clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while member.numbers().last_error.is_none() {
        assert!(Instant::now() < deadline);
        assert_eq!(member.next_until(Instant::now() + Duration::from_millis(50)), None);
    }
    assert!(member.numbers().last_error.unwrap().to_lowercase().contains("topic"));
}

#[test]
fn a_session_timeout_that_the_brokers_do_not_take_ends_the_membership_with_a_reason() {
    let brokers = Brokers::shared();
    let config = topics_of_its_own(&brokers);
    let hasty = MembershipConfig { session_timeout: Duration::from_millis(500), ..quick() };
    let member = Membership::join(&config, hasty, Waker::noop().clone()).unwrap();
    let event = member.next_until(Instant::now() + PATIENCE);
    let Some(MemberEvent::Failed { reason }) = event else { panic!("{event:?} {:?}", member.numbers()) };
    assert!(reason.to_lowercase().contains("session"), "{reason}");
}

/// A process that owns what it is given until it is killed, when it is told where. Otherwise such a life in short.
#[test]
fn child_that_owns_until_it_is_killed() {
    let told = std::env::var(CHILD);
    let Ok(told) = told else {
        let brokers = Brokers::shared();
        let config = topics_of_its_own(&brokers);
        let mut owner = Owner::join(&config, "child", quick());
        until("it owns all", &mut [&mut owner], shared_evenly);
        return;
    };
    let [bootstrap, topic_prefix] = <[&str; 2]>::try_from(told.split(' ').collect::<Vec<_>>()).unwrap();
    let config =
        KafkaConfig { topic_prefix: topic_prefix.to_owned(), ..KafkaConfig::new(bootstrap, "child") };
    let membership = MembershipConfig { instance_id: Some("child".to_owned()), ..quick() };
    let mut owner = Owner::join(&config, "child", membership);
    loop {
        let before = owner.partitions();
        owner.serve();
        if owner.partitions() != before {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "owns {:?}", owner.partitions()).unwrap();
            stdout.flush().unwrap();
        }
    }
}

fn child(config: &KafkaConfig) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_owns_until_it_is_killed", "--nocapture"])
        .env(CHILD, format!("{} {}", config.bootstrap, config.topic_prefix))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

#[test]
fn the_partitions_of_a_process_that_was_killed_go_to_another_after_the_session_timeout() {
    let brokers = Brokers::shared();
    let config = topics_of_its_own(&brokers);
    let (mut killed, mut said) = child(&config);
    let mut line = String::new();
    while !line.contains("owns {0, 1, 2, 3}") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child has ended");
    }
    let mut other = Owner::join(&config, "other", quick());
    until("they share", &mut [&mut other], |owners| owners[0].owned.len() == 2);
    let shared = other.owned.clone();
    // kill -9: nobody says goodbye.
    killed.kill().unwrap();
    killed.wait().unwrap();
    let took = until("the other owns all", &mut [&mut other], |owners| owners[0].owned.len() == 4);
    // The child's last heartbeat came at most one heartbeat before it was killed.
    assert!(
        took >= SESSION - Duration::from_millis(1_000),
        "{took:?}: it had not been let go before its time"
    );
    for (partition, generation) in shared {
        assert_eq!(other.owned[&partition], generation, "what was owned stays owned");
    }
}
