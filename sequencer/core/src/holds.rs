//! Holds: reservations that were granted or wait, one slot of 44 bytes each.

use std::fmt;

use holdfast_contracts::decision::HoldState;
use holdfast_contracts::{CustomerId, LogTime, Offset};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::clock::TIME_MIN;
use crate::ids::EntryRef;
use crate::paged::Paged;

/// Slots there may be: their numbers have 28 bits.
pub(crate) const HOLDS_MAX: usize = 1 << 28;
/// No hold.
pub(crate) const NONE: u32 = u32::MAX;

/// A deadline that never comes, as far as 40 bits of milliseconds reach.
pub(crate) const NEVER: LogTime = LogTime(TIME_MIN.0 + (1 << 40) - 1);

const UNITS_BITS: u32 = 20;
const UNITS: u32 = (1 << UNITS_BITS) - 1;
const STATE_SHIFT: u32 = UNITS_BITS;
const STATE: u32 = 7 << STATE_SHIFT;
const EXTENDS_SHIFT: u32 = STATE_SHIFT + 3;
const EXTENDS: u32 = 15 << EXTENDS_SHIFT;
const MULTI: u32 = 1 << 27;
const LINKED: u32 = 1 << 28;
const PARKED: u32 = 1 << 29;
const WAITED: u32 = 1 << 30;
const ENDED_WAITING: u32 = 1 << 31;

/// One slot. Packed by hand: a sale that is going well has millions of them.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Hold {
    customer: [u32; 2],
    /// Its id, as a reference into the id table; worked out anew when a checkpoint is loaded.
    entry: u32,
    /// The next hold in the same slot of the timing wheel; worked out anew likewise.
    pub(crate) next: u32,
    /// The listing its units come from, or its first line when it has several.
    place: u32,
    ttl_ms: u32,
    /// What the deadline was moved by since it was first given.
    moved_ms: u32,
    /// Units (20 bits), state (3), extensions (4), five flags.
    word: u32,
    /// Low bits of the offset of its decision.
    offset_low: u32,
    /// High 8 bits of the offset, 16 bits of the index in the record, high 8 bits of the first deadline.
    middle: u32,
    deadline_low: u32,
}

const _: () = assert!(size_of::<Hold>() == 44);

/// What a new hold is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewHold {
    pub(crate) customer: CustomerId,
    pub(crate) entry: EntryRef,
    /// A listing, or the first of several lines.
    pub(crate) place: u32,
    pub(crate) is_multi: bool,
    pub(crate) units: u32,
    pub(crate) state: HoldState,
    pub(crate) ttl_ms: u32,
    pub(crate) deadline: LogTime,
    pub(crate) offset: Offset,
    pub(crate) index: u32,
}

impl Hold {
    #[inline(always)]
    pub(crate) fn new(new: NewHold) -> Self {
        let (offset_low, offset_high) = low_high(new.offset.0);
        let (deadline_low, deadline_high) = low_high(new.deadline.ms_since(TIME_MIN));
        let (customer_low, customer_high) = low_high(new.customer.0);
        debug_assert!(offset_high < 256 && deadline_high < 256 && new.units <= UNITS && new.index < 1 << 16);
        Self {
            customer: [customer_low, customer_high],
            entry: new.entry.0,
            next: NONE,
            place: new.place,
            ttl_ms: new.ttl_ms,
            moved_ms: 0,
            word: new.units
                | (new.state as u32) << STATE_SHIFT
                | if new.is_multi { MULTI } else { 0 }
                | if new.state == HoldState::Waiting { WAITED } else { 0 },
            offset_low,
            middle: (offset_high & 0xff) << 24 | (new.index & 0xffff) << 8 | deadline_high & 0xff,
            deadline_low,
        }
    }

    #[inline(always)]
    pub(crate) fn customer(&self) -> CustomerId {
        CustomerId(u64::from(self.customer[1]) << 32 | u64::from(self.customer[0]))
    }

    #[inline(always)]
    pub(crate) const fn entry(&self) -> EntryRef {
        EntryRef(self.entry)
    }

    pub(crate) const fn set_entry(&mut self, entry: EntryRef) {
        self.entry = entry.0;
    }

    /// The listing of its units, unless it has several lines.
    #[inline(always)]
    pub(crate) const fn listing(&self) -> Option<u32> {
        if self.word & MULTI == 0 { Some(self.place) } else { None }
    }

    /// Its first line, if it has several.
    #[inline(always)]
    pub(crate) const fn first_line(&self) -> Option<u32> {
        if self.word & MULTI == 0 { None } else { Some(self.place) }
    }

    /// Units, unless it has several lines.
    #[inline(always)]
    pub(crate) const fn units(&self) -> u32 {
        self.word & UNITS
    }

