//! The strings of the simulated log: time, landing, flushing, and every fault a real log may show.

use holdfast_contracts::{LogId, LogTime, Offset};

use super::{InFlight, Pace, Reading, Room, SimStream, SimulatedLog, State};
use crate::port::{AppendFailure, Status, StreamId};

/// What a crash leaves of the records that landed and were not durable.
pub enum Survivors<'a> {
    /// The first so many of them in the order in which they landed, over all streams: a disk with one write head.
    FirstLanded(usize),
    /// Of each stream the first so many, as the function says when told the stream and how many there are: brokers
    /// that lead different partitions.
    PerStream(&'a mut dyn FnMut(StreamId, usize) -> usize),
}

impl State {
    pub(super) fn flush_everything(&mut self) {
        for stream in &mut self.streams {
            self.unsettled -= stream.flush_to(Offset(u64::MAX));
        }
    }

    fn recount(&mut self) {
        self.unsettled = self.streams.iter().map(SimStream::unsettled).sum();
    }
}

/// Time.
impl SimulatedLog {
    /// The clock that stamps what lands on this stream from now on. It may jump, also backwards.
    pub fn set_clock(&self, stream: StreamId, now: LogTime) {
        self.lock().streams[self.index(stream)].clock = now;
    }

    /// Sets the clocks of all streams.
    pub fn set_clocks(&self, now: LogTime) {
        for stream in &mut self.lock().streams {
            stream.clock = now;
        }
    }

    /// Changes who moves records along. Turning automatic does not move what is already under way.
    pub fn set_pace(&self, pace: Pace) {
        self.lock().pace = pace;
    }
}

/// Landing and flushing. `nth` counts the records in flight on the stream, oldest first.
impl SimulatedLog {
    /// How many appends of the stream have not landed.
    #[must_use]
    pub fn in_flight(&self, stream: StreamId) -> usize {
        self.lock().streams[self.index(stream)].in_flight.len()
    }

    /// How many records of the stream landed and are not durable.
    #[must_use]
    pub fn unflushed(&self, stream: StreamId) -> usize {
        self.lock().streams[self.index(stream)].unflushed_landings().len()
    }

    /// Lands an append. Anything but the oldest is a reordering.
    pub fn land_nth(&self, stream: StreamId, nth: usize) -> Offset {
        let index = self.index(stream);
        let mut state = self.lock();
        let flight = take_flight(&mut state.streams[index], nth);
        let offset = self.land(&mut state, index, flight);
        drop(state);
        self.wake(index);
        offset
    }

    /// Lands everything in flight on the stream, oldest first.
    pub fn land_all(&self, stream: StreamId) {
        while self.in_flight(stream) > 0 {
            self.land_nth(stream, 0);
        }
    }

    /// Lands an append and keeps it in flight as well: the retry of a producer that missed the first answer. It
    /// will be there twice; the ticket tells of the second.
    pub fn land_copy(&self, stream: StreamId, nth: usize) -> Offset {
        let index = self.index(stream);
        let mut state = self.lock();
        let payload = state.streams[index].in_flight[nth].payload.clone();
        state.unsettled += 1;
        let offset = self.land(&mut state, index, InFlight { payload, slot: None });
        drop(state);
        self.wake(index);
        offset
    }

    /// Makes everything that landed on the stream durable.
    pub fn flush(&self, stream: StreamId) {
        self.flush_to(stream, Offset(u64::MAX));
    }

    /// Makes what landed on the stream below `end` durable.
    pub fn flush_to(&self, stream: StreamId, end: Offset) {
        let index = self.index(stream);
        let mut state = self.lock();
        state.unsettled -= state.streams[index].flush_to(end);
        self.wake_after_making_room(state, index);
    }

    /// Makes everything that landed durable.
    pub fn flush_all(&self) {
        let mut state = self.lock();
        state.flush_everything();
        drop(state);
        self.wake_everyone();
    }

    fn wake_after_making_room(&self, mut state: std::sync::MutexGuard<'_, State>, index: usize) {
        let waiting: Vec<usize> = (0..state.streams.len())
            .filter(|&nr| nr == index || std::mem::take(&mut state.streams[nr].refused))
            .collect();
        drop(state);
        for nr in waiting {
            self.wake(nr);
        }
    }
}

/// Appends that go wrong. Each interrupts the stream.
impl SimulatedLog {
    /// The append will never land, but its ticket cannot know: unknown.
    pub fn lose(&self, stream: StreamId, nth: usize) {
        self.fail_append(stream, |sim| {
            if let Some(slot) = take_flight(sim, nth).slot {
                slot.fail_unknown("no answer came, and the record is lost");
            }
        });
    }

    /// The append is turned away for sure.
    pub fn turn_away(&self, stream: StreamId, nth: usize) {
        self.fail_append(stream, |sim| {
            if let Some(slot) = take_flight(sim, nth).slot {
                let reason = "the record was turned away".into();
                slot.settle(Err(AppendFailure::NotAppended { reason }));
            }
        });
    }

