//! Probes, metrics, traces, connections, and an orderly end.

mod kit;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use holdfast_contracts::PartitionId;
use kit::{Client, PATIENCE, Server, Setting, line, wait_for};

#[test]
fn probes_say_how_it_is() {
    let server = Server::with(Setting { partitions: 2, ..Setting::default() });
    let mut anybody = Client::new(server.intake.local_addr(), "none");
    assert_eq!(anybody.get("/livez").expect(200).get("/ok"), true);
    assert_eq!(anybody.get("/readyz").expect(200).get("/ready"), true);
    let start = anybody.get("/startupz").expect(200);
    assert_eq!(start.get("/started"), true);
    for partition in 0..2 {
        assert_eq!(start.text(&format!("/partitions/{partition}/state")), "live");
    }
    assert!(start.number("/partitions/0/restored") >= start.number("/partitions/0/target"));
    assert!(server.intake.is_ready() && server.intake.is_in_development_mode());
}

#[test]
fn fresh_partitions_get_the_newest_rules_once() {
    let server = Server::with(Setting { partitions: 2, ..Setting::default() });
    let activations =
        |server: &Server| server.commands().iter().filter(|text| text.starts_with("ActivateRules")).count();
    assert_eq!(activations(&server), 2);
    for partition in 0..2 {
        let version = server.sequencer.ask(PartitionId(partition), |machine, _| machine.rules_version());
        assert_eq!(version, Ok(Some(2)));
    }
    let server = server.restart();
    assert_eq!(activations(&server), 2);
}

#[test]
fn metrics_count_what_happened() {
    let server = Server::start();
    server.sale("A1", 1, "");
    let mut buyer = server.buyer("one");
    buyer.reserve("k", &line("A1", 1)).expect(201);
    buyer.reserve("k", &line("A1", 1)).expect(200);
    buyer.reserve("x", "{}").expect(400);
    let metrics = buyer.get("/metrics").expect(200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "holdfast_http_answers_total{route=\"reserve\",status=\"201\"} 1",
        "holdfast_http_answers_total{route=\"reserve\",status=\"200\"} 1",
        "holdfast_http_answers_total{route=\"reserve\",status=\"400\"} 1",
        "holdfast_http_reserve_seconds_count 3",
        "holdfast_intake_replays_total 1",
        "holdfast_intake_ready 1",
        "holdfast_partition_live{partition=\"0\"} 1",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is missing in\n{}", metrics.body);
    }
}

