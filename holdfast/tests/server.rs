//! A real server process, from its first start to its orderly end.

mod kit;

use std::fs;
use std::time::{Duration, Instant};

use holdfast_contracts::command::Line;
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{CustomerId, Offset, ReservationId, SaleTerms};
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, ReadOnlyConfig, ReadOnlyLog, StreamId};
use kit::offline::{Offline, PARTITIONS, PATIENCE, SKU, forge_an_output, id};
use kit::server::{Server, directory, log_of, open_sale, refused, token};
use kit::{Ran, holdfast, run};
use rustix::process::Signal;
use serde_json::json;

/// Every line of a server's stderr is JSON, the last one too.
#[test]
fn a_server_that_does_not_start_says_so_in_json() {
    let (_directory, data) = directory();
    let first = Offline::open(&data);
    let refused = holdfast().arg("--data").arg(&data).args(["up", "--listen", "127.0.0.1:0"]).output();
    let refused = Ran::of(refused.expect("it runs"));
    assert_eq!(refused.code, 75);
    for line in refused.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert_eq!(refused.problem()["code"], "DATA_IN_USE");
    first.stop();
}

/// A data directory with a sale in it, at rest.
fn at_rest(data: &std::path::Path) {
    let server = Offline::open(data);
    server.open_sale(10, SaleTerms::default());
    server.reserve(1, 7, 1);
    server.stop();
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let (_directory, data) = directory();
    let first = Offline::open(&data);
    refused(&data, &[], 75, "DATA_IN_USE");
    first.stop();
}

#[test]
fn a_log_that_its_last_owner_is_about_to_let_go_of_is_waited_for() {
    let (_directory, data) = directory();
    at_rest(&data);
    let owner =
        EmbeddedLog::open(&data.join("log"), &EmbeddedConfig::new(Layout::inventory(PARTITIONS).unwrap()));
    let owner = owner.expect("nobody else has it");
    let log = data.clone();
    let letting_go = std::thread::spawn(move || {
        let deadline = Instant::now() + PATIENCE;
        while !log_of(&log).contains("waiting for it to end") {
            assert!(Instant::now() < deadline, "nobody says that it waits");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        drop(owner);
    });
    let server = Server::start(&data, &[]);
    letting_go.join().expect("it was said");
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "{}", log_of(&data));
}

#[test]
fn a_changed_partition_count_is_refused_and_the_right_one_need_not_be_given() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &["--partitions", "3"]);
    server.stop(Signal::TERM);
    for other in ["2", "8"] {
        refused(&data, &["--partitions", other], 1, "PARTITIONS_CHANGED");
    }
    let server = Server::start(&data, &[]);
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "{}", log_of(&data));
}

#[test]
fn another_log_than_the_directory_belongs_to_is_refused() {
    let ((_one, data), (_two, other)) = (directory(), directory());
    for data in [&data, &other] {
        Server::start(data, &["--partitions", "1"]).stop(Signal::TERM);
    }
    fs::remove_dir_all(data.join("log")).expect("it is ours");
    refused(&data, &[], 69, "NO_LOG");
    // Only its lock file is there.
    fs::remove_dir_all(data.join("log")).expect("it is ours");
    fs::rename(other.join("log"), data.join("log")).expect("both are ours");
    refused(&data, &[], 1, "OTHER_LOG");
}

#[test]
fn checkpoints_of_another_log_are_refused() {
    let ((_one, data), (_two, other)) = (directory(), directory());
    at_rest(&data);
    at_rest(&other);
    fs::remove_dir_all(data.join("checkpoints")).expect("it is ours");
    fs::rename(other.join("checkpoints"), data.join("checkpoints")).expect("both are ours");
    refused(&data, &[], 1, "OTHER_LOG");
}

