//! Writes down what happens while it happens.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::evidence::{
    Answer, Ask, DIGESTS, Event, EvidenceError, FAULTS, Fault, FaultLine, HISTORY, Invoke, LineWriter,
    OwnerDigest,
};

/// The evidence of a run in the making. Shared by all threads.
#[derive(Debug)]
pub(super) struct Recorder {
    begun: Instant,
    begun_wall_ms: u64,
    history: Mutex<LineWriter>,
    faults: Mutex<LineWriter>,
    digests: Mutex<LineWriter>,
    next_op: AtomicU64,
    in_flight: AtomicI64,
    acks: AtomicU64,
    /// A file could not be written: what comes from here on proves nothing.
    pub(super) broken: AtomicBool,
}

impl Recorder {
    pub(super) fn create(directory: &Path) -> Result<Self, EvidenceError> {
        let file = |name: &str| LineWriter::create(&directory.join(name)).map(Mutex::new);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            begun: Instant::now(),
            begun_wall_ms: u64::try_from(wall.as_millis()).unwrap_or(0),
            history: file(HISTORY)?,
            faults: file(FAULTS)?,
            digests: file(DIGESTS)?,
            next_op: AtomicU64::new(0),
            in_flight: AtomicI64::new(0),
            acks: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        })
    }

    pub(super) const fn begun_wall_ms(&self) -> u64 {
        self.begun_wall_ms
    }

    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Requests under way.
    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests answered with a decision so far.
    pub(super) fn acks(&self) -> u64 {
        self.acks.load(Ordering::Relaxed)
    }

    /// A request is about to be sent; returns its number.
    pub(super) fn invoke(&self, intake: &str, ask: &Ask) -> u64 {
        let op = self.next_op.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let at_us = self.now_us();
        self.write(
            &self.history,
            &Event::Invoke(Invoke { op, at_us, intake: intake.to_owned(), ask: ask.clone() }),
        );
        op
    }

    /// It ended.
    pub(super) fn end(&self, event: impl FnOnce(Answer) -> Event, answer: Answer) {
        let event = event(Answer { at_us: self.now_us(), ..answer });
        if matches!(event, Event::Ok(_)) {
            self.acks.fetch_add(1, Ordering::Relaxed);
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.write(&self.history, &event);
    }

    /// Something is done to the system now.
    pub(super) fn fault(&self, fault: Fault) {
        self.write(&self.faults, &FaultLine { at_us: self.now_us(), fault });
    }

    /// Something was done to the system.
    pub(super) fn fault_at(&self, at_us: u64, fault: Fault) {
        self.write(&self.faults, &FaultLine { at_us, fault });
    }

    pub(super) fn digest(&self, digest: &OwnerDigest) {
        self.write(&self.digests, digest);
    }

    fn write(&self, file: &Mutex<LineWriter>, line: &impl Serialize) {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.write(line).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}
