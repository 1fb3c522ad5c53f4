//! Fetching a partition, and taking what has come in batches.
#![allow(unsafe_code, reason = "see the module above")]

use std::{
    ffi::c_void,
    ptr::{self, NonNull},
    sync::Arc,
};

use rdkafka::bindings as sys;

use super::{Fault, Stamp, TopicHandle, last_fault, stamp};
use crate::port::WakerSet;

/// A running fetch of one partition from one offset on.
pub(in crate::kafka) struct Fetch {
    queue: *mut sys::rd_kafka_queue_t,
    topic: Arc<TopicHandle>,
    partition: i32,
    started: bool,
    /// What the library's callback looks at; given back when the fetch ends.
    wakers: *const WakerSet,
}

// SAFETY: the library's functions may be called from any thread, and so may those of the wakers.
unsafe impl Send for Fetch {}

/// Called by the library, holding the queue's lock, when something comes to an empty queue.
unsafe extern "C" fn something_came(_: *mut sys::rd_kafka_t, wakers: *mut c_void) {
    // SAFETY: `Fetch` keeps the wakers until this callback is taken off the queue.
    let wakers = unsafe { &*wakers.cast_const().cast::<WakerSet>() };
    wakers.wake_all();
}

impl Fetch {
    /// Begins to fetch. Wakes `wakers` when something comes and nothing was there.
    ///
    /// The wakers run on a thread of the library and must not call it.
    pub(in crate::kafka) fn start(
        topic: &Arc<TopicHandle>,
        partition: i32,
        from: u64,
        wakers: &Arc<WakerSet>,
    ) -> Result<Self, Fault> {
        let from = i64::try_from(from).expect("offsets fit");
        let wakers = Arc::into_raw(Arc::clone(wakers));
        // SAFETY: the client is alive; the wakers live until `drop` has taken them off the queue.
        let (fetch, result) = unsafe {
            let queue = sys::rd_kafka_queue_new(topic.client.rk.as_ptr());
            sys::rd_kafka_queue_cb_event_enable(queue, Some(something_came), wakers.cast_mut().cast());
            let mut fetch = Self { queue, topic: Arc::clone(topic), partition, started: false, wakers };
            let result = sys::rd_kafka_consume_start_queue(topic.rkt.as_ptr(), partition, from, queue);
            fetch.started = result == 0;
            (fetch, result)
        };
        if result == 0 { Ok(fetch) } else { Err(last_fault()) }
    }

    /// Takes what is there, at most `count_max` messages, and waits for nothing.
    pub(in crate::kafka) fn take<'a>(&mut self, count_max: usize, room: &'a mut Room) -> Batch<'a> {
        room.0.clear();
        room.0.reserve(count_max);
        // SAFETY: the queue is alive and the array has the room; only `&mut self` calls this, so never two at once.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(self.queue, 0, room.0.as_mut_ptr(), count_max) };
        // SAFETY: so many were written.
        unsafe { room.0.set_len(usize::try_from(count).unwrap_or(0)) };
        Batch(room)
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        // SAFETY: queue, topic and client are alive. After the callback is taken off under the queue's lock nobody
        // looks at the wakers, so the count that `start` has taken can be given back. What was never started is not
        // stopped: it might be another fetch of the same partition.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            if self.started {
                sys::rd_kafka_consume_stop(self.topic.rkt.as_ptr(), self.partition);
            }
            sys::rd_kafka_queue_destroy(self.queue);
            drop(Arc::from_raw(self.wakers));
        }
    }
}

/// Memory for a batch, to be used again.
#[derive(Default)]
pub(in crate::kafka) struct Room(Vec<*mut sys::rd_kafka_message_t>);

// SAFETY: it is empty except while a `Batch` borrows it, which is not sent.
unsafe impl Send for Room {}

/// Messages taken from the library, given back when this is dropped.
pub(in crate::kafka) struct Batch<'a>(&'a mut Room);

/// One message of a batch.
pub(in crate::kafka) enum Fetched<'a> {
    Record { offset: u64, stamp: Stamp, payload: &'a [u8] },
    Fault(Fault),
}

impl Batch<'_> {
    pub(in crate::kafka) fn len(&self) -> usize {
        self.0.0.len()
    }

    pub(in crate::kafka) fn messages(&self) -> impl Iterator<Item = Fetched<'_>> {
        self.0.0.iter().map(|&message| {
            // SAFETY: the messages live until this batch is dropped.
            let it = unsafe { &*message };
            if it.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Fetched::Fault(Fault::new(it.err));
            }
            let payload = match NonNull::new(it.payload.cast::<u8>()) {
                // SAFETY: the library says so many bytes lie there, and they live as long as the message.
                Some(payload) => unsafe { std::slice::from_raw_parts(payload.as_ptr(), it.len) },
                None => &[],
            };
            let offset = u64::try_from(it.offset).expect("a record has an offset");
            // SAFETY: as above.
            Fetched::Record { offset, stamp: unsafe { stamp(message) }, payload }
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for message in self.0.0.drain(..) {
            // SAFETY: each was taken from the library once and is given back once.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}