#[test]
fn a_trace_goes_through() {
    let server = Server::start();
    server.sale("A1", 5, "");
    let mut buyer = server.buyer("one");
    let parent = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let trace = Some("4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(buyer.ask("GET", "/livez", &[parent], "").header("x-trace-id"), trace);
    let headers = [("content-type", "application/json"), ("idempotency-key", "k"), parent];
    let held = buyer.ask("POST", "/v1/reservations", &headers, &line("A1", 1)).expect(201);
    assert_eq!(held.header("x-trace-id"), trace);
    let refused = buyer.ask("POST", "/v1/reservations", &headers, "{}").problem(400, "INVALID_REQUEST");
    assert_eq!(refused.text("/trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    let one = buyer.get("/livez").header("x-trace-id").expect("always there").to_owned();
    let two = buyer.get("/livez").header("x-trace-id").expect("always there").to_owned();
    assert!(one.len() == 32 && one != two);
}

#[test]
fn every_problem_type_has_a_page() {
    let server = Server::start();
    let mut buyer = server.buyer("one");
    let page = buyer.get(&buyer_problem(&server)).expect(200);
    assert!(page.body.contains("UNKNOWN_SKU"), "{page:?}");
}

/// Where the type of a problem points to.
fn buyer_problem(server: &Server) -> String {
    server.buyer("one").get("/v1/skus/none/availability").problem(404, "UNKNOWN_SKU").text("/type")
}

/// Waits until the server has closed a connection; returns what it said before.
fn until_closed(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut said = Vec::new();
    // A reset is a closed connection as well.
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server keeps the connection: {error}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn clients_that_dawdle_are_cut_off_and_others_are_not() {
    let mut setting = Setting::default();
    setting.config.header_timeout_ms = 200.try_into().expect("not 0");
    setting.config.body_timeout_ms = 200.try_into().expect("not 0");
    let server = Server::with(setting);
    server.sale("A1", 5, "");
    let mut buyer = server.buyer("one");
    buyer.get("/livez").expect(200);
    let silent = TcpStream::connect(server.intake.local_addr()).expect("it listens");
    let mut half = TcpStream::connect(server.intake.local_addr()).expect("it listens");
    half.write_all(b"GET /livez HTTP/1.1\r\nhost:").expect("it reads");
    assert_eq!(until_closed(silent), "");
    assert_eq!(until_closed(half), "");
    let token = server.token("one", &[]);
    let mut slow = TcpStream::connect(server.intake.local_addr()).expect("it listens");
    let head = format!(
        "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\nidempotency-key: k\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).expect("it reads");
    assert!(until_closed(slow).contains("REQUEST_TIMEOUT"));
    // Idle for longer than all that, but it had asked before.
    buyer.get("/livez").expect(200);
}

#[test]
fn connections_beyond_the_bound_wait_for_their_turn() {
    let mut setting = Setting::default();
    setting.config.shards = 1.try_into().expect("not 0");
    setting.config.connections_max = 1.try_into().expect("not 0");
    let server = Server::with(setting);
    let mut first = server.buyer("one");
    first.get("/livez").expect(200);
    let mut second = server.buyer("two");
    second.send("GET", "/livez", &[], b"");
    second.stream().set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let mut byte = [0];
    assert!(second.stream().peek(&mut byte).is_err(), "the second connection waits");
    second.stream().set_read_timeout(Some(PATIENCE)).expect("a timeout");
    drop(first);
    second.receive().expect("an answer").expect(200);
}

#[test]
fn an_orderly_end_answers_what_has_begun() {
    let server = Server::start();
    server.sale("A1", 100, "");
    let (release, released) = mpsc::channel::<()>();
    let (begun, began) = mpsc::channel();
    let hold = move |_: Option<&_>, _: &_| {
        begun.send(()).expect("the test waits");
        released.recv().expect_err("nothing is ever sent");
    };
    server.sequencer.query(PartitionId(0), Box::new(hold)).expect("the sequencer runs");
    began.recv().expect("the sequencer is held");
    let before = server.commands().len();
    let mut buyers: Vec<Client> = (0..10).map(|_| server.buyer("one")).collect();
    for (number, buyer) in buyers.iter_mut().enumerate() {
        buyer.send_reserve(&format!("k{number}"), &line("A1", 1));
    }
    wait_for("all commands", || (server.commands().len() == before + 10).then_some(()));
    let mut idle = server.buyer("idle");
    idle.get("/livez").expect(200);
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| server.intake.shutdown(PATIENCE));
        assert!(idle.receive().is_none(), "idle connections are closed");
        assert!(!server.intake.is_ready());
        drop(release);
        for buyer in &mut buyers {
            let held = buyer.receive().expect("an answer").expect(201);
            assert_eq!(held.header("connection"), Some("close"));
        }
        assert!(ending.join().expect("it ends").drained);
    });
}

#[test]
fn an_end_without_patience_cuts_off_what_waits() {
    let server = Server::start();
    server.sale("A1", 100, "");
    let (_release, released) = mpsc::channel::<()>();
    let hold = move |_: Option<&_>, _: &_| {
        released.recv().expect_err("nothing is ever sent");
    };
    server.sequencer.query(PartitionId(0), Box::new(hold)).expect("the sequencer runs");
    let before = server.commands().len();
    let mut buyer = server.buyer("one");
    buyer.send_reserve("k", &line("A1", 1));
    wait_for("the command", || (server.commands().len() == before + 1).then_some(()));
    assert!(!server.intake.shutdown(Duration::ZERO).drained);
    assert!(buyer.receive().is_none());
}

#[test]
fn two_servers_do_not_share_an_address() {
    let server = Server::start();
    let mut config = Setting::default().config;
    config.listen = server.intake.local_addr();
    config.data_dir = server.data_dir();
    let second = holdfast_intake::Intake::start(server.log.clone(), server.sequencer.clone(), config);
    assert!(matches!(second, Err(holdfast_intake::IntakeError::Listen { .. })), "{second:?}");
}
