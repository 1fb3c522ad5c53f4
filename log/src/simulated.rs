//! A log in memory that does exactly what a test tells it to, faults included.
//!
//! Nothing happens by itself and nothing is random: with [`Pace::Stepwise`] the test decides when a record lands, when
//! it becomes durable, what its ticket says and what a crash leaves, so a seeded simulator replays the same history
//! from the same seed. With [`Pace::Automatic`] it is a plain log for tests that are not about the log.

mod control;
mod slot;
mod stream;
mod view;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use bytes::Bytes;
use holdfast_contracts::{LogId, LogTime, Offset};

use crate::{
    layout::Layout,
    port::{
        AppendError, Appended, Corruption, Durability, OrderedLog, ReadError, Record, Status, StreamId,
        Subscription, Ticket, Topic, TrimError, WakeRound, WakerSet, Watermarks,
    },
};

pub use control::Survivors;
use slot::{AlwaysDurable, Slot};
pub use stream::Reading;
use stream::{InFlight, SimStream};
pub use view::View;

/// Which real adapter is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Records land when they are appended, decisions are readable before they are durable, and append times never
    /// fall within a stream.
    Embedded,
    /// Records are in flight until they land, nothing is readable before it is durable, and append times are whatever
    /// the leader's clock says.
    Kafka,
}

/// Who moves records along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A record lands and is durable before its append returns.
    Automatic,
    /// The test does it, step by step.
    Stepwise,
}

/// How much room a simulated disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Plenty,
    /// Only the reserve for decisions is left.
    DecisionsOnly,
    /// Nothing is left.
    Nothing,
}

/// What a simulated log is made of.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedConfig {
    /// Its id.
    pub log_id: LogId,
    /// Its streams.
    pub layout: Layout,
    /// Which real adapter is imitated.
    pub profile: Profile,
    /// Who moves records along.
    pub pace: Pace,
    /// Append times until the test sets others.
    pub append_time: LogTime,
    /// Records that may be in flight or not yet durable, all streams together, before appends are refused as full.
    pub unsettled_records_max: usize,
}

impl SimulatedConfig {
    /// An automatic log like the embedded one, that starts in the year 2024.
    #[must_use]
    pub const fn new(log_id: LogId, layout: Layout) -> Self {
        Self {
            log_id,
            layout,
            profile: Profile::Embedded,
            pace: Pace::Automatic,
            append_time: LogTime(1_704_067_200_000),
            unsettled_records_max: 1 << 20,
        }
    }
}

/// The simulated log. The port is on the trait, the strings are on the type.
pub struct SimulatedLog {
    config: SimulatedConfig,
    state: Mutex<State>,
    wakers: Vec<Arc<WakerSet>>,
    settled: Arc<WakerSet>,
    durable_at_once: Arc<AlwaysDurable>,
}

struct State {
    log_id: LogId,
    pace: Pace,
    room: Room,
    status: Status,
    streams: Vec<SimStream>,
    /// Counts landings over all streams, so that a crash can cut them in the order in which a disk got them.
    landings: u64,
    /// Records in flight or not yet durable.
    unsettled: usize,
}

impl SimulatedLog {
    /// An empty log.
    #[must_use]
    pub fn new(config: SimulatedConfig) -> Self {
        let stream = || SimStream::new(config.append_time);
        let count = config.layout.stream_count();
        let settled = Arc::new(WakerSet::default());
        Self {
            state: Mutex::new(State {
                log_id: config.log_id,
                pace: config.pace,
                room: Room::Plenty,
                status: Status::Healthy,
                streams: (0..count).map(|_| stream()).collect(),
                landings: 0,
                unsettled: 0,
            }),
            wakers: (0..count).map(|_| Arc::default()).collect(),
            durable_at_once: Arc::new(AlwaysDurable { settled: Arc::clone(&settled) }),
            settled,
            config,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a failed test; the others may still look.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self, stream: StreamId) -> usize {
        self.config.layout.index(stream).unwrap_or_else(|| panic!("the log has no stream {stream}"))
    }

    fn readable_when(&self, topic: Topic) -> Durability {
        match self.config.profile {
            Profile::Embedded => topic.durability(),
            Profile::Kafka => Durability::Flushed,
        }
    }

    fn wake(&self, index: usize) {
        self.wakers[index].wake_all();
        self.settled.wake_all();
    }

    fn wake_everyone(&self) {
        let mut round = WakeRound::default();
        for set in self.wakers.iter().chain([&self.settled]) {
            round.wake(set);
        }
    }

    /// Takes a record out of flight, or from an append, to the end of its stream.
    fn land(&self, state: &mut State, index: usize, flight: InFlight) -> Offset {
        let clamp = self.config.profile == Profile::Embedded;
        let landing = state.landings;
        state.landings += 1;
        let offset = state.streams[index].land(flight, landing, clamp);
        if state.pace == Pace::Automatic {
            let end = offset.next();
            state.unsettled -= state.streams[index].flush_to(end);
        }
        offset
    }

    /// Why the record cannot be accepted now, if it cannot.
    fn refusal(&self, state: &State, index: usize, topic: Topic, bytes: usize) -> Option<AppendError> {
        let bytes_max = topic.payload_bytes_max();
        match &state.status {
            Status::Closed => return Some(AppendError::Closed),
            Status::Failed { reason } => return Some(AppendError::Failed { reason: reason.clone() }),
            Status::Healthy | Status::DiskFull => {}
        }
        if state.streams[index].interrupted {
            return Some(AppendError::Interrupted);
        }
        if bytes > bytes_max {
            return Some(AppendError::TooLarge { bytes, bytes_max });
        }
        match (state.room, topic.durability()) {
            (Room::Plenty, _) | (Room::DecisionsOnly, Durability::Derived) => {}
            (Room::DecisionsOnly | Room::Nothing, _) => return Some(AppendError::DiskFull),
        }
        (state.unsettled >= self.config.unsettled_records_max).then_some(AppendError::Full)
    }
}

impl OrderedLog for SimulatedLog {
    fn log_id(&self) -> LogId {
        self.lock().log_id
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.config.layout.partitions(topic)
    }