    /// `None` for a free slot.
    #[inline(always)]
    pub(crate) const fn state(&self) -> Option<HoldState> {
        HoldState::from_code((self.word & STATE) >> STATE_SHIFT)
    }

    #[inline(always)]
    pub(crate) const fn set_state(&mut self, state: HoldState) {
        self.word = self.word & !STATE | (state as u32) << STATE_SHIFT;
    }

    /// Held, paying or waiting.
    #[inline(always)]
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.state(), Some(HoldState::Held | HoldState::Paying | HoldState::Waiting))
    }

    pub(crate) const fn extends(&self) -> u32 {
        (self.word & EXTENDS) >> EXTENDS_SHIFT
    }

    pub(crate) const fn count_extend(&mut self) {
        self.word += 1 << EXTENDS_SHIFT;
    }

    /// It stands in a slot of the timing wheel, so its own slot must not be used for another.
    #[inline(always)]
    pub(crate) const fn is_linked(&self) -> bool {
        self.word & LINKED != 0
    }

    #[inline(always)]
    pub(crate) const fn set_linked(&mut self, linked: bool) {
        self.word = if linked { self.word | LINKED } else { self.word & !LINKED };
    }

    /// It was due while its sale was frozen and waits outside the wheel for the sale to be resumed.
    pub(crate) const fn is_parked(&self) -> bool {
        self.word & PARKED != 0
    }

    pub(crate) const fn set_parked(&mut self, parked: bool) {
        self.word = if parked { self.word | PARKED } else { self.word & !PARKED };
    }

    /// The first answer was a place in line.
    pub(crate) const fn waited(&self) -> bool {
        self.word & WAITED != 0
    }

    /// It was released or expired while it stood in line.
    pub(crate) const fn ended_waiting(&self) -> bool {
        self.word & ENDED_WAITING != 0
    }

    pub(crate) const fn set_ended_waiting(&mut self) {
        self.word |= ENDED_WAITING;
    }

    /// Where it was decided.
    #[inline(always)]
    pub(crate) fn decided_at(&self) -> (Offset, u32) {
        let offset = u64::from(self.middle >> 24) << 32 | u64::from(self.offset_low);
        (Offset(offset), self.middle >> 8 & 0xffff)
    }

    #[inline(always)]
    fn first_deadline(&self) -> LogTime {
        LogTime(TIME_MIN.0 + (u64::from(self.middle & 0xff) << 32 | u64::from(self.deadline_low)))
    }

    /// When it ends if nothing happens.
    #[inline(always)]
    pub(crate) fn deadline(&self) -> LogTime {
        self.first_deadline().plus_ms(u64::from(self.moved_ms))
    }

    /// Moves the deadline to a later time.
    pub(crate) fn set_deadline(&mut self, deadline: LogTime) {
        let moved = deadline.ms_since(self.first_deadline());
        self.moved_ms = u32::try_from(moved).unwrap_or(u32::MAX);
    }

    /// The time to live that it was first given.
    pub(crate) const fn ttl_ms(&self) -> u32 {
        self.ttl_ms
    }

    /// When its first deadline began to run: its decision, or the offer.
    pub(crate) fn began(&self) -> LogTime {
        LogTime(self.first_deadline().0 - u64::from(self.ttl_ms))
    }

    /// Its turn in line has come: the deadline begins anew.
    pub(crate) fn offer(&mut self, now: LogTime, ttl_ms: u32) {
        let (low, high) = low_high(now.plus_ms(u64::from(ttl_ms)).ms_since(TIME_MIN));
        self.deadline_low = low;
        self.middle = self.middle & !0xff | high & 0xff;
        self.ttl_ms = ttl_ms;
        self.moved_ms = 0;
        self.set_state(HoldState::Held);
    }

    /// Everything that tells this hold from another, without what is worked out anew when a checkpoint is loaded.
    pub(crate) fn describe(&self) -> [u64; 5] {
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        [
            pair(self.customer[0], self.customer[1]),
            pair(self.ttl_ms, self.moved_ms),
            pair(self.word & !(LINKED | PARKED), self.offset_low),
            pair(self.middle, self.deadline_low),
            // Where several lines are kept is nobody's business; what they are is described beside.
            if self.word & MULTI == 0 { u64::from(self.place) } else { 0 },
        ]
    }

    /// Forgets where it stood in the wheel, as after loading a checkpoint.
    pub(crate) const fn unlink(&mut self) {
        self.next = NONE;
        self.word &= !(LINKED | PARKED);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("state", &self.state())
            .field("customer", &self.customer())
            .field("units", &self.units())
            .field("deadline", &self.deadline())
            .field("decided_at", &self.decided_at())
            .finish_non_exhaustive()
    }
}

#[inline]
fn low_high(n: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
    ((n as u32), (n >> 32) as u32)
}

