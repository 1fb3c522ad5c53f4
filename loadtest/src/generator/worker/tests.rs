//! The worker against small servers made by hand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::{Script, Times, Worker, WorkerConfig};
use crate::books::{Moment, Stopwatch};
use crate::generator::response::Head;
use crate::generator::wheel::Wheel;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const BYE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Asks so often with even gaps, and writes down what became of each.
struct Plain {
    count: u64,
    gap: Duration,
    patience: Duration,
    ends: Moment,
    next: u64,
    /// How often each request is asked once more after silence.
    retries: u64,
    done: BTreeMap<u64, Vec<(Times, Option<u16>)>>,
}

impl Plain {
    fn new(count: u64, gap: Duration) -> Self {
        let (patience, ends) = (Duration::from_secs(30), Moment(0));
        Self { count, gap, patience, ends, next: 0, retries: 0, done: BTreeMap::new() }
    }
}

impl Script for Plain {
    type Job = u64;

    fn next(&mut self, _: Moment, _: &mut Wheel<u64>) -> Option<(Moment, u64)> {
        let number = self.next;
        self.next += 1;
        let at = self.gap * u32::try_from(number).unwrap();
        (number < self.count).then(|| (Moment(0).plus(at), number))
    }

    fn write(&mut self, job: &u64, request: &mut Vec<u8>) {
        write!(request, "GET /{job} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    }

    fn ends(&self) -> Moment {
        self.ends
    }

    fn patience(&self, _: &u64) -> Duration {
        self.patience
    }

    fn done(&mut self, job: u64, times: Times, answer: Option<(&Head, &[u8])>, later: &mut Wheel<u64>) {
        let tries = self.done.entry(job).or_default();
        tries.push((times, answer.map(|(head, _)| head.status)));
        if answer.is_none() && tries.len() as u64 <= self.retries {
            later.put(times.done.plus(Duration::from_millis(5)), job);
        }
    }
}

fn read_request(stream: &mut TcpStream) -> bool {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Serves every connection on a thread of its own, for as long as the test goes on. `serve` gets the number of the
/// connection.
fn server(serve: impl Fn(u32, TcpStream) + Send + Sync + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in (0..).zip(listener.incoming().flatten()) {
            std::thread::spawn(move || serve(number, stream));
        }
    });
    address
}

fn answers(_: u32, mut stream: TcpStream) {
    while read_request(&mut stream) && stream.write_all(OK).is_ok() {}
}

fn run(script: Plain, address: SocketAddr, connections: usize, waiting_max: usize) -> (Plain, super::Counts) {
    let config = WorkerConfig { address, connections, waiting_max, is_closed: false };
    run_with(script, config, Stopwatch::start())
}

fn run_with(script: Plain, config: WorkerConfig, watch: Stopwatch) -> (Plain, super::Counts) {
    let worker = Worker::new(script, config, watch).unwrap();
    let (script, standing) = worker.run().unwrap();
    assert_eq!(standing.in_flight, 0);
    (script, standing.counts)
}

#[test]
fn every_request_is_sent_when_it_is_due_and_answered_once() {
    let (script, counts) = run(Plain::new(500, Duration::from_micros(500)), server(answers), 8, 1_000);
    assert_eq!((counts.due, counts.sent, counts.answered), (500, 500, 500));
    assert_eq!((counts.dropped, counts.broken, counts.timed_out), (0, 0, 0));
    assert_eq!(script.done.len(), 500);
    for (number, tries) in &script.done {
        let [(times, Some(200))] = tries[..] else { panic!("{number}: {tries:?}") };
        assert_eq!(times.intended, Moment(number * 500_000));
        assert!(times.intended <= times.sent && times.sent < times.done, "{times:?}");
    }
}

#[test]
fn whoever_waits_for_a_connection_has_waited_since_they_came() {
    // One connection, and a server that does not answer before everybody has come and waited for a while.
    let watch = Stopwatch::start();
    let slow = move |_: u32, mut stream: TcpStream| {
        while read_request(&mut stream) {
            while watch.now() < Moment(60_000_000) {
                std::thread::yield_now();
            }
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    };
    let config = WorkerConfig { address: server(slow), connections: 1, waiting_max: 1_000, is_closed: false };
    let (script, counts) = run_with(Plain::new(20, Duration::from_millis(1)), config, watch);
    assert_eq!((counts.answered, counts.dropped), (20, 0));
    let (last, _) = script.done[&19][0];
    assert!(last.sent.since(last.intended) >= Duration::from_millis(40), "{last:?}");
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let silent = |_: u32, mut stream: TcpStream| while read_request(&mut stream) {};
    let script = Plain { patience: Duration::from_millis(50), ..Plain::new(30, Duration::ZERO) };
    let (script, counts) = run(script, server(silent), 2, 5);
    assert_eq!(counts.due, 30);
    assert_eq!(counts.dropped, 25, "{counts:?}");
    // Two were sent and three gave up while they waited for a connection.
    assert_eq!((counts.sent, counts.timed_out, counts.answered), (2, 5, 0));
    assert_eq!(script.done.len(), 5);
}

#[test]
fn an_answer_is_waited_for_as_long_as_was_said_whatever_came_before_on_the_connection() {
    let falls_silent = |_: u32, mut stream: TcpStream| {
        for _ in 0..5 {
            if !read_request(&mut stream) || stream.write_all(OK).is_err() {
                return;
            }
        }
        while read_request(&mut stream) {}
    };
    // Long enough for the five that are answered, on a machine that has much else to do.
    let patience = Duration::from_millis(600);
    let script = Plain { patience, ..Plain::new(6, Duration::from_millis(50)) };
    let (script, counts) = run(script, server(falls_silent), 1, 1_000);
    assert_eq!((counts.sent, counts.answered, counts.timed_out), (6, 5, 1));
    let (last, None) = script.done[&5][0] else { panic!("the last one was answered: {:?}", script.done) };
    assert!(last.done.since(last.sent) >= patience, "{last:?}");
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_the_request_comes_again() {
    let breaks = |number: u32, mut stream: TcpStream| {
        let good = if number < 2 { 3 } else { u32::MAX };
        for _ in 0..good {
            if !read_request(&mut stream) || stream.write_all(OK).is_err() {
                return;
            }
        }
        // It hears one more, and says nothing.
        read_request(&mut stream);
    };
    let script = Plain { retries: 3, ..Plain::new(40, Duration::from_micros(200)) };
    let (script, counts) = run(script, server(breaks), 1, 1_000);
    assert_eq!((script.done.len(), counts.answered, counts.broken), (40, 40, 2));
    assert!(script.done.values().all(|tries| tries.last().is_some_and(|(_, status)| *status == Some(200))));
}

#[test]
fn a_server_that_closes_after_each_answer_is_asked_on_new_connections() {
    let closes = |_: u32, mut stream: TcpStream| {
        if read_request(&mut stream) {
            stream.write_all(BYE).ok();
        }
    };
    let (_, counts) = run(Plain::new(50, Duration::from_micros(100)), server(closes), 4, 1_000);
    assert_eq!((counts.answered, counts.broken), (50, 0));
}

#[test]
fn an_answer_without_a_length_is_whole_when_the_server_closes() {
    let old = |_: u32, mut stream: TcpStream| {
        if read_request(&mut stream) {
            // The end comes with the bytes, or so soon after them that the poll tells of both at once.
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhi").ok();
        }
    };
    let script = Plain { patience: Duration::from_secs(5), ..Plain::new(200, Duration::from_micros(100)) };
    let (script, counts) = run(script, server(old), 2, 1_000);
    assert_eq!((counts.answered, counts.broken, counts.timed_out), (200, 0, 0));
    assert!(script.done.values().all(|tries| tries[0].1 == Some(200)));
}

#[test]
fn a_plan_goes_on_to_its_end_even_if_nothing_is_due_any_more() {
    let ends = Moment(80_000_000);
    let config = WorkerConfig { address: server(answers), connections: 1, waiting_max: 10, is_closed: false };
    let watch = Stopwatch::start();
    let (_, counts) = run_with(Plain { ends, ..Plain::new(2, Duration::ZERO) }, config, watch);
    assert_eq!(counts.answered, 2);
    assert!(watch.now() >= ends);
}

#[test]
fn in_the_closed_model_every_connection_asks_again_when_it_was_answered() {
    let config = WorkerConfig { address: server(answers), connections: 3, waiting_max: 3, is_closed: true };
    // Due long after the test, were anybody to wait for that.
    let script = Plain::new(200, Duration::from_secs(3_600));
    let (script, counts) = run_with(script, config, Stopwatch::start());
    assert_eq!((counts.due, counts.sent, counts.answered, counts.dropped), (200, 200, 200, 0));
    for (number, tries) in &script.done {
        let [(times, Some(200))] = tries[..] else { panic!("{number}: {tries:?}") };
        assert!(times.sent.since(times.intended) < Duration::from_secs(3_600), "{times:?}");
    }
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_server_that_is_gone_is_not_waited_for_for_ever() {
    for is_closed in [false, true] {
        let script =
            Plain { patience: Duration::from_millis(40), ..Plain::new(10, Duration::from_millis(1)) };
        let config = WorkerConfig { address: nobody(), connections: 2, waiting_max: 100, is_closed };
        let (script, counts) = run_with(script, config, Stopwatch::start());
        assert_eq!((counts.due, counts.answered), (10, 0), "{counts:?}");
        assert_eq!(counts.timed_out + counts.dropped + counts.broken, 10, "{counts:?}");
        let told = script.done.values().flatten().filter(|(_, status)| status.is_none()).count() as u64;
        assert_eq!(told, 10 - counts.dropped, "{counts:?}");
    }
}
