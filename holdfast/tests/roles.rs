//! Roles as processes of their own on a real broker: killed, handed over, begun anew, and refused where they must be.

mod kit;

use std::fs;
use std::process::Stdio;

use holdfast_contracts::murmur2::partition_of;
use kit::cluster::{Cluster, PARTITIONS, is_empty, owns, partition, reserve, status, wait_until};
use kit::holdfast;
use kit::offline::SKU;
use kit::server::{Answered, Server, log_of, open_sale, role_refused, token};
use rustix::process::Signal;

const STANDBY: &str = "[sequencer]\nstandby = true\n[roles]\nsession_timeout_ms = 2000\n";

/// A sale that two sequencers and an intake hold, and somebody who buys.
struct Shop {
    one: Server,
    two: Server,
    intake: Server,
    buyer: String,
}

impl Shop {
    fn open(cluster: &Cluster) -> Self {
        let (one, two) = (cluster.sequencer("one"), cluster.sequencer("two"));
        let intake = cluster.intake("intake");
        let data = cluster.data("intake");
        wait_until("an owner", || owns(&one) || owns(&two));
        open_sale(&data, 100, "");
        Self { one, two, intake, buyer: token(&data, "buyer", None) }
    }
}

#[test]
fn a_sale_goes_on_when_whoever_decides_is_killed() {
    let cluster = Cluster::new("killed", STANDBY);
    let Shop { one, two, intake, buyer } = Shop::open(&cluster);
    let first = reserve(&intake, &buyer, "k1");
    assert_eq!(first.status, 201, "{first:?}");

    let (owner, other) = if owns(&one) { (one, two) } else { (two, one) };
    owner.kill();
    let next = reserve(&intake, &buyer, "k2");
    // Its first try may have come to nothing but a promise to answer later.
    assert!(matches!(next.status, 200 | 201), "{next:?}");
    let again = reserve(&intake, &buyer, "k1");
    assert!(again.replay && again.body["reservation_id"] == first.body["reservation_id"], "{again:?}");
    let taken = partition(&other);
    assert!(owns(&other) && taken["promotions"].as_u64() > Some(0), "{taken}");

    // Ready, up to date, and Kafka's own tool says so, too.
    wait_until("readiness", || other.send("GET", "/readyz", "", None).status == 200);
    let group = format!("{}holdfast-sequencer", cluster.prefix);
    let describe = ["--bootstrap-server", cluster.brokers.bootstrap(), "--describe", "--group", &group];
    let commands = cluster.topic("holdfast.inventory.commands.v1");
    wait_until("a lag of nearly nothing", || {
        let told =
            cluster.brokers.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &describe);
        let lags: Vec<Option<u64>> = told
            .lines()
            .filter(|line| line.contains(&commands))
            .map(|line| line.split_whitespace().nth(5)?.parse().ok())
            .collect();
        // A tick may have been written a moment ago.
        lags.len() == PARTITIONS as usize && lags.iter().all(|lag| lag.is_some_and(|lag| lag <= 3))
    });
    let figures = other.send("GET", "/metrics", "", None);
    assert_eq!(figures.status, 200);
    let said = status(&other);
    assert_eq!(said["log"]["profile"]["profile"], "kafka-single", "{said}");
    assert_eq!(status(&intake)["role"], "intake");
    assert_eq!(intake.stop(Signal::TERM).0, Some(0));
    assert_eq!(other.stop(Signal::TERM).0, Some(0));
}

#[test]
fn what_is_drained_is_handed_over_without_waiting_for_a_session_to_end() {
    // The session outlives the test's patience.
    let cluster =
        Cluster::new("drained", "[sequencer]\nstandby = true\n[roles]\nsession_timeout_ms = 300000\n");
    let Shop { one, two, intake, buyer } = Shop::open(&cluster);
    assert!(matches!(reserve(&intake, &buyer, "k1").status, 200 | 201));
    let (owner, other, name) = if owns(&one) { (one, two, "one") } else { (two, one, "two") };

    let drained = cluster.run(name, &["drain"]).json();
    assert_eq!(drained["left"], true, "{drained}");
    wait_until("the other to own it", || owns(&other));
    assert!(matches!(reserve(&intake, &buyer, "k2").status, 200 | 201));
    assert_eq!(partition(&owner)["assignment"], "standby");
    assert_eq!(owner.send("GET", "/readyz", "", None).status, 503, "one that left is not ready");
    assert_eq!(owner.stop(Signal::TERM).0, Some(0));
    assert!(matches!(reserve(&intake, &buyer, "k3").status, 200 | 201));
}

