//! Waits that end before the decision, and everything that keeps a decision from coming.

mod kit;

use std::sync::{Arc, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_contracts::{LogId, LogTime, PartitionId};
use holdfast_log::simulated::{Pace, Room};
use holdfast_log::{Layout, OrderedLog, SimulatedConfig, SimulatedLog, StreamId};
use kit::{Client, Server, Setting, line, wait_for};

const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));

/// Keeps the sequencer from deciding until it is dropped.
struct Held(#[allow(dead_code, reason = "dropping it is what it is for")] mpsc::Sender<()>);

fn hold(server: &Server) -> Held {
    let (release, released) = mpsc::channel();
    let (begun, began) = mpsc::channel();
    server
        .sequencer
        .query(
            PartitionId(0),
            Box::new(move |_, _| {
                begun.send(()).expect("the test waits");
                // Ends when the other side is dropped.
                released.recv().expect_err("nothing is ever sent");
            }),
        )
        .expect("the sequencer runs");
    began.recv().expect("the sequencer is held");
    Held(release)
}

fn reserve_waiting(client: &mut Client, key: &str, prefer: &str) -> kit::Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key), ("prefer", prefer)];
    client.ask("POST", "/v1/reservations", &headers, &line("A1", 1))
}

#[test]
fn a_wait_that_ends_early_is_answered_with_a_place_to_look() {
    let server = Server::start();
    server.sale("A1", 10, "");
    let held = hold(&server);
    let mut buyer = server.buyer("one");
    let before = server.commands().len();
    let late = reserve_waiting(&mut buyer, "k", "wait=0").expect(202);
    assert_eq!(server.commands().len(), before + 1, "202 is said when the command is durable");
    assert_eq!(late.text("/state"), "pending");
    let id = late.text("/reservation_id");
    let location = format!("/v1/reservations/{id}");
    assert_eq!(late.header("location"), Some(location.as_str()));
    assert_eq!(late.header("retry-after"), Some("1"));
    assert_eq!(late.header("preference-applied"), Some("wait=0"));
    reserve_waiting(&mut buyer, "k", "respond-async").expect(202);
    // The machine cannot be asked either: come back later.
    let shown = buyer.ask("GET", &location, &[("prefer", "wait=0")], "");
    assert_eq!(shown.clone().problem(503, "UNAVAILABLE").header("retry-after"), Some("1"));
    drop(held);
    wait_for("the decision", || (buyer.get(&location).status == 200).then_some(()));
    assert_eq!(buyer.get(&location).text("/state"), "held");
    buyer.reserve("k", &line("A1", 1)).expect(200).replayed();
}

#[test]
fn a_wait_is_told_as_it_was_granted() {
    let server = Server::start();
    server.sale("A1", 10, "");
    let mut buyer = server.buyer("one");
    let quick = reserve_waiting(&mut buyer, "k1", "wait=10").expect(201);
    assert_eq!(quick.header("preference-applied"), Some("wait=10"));
    let capped = reserve_waiting(&mut buyer, "k2", "wait=100000").expect(201);
    assert_eq!(capped.header("preference-applied"), Some("wait=30"));
    assert_eq!(buyer.reserve("k3", &line("A1", 1)).header("preference-applied"), None);
}

#[test]
fn requests_that_come_together_with_one_key_get_one_decision() {
    let server = Server::start();
    server.sale("A1", 100, "");
    let held = hold(&server);
    let mut buyers: Vec<Client> = (0..20).map(|_| server.buyer("one")).collect();
    for buyer in &mut buyers {
        buyer.send_reserve("k", &line("A1", 1));
    }
    drop(held);
    let answers: Vec<_> = buyers.iter_mut().map(|buyer| buyer.receive().expect("an answer")).collect();
    let first = answers.iter().filter(|answer| answer.status == 201).count();
    let again = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((first, again), (1, 19));
    assert!(answers.iter().all(|answer| answer.get("/position") == answers[0].get("/position")));
    assert_eq!(server.buyer("two").get("/v1/skus/A1/availability").number("/held"), 1);
}

#[test]
fn who_left_is_decided_all_the_same() {
    let server = Server::start();
    server.sale("A1", 10, "");
    let held = hold(&server);
    let before = server.commands().len();
    let mut buyer = server.buyer("one");
    buyer.send_reserve("k", &line("A1", 1));
    wait_for("the command", || (server.commands().len() > before).then_some(()));
    drop(buyer);
    drop(held);
    server.buyer("one").reserve("k", &line("A1", 1)).expect(200).replayed();
}

#[test]
fn too_many_who_wait_are_refused_before_anything_is_written() {
    let mut setting = Setting::default();
    setting.config.shards = 1.try_into().expect("not 0");
    setting.config.waiting_max = 2.try_into().expect("not 0");
    let server = Server::with(setting);
    server.sale("A1", 10, "");
    let held = hold(&server);
    let before = server.commands().len();
    let mut waiting: Vec<Client> = (0..2).map(|_| server.buyer("one")).collect();
    for (number, buyer) in waiting.iter_mut().enumerate() {
        buyer.send_reserve(&format!("k{number}"), &line("A1", 1));
    }
    wait_for("both commands", || (server.commands().len() == before + 2).then_some(()));
    let refused = server.buyer("two").reserve("k", &line("A1", 1)).problem(503, "OVERLOADED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.commands().len(), before + 2);
    drop(held);
    for buyer in &mut waiting {
        buyer.receive().expect("an answer").expect(201);
    }
    server.buyer("two").reserve("k", &line("A1", 1)).expect(201);
}

#[test]
fn a_customer_who_asks_too_often_is_slowed_down() {
    let mut setting = Setting::default();
    setting.config.shards = 1.try_into().expect("not 0");
    setting.config.customer_requests_per_s = 1;
    let server = Server::with(setting);
    server.sale("A1", 10, "");
    let before = server.commands().len();
    let mut buyer = server.buyer("one");
    buyer.reserve("k1", &line("A1", 1)).expect(201);
    let refused = buyer.reserve("k2", &line("A1", 1)).problem(429, "TOO_MANY_REQUESTS");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.commands().len(), before + 1);
    server.buyer("two").reserve("k1", &line("A1", 1)).expect(201);
}

