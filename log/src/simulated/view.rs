//! The simulated log as one process sees it: over a connection that may be late, or gone.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use bytes::Bytes;
use holdfast_contracts::{LogId, Offset};

use super::SimulatedLog;
use crate::port::{
    AppendError, OrderedLog, ReadError, Record, Status, StreamId, Subscription, Ticket, Topic, TrimError,
    Watermarks,
};

/// One process's handle on a simulated log that others use as well.
///
/// It can be made late, so that [`OrderedLog::watermarks`] says what the process knew when it last asked or read, and it
/// can be cut off, so that nothing can be asked, read or appended. What others do with the log goes on meanwhile.
pub struct View {
    log: Arc<SimulatedLog>,
    away: AtomicBool,
    /// What the process knows of each stream while it is late.
    known: Mutex<Option<Vec<Watermarks>>>,
}

impl SimulatedLog {
    /// A handle of one more process.
    #[must_use]
    pub fn view(self: &Arc<Self>) -> View {
        View { log: Arc::clone(self), away: AtomicBool::new(false), known: Mutex::new(None) }
    }
}

impl View {
    /// From now on watermarks are those of the last refresh or read; they begin with what they are now.
    pub fn lag(&self) {
        let streams = self.log.config.layout.streams();
        *self.known() = Some(streams.map(|stream| self.log.watermarks(stream)).collect());
    }

    /// Watermarks are up to date again.
    pub fn keep_up(&self) {
        *self.known() = None;
    }

    /// Cuts the process off: reads and refreshes fail, and appends find no room.
    pub fn cut_off(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// Ends [`cut_off`](Self::cut_off), and wakes everybody.
    pub fn reconnect(&self) {
        self.away.store(false, Ordering::SeqCst);
        self.log.wake_everyone();
    }

    fn known(&self) -> MutexGuard<'_, Option<Vec<Watermarks>>> {
        // A panic under the lock is a failed test; the others may still look.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> Result<(), ReadError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(ReadError::Io(Arc::new(io::Error::other("the test cut the process off"))));
        }
        Ok(())
    }
}

impl OrderedLog for View {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.log.partitions(topic)
    }

    fn append(&self, stream: StreamId, payload: Bytes) -> Result<Ticket, AppendError> {
        if self.asked().is_err() {
            return Err(AppendError::Full);
        }
        self.log.append(stream, payload)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        self.asked()?;
        let before = out.len();
        self.log.read(stream, from, max_bytes, out)?;
        if let Some(known) = self.known().as_mut()
            && let Some(last) = out[before..].last()
        {
            let known = &mut known[self.log.index(stream)];
            known.end = known.end.max(last.offset.next());
            known.durable = known.durable.max(known.end.min(self.log.watermarks(stream).durable));
        }
        Ok(())
    }

    fn watermarks(&self, stream: StreamId) -> Watermarks {
        let known = self.known().as_ref().map(|known| known[self.log.index(stream)]);
        known.unwrap_or_else(|| self.log.watermarks(stream))
    }

    fn refresh(&self, stream: StreamId) -> Result<Watermarks, ReadError> {
        self.asked()?;
        let marks = self.log.watermarks(stream);
        if let Some(known) = self.known().as_mut() {
            known[self.log.index(stream)] = marks;
        }
        Ok(marks)
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