#[test]
fn a_damaged_log_is_refused_and_left_as_it_is() {
    let (_directory, data) = directory();
    at_rest(&data);
    let segments = fs::read_dir(data.join("log")).expect("a directory").filter_map(Result::ok);
    let large =
        segments.map(|entry| entry.path()).filter(|it| it.metadata().is_ok_and(|it| it.len() > 1 << 20));
    let segment = large.min().expect("a segment");
    let mut bytes = fs::read(&segment).expect("readable");
    let at = bytes.windows(8).position(|it| it == b"delivery").expect("the reason is in the log");
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).expect("writable");
    let said = refused(&data, &[], 1, "LOG_DAMAGED").problem();
    let name = segment.file_name().expect("a file").to_string_lossy().into_owned();
    assert!(said["detail"].as_str().expect("text").contains(&name), "{said}");
    assert_eq!(fs::read(&segment).expect("readable"), bytes);
}

#[test]
fn a_damaged_checkpoint_database_is_set_aside_and_the_log_makes_up_for_it() {
    let (_directory, data) = directory();
    at_rest(&data);
    let current = data.join("checkpoints").join("CURRENT");
    let manifest = fs::read_to_string(&current).expect("it names the manifest");
    let manifest = data.join("checkpoints").join(manifest.trim());
    let mut bytes = fs::read(&manifest).expect("readable");
    // Behind the checksum of its first entry.
    bytes[10] ^= 1;
    fs::write(&manifest, &bytes).expect("writable");
    assert_eq!(run(&data, &["explain", &id(1).to_string()]).json()["now"]["state"], "held");
    assert_eq!(run(&data, &["replay"]).problem()["code"], "CHECKPOINTS");

    let server = Server::start(&data, &[]);
    let shown = run(&data, &["stock", "show", SKU]).json();
    assert_eq!((&shown["on_hand"], &shown["held"]), (&json!(10), &json!(1)));
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    assert!(data.join("checkpoints.damaged-1").is_dir(), "{}", log_of(&data));
    assert!(log_of(&data).contains("set aside"));
    assert_eq!(run(&data, &["replay"]).code, 0);
}

#[test]
fn an_address_in_use_is_refused() {
    let (_directory, data) = directory();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let ran = run(&data, &["up", "--listen", &address]);
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran:?}");
    assert_eq!(ran.problem()["code"], "ADDRESS");
}

#[test]
fn a_sale_survives_kill_9_and_the_same_keys_get_the_same_answers() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &["--partitions", "2"]);
    open_sale(&data, 2, "units_per_customer_max = 1");
    let buyers: Vec<_> = (0..4).map(|n| token(&data, &format!("buyer-{n}"), None)).collect();
    let first: Vec<_> = buyers.iter().map(|buyer| server.reserve(buyer, "k", 1)).collect();
    let statuses: Vec<_> = first.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [201, 201, 422, 422]);
    let confirm =
        format!("/v1/reservations/{}/confirm", first[0].body["reservation_id"].as_str().expect("an id"));
    assert_eq!(server.send("POST", &confirm, &buyers[0], None).status, 200);
    server.kill();

    // What a dead server left behind can be read.
    let id = first[1].body["reservation_id"].as_str().expect("an id").to_owned();
    let told = run(&data, &["explain", &id]).json();
    assert_eq!(told["now"]["state"], "held");

    let server = Server::start(&data, &[]);
    for (buyer, before) in buyers.iter().zip(&first).take(2) {
        let again = server.reserve(buyer, "k", 1);
        assert_eq!((again.status, again.replay), (200, true), "{again:?}");
        for part in ["reservation_id", "position", "lines"] {
            assert_eq!(again.body[part], before.body[part]);
        }
    }
    for buyer in &buyers[2..] {
        assert_eq!(server.reserve(buyer, "k", 1).status, 422);
    }
    let left = run(&data, &["stock", "show", "A1"]).json();
    assert_eq!((&left["available"], &left["held"], &left["committed"]), (&json!(0), &json!(1), &json!(1)));

    // The running server's data is explained and replayed as well.
    let told = run(&data, &["explain", &id]).json();
    assert_eq!(told["history"][0]["code"], "RESERVED");
    for it in run(&data, &["replay"]).json().as_array().expect("a list") {
        let live = it["live"].as_array().and_then(|it| it.last()).expect("the server is asked");
        assert_eq!(live["source"], "server", "{it}");
        assert_eq!(live["live_digest"], live["replayed_digest"], "{it}");
    }

    let (code, rest) = server.stop(Signal::TERM);
    assert_eq!((code, rest.as_str()), (Some(0), ""), "{}", log_of(&data));
    for it in run(&data, &["replay"]).json().as_array().expect("a list") {
        let (compared, to) = (&it["live"][0], it["to_offset"].as_u64().expect("a number"));
        assert_eq!(compared["live_digest"], compared["replayed_digest"], "{it}");
        // What came after the last checkpoint are ticks at most.
        assert!(compared["offset"].as_u64().expect("a number") + 10 > to, "no last checkpoint: {it}");
    }
}