fn simulated() -> Arc<SimulatedLog> {
    let layout = Layout::inventory(1).expect("one partition");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut config = SimulatedConfig::new(LogId([7; 16]), layout);
    config.append_time = LogTime(u64::try_from(since.as_millis()).expect("not that late"));
    config.pace = Pace::Automatic;
    Arc::new(SimulatedLog::new(config))
}

fn on(log: &Arc<SimulatedLog>) -> Server {
    let log: Arc<dyn OrderedLog> = log.clone();
    Server::with(Setting { log: Some(log), ..Setting::default() })
}

#[test]
fn a_full_disk_refuses_and_heals() {
    let log = simulated();
    let server = on(&log);
    server.sale("A1", 10, "");
    let mut buyer = server.buyer("one");
    let held = buyer.reserve("k1", &line("A1", 1)).expect(201).text("/reservation_id");
    log.set_room(Room::DecisionsOnly);
    let end = log.watermarks(COMMANDS).end;
    // Before the intake has looked at the log, and after.
    let refused = buyer.reserve("k2", &line("A1", 1)).problem(503, "DISK_FULL");
    assert_eq!(refused.header("retry-after"), Some("1"));
    wait_for("the intake to notice", || (buyer.get("/readyz").status == 503).then_some(()));
    assert_eq!(buyer.get("/readyz").text("/log"), "full");
    buyer.reserve("k2", &line("A1", 1)).problem(503, "DISK_FULL");
    buyer.on(&held, "confirm").problem(503, "DISK_FULL");
    assert_eq!(log.watermarks(COMMANDS).end, end, "nothing was written");
    assert_eq!(buyer.show(&held).expect(200).text("/state"), "held", "reading goes on");
    log.set_room(Room::Plenty);
    wait_for("room again", || (buyer.get("/readyz").status == 200).then_some(()));
    buyer.reserve("k2", &line("A1", 1)).expect(201);
    assert_eq!(buyer.on(&held, "confirm").expect(200).text("/state"), "confirmed");
}

#[test]
fn what_the_log_may_have_lost_is_said_to_be_unknown() {
    let log = simulated();
    let server = on(&log);
    server.sale("A1", 10, "");
    let mut buyer = server.buyer("one");
    log.set_pace(Pace::Stepwise);
    buyer.send_reserve("k1", &line("A1", 1));
    wait_for("the command", || (log.unflushed(COMMANDS) > 0).then_some(()));
    log.fail("pulled out");
    let unknown = buyer.receive().expect("an answer").problem(503, "OUTCOME_UNKNOWN");
    assert_eq!(unknown.header("retry-after"), Some("1"));
    wait_for("the intake to notice", || (buyer.get("/readyz").status == 503).then_some(()));
    buyer.reserve("k2", &line("A1", 1)).problem(503, "UNAVAILABLE");
    buyer.get("/livez").expect(200);
}

#[test]
fn a_partition_that_stands_still_keeps_nobody_else_waiting() {
    let server = Server::with(Setting { partitions: 2, ..Setting::default() });
    let sku_of = |partition: u32| {
        let mut names = (0..100).map(|n| format!("sku-{n}"));
        let fits = |name: &String| holdfast_contracts::murmur2::partition_of(name, 2).0 == partition;
        names.find(fits).expect("there is one")
    };
    let (stops, goes_on) = (sku_of(0), sku_of(1));
    for sku in [&stops, &goes_on] {
        server.stock(sku, 10);
    }
    server.define("sale", &[&stops, &goes_on], "");
    server.change("sale", "open");
    let mut buyer = server.buyer("one");
    let id = buyer.reserve("k1", &line(&stops, 1)).expect(201).text("/reservation_id");
    // Rules that this build does not know stop a partition.
    let mut builder = holdfast_contracts::command::BatchBuilder::default();
    builder.start(Default::default(), Default::default());
    builder.push(&holdfast_contracts::command::Command::ActivateRules {
        version: 99,
        dedupe_window_ms: 0,
        work_per_record_max: 0,
    });
    let _ticket = server.log.append(COMMANDS, builder.bytes().to_vec().into()).expect("the log takes it");
    wait_for("the intake to notice", || (buyer.get("/readyz").status == 503).then_some(()));
    let end = server.log.watermarks(COMMANDS).end;
    let refused = buyer.reserve("k2", &line(&stops, 1)).problem(503, "UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), Some("1"));
    buyer.on(&id, "confirm").problem(503, "UNAVAILABLE");
    buyer.show(&id).problem(503, "UNAVAILABLE");
    assert_eq!(server.log.watermarks(COMMANDS).end, end, "nothing was written");
    buyer.reserve("k3", &line(&goes_on, 1)).expect(201);
}