/// All holds, and the slots that are free again.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    pub(crate) slots: Paged<Hold, 19>,
    free: Vec<u32>,
}

impl Holds {
    /// The slot that the next hold will get, `None` when there is no room for another.
    #[inline(always)]
    pub(crate) fn next_number(&self) -> Option<u32> {
        match self.free.last() {
            Some(number) => Some(*number),
            None if self.slots.len() < HOLDS_MAX => u32::try_from(self.slots.len()).ok(),
            None => None,
        }
    }

    /// Stores a hold in the slot that [`Holds::next_number`] named.
    #[inline(always)]
    pub(crate) fn add(&mut self, hold: Hold) -> u32 {
        if let Some(number) = self.free.pop() {
            *self.slots.change(number as usize) = hold;
            return number;
        }
        u32::try_from(self.slots.push(hold)).expect("next_number said that there is room")
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> &Hold {
        &self.slots[number as usize]
    }

    /// The hold, about to be changed in a way that a checkpoint has to keep.
    #[inline(always)]
    pub(crate) fn change(&mut self, number: u32) -> &mut Hold {
        self.slots.change(number as usize)
    }

    /// The hold, to change what is worked out anew when a checkpoint is loaded.
    #[inline(always)]
    pub(crate) fn change_derived(&mut self, number: u32) -> &mut Hold {
        self.slots.change_derived(number as usize)
    }

    /// Frees the slot of a forgotten hold.
    pub(crate) fn free(&mut self, number: u32) {
        *self.slots.change(number as usize) = FREE;
        self.free.push(number);
    }

    /// Empties the slot of a hold that nothing leads to, found while a checkpoint is loaded.
    pub(crate) fn drop_forgotten(&mut self, number: u32) {
        *self.slots.change(number as usize) = FREE;
    }

    /// Finds the free slots again after the slots were loaded.
    pub(crate) fn restore_free(&mut self) {
        self.free.clear();
        // From the back, so that the lowest is used first.
        for number in (0..self.slots.len()).rev() {
            if self.slots[number].state().is_none() {
                self.free.push(u32::try_from(number).expect("slot numbers have 28 bits"));
            }
        }
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.slots.len()).expect("slot numbers have 28 bits")
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes() + self.free.capacity() * size_of::<u32>()
    }
}

const FREE: Hold = Hold {
    customer: [0; 2],
    entry: 0,
    next: NONE,
    place: 0,
    ttl_ms: 0,
    moved_ms: 0,
    word: 0,
    offset_low: 0,
    middle: 0,
    deadline_low: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_gives_back_what_went_in() {
        let new = NewHold {
            customer: CustomerId(0x1234_5678_9abc_def0),
            entry: EntryRef(77),
            place: 9,
            is_multi: false,
            units: 1_000_000,
            state: HoldState::Held,
            ttl_ms: 600_000,
            deadline: LogTime(TIME_MIN.0 + 0xab_cdef_0123),
            offset: Offset(0xfe_dcba_9876),
            index: 8191,
        };
        let mut hold = Hold::new(new);
        assert_eq!(hold.customer(), new.customer);
        assert_eq!((hold.entry(), hold.listing(), hold.first_line()), (EntryRef(77), Some(9), None));
        assert_eq!((hold.units(), hold.state(), hold.extends()), (1_000_000, Some(HoldState::Held), 0));
        assert_eq!((hold.deadline(), hold.began()), (new.deadline, LogTime(new.deadline.0 - 600_000)));
        assert_eq!(hold.decided_at(), (new.offset, 8191));
        for n in 1..=15 {
            hold.count_extend();
            assert_eq!(hold.extends(), n);
        }
        hold.set_deadline(new.deadline.plus_ms(5));
        assert_eq!(hold.deadline(), new.deadline.plus_ms(5));
        hold.offer(LogTime(TIME_MIN.0 + 50), 10);
        assert_eq!((hold.deadline(), hold.began()), (LogTime(TIME_MIN.0 + 60), LogTime(TIME_MIN.0 + 50)));
        assert_eq!(hold.decided_at(), (new.offset, 8191));
    }

    #[test]
    fn a_freed_slot_is_used_again() {
        let mut holds = Holds::default();
        let new = NewHold {
            customer: CustomerId(1),
            entry: EntryRef(0),
            place: 0,
            is_multi: false,
            units: 1,
            state: HoldState::Held,
            ttl_ms: 1,
            deadline: TIME_MIN.plus_ms(10),
            offset: Offset(0),
            index: 0,
        };
        let (a, b) = (holds.add(Hold::new(new)), holds.add(Hold::new(new)));
        holds.free(a);
        assert_eq!(holds.next_number(), Some(a));
        assert_eq!(holds.add(Hold::new(new)), a);
        assert_ne!(a, b);
    }
}
