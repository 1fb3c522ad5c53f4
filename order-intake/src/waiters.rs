//! Requests that wait: a slab of cells on one thread. Completing one is a store and a wake, without a lock or a channel.

use std::task::Waker;
use std::time::Instant;

use crate::answer::Reply;

/// Names a waiter. Stale names are harmless: a cell that was left counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaiterKey {
    index: u32,
    generation: u32,
}

/// The command a waiter waits for: its lane and its tag there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    pub(crate) lane: usize,
    pub(crate) tag: u64,
}

#[derive(Default)]
struct Cell {
    generation: u32,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Free,
    Waiting {
        waker: Option<Waker>,
        until: Instant,
        /// `None` while the machine is only asked, and nothing was written.
        awaited: Option<Awaited>,
    },
    Done(Reply),
}

/// All waiters of a thread.
pub(crate) struct Waiters {
    cells: Vec<Cell>,
    free: Vec<u32>,
    waiting: usize,
    waiting_max: usize,
}

impl Waiters {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self { cells: Vec::new(), free: Vec::new(), waiting: 0, waiting_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// A place to wait until then, unless there are too many already.
    pub(crate) fn enter(&mut self, until: Instant, awaited: Option<Awaited>) -> Option<WaiterKey> {
        if self.waiting >= self.waiting_max {
            return None;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.cells.push(Cell::default());
                u32::try_from(self.cells.len() - 1).ok()?
            }
        };
        let cell = &mut self.cells[index as usize];
        cell.state = State::Waiting { waker: None, until, awaited };
        self.waiting += 1;
        Some(WaiterKey { index, generation: cell.generation })
    }

    fn find(&mut self, key: WaiterKey) -> Option<&mut Cell> {
        self.cells.get_mut(key.index as usize).filter(|cell| cell.generation == key.generation)
    }

    /// Answers a waiter, if it still waits.
    pub(crate) fn complete(&mut self, key: WaiterKey, reply: Reply) {
        let Some(cell) = self.find(key) else { return };
        let State::Waiting { waker, .. } = &mut cell.state else { return };
        let waker = waker.take();
        cell.state = State::Done(reply);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The reply, once it is there. The caller is woken when it comes.
    pub(crate) fn poll(&mut self, key: WaiterKey, waker: &Waker) -> Option<Reply> {
        let cell = self.find(key)?;
        match &mut cell.state {
            State::Waiting { waker: known, .. } => {
                match known {
                    Some(known) => known.clone_from(waker),
                    None => *known = Some(waker.clone()),
                }
                None
            }
            State::Done(_) => match std::mem::take(&mut cell.state) {
                State::Done(reply) => {
                    self.release(key.index);
                    Some(reply)
                }
                _ => None,
            },
            State::Free => None,
        }
    }

    /// Whoever waited has left.
    pub(crate) fn leave(&mut self, key: WaiterKey) {
        if let Some(cell) = self.find(key) {
            cell.state = State::Free;
            self.release(key.index);
        }
    }

    fn release(&mut self, index: u32) {
        let cell = &mut self.cells[index as usize];
        cell.generation = cell.generation.wrapping_add(1);
        self.free.push(index);
        self.waiting -= 1;
    }

    /// Answers those whose time is up with what `late` says, which may let them wait on.
    pub(crate) fn sweep(
        &mut self,
        now: Instant,
        mut late: impl FnMut(Instant, Option<Awaited>) -> Option<Reply>,
    ) {
        for cell in &mut self.cells {
            let State::Waiting { waker, until, awaited } = &mut cell.state else { continue };
            if *until > now {
                continue;
            }
            let Some(reply) = late(*until, *awaited) else { continue };
            let waker = waker.take();
            cell.state = State::Done(reply);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(waiters: &mut Waiters, key: WaiterKey) -> Option<Reply> {
        waiters.poll(key, Waker::noop())
    }

    #[test]
    fn a_reply_is_taken_once_and_the_place_is_used_again() {
        let mut waiters = Waiters::new(2);
        let now = Instant::now();
        let first = waiters.enter(now, None).unwrap();
        assert!(poll(&mut waiters, first).is_none());
        waiters.complete(first, Reply::Late);
        waiters.complete(first, Reply::Unknown);
        assert!(matches!(poll(&mut waiters, first), Some(Reply::Late)));
        let second = waiters.enter(now, None).unwrap();
        assert_ne!(first, second);
        // Whatever still comes for the first is not for the second.
        waiters.complete(first, Reply::Unknown);
        waiters.leave(first);
        assert!(poll(&mut waiters, second).is_none());
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn there_are_as_many_places_as_there_are() {
        let mut waiters = Waiters::new(2);
        let now = Instant::now();
        let keys: Vec<_> = (0..3).map(|_| waiters.enter(now, None)).collect();
        assert!(keys[1].is_some() && keys[2].is_none());
        waiters.leave(keys[0].unwrap());
        assert!(waiters.enter(now, None).is_some());
    }

    #[test]
    fn only_those_whose_time_is_up_are_asked_about() {
        let mut waiters = Waiters::new(4);
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let awaited = Some(Awaited { lane: 3, tag: 7 });
        let (due, not_due) = (waiters.enter(now, awaited).unwrap(), waiters.enter(later, None).unwrap());
        let mut asked = Vec::new();
        waiters.sweep(now, |until, awaited| {
            asked.push((until, awaited));
            None
        });
        assert_eq!(asked, [(now, awaited)]);
        assert!(poll(&mut waiters, due).is_none(), "it may wait on");
        waiters.sweep(now, |_, _| Some(Reply::Late));
        assert!(poll(&mut waiters, due).is_some());
        assert!(poll(&mut waiters, not_due).is_none());
    }
}