/// A sale with one sequencer, whose log has forgotten what its archived checkpoints cover.
struct Archived {
    cluster: Cluster,
    one: Server,
    intake: Server,
    buyer: String,
    /// The answer to the key `k1`.
    first: Answered,
}

fn archived(prefix: &str) -> Archived {
    let cluster = Cluster::without_topics(prefix, "");
    let archive = cluster.archive();
    cluster.write_settings(
        "settings",
        &format!(
            "[sequencer]\ncheckpoint_idle_ms = 100\n[roles]\nsession_timeout_ms = 2000\nship_every_ms = 200\narchive = '{}'\n",
            archive.display()
        ),
    );
    cluster.run("tool", &["topics", "create", "--partitions", &PARTITIONS.to_string()]).json();
    let one = cluster.sequencer("one");
    let intake = cluster.intake("intake");
    let data = cluster.data("intake");
    wait_until("an owner", || owns(&one));
    open_sale(&data, 100, "");
    let buyer = token(&data, "buyer", None);
    let first = reserve(&intake, &buyer, "k1");
    assert_eq!(first.status, 201, "{first:?}");
    let applied = partition(&one)["applied"].as_u64().expect("a number");
    wait_until("a checkpoint in the archive", || {
        partition(&one)["archived"]["offset"].as_u64() >= Some(applied)
    });
    let listed = cluster.run("tool", &["checkpoints", "verify"]).json();
    assert!(
        listed["checkpoints"].as_array().is_some_and(|it| it.iter().any(|it| it["outcome"] == "good")),
        "{listed}"
    );
    // Below the oldest of three that are kept nothing is needed any more.
    let describe = || cluster.run("tool", &["topics", "describe"]).json();
    let commands = cluster.topic("holdfast.inventory.commands.v1");
    let low = |said: &serde_json::Value| {
        let topics = said["topics"].as_array().expect("topics").clone();
        let topic = topics.into_iter().find(|it| it["name"] == commands.as_str()).expect("it is there");
        topic["partitions"][partition_of(SKU, PARTITIONS).0 as usize]["low"].as_u64()
    };
    wait_until("the log to forget", || low(&describe()) > Some(0));
    Archived { cluster, one, intake, buyer, first }
}

#[test]
fn an_empty_disk_begins_with_an_archived_checkpoint() {
    let Archived { cluster, one, intake, buyer, first } = archived("archived");
    one.kill();

    let two = cluster.sequencer("two");
    wait_until("an owner", || owns(&two));
    let begun = partition(&two);
    assert!(begun["checkpoint"]["offset"].as_u64() > Some(0), "{begun}");
    let again = reserve(&intake, &buyer, "k1");
    assert!(again.replay && again.body["reservation_id"] == first.body["reservation_id"], "{again:?}");
    // So does another intake.
    fs::create_dir_all(cluster.data("second")).expect("made");
    for secret in ["reservation-id.key", "development-key.pem"] {
        fs::copy(cluster.data("intake").join(secret), cluster.data("second").join(secret)).expect("copied");
    }
    let second = cluster.intake("second");
    let again = reserve(&second, &buyer, "k1");
    assert!(again.replay && again.body["reservation_id"] == first.body["reservation_id"], "{again:?}");
}

