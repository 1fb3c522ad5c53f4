//! Reads one partition from an offset on, without a consumer group: nobody needs a right to one for that.

use std::ffi::{CString, c_void};
use std::ptr;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Owned, Refusal, millis, native, text};

/// A record as it is on the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct RawMessage {
    pub(in crate::kafka) offset: u64,
    /// Milliseconds since 1970 by the topic's kind of timestamp, if it has one.
    pub(in crate::kafka) timestamp_ms: Option<u64>,
    pub(in crate::kafka) key: Option<Bytes>,
    pub(in crate::kafka) payload: Option<Bytes>,
    pub(in crate::kafka) headers: Vec<(String, Vec<u8>)>,
}

/// Reading of one partition. The consumer has no group and reads nothing else.
pub(in crate::kafka) struct PartitionReader<'a, C: ConsumerContext> {
    // Keeps the client alive for as long as the topic handle lives.
    _consumer: &'a BaseConsumer<C>,
    topic: Owned<c::rd_kafka_topic_t>,
    partition: i32,
}

impl<'a, C: ConsumerContext> PartitionReader<'a, C> {
    /// Begins at `offset`, which is a record's or -2 for the first there is.
    pub(in crate::kafka) fn start(
        consumer: &'a BaseConsumer<C>,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Self, Refusal> {
        let name = CString::new(topic).map_err(|_| Refusal {
            code: Code::InvalidTopic,
            detail: "a name with a zero byte".to_owned(),
        })?;
        // SAFETY: the client lives as long as the consumer, the name during the call; no configuration means the client's.
        let handle = unsafe { c::rd_kafka_topic_new(native(consumer), name.as_ptr(), ptr::null_mut()) };
        let Some(topic) = Owned::new(handle, c::rd_kafka_topic_destroy) else { return Err(last_error()) };
        // SAFETY: the topic handle is alive.
        let begun = unsafe { c::rd_kafka_consume_start(topic.pointer, partition, offset) };
        if begun != 0 {
            return Err(last_error());
        }
        Ok(Self { _consumer: consumer, topic, partition })
    }

    /// The next record. None if there is none within the time-out.
    pub(in crate::kafka) fn next(&mut self, timeout: Duration) -> Result<Option<RawMessage>, Refusal> {
        // SAFETY: the topic handle is alive and its partition was started. The message is ours.
        let message = unsafe { c::rd_kafka_consume(self.topic.pointer, self.partition, millis(timeout)) };
        let Some(message) = Owned::new(message, c::rd_kafka_message_destroy) else { return Ok(None) };
        // SAFETY: the message lives until the end of this function.
        unsafe {
            let read = &*message.pointer;
            let code = Code::from(read.err);
            if code != Code::NoError {
                return Err(Refusal { code, detail: text(c::rd_kafka_message_errstr(message.pointer)) });
            }
            let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            let timestamp = c::rd_kafka_message_timestamp(message.pointer, &raw mut kind);
            Ok(Some(RawMessage {
                offset: u64::try_from(read.offset).unwrap_or_default(),
                timestamp_ms: u64::try_from(timestamp).ok(),
                key: copied(read.key, read.key_len),
                payload: copied(read.payload, read.len),
                headers: headers(message.pointer),
            }))
        }
    }
}

impl<C: ConsumerContext> Drop for PartitionReader<'_, C> {
    fn drop(&mut self) {
        // SAFETY: the topic handle is alive and its partition was started once.
        unsafe { c::rd_kafka_consume_stop(self.topic.pointer, self.partition) };
    }
}

fn last_error() -> Refusal {
    // SAFETY: reads a variable of this thread.
    let code = Code::from(unsafe { c::rd_kafka_last_error() });
    Refusal { code, detail: String::new() }
}

/// # Safety
/// The pointer is null or leads to that many bytes, which live during the call.
unsafe fn copied(bytes: *const c_void, len: usize) -> Option<Bytes> {
    if bytes.is_null() {
        return None;
    }
    // SAFETY: not null, and that long by the caller's word.
    Some(Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len) }))
}

/// # Safety
/// The message lives during the call.
unsafe fn headers(message: *const c::rd_kafka_message_t) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut list = ptr::null_mut();
    // SAFETY: headers belong to the message, which lives by the caller's word.
    unsafe {
        if Code::from(c::rd_kafka_message_headers(message, &raw mut list)) != Code::NoError {
            return found;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let code = c::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut size);
            if Code::from(code) != Code::NoError {
                break;
            }
            found.push((text(name), copied(value, size).map(Vec::from).unwrap_or_default()));
        }
    }
    found
}
