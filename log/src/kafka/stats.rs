//! Numbers for operators.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use holdfast_contracts::Offset;

use crate::port::StreamId;

/// How a Kafka log is doing. Counts begin when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaStats {
    /// Records that were accepted and not acknowledged.
    pub delivery_errors: u64,
    /// Producers that were given up and replaced.
    pub producer_rebuilds: u64,
    /// Consumers that were replaced because they brought nothing although there was something.
    pub consumer_rebuilds: u64,
    /// Payload accepted and not settled.
    pub unsettled_bytes: u64,
    /// Records accepted and not settled.
    pub unsettled_records: u64,
    /// The last thing that went wrong, for people. It may be long ago.
    pub last_error: Option<String>,
    /// The streams, in their order.
    pub streams: Vec<KafkaStreamStats>,
}

/// How one stream is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaStreamStats {
    /// Which stream.
    pub stream: StreamId,
    /// Its first offset.
    pub low: Offset,
    /// The offset after its last record, as far as is known.
    pub high_watermark: Offset,
    /// Up to where records were fetched by the reader that is farthest ahead. None if nobody reads.
    pub fetched: Option<Offset>,
    /// Fetches that run for readers at different places.
    pub feeds: usize,
}

/// Counts what goes wrong.
#[derive(Default)]
pub(super) struct Counters {
    delivery_errors: AtomicU64,
    producer_rebuilds: AtomicU64,
    consumer_rebuilds: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Counters {
    pub(super) fn deliveries_failed(&self, count: u64) {
        self.delivery_errors.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn producer_broke(&self, reason: &str) {
        self.producer_rebuilds.fetch_add(1, Ordering::Relaxed);
        self.remember(reason.to_owned());
    }

    pub(super) fn consumers_stalled(&self, count: u64) {
        self.consumer_rebuilds.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn remember(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn stats(&self, unsettled: (u64, u64), streams: Vec<KafkaStreamStats>) -> KafkaStats {
        KafkaStats {
            delivery_errors: self.delivery_errors.load(Ordering::Relaxed),
            producer_rebuilds: self.producer_rebuilds.load(Ordering::Relaxed),
            consumer_rebuilds: self.consumer_rebuilds.load(Ordering::Relaxed),
            unsettled_bytes: unsettled.0,
            unsettled_records: unsettled.1,
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            streams,
        }
    }
}