#[test]
fn what_cannot_be_run_is_left_to_those_who_can() {
    let Archived { cluster, one, intake, buyer, first } = archived("unable");
    let archive = cluster.archive();
    // Where the archive is not mounted nothing can be run, and nothing is taken from those who can.
    let (mount, elsewhere) = (cluster.data("mount"), cluster.other_settings("elsewhere"));
    let text = fs::read_to_string(cluster.settings()).expect("it is ours");
    let there = |folder: &std::path::Path| format!("archive = '{}'", folder.display());
    let standby = text.replace("[sequencer]", "[sequencer]\nstandby = true");
    fs::write(&elsewhere, standby.replace(&there(&archive), &there(&mount))).expect("written");
    let three = Server::role(&cluster.data("three"), "sequencer", &["--config", &elsewhere]);
    let why = |role: &Server| partition(role)["stuck"]["why"].as_str().unwrap_or_default().to_owned();
    wait_until("what is missing", || why(&three).contains("archive"));
    assert!(!mount.exists(), "nobody makes a folder where a disk should be mounted");
    fs::create_dir(&mount).expect("it can be made");
    wait_until("what is missing now", || why(&three).contains("looking for a checkpoint"));
    assert!(owns(&one) && partition(&three)["assignment"] == "standby");
    assert_eq!(three.send("GET", "/readyz", "", None).status, 503);
    fs::remove_dir(&mount).expect("it is empty");
    std::os::unix::fs::symlink(&archive, &mount).expect("it can be mounted");
    wait_until("the partition to be kept warm, or run", || partition(&three)["state"] == "live");
    wait_until("it to be ready", || three.send("GET", "/readyz", "", None).status == 200);
    assert_eq!(three.stop(Signal::TERM).0, Some(0));
    wait_until("an owner", || owns(&one));
    one.kill();

    // Alone it takes what it cannot run, and leaves it to the first who comes and can.
    fs::remove_file(&mount).expect("it can be unmounted");
    fs::write(&elsewhere, text.replace(&there(&archive), &there(&mount))).expect("written");
    let four = Server::role(&cluster.data("four"), "sequencer", &["--config", &elsewhere]);
    wait_until("somebody who cannot", || {
        partition(&four)["assignment"] == "active" && !why(&four).is_empty()
    });
    let two = cluster.sequencer("two");
    wait_until("an owner", || owns(&two));
    let again = reserve(&intake, &buyer, "k1");
    assert!(again.replay && again.body["reservation_id"] == first.body["reservation_id"], "{again:?}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let cluster = Cluster::without_topics("refused", STANDBY);
    let settings = cluster.settings();
    let data = cluster.data("one");
    role_refused(&data, "sequencer", &["--config", &settings], 69, "NO_TOPIC");
    cluster.run("tool", &["topics", "create", "--partitions", "2"]).json();
    // Whoever cannot begin leaves no secret behind that the log would belong to from then on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|it| (it.to_string(), taken)).expect("it has an address");
    let arguments = ["--config", &settings, "--listen", &taken.0];
    role_refused(&cluster.data("late"), "intake", &arguments, 69, "ADDRESS");
    let one = cluster.sequencer("one");
    let intake = cluster.intake("intake");
    // A second intake with a secret of its own would decide repeated requests twice.
    role_refused(&cluster.data("other"), "intake", &["--config", &settings], 1, "OTHER_IDENTITY");
    // Neither may two sequencers have one data directory.
    role_refused(&data, "sequencer", &["--config", &settings], 75, "DATA_IN_USE");
    // One replica does not survive what is claimed.
    let claims = fs::read_to_string(&settings).expect("it is ours").replace("'single'", "'replicated'");
    let claimed = cluster.other_settings("claimed");
    fs::write(&claimed, claims).expect("written");
    role_refused(&cluster.data("claims"), "sequencer", &["--config", &claimed], 1, "replication-factor");
    let asked = cluster.run("tool", &["topics", "check", "--partitions", "5"]);
    assert_eq!(asked.code, 3, "{asked:?}");
    assert_eq!(asked.data()["findings"][0]["code"], "partition-count", "{asked:?}");
    // What a promise rests on cannot be changed.
    let careless = cluster.other_settings("careless");
    let text = fs::read_to_string(&settings).expect("it is ours") + "acks = 1\n";
    fs::write(&careless, text).expect("written");
    let refused = role_refused(&cluster.data("careless"), "sequencer", &["--config", &careless], 2, "USAGE");
    assert!(refused.problem()["detail"].as_str().is_some_and(|it| it.contains("acks")), "{refused:?}");
    assert_eq!(intake.stop(Signal::TERM).0, Some(0));
    assert_eq!(one.stop(Signal::TERM).0, Some(0));

    // The topics are made again: another log.
    for name in ["commands.v1", "decisions.v1", "commands.v1-dlt", "identity.v1"] {
        let topic = cluster.topic(&format!("holdfast.inventory.{name}"));
        let delete = ["--bootstrap-server", cluster.brokers.bootstrap(), "--delete", "--topic", &topic];
        let _ = cluster.brokers.tool("org.apache.kafka.tools.TopicCommand", &delete);
    }
    wait_until("new topics", || cluster.run("tool", &["topics", "create", "--partitions", "2"]).code == 0);
    role_refused(&data, "sequencer", &["--config", &settings], 1, "OTHER_LOG");
}

#[test]
fn who_shares_an_instance_id_ends_and_says_so() {
    let cluster = Cluster::new("shared", &format!("{STANDBY}instance_id = 'same'\n"));
    let one = cluster.sequencer("one");
    wait_until("an owner", || owns(&one));
    let two = cluster.sequencer("two");
    wait_until("another owner", || owns(&two));
    assert_eq!(one.ended(), Some(1));
    let said = log_of(&cluster.data("one"));
    assert!(said.contains("FENCED") && said.contains("instance_id"), "{said}");
    wait_until("the other to go on", || owns(&two));
}

#[test]
fn what_cannot_be_decoded_is_kept_for_people_and_stops_nobody() {
    let cluster = Cluster::new("dead", STANDBY);
    let sequencer = cluster.sequencer("one");
    wait_until("an owner", || owns(&sequencer));
    let commands = cluster.topic("holdfast.inventory.commands.v1");
    let mut producer = std::process::Command::new(kit_script())
        .args(["tool", "org.apache.kafka.tools.ConsoleProducer"])
        .args(["--bootstrap-server", cluster.brokers.bootstrap(), "--topic", &commands])
        .args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=="])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("bash is there");
    let mut stdin = producer.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"A1={\"sku\":\"A1\"}\n").expect("it reads");
    drop(stdin);
    assert!(producer.wait().expect("it is ours").success());

    let list = || cluster.run("tool", &["dlq", "list"]).json();
    wait_until("a dead letter", || list()["dead_letters"].as_array().is_some_and(|it| !it.is_empty()));
    let letter = list()["dead_letters"][0].clone();
    assert_eq!((&letter["key"], letter["payload_bytes"].as_u64()), (&"A1".into(), Some(12)), "{letter}");
    let nowhere = cluster.run("tool", &["dlq", "show", &PARTITIONS.to_string(), "0"]);
    assert_eq!((nowhere.code, &nowhere.problem()["code"]), (1, &"NO_PARTITION".into()), "{nowhere:?}");
    let place = [letter["partition"].to_string(), letter["place"].to_string()];
    let shown = cluster.run("tool", &["dlq", "show", &place[0], &place[1]]).json();
    assert_eq!(
        (&shown["key_bytes"], &shown["bytes"]),
        (&"4131".into(), &"7b22736b75223a224131227d".into()),
        "{shown}"
    );
    let replayed = cluster.run("tool", &["dlq", "replay", "--dry-run", &place[0], &place[1]]).json();
    assert_eq!(replayed["decodes"], false, "{replayed}");
    assert!(owns(&sequencer), "the partition goes on");
    wait_until("the figure", || status(&sequencer)["dead_letters"] == 1);

    // Whoever is next does not copy it once more.
    sequencer.kill();
    let next = cluster.sequencer("two");
    wait_until("an owner", || owns(&next));
    let intake = cluster.intake("intake");
    let data = cluster.data("intake");
    open_sale(&data, 10, "");
    assert_eq!(reserve(&intake, &token(&data, "buyer", None), "k").status, 201);
    assert_eq!(list()["dead_letters"].as_array().map(Vec::len), Some(1));
    assert!(!is_empty(&cluster.data("two")));
}

/// The script that runs Kafka's own tools.
fn kit_script() -> std::path::PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
    std::path::Path::new(&package).join("../scripts/kafka")
}

#[test]
fn a_role_without_brokers_says_what_is_missing() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    role_refused(&data, "sequencer", &[], 2, "USAGE");
    let help = holdfast().args(["sequencer", "--help"]).output().expect("it runs");
    assert!(help.status.success());
}
