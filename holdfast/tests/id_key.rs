//! The key that reservation ids are derived with: lost, changed, given up.

mod kit;

use std::fs;
use std::path::Path;

use holdfast_contracts::SaleTerms;
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout};
use kit::offline::{ID_KEY, Offline, PARTITIONS};
use kit::run;
use kit::server::{Answered, Server, directory, log_of, open_sale, refused, token};
use rustix::process::Signal;
use serde_json::{Value, json};

const ADOPTED: &str = "nothing says which key";

/// A sale with one reservation, and what its buyer was told.
fn sale(data: &Path) -> Answered {
    let server = Server::start(data, &["--partitions", "1"]);
    open_sale(data, 5, "");
    let told = server.reserve(&token(data, "buyer", None), "k", 1);
    assert_eq!(told.status, 201, "{told:?}");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    told
}

/// The same question gets the same answer.
fn remembers(data: &Path, told: &Answered) {
    let server = Server::start(data, &[]);
    let again = server.reserve(&token(data, "buyer", None), "k", 1);
    assert_eq!((again.status, again.replay), (200, true), "{again:?}");
    assert_eq!(again.body["reservation_id"], told.body["reservation_id"]);
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "{}", log_of(data));
}

fn identity(data: &Path) -> Value {
    serde_json::from_slice(&fs::read(data.join("identity.json")).expect("pinned")).expect("JSON")
}

/// What an older version, or a crash, leaves: a key, and nothing that says so.
fn unpin(data: &Path) {
    let mut identity = identity(data);
    let pinned = identity.as_object_mut().expect("an object").remove("id_key");
    assert_eq!(pinned.expect("it was pinned").as_str().map(str::len), Some(32));
    fs::write(data.join("identity.json"), identity.to_string()).expect("written");
}

#[test]
fn a_lost_key_is_not_made_anew() {
    let (directory, data) = directory();
    let told = sale(&data);
    let (key, backup) = (data.join(ID_KEY), directory.path().join("backup"));
    fs::rename(&key, &backup).expect("ours");
    let said = refused(&data, &[], 1, "ID_KEY_MISSING").problem();
    let advice = said["advice"].as_str().expect("text");
    assert!(advice.contains("backup") && advice.contains("decided afresh"), "{advice}");
    assert!(!key.exists(), "a key was made");
    let doctor = run(&data, &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(doctor.code, 3);
    let findings = doctor.data();
    let of_key = findings.as_array().expect("a list").iter().find(|it| it["check"] == "reservation id key");
    assert_eq!(of_key.expect("checked")["verdict"], "fail");

    // Also when its fingerprint went with it: a log with commands had a key.
    let pinned = fs::read(data.join("identity.json")).expect("pinned");
    fs::remove_file(data.join("identity.json")).expect("ours");
    refused(&data, &[], 1, "ID_KEY_MISSING");
    fs::write(data.join("identity.json"), pinned).expect("written");

    fs::rename(&backup, &key).expect("ours");
    remembers(&data, &told);
}

#[test]
fn another_key_is_refused_wherever_it_lies() {
    let (directory, data) = directory();
    let told = sale(&data);
    let (key, file) = (data.join(ID_KEY), directory.path().join("holdfast.toml"));
    let elsewhere = directory.path().join("elsewhere.key");
    fs::copy(&key, &elsewhere).expect("ours");
    fs::write(&file, format!("[intake]\nid_key_file = '{}'\n", elsewhere.display())).expect("written");
    let settings = ["--config", file.to_str().expect("text")];

    // The same key in another place is the same key.
    fs::remove_file(&key).expect("ours");
    assert_eq!(Server::start(&data, &settings).stop(Signal::TERM).0, Some(0));
    fs::copy(&elsewhere, &key).expect("ours");

    fs::write(&elsewhere, [1; 32]).expect("written");
    let said = refused(&data, &settings, 1, "ID_KEY_CHANGED").problem();
    assert!(said["detail"].as_str().is_some_and(|it| it.contains("elsewhere.key")), "{said}");
    fs::remove_file(&elsewhere).expect("ours");
    refused(&data, &settings, 1, "ID_KEY_MISSING");
    assert!(!elsewhere.exists(), "a key was made");
    remembers(&data, &told);
}

#[test]
fn a_key_that_nobody_pinned_is_pinned_and_that_is_said() {
    let (_directory, data) = directory();
    let told = sale(&data);
    let pinned = identity(&data);
    assert!(!log_of(&data).contains(ADOPTED));
    unpin(&data);
    remembers(&data, &told);
    assert!(log_of(&data).contains(ADOPTED));
    assert_eq!(identity(&data), pinned);
    remembers(&data, &told);
    assert_eq!(log_of(&data).matches(ADOPTED).count(), 1);
}

#[test]
fn a_first_start_may_be_interrupted_anywhere() {
    // The log was made, and nothing else.
    let (_one, log_only) = directory();
    let layout = Layout::inventory(PARTITIONS).expect("fine");
    let made = |data: &Path| {
        drop(EmbeddedLog::open(&data.join("log"), &EmbeddedConfig::new(layout)).expect("it can be made"));
    };
    made(&log_only);
    // The key as well, which nobody has pinned.
    let (_two, unpinned) = directory();
    made(&unpinned);
    fs::write(unpinned.join(ID_KEY), [7; 32]).expect("written");
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(unpinned.join(ID_KEY), owner_only).expect("ours");
    for data in [&log_only, &unpinned] {
        assert_eq!(Server::start(data, &[]).stop(Signal::TERM).0, Some(0), "{}", log_of(data));
        assert!(identity(data)["id_key"].is_string());
        assert!(!log_of(data).contains(ADOPTED), "{}", log_of(data));
    }
    assert_eq!(fs::read(unpinned.join(ID_KEY)).expect("readable"), [7; 32]);
}

#[test]
fn a_lost_key_can_be_given_up_by_who_says_so() {
    let (_directory, data) = directory();
    let told = sale(&data);
    fs::remove_file(data.join(ID_KEY)).expect("ours");
    let unasked = run(&data, &["accept-id-key"]);
    assert_eq!((unasked.code, unasked.stdout.as_str()), (2, ""), "{unasked:?}");
    refused(&data, &[], 1, "ID_KEY_MISSING");

    let accepted = run(&data, &["accept-id-key", "--yes"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let server = Server::start(&data, &[]);
    let running = run(&data, &["accept-id-key", "--yes"]);
    assert_eq!((running.code, &running.problem()["code"]), (75, &json!("DATA_IN_USE")), "{running:?}");
    // This is what it costs.
    let buyer = token(&data, "buyer", None);
    let afresh = server.reserve(&buyer, "k", 1);
    assert_eq!(afresh.status, 201, "{afresh:?}");
    let old = format!("/v1/reservations/{}", told.body["reservation_id"].as_str().expect("an id"));
    assert_eq!(server.send("GET", &old, &buyer, None).status, 403);
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}

/// A log that was begun by something that has no key, as a tool might: there is nothing to go by.
#[test]
fn a_log_with_commands_and_no_key_at_all_is_refused() {
    let (_directory, data) = directory();
    let server = Offline::open(&data);
    server.open_sale(1, SaleTerms::default());
    server.stop();
    fs::remove_file(data.join(ID_KEY)).expect("ours");
    refused(&data, &[], 1, "ID_KEY_MISSING");
}
