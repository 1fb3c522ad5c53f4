//! A log as it was when its commands ended at a chosen offset.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use bytes::Bytes;
use holdfast_contracts::{LogId, Offset};
use holdfast_log::{
    AppendError, OrderedLog, ReadError, Record, Status, StreamId, Subscription, Ticket, Topic, TrimError,
    Watermarks,
};

/// A log that shows the commands up to an offset, which can be moved on.
pub(crate) struct BoundedLog {
    log: Arc<dyn OrderedLog>,
    end: AtomicU64,
}

impl BoundedLog {
    pub(crate) fn new(log: Arc<dyn OrderedLog>, end: Offset) -> Self {
        Self { log, end: AtomicU64::new(end.0) }
    }

    /// Shows the commands up to this offset from now on.
    pub(crate) fn show_up_to(&self, end: Offset) {
        self.end.store(end.0, Ordering::Release);
    }

    fn end(&self) -> Offset {
        Offset(self.end.load(Ordering::Acquire))
    }
}

impl OrderedLog for BoundedLog {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.log.partitions(topic)
    }

    fn append(&self, stream: StreamId, payload: Bytes) -> Result<Ticket, AppendError> {
        self.log.append(stream, payload)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        if stream.topic != Topic::InventoryCommands {
            return self.log.read(stream, from, max_bytes, out);
        }
        let end = self.end();
        if from == end {
            return Ok(());
        }
        self.log.read(stream, from, max_bytes, out)?;
        let known = out.partition_point(|record| record.offset < end);
        out.truncate(known);
        Ok(())
    }

    fn watermarks(&self, stream: StreamId) -> Watermarks {
        let marks = self.log.watermarks(stream);
        if stream.topic != Topic::InventoryCommands {
            return marks;
        }
        let end = self.end();
        Watermarks { low: marks.low.min(end), end: marks.end.min(end), durable: marks.durable.min(end) }
    }

    fn subscribe(&self, stream: StreamId, waker: Waker) -> Subscription {
        self.log.subscribe(stream, waker)
    }

    fn trim(&self, stream: StreamId, below: Offset) -> Result<(), TrimError> {
        self.log.trim(stream, below)
    }

    fn resume(&self, stream: StreamId) {
        self.log.resume(stream);
    }

    fn status(&self) -> Status {
        self.log.status()
    }

    fn close(&self) {
        self.log.close();
    }
}