    fn append(&self, stream: StreamId, payload: Bytes) -> Result<Ticket, AppendError> {
        let index = self.config.layout.index(stream).ok_or(AppendError::NoSuchStream(stream))?;
        let mut state = self.lock();
        if let Some(refusal) = self.refusal(&state, index, stream.topic, payload.len()) {
            state.streams[index].refused |= matches!(refusal, AppendError::Full | AppendError::DiskFull);
            return Err(refusal);
        }
        state.unsettled += 1;
        if state.pace == Pace::Automatic {
            let offset = self.land(&mut state, index, InFlight { payload, slot: None });
            let append_time = state.streams[index].append_time_of(offset);
            drop(state);
            self.wake(index);
            return Ok(Ticket::new(self.durable_at_once.clone(), Appended { offset, append_time }));
        }
        let slot = Arc::new(Slot::new(Arc::clone(&self.settled)));
        let ticket = Ticket::new(slot.clone(), Appended { offset: Offset(0), append_time: LogTime(0) });
        let flight = InFlight { payload, slot: Some(slot) };
        match self.config.profile {
            Profile::Kafka => state.streams[index].in_flight.push_back(flight),
            Profile::Embedded => {
                self.land(&mut state, index, flight);
                drop(state);
                self.wake(index);
            }
        }
        Ok(ticket)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        let index = self.config.layout.index(stream).ok_or(ReadError::NoSuchStream(stream))?;
        let state = self.lock();
        let sim = &state.streams[index];
        let (low, end) = (sim.low, sim.readable_end(self.readable_when(stream.topic)));
        if from < low {
            return Err(ReadError::Trimmed { low });
        }
        if from > end {
            return Err(ReadError::BeyondEnd { end });
        }
        let end = match sim.reading {
            Reading::Works => end,
            Reading::Stalls => from,
            Reading::Fails => {
                return Err(ReadError::Io(Arc::new(io::Error::other("the test made reading fail"))));
            }
        };
        if sim.damaged.is_some_and(|damaged| from <= damaged && damaged < end) {
            return Err(ReadError::Corrupt(Corruption {
                file: stream.to_string(),
                position: sim.damaged.map_or(0, |offset| offset.0),
                what: "the test damaged this record".to_owned(),
            }));
        }
        sim.read(from, end, max_bytes, out);
        Ok(())
    }

    fn watermarks(&self, stream: StreamId) -> Watermarks {
        let state = self.lock();
        let sim = &state.streams[self.index(stream)];
        let end = sim.readable_end(self.readable_when(stream.topic));
        Watermarks { low: sim.low, end, durable: sim.durable }
    }

    fn subscribe(&self, stream: StreamId, waker: Waker) -> Subscription {
        self.wakers[self.index(stream)].subscribe(waker)
    }

    fn trim(&self, stream: StreamId, below: Offset) -> Result<(), TrimError> {
        let index = self.config.layout.index(stream).ok_or(TrimError::NoSuchStream(stream))?;
        let mut state = self.lock();
        let sim = &mut state.streams[index];
        if below > sim.durable {
            return Err(TrimError::BeyondDurable { durable: sim.durable });
        }
        sim.trim(below);
        Ok(())
    }

    fn resume(&self, stream: StreamId) {
        self.lock().streams[self.index(stream)].interrupted = false;
    }

    fn status(&self) -> Status {
        let state = self.lock();
        match (&state.status, state.room) {
            (Status::Healthy, Room::DecisionsOnly | Room::Nothing) => Status::DiskFull,
            (status, _) => status.clone(),
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        if matches!(state.status, Status::Closed | Status::Failed { .. }) {
            return;
        }
        state.status = Status::Closed;
        for index in 0..state.streams.len() {
            while let Some(flight) = state.streams[index].in_flight.pop_front() {
                self.land(&mut state, index, flight);
            }
        }
        state.flush_everything();
        drop(state);
        self.wake_everyone();
    }
}

#[cfg(test)]
mod tests;