#[test]
fn the_operators_commands_move_a_sale_through_its_life() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &["--partitions", "1"]);
    open_sale(&data, 5, "");
    let buyer = token(&data, "buyer", None);
    assert_eq!(server.reserve(&buyer, "one", 1).status, 201);
    assert_eq!(run(&data, &["sale", "pause", "spring"]).json()["state"], "paused");
    assert_eq!(server.reserve(&buyer, "two", 1).status, 425);
    run(&data, &["sale", "open", "spring"]).json();
    let adjusted = run(&data, &["stock", "adjust", "A1", "-2", "--reason", "broken"]).json();
    assert_eq!((&adjusted["on_hand"], &adjusted["available"]), (&json!(3), &json!(2)), "{adjusted}");
    for _ in 0..2 {
        let once =
            run(&data, &["stock", "adjust", "A1", "4", "--reason", "found", "--key", "shelf-7"]).json();
        assert_eq!(once["on_hand"], 7, "the same key is done once: {once}");
    }
    let aside = ["stock", "adjust", "A1", "0", "--set-aside", "1", "--reason", "quality"];
    assert_eq!(run(&data, &aside).json()["unavailable"], 1);
    let forced = run(&data, &["stock", "set", "A1", "0", "--reason", "lost", "--force"]);
    assert_eq!(forced.code, 2, "a forced cut is not made unasked: {forced:?}");
    let changed = run(&data, &["stock", "set", "A1", "9", "--reason", "count", "--expected", "5"]);
    assert_eq!((changed.code, changed.problem()["code"].clone()), (1, json!("STOCK_CHANGED")));

    let unasked = run(&data, &["sale", "close", "spring"]);
    assert_eq!((unasked.code, unasked.stdout.as_str()), (2, ""), "{unasked:?}");
    assert_eq!(run(&data, &["sale", "close", "spring", "--yes"]).json()["state"], "closed");
    assert_eq!(server.reserve(&buyer, "three", 1).status, 410);
    let reopened = run(&data, &["sale", "open", "spring"]);
    assert_eq!((reopened.code, reopened.problem()["code"].clone()), (1, json!("SALE_STATE")));
    assert_eq!(server.stop(Signal::INT).0, Some(0));
}

#[test]
fn without_a_server_a_command_says_so() {
    let (_directory, data) = directory();
    Server::start(&data, &["--partitions", "1"]).kill();
    // The address of the dead server still stands in the directory.
    let ran = run(&data, &["stock", "show", "A1"]);
    assert_eq!((ran.code, ran.problem()["code"].clone()), (69, json!("UNREACHABLE")), "{ran:?}");
}

#[test]
fn a_buyers_token_moves_no_stock() {
    let (_directory, data) = directory();
    let _server = Server::start(&data, &["--partitions", "1"]);
    let buyer = token(&data, "buyer", None);
    let ran = run(&data, &["stock", "set", "A1", "1", "--reason", "x", "--token", &buyer]);
    assert_eq!((ran.code, ran.problem()["status"].clone()), (1, json!(403)), "{ran:?}");
}

