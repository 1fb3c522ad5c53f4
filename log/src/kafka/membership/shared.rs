//! What the owner of partitions and the thread that keeps its membership tell each other.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use holdfast_contracts::{Offset, PartitionId};

use super::{Generation, MemberEvent, MembershipNumbers};

/// With more events than that waiting to be taken, nothing is asked of the brokers.
const EVENTS_MAX: usize = 4_096;

/// Guarded state, and two bells: one for each side.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Rings for the membership's thread.
    for_member: Condvar,
    /// Rings for the owner.
    for_owner: Condvar,
    waker: Waker,
}

#[derive(Default)]
struct State {
    events: VecDeque<MemberEvent>,
    released: BTreeMap<PartitionId, Generation>,
    offsets: BTreeMap<PartitionId, Offset>,
    leave: bool,
    stop: bool,
    ended: bool,
    /// Something is there for the membership's thread to look at.
    rung: bool,
    numbers: MembershipNumbers,
}

/// What the owner wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) released: BTreeMap<PartitionId, Generation>,
    pub(super) leave: bool,
    pub(super) stop: bool,
    /// The owner does not take its events.
    pub(super) crowded: bool,
}

impl Shared {
    pub(super) fn new(waker: Waker) -> Self {
        Self { state: Mutex::default(), for_member: Condvar::new(), for_owner: Condvar::new(), waker }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_member(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.rung = true;
        self.for_member.notify_all();
    }

    // For the owner.

    pub(super) fn take_event(&self) -> Option<MemberEvent> {
        let mut state = self.lock();
        let event = state.events.pop_front();
        if state.events.len() + 1 == EVENTS_MAX {
            state.rung = true;
            self.for_member.notify_all();
        }
        event
    }

    pub(super) fn wait_for_event(&self, deadline: Instant) -> Option<MemberEvent> {
        let left = deadline.saturating_duration_since(Instant::now());
        let nothing = |state: &mut State| state.events.is_empty();
        let waited = self.for_owner.wait_timeout_while(self.lock(), left, nothing);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.take_event()
    }

    pub(super) fn release(&self, partition: PartitionId, generation: Generation) {
        self.tell_member(|state| {
            state.released.insert(partition, generation);
        });
    }

    /// Not worth waking anybody: offsets are sent once in a while.
    pub(super) fn note_offset(&self, partition: PartitionId, next: Offset) {
        self.lock().offsets.insert(partition, next);
    }

    pub(super) fn ask_to_leave(&self) {
        self.tell_member(|state| state.leave = true);
    }

    pub(super) fn ask_to_stop(&self) {
        self.tell_member(|state| state.stop = true);
    }

    pub(super) fn wait_until_ended(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.for_owner.wait_timeout_while(self.lock(), left, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    pub(super) fn numbers(&self) -> MembershipNumbers {
        self.lock().numbers.clone()
    }

    // For the membership's thread.

    /// There is something to look at.
    pub(super) fn ring(&self) {
        self.tell_member(|_| ());
    }

    /// Waits until there is something to look at, or the deadline.
    pub(super) fn wait(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.for_member.wait_timeout_while(self.lock(), left, |state| !state.rung);
        waited.unwrap_or_else(PoisonError::into_inner).0.rung = false;
    }

    pub(super) fn wishes(&self) -> Wishes {
        let mut state = self.lock();
        Wishes {
            released: mem::take(&mut state.released),
            leave: state.leave,
            stop: state.stop,
            crowded: state.events.len() >= EVENTS_MAX,
        }
    }

    pub(super) fn offsets(&self) -> BTreeMap<PartitionId, Offset> {
        self.lock().offsets.clone()
    }

    pub(super) fn forget_offset(&self, partition: PartitionId) {
        self.lock().offsets.remove(&partition);
    }

    pub(super) fn tell(&self, event: MemberEvent) {
        self.lock().events.push_back(event);
        self.for_owner.notify_all();
        self.waker.wake_by_ref();
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut MembershipNumbers)) {
        change(&mut self.lock().numbers);
    }

    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.for_owner.notify_all();
        self.waker.wake_by_ref();
    }
}
