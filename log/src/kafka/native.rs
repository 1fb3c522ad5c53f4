//! The client library where the safe crate is too slow or says too little: handles, batches and delivery reports.
//!
//! Everything unsafe of the Kafka log's records is in here. What leaves it is safe to use in any order: every handle keeps
//! the client it belongs to alive, and whatever points into the library's memory is copied out or borrowed.
#![allow(unsafe_code, reason = "batch dequeue and cached topic handles exist only in the C interface")]

mod events;
mod fetch;

use std::{
    ffi::{CStr, CString, c_char, c_int},
    fmt, io,
    ptr::{self, NonNull},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rdkafka::{ClientConfig, bindings as sys};

pub(super) use events::{Event, EventQueue, Persisted, Report};
pub(super) use fetch::{Batch, Fetch, Fetched, Room};

/// What the client library answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: i32,
    pub(super) text: String,
}

impl Fault {
    pub(super) const BAD_MESSAGE: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_MSG as i32;
    pub(super) const QUEUE_FULL: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32;
    pub(super) const FATAL: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FATAL as i32;
    pub(super) const OFFSET_RESET: i32 =
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32;
    pub(super) const OUT_OF_RANGE: i32 =
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE as i32;

    fn new(code: sys::rd_kafka_resp_err_t) -> Self {
        Self { code: code as i32, text: error_text(code) }
    }

    /// Whether the answer is that somebody else leads the partition, or nobody.
    pub(super) const fn is_about_leader(&self) -> bool {
        const NOT_LEADER: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as i32;
        const NO_LEADER: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as i32;
        const NOT_AVAILABLE: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE as i32;
        matches!(self.code, NOT_LEADER | NO_LEADER | NOT_AVAILABLE)
    }

    fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), Self> {
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(())
        } else {
            Err(Self::new(code))
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault.text)
    }
}

fn error_text(code: sys::rd_kafka_resp_err_t) -> String {
    // SAFETY: the library returns a static string for every code.
    let text = unsafe { sys::rd_kafka_err2str(code) };
    // SAFETY: as above.
    unsafe { text_at(text) }.unwrap_or_else(|| (code as i32).to_string())
}

