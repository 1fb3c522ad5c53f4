//! Whole demonstrations against a small server of our own that can be told to make mistakes. An honest one gets an exact
//! verdict; each mistake is found by the check it is for, all the way from the wire to the report.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand_in;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_loadtest::demo::{self, DemoConfig};
use serde_json::Value;
use stand_in::Mistake;

/// Where the child has its data, and what it is to do wrong. Set only for a child.
const CHILD_DIRECTORY: &str = "HOLDFAST_TEST_CHILD_DIRECTORY";
const CHILD_MISTAKE: &str = "HOLDFAST_TEST_CHILD_MISTAKE";

/// The server that the others start, when it is told where. Otherwise a look at what it would serve.
#[test]
fn child_that_serves_until_it_is_killed() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        let mistake = std::env::var(CHILD_MISTAKE).unwrap();
        stand_in::serve(Path::new(&directory), serde_json::from_str(&mistake).unwrap());
    } else {
        stand_in::decides_once();
    }
}

/// A program that is started like `holdfast up --listen ADDRESS --data DIRECTORY`, and is this test's child.
fn program(directory: &Path, mistake: Mistake) -> PathBuf {
    let file = directory.join("server");
    let this = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n{CHILD_DIRECTORY}=\"$5\" {CHILD_MISTAKE}='{}' \
         exec '{}' --exact child_that_serves_until_it_is_killed --nocapture\n",
        serde_json::to_string(&mistake).unwrap(),
        this.display()
    );
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// A small sale with that mistake, as JSON.
fn sale(mistake: Mistake) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let config = DemoConfig {
        data: Some(directory.path().join("data")),
        buyers: 600,
        units: 100,
        connections: 32,
        hold_ttl: Duration::from_secs(1),
        give_up_after: Duration::from_secs(if mistake == Mistake::None { 120 } else { 8 }),
        ..DemoConfig::new(program(directory.path(), mistake))
    };
    let report = demo::run(&config).unwrap();
    let mut shown = Vec::new();
    demo::show(&report, true, &mut shown).unwrap();
    let json: Value =
        serde_json::from_str(String::from_utf8(shown).unwrap().lines().last().unwrap()).unwrap();
    assert_eq!(json["exact"], report.is_exact());
    json
}

#[track_caller]
fn is_caught(mistake: Mistake, check: &str) {
    let report = sale(mistake);
    assert_eq!(report["exact"], false, "{report}");
    assert_ne!(report["verdict"][check], 0, "{report}");
}

#[test]
fn an_honest_server_is_exact() {
    let report = sale(Mistake::None);
    assert_eq!(report["exact"], true, "{report}");
    assert_eq!(report["counts"]["units_sold"], 100);
    assert_eq!(report["kills"].as_array().unwrap().len(), 1);
    for happened in
        ["confirmed", "released", "expired", "limit_refusals", "key_conflicts", "told_again", "read_back"]
    {
        assert_ne!(report["counts"][happened], 0, "{happened}: {report}");
    }
}

#[test]
fn selling_too_much_is_caught() {
    is_caught(Mistake::Oversells, "oversold");
}

#[test]
fn refusing_free_units_is_caught() {
    is_caught(Mistake::RefusesFreeUnits, "undersold");
}

#[test]
fn never_reselling_is_caught() {
    is_caught(Mistake::NeverResells, "undersold");
}

#[test]
fn forgetting_what_was_told_is_caught() {
    is_caught(Mistake::Forgets, "lost_answers");
}

#[test]
fn deciding_twice_is_caught() {
    is_caught(Mistake::DecidesTwice, "double_decisions");
}

#[test]
fn reordering_is_caught() {
    is_caught(Mistake::Reorders, "out_of_order");
}

#[test]
fn ignoring_the_limit_is_caught() {
    is_caught(Mistake::IgnoresTheLimit, "limit_exceeded");
}

#[test]
fn expiring_early_is_caught() {
    is_caught(Mistake::ExpiresEarly, "wrong_deadlines");
}

#[test]
fn expiring_late_is_caught() {
    is_caught(Mistake::ExpiresLate, "wrong_deadlines");
}

#[test]
fn ignoring_the_body_is_caught() {
    is_caught(Mistake::IgnoresTheBody, "double_decisions");
}

#[test]
fn stumbling_is_caught() {
    is_caught(Mistake::Stumbles, "unexpected_answers");
}
