//! Signals under load: an orderly end owes nobody an answer, and a server that was stopped for a while goes on.

mod kit;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast_contracts::decision::{What, decode_decisions};
use holdfast_contracts::{LogTime, Offset, PartitionId};
use holdfast_log::{OrderedLog, ReadOnlyConfig, ReadOnlyLog, Record, StreamId};
use kit::offline::PATIENCE;
use kit::run;
use kit::server::{Server, directory, log_of, open_sale, token};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ureq::Agent;

/// Buyers who ask at the same time.
const BUYERS: usize = 6;
/// A larger step of log time is not believed at once (rules §2).
const STEP_MAX_MS: u64 = 10_000;
const PARTITION: PartitionId = PartitionId(0);

/// What became of a request. No answer is an answer too: the connection ended.
struct Asked {
    key: String,
    answer: Option<(u16, Value)>,
}

impl Asked {
    fn is_granted(&self) -> bool {
        matches!(self.answer, Some((200 | 201, _)))
    }

    /// Whether the buyer was told to ask again, because it is not known.
    fn is_open(&self) -> bool {
        self.answer.as_ref().is_some_and(|(status, body)| *status == 202 || body["code"] == "OUTCOME_UNKNOWN")
    }
}

/// Buyers who keep asking, each with keys of his own, until they are told to stop.
struct Load {
    base: String,
    token: String,
    asked: Mutex<Vec<Asked>>,
    enough: AtomicBool,
}

impl Load {
    fn new(server: &Server, data: &Path) -> Self {
        let token = token(data, "buyer", None);
        Self { base: server.base.clone(), token, asked: Mutex::default(), enough: AtomicBool::new(false) }
    }

    /// Runs the buyers while `meanwhile` does.
    fn run<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            for buyer in 0..BUYERS {
                scope.spawn(move || self.keep_asking(buyer));
            }
            // Also when it panics, or nobody would hear of it.
            let _end = OnDrop(|| self.enough.store(true, Ordering::Release));
            meanwhile()
        })
    }

    fn keep_asking(&self, buyer: usize) {
        let agent = agent();
        for n in 0.. {
            if self.enough.load(Ordering::Acquire) {
                return;
            }
            let key = format!("{buyer}-{n}");
            let answer = ask(&agent, &self.base, &self.token, &key);
            let gone = answer.is_none();
            self.asked.lock().expect("whole").push(Asked { key, answer });
            if gone {
                return;
            }
        }
    }

    fn granted(&self) -> usize {
        self.asked.lock().expect("whole").iter().filter(|it| it.is_granted()).count()
    }

    fn wait_for_grants(&self, count: usize) {
        wait_for("buyers to be granted units", || self.granted() >= count);
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Others need the processor to make it so.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    config.build().new_agent()
}

/// Reserves a unit. None if there was no answer.
fn ask(agent: &Agent, base: &str, token: &str, key: &str) -> Option<(u16, Value)> {
    let request = ureq::http::Request::post(format!("{base}/v1/reservations"))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", key)
        .body(json!({"lines": [{"sku": "A1", "quantity": 1}]}).to_string())
        .expect("a request");
    let mut response = agent.run(request).ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

/// Everybody asks again. Whatever the buyers were told holds, and what they were not told was not decided, unless they were
/// told that it is not known. Says how many units they have, which is one for each key.
fn check(server: &Server, load: &Load) -> usize {
    let agent = agent();
    let asked = load.asked.lock().expect("whole");
    for it in asked.iter() {
        let (status, body) = ask(&agent, &server.base, &load.token, &it.key).expect("it answers");
        match &it.answer {
            Some((200 | 201, before)) => {
                assert_eq!((status, &body["reservation_id"]), (200, &before["reservation_id"]), "{}", it.key);
            }
            _ if it.is_open() => assert!(matches!(status, 200 | 201), "{}: {status}", it.key),
            // Refused before anything was written, or never read.
            Some((503, _)) | None => assert_eq!(status, 201, "decided and not answered: {}", it.key),
            Some(other) => panic!("{}: {other:?}", it.key),
        }
    }
    asked.len()
}

#[test]
fn an_orderly_end_under_load_answers_whatever_was_decided() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &["--partitions", "1"]);
    open_sale(&data, 1_000_000, "units_per_customer_max = 1000000");
    let load = Load::new(&server, &data);
    let (code, _) = load.run(|| {
        load.wait_for_grants(300);
        server.stop(Signal::TERM)
    });
    let log = log_of(&data);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("\"message\":\"ended\""), "{log}");
    assert!(!log.contains("not answered in time") && !log.contains("not every last checkpoint"), "{log}");

    assert!(!load.asked.lock().expect("whole").iter().any(Asked::is_open), "somebody was left in the dark");
    let server = Server::start(&data, &[]);
    check(&server, &load);
}

/// The state of a process, as the system says it.
fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).expect("it is there");
    // The name, in parentheses, may hold anything.
    let after_name = stat.rsplit(')').next().expect("there is a rest").trim_start();
    after_name.chars().next().expect("a state")
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    u64::try_from(since).expect("before the year 500 million")
}

fn records(data: &Path, stream: StreamId) -> Vec<Record> {
    let log = ReadOnlyLog::open(&data.join("log"), &ReadOnlyConfig::default()).expect("it can be read");
    let end = log.watermarks(stream).end;
    let mut records: Vec<Record> = Vec::new();
    loop {
        let next = records.last().map_or(Offset(0), |last| last.offset.next());
        if next >= end {
            return records;
        }
        log.read(stream, next, 1 << 20, &mut records).expect("it can be read");
    }
}

#[test]
fn a_server_that_stands_still_for_a_while_loses_nothing_and_goes_on() {
    let (_directory, data) = directory();
    let server = Server::start(&data, &["--partitions", "1"]);
    open_sale(&data, 1_000_000, "units_per_customer_max = 1000000");
    let load = Load::new(&server, &data);
    let stopped_at = load.run(|| {
        load.wait_for_grants(100);
        kill_process(server.pid(), Signal::STOP).expect("it is there");
        wait_for("the process to stand still", || state(server.pid()) == 'T');
        let newest =
            records(&data, StreamId::inventory_commands(PARTITION)).last().expect("a log").append_time;
        wait_for("a step of time that is not believed", || wall_ms() > newest.0 + STEP_MAX_MS + 200);
        kill_process(server.pid(), Signal::CONT).expect("it is there");
        let before = load.granted();
        load.wait_for_grants(before + 100);
        newest
    });
    // Who had waited for too long when it went on was told so, and got the answer when he asked again.
    let count = check(&server, &load);
    let shown = run(&data, &["stock", "show", "A1"]).json();
    assert_eq!((&shown["held"], &shown["available"]), (&json!(count), &json!(1_000_000 - count)), "{shown}");

    let (mut suspected, mut trusted) = (false, false);
    wait_for("the clock to be trusted again", || {
        for record in records(&data, StreamId::inventory_decisions(PARTITION)) {
            for event in decode_decisions(&record.payload).expect("a decision").events() {
                match event.what {
                    What::ClockSuspect { append_time_ms } => {
                        suspected |= LogTime(append_time_ms).ms_since(stopped_at) > STEP_MAX_MS;
                    }
                    What::ClockTrusted { .. } => trusted = suspected,
                    _ => {}
                }
            }
        }
        trusted
    });
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "{}", log_of(&data));
}
