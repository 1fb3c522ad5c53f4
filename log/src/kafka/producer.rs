//! The producer of one topic, and the thread that hears what became of its records.
//!
//! A producer is never mended. When one record fails, the order of those behind it is lost: everything it still has is
//! given up before anything else can be sent, the streams that lose something are interrupted, and the next append
//! makes another producer.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    config::Client as Purpose,
    native::{Client, Event, EventQueue, Fault, Kind, Report, TopicHandle},
    shared::Shared,
};
use crate::port::{Topic, WakeRound};

/// How long the thread sleeps when nothing is reported. Bounds how late a silence is noticed.
const PATROL: Duration = Duration::from_millis(500);

/// Appends one topic's records.
pub(super) struct Producer {
    pub(super) topic: Topic,
    handle: TopicHandle,
    reports: EventQueue,
    /// It takes no more records.
    broken: AtomicBool,
    stop: AtomicBool,
}

impl Producer {
    fn open(shared: &Shared, topic: Topic) -> Result<Self, Fault> {
        let mut config = shared.config.client(Purpose::Producer);
        // The client gives up record by record, and what lies behind an expired record would still be sent. Silence is
        // measured here instead, and ends everything at once.
        config.remove("message.timeout.ms");
        config.set("delivery.timeout.ms", "0");
        // Otherwise the client would send what lies behind a record that was refused, if nobody stops it in time.
        config.set("enable.gapless.guarantee", "true");
        let client = Client::new(&config, Kind::Producer, &shared.undertaker)?;
        let handle = client.topic(&shared.names[topic.code() as usize])?;
        Ok(Self {
            topic,
            handle,
            reports: EventQueue::of(&client),
            broken: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }

    pub(super) fn produce(&self, partition: i32, payload: &[u8], tag: u64) -> Result<(), Fault> {
        self.handle.produce(partition, payload, tag)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn client(&self) -> &Client {
        self.handle.client()
    }

    /// Lets the thread end once everything is settled.
    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.reports.interrupt();
    }

    /// Gives up everything that is not settled.
    pub(super) fn give_up(self: &Arc<Self>, shared: &Shared, reason: &str) {
        if self.broken.swap(true, Ordering::AcqRel) {
            return;
        }
        shared.counters.producer_broke(reason);
        for stream in shared.streams_of(self.topic) {
            stream.give_up(shared, self, reason);
        }
        // Every record it has was accepted before its stream was visited, so none can follow the purge.
        self.client().purge();
        let mut round = WakeRound::default();
        for stream in shared.streams_of(self.topic) {
            round.wake(&stream.settled);
            round.wake(&stream.subscribers);
        }
    }

    /// The life of the thread.
    fn listen(self: &Arc<Self>, shared: &Shared) {
        let mut reports = Vec::new();
        loop {
            self.reports.poll(PATROL, &mut reports, |event| match event {
                Event::Reports(reports) => self.settle(shared, reports),
                Event::Error { fault, fatal: true } => self.give_up(shared, &fault.text),
                Event::Error { fault, fatal: false } => shared.counters.remember(fault.text),
            });
            if !self.is_broken() && self.silent_for_too_long(shared) {
                let limit = shared.delivery_timeout.as_secs();
                self.give_up(shared, &format!("the brokers acknowledged nothing for {limit} s"));
            }
            let done = self.stop.load(Ordering::Acquire) || self.is_broken();
            if done && self.client().unsettled() == 0 {
                return;
            }
        }
    }

    fn settle(self: &Arc<Self>, shared: &Shared, reports: &[Report]) {
        let mut round = WakeRound::default();
        for run in reports.chunk_by(|one, other| one.partition == other.partition) {
            let stream = shared.stream_of(self.topic, run[0].partition);
            stream.settle(shared, self, run);
            if let Some((fault, _)) = run.iter().find_map(|report| report.outcome.as_ref().err()) {
                self.give_up(shared, &fault.text);
            }
        }
        for run in reports.chunk_by(|one, other| one.partition == other.partition) {
            let stream = shared.stream_of(self.topic, run[0].partition);
            round.wake(&stream.settled);
            round.wake(&stream.subscribers);
        }
        shared.wake_refused(&mut round);
        for stream in shared.streams_of(self.topic) {
            stream.hand_over_rest(shared);
        }
    }

    fn silent_for_too_long(&self, shared: &Shared) -> bool {
        let now = Instant::now();
        shared.streams_of(self.topic).any(|stream| {
            let since = stream.outbox().waiting_since();
            since.is_some_and(|since| now.duration_since(since) > shared.delivery_timeout)
        })
    }
}

/// The producers of a topic, one after the other.
#[derive(Default)]
pub(super) struct Producers(Mutex<State>);

#[derive(Default)]
struct State {
    current: Option<Arc<Producer>>,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Producers {
    /// The producer that takes records; a new one if the last is broken.
    pub(super) fn current(&self, shared: &Arc<Shared>, topic: Topic) -> Result<Arc<Producer>, Fault> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = state.current.as_ref().filter(|producer| !producer.is_broken()) {
            return Ok(Arc::clone(producer));
        }
        if state.closed {
            return Err(Fault { code: 0, text: "the log is closed".to_owned() });
        }
        let producer = Arc::new(Producer::open(shared, topic)?);
        let (ears, state_of_log) = (Arc::clone(&producer), Arc::clone(shared));
        let thread = thread::Builder::new()
            .name("kafka-reports".into())
            .spawn(move || ears.listen(&state_of_log))
            .map_err(|error: io::Error| Fault { code: 0, text: error.to_string() })?;
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread);
        state.current = Some(Arc::clone(&producer));
        Ok(producer)
    }

    /// Gives up what is not settled.
    pub(super) fn give_up(&self, shared: &Shared, reason: &str) {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner).current.clone();
        if let Some(producer) = current.filter(|producer| !producer.is_broken()) {
            producer.give_up(shared, reason);
        }
    }

    /// Ends the threads, once everything is settled. The caller has seen to that.
    pub(super) fn close(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        if let Some(producer) = state.current.take() {
            producer.stop();
        }
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            let _panicked = thread.join();
        }
    }
}
