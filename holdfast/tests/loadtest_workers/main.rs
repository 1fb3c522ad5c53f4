//! A load test whose requests are sent by other processes, as it is typed.

#[path = "../kit/mod.rs"]
mod kit;

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use kit::server::{Server, directory};
use kit::{Ran, holdfast};

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the binary runs"))
    }

    fn stdout(&mut self) -> Lines<BufReader<ChildStdout>> {
        BufReader::new(self.0.stdout.take().expect("a pipe")).lines()
    }

    fn stderr(&mut self) -> Lines<BufReader<ChildStderr>> {
        BufReader::new(self.0.stderr.take().expect("a pipe")).lines()
    }

    fn ended(&mut self) -> Option<i32> {
        self.0.wait().expect("it is ours").code()
    }
}

/// A worker, and where it listens.
struct Worker {
    process: Running,
    address: String,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Worker {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut command = holdfast();
        command.arg("--data").arg(data).args(["loadtest", "worker", "--listen", "127.0.0.1:0"]);
        let mut process = Running::start(command.args(arguments));
        let stderr = process.stderr();
        let address = process.stdout().next().expect("a line").expect("text");
        assert!(address.starts_with("127.0.0.1:"), "no address: {address:?}");
        Self { process, address, stderr }
    }

    /// How many requests it says it has sent, once it has ended by itself.
    fn sent(mut self) -> u64 {
        assert_eq!(self.process.ended(), Some(0));
        let said: Vec<String> = self.stderr.map(|line| line.expect("text")).collect();
        let counts = said.iter().filter_map(|it| it.strip_suffix(" requests sent")?.rsplit(' ').next());
        let counts: Vec<u64> = counts.map(|it| it.parse().expect("a number")).collect();
        assert_eq!(counts.len(), 1, "{said:?}");
        counts[0]
    }
}

/// A sale of so many seconds in which 500 people a second want one of 400 units, and whoever gets one takes it.
fn sale(data: &Path, seconds: u64) -> String {
    let sale = "[sale]\nunits = 400\n[after]\nconfirm = 1.0\ndelay_ms = [1, 20]";
    scenario(data, seconds, sale)
}

/// A file with 500 requests a second for so many seconds, none of which is ever sent twice.
fn scenario(data: &Path, seconds: u64, what: &str) -> String {
    let file = data.with_extension("workers.toml");
    let client = "[client]\nretries = 0\ntimeout_ms = 60000";
    let stage = format!("[[stage]]\nduration_ms = {}\nrate = 500.0", seconds * 1_000);
    std::fs::write(&file, format!("connections = 16\n{what}\n{client}\n{stage}\n")).expect("written");
    file.to_str().expect("text").to_owned()
}

fn run(data: &Path, scenario: &str, workers: &[&Worker], arguments: &[&str]) -> Command {
    let names: Vec<&str> = workers.iter().map(|it| it.address.as_str()).collect();
    let mut command = holdfast();
    command.arg("--data").arg(data).args(["loadtest", "run", scenario, "--no-files", "--no-live"]);
    command.args(["--workers", &names.join(",")]).args(arguments);
    command
}

fn operation(results: &Value, name: &str) -> u64 {
    let operations = results["operations"].as_array().expect("operations");
    let found = operations.iter().find(|it| it["name"] == name);
    found.and_then(|it| it["answered"].as_u64()).unwrap_or_else(|| panic!("no {name}: {results}"))
}

#[test]
fn two_workers_send_what_one_process_would_and_the_verdict_is_of_both() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &[]);
    let secret = data.with_extension("secret");
    std::fs::write(&secret, "what both sides know\n").expect("written");
    let secret = ["--secret-file", secret.to_str().expect("text")];
    let start = || Worker::start(&data, &[&["--once"], &secret[..]].concat());
    let (one, other) = (start(), start());
    let ran = run(&data, &sale(&data, 3), &[&one, &other], &[&["--json"], &secret[..]].concat()).output();
    let ran = Ran::of(ran.expect("the binary runs"));
    let results = ran.json();
    assert_eq!(results["verdict"], "pass", "{ran:?}");
    let (requests, generator) = (&results["requests"], &results["generator"]);
    assert_eq!((operation(&results, "reserve"), operation(&results, "confirm")), (1_500, 400), "{ran:?}");
    for (name, count) in [("due", 1_900), ("sent", 1_900), ("answered", 1_900), ("dropped", 0)] {
        assert_eq!(requests[name], count, "{name}: {requests}");
    }
    assert_eq!((&generator["processes"], &generator["threads"]), (&2.into(), &2.into()), "{generator}");
    assert_eq!(generator["connections"], 16, "{generator}");
    assert!(generator["lag"]["count"].as_u64().is_some_and(|it| it > 0), "{generator}");
    assert!(generator["cpu_percent"].as_f64().is_some_and(|it| it > 0.0), "{generator}");
    assert!(generator["sockets_max"].as_u64().is_some_and(|it| it >= 16), "{generator}");
    let seconds = results["seconds"].as_array().expect("seconds");
    let sum: u64 = seconds.iter().filter_map(|it| it["sent"].as_u64()).sum();
    assert_eq!(sum, 1_900);
    // Every other request of the plan is one's, and with it whatever comes of it.
    let (one, other) = (one.sent(), other.sent());
    assert_eq!(one + other, 1_900);
    assert!(one.min(other) >= 750, "{one} and {other}");
    server.stop(Signal::TERM);
}

