//! The log itself: the port on one side, brokers on the other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_contracts::{LogId, Offset};

use super::{
    KafkaConfig, KafkaLogOptions, KafkaOpenError, KafkaStats, keeper,
    open::open,
    shared::Shared,
    stream::{Stream, io_error},
};
use crate::{
    doorbell::{Doorbell, doorbell},
    port::{
        AppendError, OrderedLog, ReadError, Record, Status, StreamId, Subscription, Ticket, Topic, TrimError,
        Watermarks,
    },
};

/// How long a closing log waits for acknowledgements, at most.
const CLOSE_DRAIN: Duration = Duration::from_secs(30);
/// How long a closing log waits for the clients to be gone. They may hang when a broker is away.
const CLOSE_CLIENTS: Duration = Duration::from_secs(5);

/// A log on Apache Kafka.
///
/// - A record is readable once every in-sync replica has it, decisions too: the readable end is the durable end.
/// - What this process does not read it does not fetch. [`watermarks`](OrderedLog::watermarks) says what reading,
///   appending and [`refresh`](OrderedLog::refresh) have taught it and never asks.
/// - [`read`](OrderedLog::read) may ask the brokers once before it answers that a record is trimmed or lies beyond the
///   end. While they are away it adds nothing, or says [`ReadError::Io`], and heals by itself.
/// - A delivery error interrupts every stream of that topic that has unsettled appends in this process, because a
///   later record must not slip past the one that failed.
pub struct KafkaLog {
    shared: Arc<Shared>,
    keep_records: u64,
    keeper_bell: Doorbell,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl KafkaLog {
    /// Opens the log whose topics the brokers have.
    ///
    /// # Errors
    ///
    /// If the brokers do not answer, or the topics are not what they are said to be.
    pub fn open(config: &KafkaConfig, options: KafkaLogOptions) -> Result<Self, KafkaOpenError> {
        let shared = open(config, &options)?;
        let (keeper_bell, listener) = doorbell();
        let kept = Arc::clone(&shared);
        let log = Self { shared, keep_records: options.keep_records, keeper_bell, keeper: Mutex::new(None) };
        let keeper = thread::Builder::new()
            .name("kafka-keeper".into())
            .spawn(move || keeper::keep(&kept, listener))
            .map_err(KafkaOpenError::Thread)?;
        *log.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(log)
    }

    /// Numbers for operators. Never asks the brokers.
    #[must_use]
    pub fn stats(&self) -> KafkaStats {
        let streams = self.shared.streams.iter().map(|stream| stream.stats()).collect();
        self.shared.counters.stats(self.shared.room.taken(), streams)
    }

    fn known_stream(&self, stream: StreamId) -> &Arc<Stream> {
        self.shared.stream(stream).unwrap_or_else(|| panic!("the log has no stream {stream}"))
    }

    /// Waits until everything accepted is settled, and gives up what is not when the brokers stay silent.
    fn drain(&self) {
        let (bell, mut listener) = doorbell();
        let streams = self.shared.streams.iter();
        let _settled: Vec<_> = streams.map(|stream| stream.settled.subscribe(bell.waker())).collect();
        for stream in &self.shared.streams {
            // An append that passed the gate before it was shut is done when its stream's lock is free.
            drop(stream.outbox());
        }
        let open = || self.shared.streams.iter().any(|stream| stream.outbox().unsettled() > 0);
        let deadline = Instant::now() + self.shared.delivery_timeout.min(CLOSE_DRAIN);
        while open() && listener.wait_until(deadline) {}
        if open() {
            for producers in &self.shared.producers {
                producers.give_up(&self.shared, "the log was closed");
            }
            let deadline = Instant::now() + CLOSE_CLIENTS;
            while open() && listener.wait_until(deadline) {}
        }
    }
}

impl OrderedLog for KafkaLog {
    fn log_id(&self) -> LogId {
        self.shared.log_id
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.shared.layout.partitions(topic)
    }

    fn append(&self, stream: StreamId, payload: Bytes) -> Result<Ticket, AppendError> {
        let known = self.shared.stream(stream).ok_or(AppendError::NoSuchStream(stream))?;
        known.append(&self.shared, payload)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        let known = self.shared.stream(stream).ok_or(ReadError::NoSuchStream(stream))?;
        known.read(&self.shared, from, max_bytes, out)
    }

    fn watermarks(&self, stream: StreamId) -> Watermarks {
        self.known_stream(stream).watermarks()
    }

    fn refresh(&self, stream: StreamId) -> Result<Watermarks, ReadError> {
        let known = self.shared.stream(stream).ok_or(ReadError::NoSuchStream(stream))?;
        known.refresh(&self.shared, self.shared.ask_timeout).map_err(io_error)
    }

    fn subscribe(&self, stream: StreamId, waker: Waker) -> Subscription {
        self.known_stream(stream).subscribers.subscribe(waker)
    }

    fn trim(&self, stream: StreamId, below: Offset) -> Result<(), TrimError> {
        let known = self.shared.stream(stream).ok_or(TrimError::NoSuchStream(stream))?;
        known.trim(&self.shared, below)?;
        self.keeper_bell.ring();
        Ok(())
    }

    fn wants_trim(&self) -> bool {
        self.shared.streams.iter().any(|stream| {
            let marks = stream.watermarks();
            marks.end.0 - marks.low.0 > self.keep_records
        })
    }

    fn resume(&self, stream: StreamId) {
        self.known_stream(stream).outbox().interrupted = false;
    }

    fn status(&self) -> Status {
        match self.shared.failure() {
            Some(reason) => Status::Failed { reason: reason.clone() },
            None if self.shared.is_closed() => Status::Closed,
            None => Status::Healthy,
        }
    }

    fn close(&self) {
        if self.shared.close_gate() {
            self.drain();
        }
        for producers in &self.shared.producers {
            producers.close();
        }
        for stream in &self.shared.streams {
            stream.outbox().producer = None;
        }
        self.shared.wake_everyone();
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.close();
        for stream in &self.shared.streams {
            stream.stop_reading();
        }
        self.shared.lanes.close();
        let undertaker = Arc::clone(&self.shared.undertaker);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.end();
        self.keeper_bell.ring();
        if let Some(keeper) = keeper {
            let _panicked = keeper.join();
        }
        // All that is left is the client that asks, which ends with the shared state.
        let _hangs = undertaker.wait_for(1, CLOSE_CLIENTS);
    }
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog").field("log_id", &self.shared.log_id).finish_non_exhaustive()
    }
}
