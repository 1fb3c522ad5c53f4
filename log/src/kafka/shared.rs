//! What the threads of a Kafka log share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use holdfast_contracts::{LogId, PartitionId};

use super::{
    KafkaConfig,
    lanes::Lanes,
    native::{TopicHandle, Undertaker},
    outbox::Outbox,
    producer::Producers,
    stats::Counters,
    stream::Stream,
};
use crate::{
    layout::Layout,
    port::{AppendError, StreamId, Topic, WakeRound},
};

/// Records that may be unsettled, below what the client library holds.
const UNSETTLED_RECORDS_MAX: u64 = 400_000;

/// Room for appends that are not settled.
pub(super) struct AppendRoom {
    bytes: AtomicU64,
    records: AtomicU64,
    bytes_max: u64,
}

impl AppendRoom {
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), records: AtomicU64::new(0), bytes_max }
    }

    /// Takes room for one record. An append that is alone always fits.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let records = self.records.fetch_add(1, Ordering::SeqCst);
        let before = self.bytes.fetch_add(bytes, Ordering::SeqCst);
        let fits = records == 0 || (records < UNSETTLED_RECORDS_MAX && before + bytes <= self.bytes_max);
        if !fits {
            self.give_back(bytes, 1);
        }
        fits
    }

    pub(super) fn give_back(&self, bytes: u64, records: u64) {
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.records.fetch_sub(records, Ordering::SeqCst);
    }

    /// Bytes and records that are taken.
    pub(super) fn taken(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::SeqCst), self.records.load(Ordering::SeqCst))
    }
}

/// The state of an open Kafka log.
pub(super) struct Shared {
    pub(super) log_id: LogId,
    pub(super) layout: Layout,
    pub(super) config: KafkaConfig,
    /// What the brokers call each topic.
    pub(super) names: [String; Topic::ALL.len()],
    pub(super) streams: Vec<Arc<Stream>>,
    /// Ask for ends and let records be forgotten.
    pub(super) askers: [TopicHandle; Topic::ALL.len()],
    pub(super) producers: [Producers; Topic::ALL.len()],
    pub(super) lanes: Lanes,
    pub(super) room: AppendRoom,
    pub(super) counters: Counters,
    pub(super) undertaker: Arc<Undertaker>,
    /// Bytes of recent records kept for each stream.
    pub(super) tail_bytes_max: usize,
    /// How long the brokers may acknowledge nothing before everything unsettled is given up.
    pub(super) delivery_timeout: Duration,
    /// How long a question to the brokers may take.
    pub(super) ask_timeout: Duration,
    /// How long a feed that nobody reads is kept.
    pub(super) idle: Duration,
    /// How long a feed may bring nothing although there is something.
    pub(super) stall: Duration,
    closed: AtomicBool,
    ended: AtomicBool,
    failure: OnceLock<String>,
}

/// What opening hands to [`Shared::new`].
pub(super) struct Parts {
    pub(super) log_id: LogId,
    pub(super) layout: Layout,
    pub(super) config: KafkaConfig,
    pub(super) askers: [TopicHandle; Topic::ALL.len()],
    pub(super) undertaker: Arc<Undertaker>,
    pub(super) tail_bytes_max: usize,
    pub(super) unsettled_bytes_max: u64,
    pub(super) stall: Duration,
    pub(super) delivery_timeout: Duration,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let streams = parts.layout.streams();
        Self {
            log_id: parts.log_id,
            layout: parts.layout,
            names: Topic::ALL.map(|topic| parts.config.topic_name(topic)),
            config: parts.config,
            streams: streams.map(|id| Arc::new(Stream::new(id))).collect(),
            askers: parts.askers,
            producers: Default::default(),
            lanes: Lanes::default(),
            room: AppendRoom::new(parts.unsettled_bytes_max),
            counters: Counters::default(),
            undertaker: parts.undertaker,
            tail_bytes_max: parts.tail_bytes_max,
            delivery_timeout: parts.delivery_timeout,
            ask_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            stall: parts.stall,
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failure: OnceLock::new(),
        }
    }

    pub(super) fn stream(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.streams.get(self.layout.index(id)?)
    }

    /// The streams of one topic.
    pub(super) fn streams_of(&self, topic: Topic) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.iter().filter(move |stream| stream.id.topic == topic)
    }

    /// The stream that a report of the client library is about.
    pub(super) fn stream_of(&self, topic: Topic, partition: i32) -> &Stream {
        let partition = PartitionId(u32::try_from(partition).expect("records are appended to a partition"));
        self.stream(StreamId { topic, partition }).expect("records are appended to streams of the log")
    }

    /// Why nothing is accepted, if so.
    pub(super) fn check_gate(&self) -> Result<(), AppendError> {
        if let Some(reason) = self.failure.get() {
            return Err(AppendError::Failed { reason: reason.clone() });
        }
        if self.is_closed() { Err(AppendError::Closed) } else { Ok(()) }
    }

    pub(super) fn failure(&self) -> Option<&String> {
        self.failure.get()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// True for the first who closes.
    pub(super) fn close_gate(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    /// Nobody uses the log any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends the log for good.
    pub(super) fn fail(&self, reason: &str) {
        // Only the first failure counts; the others follow from it.
        let _first_stays = self.failure.set(reason.to_owned());
        self.wake_everyone();
    }

    pub(super) fn fail_bad_stamp(&self, stream: StreamId) {
        let name = &self.names[stream.topic.code() as usize];
        self.fail(&format!(
            "topic {name} is not set to message.timestamp.type=LogAppendTime: its times are not the log's"
        ));
    }

    /// Gives up a stream's producer and what it has not got.
    pub(super) fn abandon(&self, outbox: &mut Outbox, reason: &str) {
        let (records, bytes) = outbox.abandon(reason);
        self.room.give_back(bytes, records);
        self.counters.deliveries_failed(records);
    }

    /// Wakes those whose append was refused for lack of room.
    pub(super) fn wake_refused(&self, round: &mut WakeRound) {
        for stream in self.streams.iter().filter(|stream| stream.take_refused()) {
            round.wake(&stream.subscribers);
        }
    }

    pub(super) fn wake_everyone(&self) {
        let mut round = WakeRound::default();
        for stream in &self.streams {
            round.wake(&stream.subscribers);
            round.wake(&stream.settled);
        }
    }
}