#[test]
fn workers_stop_when_the_run_is_over_before_its_time() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &[]);
    let start = || Worker::start(&data, &["--once"]);
    let (one, other) = (start(), start());
    let too_much = "[[threshold]]\nthat = \"reserve:p50<0.001ms\"\nabort_on_fail = true";
    let ran = run(&data, &scenario(&data, 600, too_much), &[&one, &other], &["--json"]).output();
    let ran = Ran::of(ran.expect("the binary runs"));
    assert_eq!((ran.code, &ran.data()["verdict"]), (99, &"threshold".into()), "{ran:?}");
    // They have told everything, and so their part is done.
    assert_eq!(Some(one.sent() + other.sent()), ran.data()["requests"]["sent"].as_u64());
    server.stop(Signal::TERM);
}

#[test]
fn workers_speak_to_anybody_s_interface() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &[]);
    let start = || Worker::start(&data, &["--once"]);
    let (one, other) = (start(), start());
    // Nobody has a token there, so nobody gets anything: as if nothing were for sale.
    let api = "[sale]\nunits = 0\n[api]\nmethod = \"GET\"\npath = \"/v1/reservations/{key}\"\ngranted = [201]\nrefused = [401]";
    let ran = run(&data, &scenario(&data, 1, api), &[&one, &other], &["--json"]).output();
    let results = Ran::of(ran.expect("the binary runs")).json();
    assert_eq!(
        (&results["verdict"], &results["statuses"]["401"]),
        (&"pass".into(), &500.into()),
        "{results}"
    );
    let sku = &results["skus"][0];
    assert_eq!((&sku["asked"], &sku["sold_out"]), (&500.into(), &500.into()), "{sku}");
    assert_eq!((one.sent(), other.sent()), (250, 250));
    server.stop(Signal::TERM);
}

#[test]
fn a_worker_that_dies_ends_the_run_without_a_verdict_and_the_other_stops() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &[]);
    let start = || Worker::start(&data, &["--once"]);
    let (one, other) = (start(), start());
    // Nobody waits for the end of that.
    let mut coordinator = Running::start(&mut run(&data, &sale(&data, 600), &[&one, &other], &[]));
    let mut said = coordinator.stderr();
    // A line is said of every second.
    said.find(|it| it.as_ref().is_ok_and(|it| it.contains("  sent "))).expect("progress").expect("text");
    let id = i32::try_from(other.process.0.id()).expect("a process id");
    kill_process(Pid::from_raw(id).expect("not 0"), Signal::KILL).expect("it is there");
    let said: Vec<String> = said.map(|line| line.expect("text")).collect();
    assert_eq!(coordinator.ended(), Some(1), "{said:?}");
    let name = format!("worker {}", other.address);
    assert!(said.iter().any(|it| it.contains(&name)), "{said:?}");
    let Worker { mut process, stderr, .. } = one;
    // Its run was not seen through either.
    assert_eq!(process.ended(), Some(1), "{:?}", stderr.collect::<Vec<_>>());
    server.stop(Signal::TERM);
}

#[test]
fn a_worker_takes_orders_only_from_those_who_know_its_secret() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &[]);
    let (good, bad) = (data.with_extension("good"), data.with_extension("bad"));
    std::fs::write(&good, "what both sides know\n").expect("written");
    std::fs::write(&bad, "what somebody guesses\n").expect("written");
    let file = |path: &Path| path.to_str().expect("text").to_owned();
    let worker = Worker::start(&data, &["--secret-file", &file(&good)]);
    let scenario = sale(&data, 3);
    for (arguments, why) in
        [(vec!["--secret-file".to_owned(), file(&bad)], "secrets"), (vec![], "wants a secret")]
    {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = Ran::of(run(&data, &scenario, &[&worker], &arguments).output().expect("the binary runs"));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(&worker.address) && ran.stderr.contains(why), "{ran:?}");
    }
    // It still listens, and ends when it is told to.
    let id = i32::try_from(worker.process.0.id()).expect("a process id");
    kill_process(Pid::from_raw(id).expect("not 0"), Signal::TERM).expect("it is there");
    let Worker { mut process, stderr, .. } = worker;
    assert_eq!(process.ended(), Some(0));
    assert_eq!(stderr.filter(|it| it.as_ref().is_ok_and(|it| it.contains("refused"))).count(), 2);
    server.stop(Signal::TERM);
}

#[test]
fn a_worker_that_anybody_can_reach_wants_a_secret() {
    let mut command = holdfast();
    let ran =
        command.args(["loadtest", "worker", "--listen", "0.0.0.0:0"]).output().expect("the binary runs");
    let ran = Ran::of(ran);
    assert_eq!((ran.code, ran.stdout.as_str()), (104, ""), "{ran:?}");
    assert!(ran.stderr.contains("--secret-file"), "{ran:?}");
}
