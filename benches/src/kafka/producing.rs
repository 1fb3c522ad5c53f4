//! A producer that counts what was acknowledged, and can wake whoever waits for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::broker::{Broker, ONLY, PATIENCE};

/// What became of the records of a producer.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    delivered: AtomicU64,
    failed: AtomicU64,
    waiting: Option<Thread>,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let counter = if result.is_ok() { &self.delivered } else { &self.failed };
        counter.fetch_add(1, Ordering::Release);
        if let Some(waiting) = &self.waiting {
            waiting.unpark();
        }
    }
}

/// The producer. Whoever uses it serves its acknowledgements by [`Self::serve`], or lets a thread do so.
#[derive(Clone)]
pub(crate) struct Counting {
    inner: Arc<BaseProducer<Acks>>,
}

impl Counting {
    /// Connects. The calling thread is woken at every acknowledgement.
    pub(crate) fn waking(broker: &Broker) -> Result<Self> {
        Self::new(broker, Some(std::thread::current()))
    }

    /// Connects.
    pub(crate) fn quiet(broker: &Broker) -> Result<Self> {
        Self::new(broker, None)
    }

    fn new(broker: &Broker, waiting: Option<Thread>) -> Result<Self> {
        let acks = Acks { waiting, ..Acks::default() };
        let inner = broker.producer_config().create_with_context(acks)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends a record and waits until it is acknowledged, so that what the first one waits for is not measured.
    pub(crate) fn warm_up(&self, topic: &str) -> Result<()> {
        self.send(topic, None, b"warm")?;
        self.drain()
    }

    /// Hands over a record; while there is no room for it, acknowledgements are served.
    pub(crate) fn send(&self, topic: &str, key: Option<&[u8]>, payload: &[u8]) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(ONLY).payload(payload);
        record.key = key;
        while let Err((error, again)) = self.inner.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(error.into());
            }
            self.serve();
            std::thread::sleep(Duration::from_micros(100));
            record = again;
        }
        Ok(())
    }

    /// Takes note of what was acknowledged.
    pub(crate) fn serve(&self) {
        self.inner.poll(Duration::ZERO);
    }

    /// Waits until everything is acknowledged.
    pub(crate) fn drain(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.inner.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err("records are not acknowledged".into());
            }
            self.serve();
            std::thread::sleep(Duration::from_micros(100));
        }
        self.serve();
        if self.failed() > 0 { Err(format!("{} records failed", self.failed()).into()) } else { Ok(()) }
    }

    /// Records acknowledged.
    pub(crate) fn delivered(&self) -> u64 {
        self.inner.context().delivered.load(Ordering::Acquire)
    }

    /// Records that are not in the log, or not for sure.
    pub(crate) fn failed(&self) -> u64 {
        self.inner.context().failed.load(Ordering::Acquire)
    }

    /// A thread that serves acknowledgements as they come, until this is dropped.
    pub(crate) fn serving(&self) -> Result<Serving> {
        let (producer, stop) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("acks".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                producer.inner.poll(Duration::from_millis(100));
            }
        })?;
        Ok(Serving { stop, thread: Some(thread) })
    }
}

/// A thread that serves a producer.
pub(crate) struct Serving {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