#[test]
fn the_log_of_a_server_is_json_and_development_mode_is_loud() {
    let (_directory, data) = directory();
    Server::start(&data, &["--partitions", "1"]).stop(Signal::TERM);
    let log = log_of(&data);
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    let loud =
        lines.iter().find(|it| it["message"].as_str().is_some_and(|it| it.starts_with("DEVELOPMENT MODE")));
    assert_eq!(loud.expect("it is said")["level"], "WARN");
}

#[test]
fn a_killed_server_wrote_down_enough_for_doctor() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &["--partitions", "1"]);
    open_sale(&data, 1, "");
    let port = server.base.rsplit(':').next().expect("a port").to_owned();
    let ran = run(&data, &["doctor", "--listen", &format!("127.0.0.1:{port}")]);
    let port = ran.data().as_array().expect("a list").iter().find(|it| it["check"] == "port").cloned();
    assert_eq!(port.expect("checked")["verdict"], "ok", "the server's own port is no finding: {ran:?}");
    server.kill();
    let ran = run(&data, &["doctor", "--listen", "127.0.0.1:0"]);
    for it in ran.data().as_array().expect("a list") {
        assert_ne!(it["verdict"], "fail", "{it}");
    }
}

#[test]
fn a_stopped_partition_is_said_loudly_and_the_others_go_on() {
    let (_directory, data) = directory();
    at_rest(&data);
    forge_an_output(&data);
    let server = Server::start(&data, &[]);
    let ready = server.send("GET", "/readyz", "", None);
    assert_eq!((ready.status, &ready.body["partitions_not_live"]), (503, &json!(1)), "{ready:?}");
    // A SKU of the other partition.
    let other =
        (0..).map(|n| format!("B{n}")).find(|it| partition_of(it, PARTITIONS) != Offline::partition());
    let set =
        run(&data, &["stock", "set", &other.expect("there is one"), "5", "--reason", "delivery"]).json();
    assert_eq!(set["on_hand"], 5, "{set}");
    let refused = run(&data, &["stock", "set", SKU, "5", "--reason", "delivery"]);
    assert_eq!((refused.code, &refused.problem()["status"]), (75, &json!(503)), "{refused:?}");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let log = log_of(&data);
    let errors: Vec<_> = log.lines().filter(|it| it.contains("\"level\":\"ERROR\"")).collect();
    assert_eq!(errors.len(), 1, "it is said once: {errors:#?}");
    let loud = log.lines().find(|it| it.contains("THE PARTITION HAS STOPPED")).expect("it is said");
    assert!(loud.contains("OUTPUT_AHEAD") && loud.contains("advice"), "{loud}");
}

#[test]
fn when_every_partition_stops_the_server_does_not_start() {
    let (_directory, data) = directory();
    let server = Offline::open(&data);
    server.open_sale(1, SaleTerms::default());
    server.stop();
    // The log loses what the checkpoints have seen.
    fs::remove_dir_all(data.join("log")).expect("it is ours");
    let checkpoints = data.with_extension("checkpoints");
    fs::rename(data.join("checkpoints"), &checkpoints).expect("it is ours");
    Offline::open(&data).stop();
    fs::remove_dir_all(data.join("checkpoints")).expect("it is ours");
    fs::rename(&checkpoints, data.join("checkpoints")).expect("it is ours");
    refused(&data, &[], 1, "OTHER_LOG");
}

/// The public key of RFC 8410, section 10.1.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

