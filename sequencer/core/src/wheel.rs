//! The timing wheel: which hold is due next.
//!
//! Holds whose deadlines lie in the same 16 ms share a slot; slots are used again every so many, so a slot may also hold
//! deadlines of later rounds, which stay. A slot is a list through the holds themselves. When log time enters a slot,
//! those of its holds that belong to this round move into a heap, which gives them out in exact order.
//!
//! Entries are lazy: a hold that has ended, or whose deadline has moved, is found out when its slot comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use holdfast_contracts::LogTime;

use crate::clock::TIME_MIN;
use crate::holds::{Hold, Holds, NONE};

const SLOT_SHIFT: u32 = 4;

/// A hold that is due, or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(crate) deadline: LogTime,
    /// Position of its decision: the order among equal deadlines.
    decided_at: (u64, u32),
    pub(crate) hold: u32,
}

impl Due {
    /// The entry that a hold should have.
    #[inline(always)]
    pub(crate) fn of(number: u32, hold: &Hold) -> Self {
        let (offset, index) = hold.decided_at();
        Self { deadline: hold.deadline(), decided_at: (offset.0, index), hold: number }
    }
}

/// Deadlines of all live holds.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// First hold of each slot.
    slots: Vec<u32>,
    /// One bit per slot that is not empty.
    occupied: Vec<u64>,
    /// Rounds begin anew every so many slots: a power of two less one.
    mask: u64,
    /// The slot that log time is in, counted from the beginning of time: all before it are emptied.
    entered: u64,
    due: BinaryHeap<Reverse<Due>>,
}

impl Wheel {
    /// A wheel of a power of two slots (at least 64), for a log time of `now`.
    pub(crate) fn new(slots: usize, now: LogTime) -> Self {
        assert!(slots.is_power_of_two() && slots >= 64, "slots: a power of two from 64");
        Self {
            slots: vec![NONE; slots],
            occupied: vec![0; slots / 64],
            mask: slots as u64 - 1,
            entered: slot_of(now),
            due: BinaryHeap::new(),
        }
    }

    /// Takes in a live hold, or one whose deadline came closer.
    pub(crate) fn add(&mut self, number: u32, holds: &mut Holds) {
        self.take_in(number, holds.change_derived(number));
    }

    /// Takes in a live hold that will have this number.
    #[inline(always)]
    pub(crate) fn take_in(&mut self, number: u32, hold: &mut Hold) {
        let slot = slot_of(hold.deadline());
        if slot <= self.entered || hold.is_linked() {
            self.push_due(Due::of(number, hold));
            return;
        }
        let at = slot & self.mask;
        let index = index(at);
        hold.next = std::mem::replace(&mut self.slots[index], number);
        hold.set_linked(true);
        self.occupied[index / 64] |= 1 << (at % 64);
    }

    #[cold]
    fn push_due(&mut self, due: Due) {
        self.due.push(Reverse(due));
    }

    /// Lets log time go on to `now`.
    #[inline]
    pub(crate) fn advance(&mut self, now: LogTime, holds: &mut Holds) {
        let target = slot_of(now);
        if target > self.entered {
            self.enter_slots(target, holds);
        }
    }

    #[cold]
    fn enter_slots(&mut self, target: u64, holds: &mut Holds) {
        let from = self.entered + 1;
        self.entered = target;
        // After a whole round every slot has been seen once, which is all there is to do.
        let to = target.min(from + self.mask);
        let mut slot = from;
        while slot <= to {
            let at = slot & self.mask;
            // Bits of this slot and the later ones in its word.
            let word = self.occupied[index(at) / 64] >> (at % 64);
            if word == 0 {
                slot += 64 - at % 64;
                continue;
            }
            slot += u64::from(word.trailing_zeros());
            if slot <= to {
                self.empty_slot(index(slot & self.mask), holds);
                slot += 1;
            }
        }
    }

    fn empty_slot(&mut self, slot: usize, holds: &mut Holds) {
        let mut number = std::mem::replace(&mut self.slots[slot], NONE);
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        while number != NONE {
            let hold = holds.change_derived(number);
            let next = hold.next;
            hold.set_linked(false);
            let of_a_later_round = slot_of(hold.deadline()) > self.entered;
            if hold.is_live() && !(cfg!(feature = "mutant-08") && of_a_later_round) {
                self.add(number, holds);
            }
            number = next;
        }
    }

    /// The earliest entry with `deadline <= now`, if there is one. Its hold may have ended or got a later deadline.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: LogTime) -> Option<Due> {
        let now = if cfg!(feature = "mutant-07") { now.plus_ms(1) } else { now };
        if self.due.peek()?.0.deadline > now {
            return None;
        }
        self.due.pop().map(|Reverse(due)| due)
    }

    /// Whether an entry with `deadline <= now` is there.
    pub(crate) fn has_due(&self, now: LogTime) -> bool {
        self.due.peek().is_some_and(|Reverse(due)| due.deadline <= now)
    }

    /// A time by which something may be due: never later than the first deadline, and at most one slot before it.
    pub(crate) fn next_time(&self) -> Option<LogTime> {
        let heap = self.due.peek().map(|Reverse(due)| due.deadline);
        heap.into_iter().chain(self.next_occupied().map(begin_of)).min()
    }

    /// The next slot, counted from the beginning of time, that has an entry of this or a later round.
    fn next_occupied(&self) -> Option<u64> {
        let words = self.occupied.len() as u64;
        let first = self.entered + 1;
        let start = (first & self.mask) / 64;
        (0..=words).find_map(|step| {
            let at = (start + step) % words;
            let mut word = self.occupied[index(at)];
            if step == 0 {
                word &= u64::MAX << (first % 64);
            }
            if word == 0 {
                return None;
            }
            let slot = at * 64 + u64::from(word.trailing_zeros());
            Some(first + (slot.wrapping_sub(first) & self.mask))
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * 4 + self.occupied.capacity() * 8 + self.due.capacity() * size_of::<Due>()
    }
}

#[inline]
fn slot_of(time: LogTime) -> u64 {
    time.ms_since(TIME_MIN) >> SLOT_SHIFT
}

fn begin_of(slot: u64) -> LogTime {
    TIME_MIN.plus_ms(slot << SLOT_SHIFT)
}

#[inline]
fn index(slot: u64) -> usize {
    usize::try_from(slot).expect("a slot is below the mask")
}