/// # Safety
/// `text` is null or a C string that lives through this call.
unsafe fn text_at(text: *const c_char) -> Option<String> {
    // SAFETY: the caller promises it.
    NonNull::new(text.cast_mut())
        .map(|text| unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
}

fn last_fault() -> Fault {
    // SAFETY: reads a thread-local of the library.
    Fault::new(unsafe { sys::rd_kafka_last_error() })
}

fn milliseconds(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// Counts clients that are being closed, which happens on threads of their own because it may hang.
#[derive(Default)]
pub(super) struct Undertaker {
    open: Mutex<usize>,
    changed: Condvar,
}

impl Undertaker {
    fn count(&self, change: impl FnOnce(&mut usize)) {
        change(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until no more than `left` clients are open. False if that takes longer than `timeout`.
    pub(super) fn wait_for(&self, left: usize, timeout: Duration) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(open, timeout, |open| *open > left);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Which half of the library a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Consumer,
    /// Tells what became of its records on its main queue.
    Producer,
}

/// One instance of the client library, with its own threads and connections.
pub(super) struct Client {
    rk: NonNull<sys::rd_kafka_t>,
    undertaker: Arc<Undertaker>,
}

// SAFETY: the library's functions may be called from any thread.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

/// Moves a client to the thread that closes it.
struct Corpse(NonNull<sys::rd_kafka_t>);
// SAFETY: a client may be closed by any thread.
unsafe impl Send for Corpse {}

impl Client {
    pub(super) fn new(
        config: &ClientConfig,
        kind: Kind,
        undertaker: &Arc<Undertaker>,
    ) -> Result<Arc<Self>, Fault> {
        let native =
            config.create_native_config().map_err(|error| Fault { code: 0, text: error.to_string() })?;
        let (kind, events) = match kind {
            Kind::Consumer => (sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, 0),
            Kind::Producer => {
                (sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR)
            }
        };
        let mut text = [0; 512];
        // SAFETY: the configuration is valid; its copy belongs to this function until the client takes it, and is
        // destroyed here if it does not. `text` is as long as is said.
        let rk = unsafe {
            let conf = sys::rd_kafka_conf_dup(native.ptr());
            // The library would write to stderr by itself; what matters comes back as errors.
            sys::rd_kafka_conf_set_log_cb(conf, None);
            sys::rd_kafka_conf_set_events(conf, events);
            let rk = sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len());
            if rk.is_null() {
                sys::rd_kafka_conf_destroy(conf);
            }
            rk
        };
        let Some(rk) = NonNull::new(rk) else {
            // SAFETY: the library has left a C string there.
            let text = unsafe { text_at(text.as_ptr()) };
            return Err(Fault { code: 0, text: text.unwrap_or_default() });
        };
        undertaker.count(|open| *open += 1);
        Ok(Arc::new(Self { rk, undertaker: Arc::clone(undertaker) }))
    }

    pub(super) fn topic(self: &Arc<Self>, name: &str) -> Result<TopicHandle, Fault> {
        let name = CString::new(name).map_err(|error| Fault { code: 0, text: error.to_string() })?;
        // SAFETY: the client is alive; without a configuration the handle takes the client's.
        let rkt = unsafe { sys::rd_kafka_topic_new(self.rk.as_ptr(), name.as_ptr(), ptr::null_mut()) };
        let rkt = NonNull::new(rkt).ok_or_else(last_fault)?;
        Ok(TopicHandle { rkt, name, client: Arc::clone(self) })
    }

    /// Gives up everything that is not acknowledged; each record gets its delivery report.
    pub(super) fn purge(&self) {
        // SAFETY: the client is alive.
        let result = unsafe {
            sys::rd_kafka_purge(
                self.rk.as_ptr(),
                sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT,
            )
        };
        // It fails for consumers only.
        debug_assert_eq!(result, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// Records and delivery reports that have not been dealt with.
    pub(super) fn unsettled(&self) -> usize {
        // SAFETY: the client is alive.
        usize::try_from(unsafe { sys::rd_kafka_outq_len(self.rk.as_ptr()) }).unwrap_or(0)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let (corpse, undertaker) = (Corpse(self.rk), Arc::clone(&self.undertaker));
        let bury = move || {
            let corpse = corpse;
            // SAFETY: every handle that belongs to the client keeps it alive, so there are none; nobody uses it after
            // its drop. There is no group to leave.
            unsafe {
                sys::rd_kafka_destroy_flags(corpse.0.as_ptr(), sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
            }
            undertaker.count(|open| *open -= 1);
        };
        // Without a thread to spare the client stays open until the process ends.
        let _left_open = thread::Builder::new().name("kafka-close".into()).spawn(bury);
    }
}

/// A topic as one client knows it, found once and not for every record.
pub(super) struct TopicHandle {
    rkt: NonNull<sys::rd_kafka_topic_t>,
    name: CString,
    client: Arc<Client>,
}

// SAFETY: the library's functions may be called from any thread.
unsafe impl Send for TopicHandle {}
// SAFETY: as above.
unsafe impl Sync for TopicHandle {}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and its client is alive.
        unsafe { sys::rd_kafka_topic_destroy(self.rkt.as_ptr()) };
    }
}

impl TopicHandle {
    pub(super) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Queues a copy of `payload`; the delivery report will carry `tag`.
    pub(super) fn produce(&self, partition: i32, payload: &[u8], tag: u64) -> Result<(), Fault> {
        let tag = usize::try_from(tag).expect("the machine's words have 64 bits");
        // SAFETY: the payload is copied before the call returns and never written to; the tag is never followed as a
        // pointer.
        let result = unsafe {
            sys::rd_kafka_produce(
                self.rkt.as_ptr(),
                partition,
                sys::RD_KAFKA_MSG_F_COPY,
                payload.as_ptr().cast_mut().cast(),
                payload.len(),
                ptr::null(),
                0,
                ptr::without_provenance_mut(tag),
            )
        };
        if result == 0 { Ok(()) } else { Err(last_fault()) }
    }

    /// Asks the brokers how many partitions the topic has. None if they do not know it.
    pub(super) fn partition_count(&self, timeout: Duration) -> Result<Option<u32>, Fault> {
        let mut metadata = ptr::null();
        // SAFETY: client and topic are alive; the answer is destroyed below.
        Fault::check(unsafe {
            sys::rd_kafka_metadata(
                self.client.rk.as_ptr(),
                0,
                self.rkt.as_ptr(),
                &raw mut metadata,
                milliseconds(timeout),
            )
        })?;
        // SAFETY: the library has put an answer there, with as many topics as it says.
        let count = unsafe {
            let topics = &*metadata;
            let topic = (topics.topic_cnt > 0).then(|| &*topics.topics);
            let known = topic.filter(|it| it.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
            let count = known.map(|it| it.partition_cnt);
            sys::rd_kafka_metadata_destroy(metadata);
            count
        };
        Ok(count.and_then(|count| u32::try_from(count).ok()))
    }

    /// Asks the leader for the first offset and the one after the last.
    pub(super) fn query_ends(&self, partition: i32, timeout: Duration) -> Result<(u64, u64), Fault> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client is alive, the name is a C string, and both places can be written.
        Fault::check(unsafe {
            sys::rd_kafka_query_watermark_offsets(
                self.client.rk.as_ptr(),
                self.name.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
                milliseconds(timeout),
            )
        })?;
        let ends = u64::try_from(low).ok().zip(u64::try_from(high).ok());
        ends.ok_or_else(|| Fault { code: 0, text: format!("the leader answered {low} and {high}") })
    }

    /// The same as the last fetch has told, if there was one.
    pub(super) fn fetched_ends(&self, partition: i32) -> (Option<u64>, Option<u64>) {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, the name is a C string, and both places can be written.
        let result = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.rk.as_ptr(),
                self.name.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        match Fault::check(result) {
            Ok(()) => (u64::try_from(low).ok(), u64::try_from(high).ok()),
            Err(_) => (None, None),
        }
    }

    /// Lets the brokers forget what lies below `below`. Returns the first offset that is left.
    pub(super) fn delete_records(&self, partition: i32, below: u64, timeout: Duration) -> Result<u64, Fault> {
        let below = i64::try_from(below).expect("offsets fit");
        let rk = self.client.rk.as_ptr();
        // SAFETY: what is made here is destroyed here, in the order the library asks for; the request copies the list,
        // and the event is looked at only while it is there.
        unsafe {
            let list = sys::rd_kafka_topic_partition_list_new(1);
            (*sys::rd_kafka_topic_partition_list_add(list, self.name.as_ptr(), partition)).offset = below;
            let mut request = sys::rd_kafka_DeleteRecords_new(list);
            sys::rd_kafka_topic_partition_list_destroy(list);
            let queue = sys::rd_kafka_queue_new(rk);
            sys::rd_kafka_DeleteRecords(rk, &raw mut request, 1, ptr::null(), queue);
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout));
            let result = deleted(event);
            if !event.is_null() {
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_DeleteRecords_destroy(request);
            sys::rd_kafka_queue_destroy(queue);
            result
        }
    }
}

/// # Safety
/// `event` is null or an event that lives through this call.
unsafe fn deleted(event: *mut sys::rd_kafka_event_t) -> Result<u64, Fault> {
    if event.is_null() {
        return Err(Fault::new(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT));
    }
    // SAFETY: the caller promises the event; the list lives as long and has as many elements as it says.
    unsafe {
        Fault::check(sys::rd_kafka_event_error(event))?;
        let result = sys::rd_kafka_event_DeleteRecords_result(event);
        let list = sys::rd_kafka_DeleteRecords_result_offsets(result);
        if list.is_null() || (*list).cnt < 1 {
            return Err(Fault { code: 0, text: "the broker's answer names no partition".to_owned() });
        }
        let partition = &*(*list).elems;
        Fault::check(partition.err)?;
        u64::try_from(partition.offset)
            .map_err(|_| Fault { code: 0, text: format!("the broker's answer is {}", partition.offset) })
    }
}

/// What a record's append time is, by its topic's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Milliseconds since 1970, by the leader's clock.
    LogAppend(u64),
    /// Made by whoever appended it: worthless as log time.
    Other,
}

/// # Safety
/// `message` is a message that lives through this call.
unsafe fn stamp(message: *const sys::rd_kafka_message_t) -> Stamp {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the caller promises the message.
    let time = unsafe { sys::rd_kafka_message_timestamp(message, &raw mut kind) };
    match (kind, u64::try_from(time)) {
        (sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME, Ok(time)) => {
            Stamp::LogAppend(time)
        }
        _ => Stamp::Other,
    }
}