#[test]
fn production_runs_with_configured_keys_and_gives_no_tokens() {
    let (directory, data) = directory();
    let (keys, file) = (directory.path().join("keys.pem"), directory.path().join("holdfast.toml"));
    fs::write(&keys, PUBLIC_KEY).expect("written");
    fs::write(&file, format!("[intake.auth]\nkeys_file = '{}'\n", keys.display())).expect("written");
    // A token from the time before.
    Server::start(&data, &["--partitions", "1"]).stop(Signal::TERM);
    let old = token(&data, "somebody", Some("admin"));
    let config = ["--config", file.to_str().expect("text"), "--production", "--partitions", "1"];
    let server = Server::start(&data, &config);
    let set = server.send("PUT", "/v1/admin/skus/A1/stock", &old, Some(json!({"on_hand": 1, "reason": "x"})));
    assert_eq!(set.status, 401, "a development token is trusted in production: {set:?}");
    // Even who leaves the settings away: the directory remembers.
    let refused = run(&data, &["token", "--subject", "buyer"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert_eq!(refused.problem()["code"], "NO_DEVELOPMENT_TOKENS");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    assert_eq!(log_of(&data).matches("DEVELOPMENT MODE").count(), 1, "only before it was production");
    // The settings left away by mistake must not open production data to development tokens.
    self::refused(&data, &[], 1, "PRODUCTION_DATA");
    // Nor must a file that was damaged.
    for damaged in ["qroduction\n", "", "\u{fffd}"] {
        fs::write(data.join("mode"), damaged).expect("written");
        self::refused(&data, &[], 1, "PRODUCTION_DATA");
        assert_eq!(run(&data, &["token", "--subject", "buyer"]).problem()["code"], "NO_DEVELOPMENT_TOKENS");
    }
}

#[test]
fn what_a_verified_checkpoint_covers_may_be_forgotten_and_the_rest_still_adds_up() {
    let (directory, data) = directory();
    let offline = Offline::open(&data);
    offline.open_sale(1, SaleTerms::default());
    offline.reserve(1, 7, 1);
    // Enough for several segments: a segment is forgotten as a whole.
    for batch in 0..150u64 {
        offline.command(|builder| {
            let sku = builder.sku(SKU);
            for n in 0..8_000 {
                let id = ReservationId((u128::from(batch * 8_000 + n) << 8 | 0xff).to_be_bytes());
                builder.reserve_one(id, CustomerId(9), Line { sku, quantity: 1 });
            }
        });
    }
    offline.reserve(2, 8, 1);
    offline.stop();
    let before = run(&data, &["explain", &id(1).to_string()]).json();
    assert_eq!(before["now"]["state"], "held");

    let file = directory.path().join("holdfast.toml");
    fs::write(
        &file,
        "[log]\nkeep_bytes = 0\nretention_every_ms = 20\n[sequencer]\ncheckpoint_idle_ms = 50\n",
    )
    .expect("written");
    let server = Server::start(&data, &["--config", file.to_str().expect("text")]);
    let deadline = Instant::now() + PATIENCE;
    let low = || {
        let log = ReadOnlyLog::open(&data.join("log"), &ReadOnlyConfig::default()).expect("it can be read");
        log.watermarks(StreamId::inventory_commands(Offline::partition())).low
    };
    while low() == Offset(0) {
        assert!(Instant::now() < deadline, "nothing is forgotten");
    }
    server.kill();

    // The state still knows what the log has forgotten.
    let server = Server::start(&data, &[]);
    assert_eq!(server.send("GET", "/readyz", "", None).status, 200);
    server.stop(Signal::TERM);
    let replayed = run(&data, &["replay"]).json();
    assert!(replayed[Offline::partition().0 as usize]["from_offset"].as_u64() > Some(0), "{replayed}");
    let forgotten = run(&data, &["explain", &id(1).to_string()]);
    assert_eq!((forgotten.code, &forgotten.problem()["code"]), (1, &json!("UNKNOWN_ID")), "{forgotten:?}");
    assert!(forgotten.stderr.contains("no longer reaches back"), "{forgotten:?}");
    let recent = run(&data, &["explain", &id(2).to_string()]).json();
    assert_eq!(recent["history"][0]["code"], "INSUFFICIENT_STOCK", "{recent}");
}

#[test]
fn a_small_demo_is_exact() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let data = directory.path().join("demo");
    let arguments = ["demo", "--units", "20", "--buyers", "200", "--connections", "16", "--hold-ttl", "1s"];
    let ran = run(&data, &arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    let last = ran.stdout.lines().last().expect("the verdict");
    let verdict: serde_json::Value = serde_json::from_str(last).expect("the last line is JSON");
    assert_eq!(
        (&verdict["exact"], &verdict["counts"]["units_sold"]),
        (&json!(true), &json!(20)),
        "{verdict}"
    );
}
