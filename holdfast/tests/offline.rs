//! The commands that need no server: on a data directory with a small history.

mod kit;

use std::fs;

use holdfast_contracts::CustomerId;
use holdfast_contracts::SaleTerms;
use holdfast_contracts::command::Command;
use holdfast_intake::keys::DevelopmentKeys;
use kit::offline::{Offline, SKU, forge_an_output, id};
use kit::{holdfast, run};
use serde_json::json;
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

/// Two units, one of them sold to customer 7, the other one held for customer 8; then customer 9 comes.
fn small_sale(data: &std::path::Path) {
    let server = Offline::open(data);
    server.open_sale(2, SaleTerms { units_per_customer_max: 1, ..SaleTerms::default() });
    server.reserve(1, 7, 1);
    server.command(|builder| {
        builder.push(&Command::Confirm { reservation_id: id(1), customer: CustomerId(7), reacquire: false });
    });
    server.reserve(2, 8, 1);
    server.reserve(3, 8, 1);
    server.reserve(4, 9, 1);
    server.reserve(1, 7, 1);
    server.reserve(1, 7, 2);
    server.stop();
}

#[test]
fn explain_says_what_was_seen_and_which_rule_answered() {
    let data = directory();
    small_sale(data.path());

    let refused = run(data.path(), &["explain", &id(4).to_string()]).json();
    let first = &refused["history"][0];
    assert_eq!(first["code"], "INSUFFICIENT_STOCK");
    assert_eq!(first["rule"], "rules §3.6: stock (A1: 0 offered, 1 asked)");
    assert_eq!(first["asked"], "reserve 1 x A1 by customer 9");
    assert_eq!(first["partition"], Offline::partition().0);
    let seen = &first["seen"]["stock"][0];
    assert_eq!((&seen["on_hand"], &seen["held"], &seen["committed"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&seen["sale"], &seen["sale_state"]), (&json!("spring"), &json!("open")));
    assert_eq!(refused["now"]["state"], "refused: INSUFFICIENT_STOCK");

    let limited = run(data.path(), &["explain", &id(3).to_string()]).json();
    assert_eq!(limited["history"][0]["rule"], "rules §3.5: the limit (A1: has 1, asked 1, at most 1)");
}

#[test]
fn explain_tells_the_whole_history_of_a_reservation() {
    let data = directory();
    small_sale(data.path());
    let sold = run(data.path(), &["explain", &id(1).to_string()]).json();
    let history = sold["history"].as_array().expect("a list");
    let codes: Vec<_> = history.iter().map(|entry| entry["code"].as_str().expect("text")).collect();
    assert_eq!(codes, ["RESERVED", "MOVED", "RESERVED", "ID_REUSED"]);
    let replays: Vec<_> = history.iter().map(|entry| entry["replay"] == json!(true)).collect();
    assert_eq!(replays, [false, false, true, false]);
    assert_eq!(sold["now"]["state"], "confirmed");
    assert_eq!(sold["now"]["customer"], 7);
    let offsets: Vec<_> = history.iter().map(|entry| entry["offset"].as_u64().expect("a number")).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
}

#[test]
fn explain_knows_the_end_of_a_hold_by_its_deadline() {
    let data = directory();
    let server = Offline::open(data.path());
    server.open_sale(1, SaleTerms { hold_ttl_ms: 1, ..SaleTerms::default() });
    server.reserve(1, 7, 1);
    server.settle();
    // The partition ticks by itself once the hold is due.
    let deadline = std::time::Instant::now() + kit::offline::PATIENCE;
    loop {
        let told = run(data.path(), &["explain", &id(1).to_string()]).json();
        let last = told["history"].as_array().and_then(|it| it.last()).cloned().expect("a history");
        if last["code"] == "EXPIRED" {
            assert_eq!(last["rule"], "rules §5.1: log time reached the deadline");
            assert_eq!(told["now"]["state"], "expired");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{told}");
    }
    server.stop();
}

#[test]
fn explain_says_so_when_an_id_is_not_in_the_log() {
    let data = directory();
    small_sale(data.path());
    let unknown = run(data.path(), &["explain", &id(99).to_string()]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""));
    assert_eq!(unknown.problem()["code"], "UNKNOWN_ID");
    assert_eq!(run(data.path(), &["explain", "nonsense"]).code, 2);
}

#[test]
fn replay_gives_the_digest_of_the_checkpoint_and_the_outputs_of_the_log() {
    let data = directory();
    small_sale(data.path());
    let replayed = run(data.path(), &["replay"]).json();
    let partitions = replayed.as_array().expect("a list");
    assert_eq!(partitions.len(), 2);
    let mut outputs = 0;
    for it in partitions {
        let compared = &it["live"][0];
        assert_eq!(compared["source"], "checkpoint", "{it}");
        assert_eq!(compared["live_digest"], compared["replayed_digest"], "{it}");
        assert_eq!(it["outputs_to_come"], 0);
        outputs += it["outputs_compared"].as_u64().expect("a number");
    }
    assert!(outputs >= 8, "one output for each record of the sale: {replayed}");
}

#[test]
fn replay_finds_an_answer_that_the_commands_do_not_give() {
    let data = directory();
    let server = Offline::open(data.path());
    server.open_sale(1, SaleTerms::default());
    server.stop();
    forge_an_output(data.path());

    let replayed = run(data.path(), &["replay"]);
    assert_eq!(replayed.code, 3, "{replayed:?}");
    assert_eq!(replayed.problem()["code"], "REPLAY_DIFFERS");
    let wrong = &replayed.data()[Offline::partition().0 as usize]["difference"];
    assert!(wrong.as_str().expect("text").contains("the log holds output 1000"), "{wrong}");
}

/// What is in a directory.
fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_no_data_directory_is_refused_and_left_alone() {
    let directory = directory();
    let (missing, foreign) = (directory.path().join("missing"), directory.path().join("foreign"));
    fs::create_dir(&foreign).expect("it can be made");
    fs::write(foreign.join("thesis.txt"), "not ours").expect("written");
    let id = id(1).to_string();
    let commands = [
        &["replay"][..],
        &["explain", &id],
        &["token", "--subject", "buyer-1"],
        &["stock", "show", SKU],
        &["sale", "status", "spring"],
        &["accept-id-key", "--yes"],
    ];
    for (data, says) in [(&missing, "there is no data directory"), (&foreign, "is not a data directory")] {
        for command in commands {
            let ran = run(data, command);
            assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{command:?}: {ran:?}");
            let problem = ran.problem();
            assert_eq!(problem["code"], "NO_DATA_DIRECTORY", "{ran:?}");
            assert!(problem["detail"].as_str().is_some_and(|it| it.contains(says)), "{problem}");
            assert!(problem["advice"].as_str().is_some_and(|it| it.contains("holdfast up")), "{problem}");
        }
    }
    let before_the_first_start = run(&missing, &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(found(&before_the_first_start, "data directory"), ["warn"], "{before_the_first_start:?}");
    let mistaken = run(&foreign, &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!((mistaken.code, found(&mistaken, "data directory")), (3, vec!["fail".to_owned()]));
    assert!(!missing.exists());
    assert_eq!(names(&foreign), ["thesis.txt"]);
}

#[test]
fn a_missing_log_is_said_to_be_missing() {
    let data = directory();
    small_sale(data.path());
    fs::remove_dir_all(data.path().join("log")).expect("it is ours");
    let identity = r#"{"log_id": "00112233445566778899aabbccddeeff", "partitions": 2}"#;
    fs::write(data.path().join("identity.json"), identity).expect("written");
    for command in [&["replay"][..], &["explain", &id(1).to_string()]] {
        let ran = run(data.path(), command);
        assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran:?}");
        assert_eq!(ran.problem()["code"], "NO_LOG");
    }
}

#[test]
fn without_development_keys_there_are_no_tokens_and_no_keys_are_made() {
    let data = directory();
    small_sale(data.path());
    let ran = run(data.path(), &["token", "--subject", "buyer-1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran:?}");
    assert_eq!(ran.problem()["code"], "NO_DEVELOPMENT_KEYS");
    assert!(!data.path().join("development-key.pem").exists());
}

/// The verdicts of a check.
fn found(ran: &kit::Ran, check: &str) -> Vec<String> {
    let findings = ran.data();
    let of_check = findings.as_array().expect("a list").iter().filter(|it| it["check"] == check);
    of_check.map(|it| it["verdict"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_warning_of_doctor_is_no_failure() {
    let data = directory();
    small_sale(data.path());
    let file = data.path().join("many.toml");
    fs::write(&file, "[intake]\nconnections_max = 4000000000\n").expect("written");
    let settings = ["--config", file.to_str().expect("text")];
    let ran = run(data.path(), &[settings[0], settings[1], "doctor", "--listen", "127.0.0.1:0"]);
    // No Linux allows a process more than a thousand million files.
    assert_eq!(found(&ran, "open files"), ["warn"], "{ran:?}");
    assert_eq!(found(&ran, "reservation id key"), ["ok"], "{ran:?}");
    let failed = ran.data().as_array().expect("a list").iter().any(|it| it["verdict"] == "fail");
    assert_eq!((ran.code, failed), (0, false), "{ran:?}");
    assert!(ran.stderr.contains("warn"), "{ran:?}");
}

#[test]
fn doctor_finds_what_is_wrong_with_a_data_directory() {
    let data = directory();
    small_sale(data.path());
    let listen = ["--listen", "127.0.0.1:0"];
    let healthy = run(data.path(), &["doctor", listen[0], listen[1]]);
    assert_eq!(found(&healthy, "log"), ["ok"], "{healthy:?}");
    assert_eq!(found(&healthy, "checkpoint"), ["ok", "ok"], "{healthy:?}");
    assert_eq!(found(&healthy, "data directory"), ["ok"]);
    assert_eq!(found(&healthy, "clock"), ["ok"]);

    let other_count = run(data.path(), &["doctor", listen[0], listen[1], "--partitions", "3"]);
    assert_eq!(other_count.code, 3);
    assert_eq!(found(&other_count, "log"), ["fail"]);

    fs::write(data.path().join("development-key.pem"), "x").expect("it can be written");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(data.path().join("development-key.pem"), mode).expect("it is ours");
    let readable = run(data.path(), &["doctor", listen[0], listen[1]]);
    assert!(found(&readable, "key file").contains(&"fail".to_owned()), "{readable:?}");

    // A byte in the middle of what was flushed.
    let segment = fs::read_dir(data.path().join("log"))
        .expect("a directory")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| fs::metadata(path).is_ok_and(|it| it.len() > 1 << 20))
        .min()
        .expect("a segment");
    let mut bytes = fs::read(&segment).expect("it can be read");
    let at = memchr_of(&bytes, SKU.as_bytes());
    bytes[at] ^= 0xff;
    fs::write(&segment, bytes).expect("it can be written");
    let damaged = run(data.path(), &["doctor", listen[0], listen[1]]);
    assert_eq!(damaged.code, 3);
    assert_eq!(found(&damaged, "log"), ["fail"], "{damaged:?}");
}

fn memchr_of(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).expect("it is in there")
}

#[test]
fn doctor_says_whether_the_port_is_free() {
    let data = directory();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let ran = run(data.path(), &["doctor", "--listen", &address]);
    assert_eq!(ran.code, 3);
    let findings = ran.data();
    let port = findings.as_array().expect("a list").iter().find(|it| it["check"] == "port").expect("checked");
    assert_eq!(port["verdict"], "fail");
}

#[test]
fn a_sale_is_validated_without_a_server() {
    let data = directory();
    let file = data.path().join("sale.toml");
    fs::write(&file, "id = 'spring'\nskus = ['A1']\nhold_ttl_ms = 3000\n").expect("written");
    let path = file.to_str().expect("text");
    assert_eq!(run(data.path(), &["sale", "validate", path]).json()["valid"], json!(true));
    fs::write(&file, "id = 'spring'\nskus = ['A1', 'A1']\nhold_ttl = 3000\n").expect("written");
    let ran = run(data.path(), &["sale", "validate", path]);
    assert_eq!(ran.code, 3);
    let flaws = ran.data()["flaws"].clone();
    assert_eq!(flaws.as_array().expect("a list").len(), 2, "{flaws}");
    fs::write(&file, "id = ").expect("written");
    assert_eq!(run(data.path(), &["sale", "validate", path]).code, 2);
}

#[test]
fn unknown_settings_are_refused_with_the_nearest_name() {
    let data = directory();
    let file = data.path().join("holdfast.toml");
    fs::write(&file, "[intake]\nwait_default = 3\n").expect("written");
    let ran = run(data.path(), &["--config", file.to_str().expect("text"), "up"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert_eq!(ran.problem()["advice"], "did you mean `intake.wait_default_ms`?");
}

#[test]
fn a_token_is_all_that_token_prints_and_production_has_none() {
    let data = directory();
    small_sale(data.path());
    DevelopmentKeys::open_or_create(data.path()).expect("a server makes them");
    let token = run(data.path(), &["token", "--subject", "buyer-1"]);
    assert_eq!((token.code, token.stderr.as_str()), (0, ""), "{token:?}");
    let text = token.stdout.strip_suffix('\n').expect("one line");
    assert_eq!(text.split('.').count(), 3, "{text}");
    assert!(text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it)), "{text}");

    let file = data.path().join("production.toml");
    fs::write(&file, "production = true\n").expect("written");
    let path = file.to_str().expect("text");
    let refused = run(data.path(), &["--config", path, "token", "--subject", "buyer-1"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert_eq!(refused.problem()["code"], "NO_DEVELOPMENT_TOKENS");
    let up = run(data.path(), &["--config", path, "up", "--listen", "127.0.0.1:0"]);
    assert_eq!((up.code, up.stdout.as_str()), (2, ""), "{up:?}");
}

#[test]
fn data_goes_to_stdout_in_the_form_that_was_asked_for() {
    let version = |format: &str| {
        let ran = holdfast().args(["version", "--output", format]).output().expect("the binary runs");
        let ran = kit::Ran::of(ran);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        ran.stdout
    };
    let json: serde_json::Value = serde_json::from_str(&version("json")).expect("JSON");
    assert_eq!(json["rocksdb_linked"], json["rocksdb_expected"], "another RocksDB than expected is linked");
    assert_eq!(version("ndjson").lines().count(), 1);
    assert!(version("csv").starts_with("what,value\nversion,"), "{}", version("csv"));
    assert!(version("table").contains("RocksDB linked"));
}

#[test]
fn completions_and_usage_errors_follow_the_rules_of_the_shell() {
    let bash = kit::Ran::of(holdfast().args(["completions", "bash"]).output().expect("it runs"));
    assert_eq!(bash.code, 0);
    assert!(bash.stdout.contains("holdfast"));
    let wrong = kit::Ran::of(holdfast().arg("no-such-command").output().expect("it runs"));
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
}

#[test]
fn a_control_key_is_made_once_shown_by_its_fingerprint_and_not_for_the_embedded_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let (key, settings) = (directory.path().join("control.key"), directory.path().join("holdfast.toml"));
    fs::write(&settings, format!("control_key_file = {key:?}\n")).expect("written");
    let data = directory.path().join("data");
    let settings = settings.to_str().expect("text");
    let ask = |arguments: &[&str]| run(&data, &[&["--config", settings], arguments].concat());

    let missing = ask(&["control-key", "show"]);
    assert_eq!((missing.code, missing.problem()["code"].as_str()), (1, Some("CONTROL_KEY_MISSING")));
    let made = ask(&["control-key", "create"]).json();
    assert_eq!(made["fingerprint"].as_str().map(str::len), Some(32), "{made}");
    assert_eq!(ask(&["control-key", "show"]).json(), made);
    let secret = fs::read(&key).expect("it is there");
    assert_eq!(secret.len(), 32);
    let again = ask(&["control-key", "create"]);
    assert_eq!((again.code, again.problem()["code"].as_str()), (1, Some("CONTROL_KEY_EXISTS")));
    assert_eq!(fs::read(&key).expect("it is there"), secret);

    let up = ask(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(up.code, 2, "{up:?}");
    assert!(!data.exists(), "a server began");
    let none = run(&data, &["control-key", "show"]);
    assert_eq!(none.code, 2, "{none:?}");
}
