//! What a producer tells: which records are in the log, and which are not.
#![allow(unsafe_code, reason = "see the module above")]

use std::{sync::Arc, time::Duration};

use rdkafka::bindings as sys;

use super::{Client, Fault, Stamp, milliseconds, stamp, text_at};

/// Where a producer tells what became of its records.
pub(in crate::kafka) struct EventQueue {
    queue: *mut sys::rd_kafka_queue_t,
    client: Arc<Client>,
}

// SAFETY: the library's functions may be called from any thread.
unsafe impl Send for EventQueue {}
// SAFETY: as above.
unsafe impl Sync for EventQueue {}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and its client is alive.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
        let _last = &self.client;
    }
}

/// What a producer has to say.
pub(in crate::kafka) enum Event<'a> {
    /// What became of records.
    Reports(&'a [Report]),
    /// Something went wrong with the client; when fatal, it is of no more use.
    Error { fault: Fault, fatal: bool },
}

/// What became of one record.
#[derive(Debug, Clone)]
pub(in crate::kafka) struct Report {
    pub(in crate::kafka) partition: i32,
    pub(in crate::kafka) tag: u64,
    pub(in crate::kafka) bytes: usize,
    pub(in crate::kafka) outcome: Result<(u64, Stamp), (Fault, Persisted)>,
}

/// Whether a record that was not acknowledged is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum Persisted {
    No,
    Perhaps,
}

impl EventQueue {
    /// The main queue of a producer.
    pub(in crate::kafka) fn of(client: &Arc<Client>) -> Self {
        // SAFETY: the client is alive, and has a main queue for as long as it is.
        let queue = unsafe { sys::rd_kafka_queue_get_main(client.rk.as_ptr()) };
        Self { queue, client: Arc::clone(client) }
    }

    /// Waits for the next event and shows it. `reports` is memory to be used again.
    pub(in crate::kafka) fn poll(
        &self,
        timeout: Duration,
        reports: &mut Vec<Report>,
        show: impl FnOnce(Event<'_>),
    ) {
        // SAFETY: queue and client are alive.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue, milliseconds(timeout)) };
        if event.is_null() {
            return;
        }
        // SAFETY: the event is ours until it is destroyed below.
        match unsafe { sys::rd_kafka_event_type(event) } {
            sys::RD_KAFKA_EVENT_DR => {
                reports.clear();
                // SAFETY: as above; the library returns null after the last message, and each lives as long as
                // the event.
                unsafe {
                    loop {
                        let message = sys::rd_kafka_event_message_next(event);
                        if message.is_null() {
                            break;
                        }
                        reports.push(report(message));
                    }
                }
                show(Event::Reports(reports));
            }
            sys::RD_KAFKA_EVENT_ERROR => {
                // SAFETY: as above; the text lives as long as the event.
                let (fault, fatal) = unsafe {
                    let code = sys::rd_kafka_event_error(event);
                    let text = text_at(sys::rd_kafka_event_error_string(event)).unwrap_or_default();
                    let code = code as i32;
                    (
                        Fault { code, text },
                        sys::rd_kafka_event_error_is_fatal(event) != 0 || code == Fault::FATAL,
                    )
                };
                show(Event::Error { fault, fatal });
            }
            _ => {}
        }
        // SAFETY: as above.
        unsafe { sys::rd_kafka_event_destroy(event) };
    }

    /// Makes a waiting `poll` return.
    pub(in crate::kafka) fn interrupt(&self) {
        // SAFETY: queue and client are alive.
        unsafe { sys::rd_kafka_queue_yield(self.queue) };
    }
}

/// # Safety
/// `message` is a delivery report that lives through this call.
unsafe fn report(message: *const sys::rd_kafka_message_t) -> Report {
    // SAFETY: the caller promises it.
    let it = unsafe { &*message };
    let outcome = match u64::try_from(it.offset) {
        Ok(offset) if it.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
            // SAFETY: as above.
            Ok((offset, unsafe { stamp(message) }))
        }
        _ => {
            // SAFETY: as above.
            let status = unsafe { sys::rd_kafka_message_status(message) };
            let persisted = match status {
                sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Persisted::No,
                _ => Persisted::Perhaps,
            };
            Err((Fault::new(it.err), persisted))
        }
    };
    Report { partition: it.partition, tag: it._private.addr() as u64, bytes: it.len, outcome }
}
