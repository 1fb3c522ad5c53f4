//! Sends single records and waits for each. For what is rare: the log itself is written elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::admin::{Heard, client_error};
use super::config::Client;
use super::error::from_code;
use super::{KafkaConfig, KafkaError};

const POLL: Duration = Duration::from_millis(10);

/// What became of one record.
type Fate = Arc<Mutex<Option<Result<(), Code>>>>;

/// Hears of delivered records and of broken connections.
struct Delivered(Heard);

impl ClientContext for Delivered {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: ClientError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = Box<Fate>;

    fn delivery(&self, result: &DeliveryResult<'_>, fate: Box<Fate>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        *fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

/// A record to send.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    pub(super) headers: OwnedHeaders,
}

/// Sends one record after another.
pub(super) struct Sender {
    config: KafkaConfig,
    /// None after a failure: the next record gets a producer that knows nothing of it.
    producer: Mutex<Option<BaseProducer<Delivered>>>,
}

impl Sender {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        Self { config: config.clone(), producer: Mutex::new(None) }
    }

    /// Returns when all in-sync replicas have the record, or it is given up.
    pub(super) fn send(&self, doing: &str, record: &Outgoing<'_>) -> Result<(), KafkaError> {
        let mut slot = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = match slot.take() {
            Some(producer) => producer,
            None => self.producer(doing)?,
        };
        self.deliver(&producer, doing, record)?;
        *slot = Some(producer);
        Ok(())
    }

    fn producer(&self, doing: &str) -> Result<BaseProducer<Delivered>, KafkaError> {
        let client = self.config.client(Client::Producer);
        let created = client.create_with_context(Delivered(Heard::default()));
        created.map_err(|error| client_error(&self.config, doing, &error))
    }

    fn deliver(
        &self,
        producer: &BaseProducer<Delivered>,
        doing: &str,
        record: &Outgoing<'_>,
    ) -> Result<(), KafkaError> {
        let fate = Fate::default();
        let mut base: BaseRecord<'_, [u8], [u8], Box<Fate>> =
            BaseRecord::with_opaque_to(record.topic, Box::new(Arc::clone(&fate)))
                .partition(record.partition.cast_signed())
                .payload(record.payload)
                .headers(record.headers.clone());
        if let Some(key) = record.key {
            base = base.key(key);
        }
        producer.send(base).map_err(|(error, _)| client_error(&self.config, doing, &error))?;
        // The library gives every record up in the end, so this ends too.
        loop {
            producer.poll(POLL);
            let settled = fate.lock().unwrap_or_else(PoisonError::into_inner).take();
            let heard = &producer.context().0;
            match settled {
                Some(Ok(())) => return Ok(()),
                Some(Err(code)) => {
                    // What broke the producer says more than what became of its records.
                    let (code, detail) = match (producer.client().fatal_error(), heard.last()) {
                        (Some((fatal, detail)), _) => (fatal, Some(detail)),
                        (None, last) => (code, last.map(|(_, detail)| detail)),
                    };
                    return Err(from_code(&self.config, doing, code, detail.as_deref()));
                }
                None => {}
            }
            if let Some((code, reason)) = heard.refused() {
                return Err(from_code(&self.config, doing, code, Some(&reason)));
            }
        }
    }
}