    /// The ticket gives up as unknown while the append stays in flight: it may land late, after others, or be lost.
    pub fn abandon(&self, stream: StreamId, nth: usize) {
        self.fail_append(stream, |sim| {
            if let Some(slot) = sim.in_flight[nth].slot.take() {
                slot.fail_unknown("no answer came in time");
            }
        });
    }

    /// The append lands but its answer is lost: the ticket says unknown.
    pub fn land_unanswered(&self, stream: StreamId, nth: usize) -> Offset {
        let offset = self.land_nth(stream, nth);
        self.fail_append(stream, |sim| {
            if offset >= sim.durable {
                sim.fail_ticket_of(offset, "the answer was lost");
            }
        });
        offset
    }

    fn fail_append(&self, stream: StreamId, how: impl FnOnce(&mut SimStream)) {
        let index = self.index(stream);
        let mut state = self.lock();
        how(&mut state.streams[index]);
        state.streams[index].interrupted = true;
        state.recount();
        drop(state);
        self.wake(index);
    }
}

/// Faults of the whole log.
impl SimulatedLog {
    /// Sets how much room the disk has.
    pub fn set_room(&self, room: Room) {
        self.lock().room = room;
        self.wake_everyone();
    }

    /// Fails the log for good: every open ticket is unknown, appends are refused until [`crash`](Self::crash)
    /// restarts it.
    pub fn fail(&self, reason: &str) {
        let mut state = self.lock();
        state.status = Status::Failed { reason: reason.to_owned() };
        for stream in &mut state.streams {
            stream.fail_open_tickets(reason);
        }
        state.recount();
        drop(state);
        self.wake_everyone();
    }

    /// Stops and restarts the log: open tickets are unknown, what was in flight is gone, and of what was not durable
    /// the survivors remain, durable from now on.
    pub fn crash(&self, survivors: Survivors<'_>) {
        let mut state = self.lock();
        for stream in &mut state.streams {
            stream.fail_open_tickets("the log crashed");
            stream.in_flight.clear();
            stream.interrupted = false;
            stream.refused = false;
        }
        let kept = self.kept(&state, survivors);
        for (stream, kept) in state.streams.iter_mut().zip(kept) {
            stream.truncate(Offset(stream.durable.0 + kept as u64));
            stream.flush_to(Offset(u64::MAX));
        }
        state.status = Status::Healthy;
        state.recount();
        drop(state);
        self.wake_everyone();
    }

    fn kept(&self, state: &State, survivors: Survivors<'_>) -> Vec<usize> {
        match survivors {
            Survivors::PerStream(keep) => {
                let counts = state.streams.iter().map(|stream| stream.unflushed_landings().len());
                self.config
                    .layout
                    .streams()
                    .zip(counts)
                    .map(|(id, count)| keep(id, count).min(count))
                    .collect()
            }
            Survivors::FirstLanded(count) => {
                let mut landings: Vec<u64> =
                    state.streams.iter().flat_map(SimStream::unflushed_landings).collect();
                landings.sort_unstable();
                let cut = landings.get(count).copied().unwrap_or(u64::MAX);
                let before_cut =
                    |stream: &SimStream| stream.unflushed_landings().filter(|&l| l < cut).count();
                state.streams.iter().map(before_cut).collect()
            }
        }
    }

    /// Takes away the records of the stream from `end` on, durable or not, as an unclean leader election does. What
    /// is in flight stays in flight.
    pub fn truncate(&self, stream: StreamId, end: Offset) {
        let index = self.index(stream);
        let mut state = self.lock();
        state.streams[index].truncate(end);
        state.recount();
        drop(state);
        self.wake(index);
    }

    /// Replaces the log by an empty one with another id, as re-created topics are.
    pub fn recreate(&self, log_id: LogId) {
        let mut state = self.lock();
        state.log_id = log_id;
        for stream in &mut state.streams {
            stream.fail_open_tickets("the log was re-created");
            *stream = SimStream::new(stream.clock);
        }
        state.unsettled = 0;
        drop(state);
        self.wake_everyone();
    }
}

/// Reads that go wrong.
impl SimulatedLog {
    /// Reading this record finds damage; `None` heals it.
    pub fn set_damaged(&self, stream: StreamId, offset: Option<Offset>) {
        self.lock().streams[self.index(stream)].damaged = offset;
    }

    /// Sets how reading the stream goes from now on.
    pub fn set_reading(&self, stream: StreamId, reading: Reading) {
        let index = self.index(stream);
        self.lock().streams[index].reading = reading;
        self.wake(index);
    }
}

fn take_flight(stream: &mut SimStream, nth: usize) -> InFlight {
    let count = stream.in_flight.len();
    stream.in_flight.remove(nth).unwrap_or_else(|| panic!("append {nth} of {count} in flight"))
}
