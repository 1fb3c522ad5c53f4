//! Sweeping: giving back the memory of what is forgotten, a bin at a time between records.
//!
//! Nothing here can be observed from outside: what is forgotten is decided by [`Machine::known`] alone.

use holdfast_contracts::ReservationId;

use crate::answer::Answer;
use crate::groups::Home;
use crate::holds::Hold;
use crate::ids::hash_of;
use crate::machine::Machine;
use crate::state::outlives_its_generation;

/// How far the current round over the bins has come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Bins left to sweep in this round.
    left: usize,
    /// Generations passed since the round began, so another is needed.
    again: bool,
    /// A round was completed since the last checkpoint began.
    pub(crate) completed: bool,
}

impl Sweep {
    /// A generation has left the window, or will soon.
    pub(crate) const fn begin(&mut self, bins: usize) {
        if self.left == 0 {
            self.left = bins;
        } else {
            self.again = true;
        }
    }
}

impl Machine {
    /// Sweeps one bin, if a round is under way and no checkpoint is being copied.
    #[inline]
    pub(crate) fn sweep_some(&mut self) {
        if self.sweep.left > 0 && !self.copying.is_under_way() {
            self.sweep_next();
        }
    }

    #[cold]
    fn sweep_next(&mut self) {
        self.sweep.left -= 1;
        self.sweep_bin(self.sweep.left);
        if self.sweep.left == 0 {
            self.sweep.completed = true;
            if std::mem::take(&mut self.sweep.again) {
                self.sweep.left = self.ids.bins();
            }
            let sales = &self.sales;
            self.accounts
                .drop_listings(|listing| sales.listing(listing).live == 0 && !sales.is_listed(listing));
        }
    }

    /// Makes sure that there is room for an entry of this id, and says where.
    pub(crate) fn make_room(&mut self, id: ReservationId) -> Home {
        let home = self.ids.home(hash_of(id));
        self.make_room_at(home);
        home
    }

    /// Makes sure that there is room for an entry that belongs here.
    #[inline(always)]
    pub(crate) fn make_room_at(&mut self, home: Home) {
        if self.ids.is_bin_full(home.hash) {
            self.make_room_in(self.ids.bin_number(home.hash));
        }
    }

    #[cold]
    fn make_room_in(&mut self, bin: usize) {
        self.copying.copy_bin_early(&self.ids, bin);
        self.sweep_bin(bin);
    }

    fn sweep_bin(&mut self, bin: usize) {
        let (holds, lines, sales) = (&self.holds, &self.lines, &self.sales);
        let (mut freed, mut moved) = (Vec::new(), Vec::new());
        self.ids.sweep_bin(
            bin,
            |entry| {
                let hold = match Answer::unpack(entry.word) {
                    Answer::Hold(number) => Some(number),
                    _ => None,
                };
                // What still stands in the timing wheel must keep its slot.
                let keep = hold.is_some_and(|number| holds.get(number).is_linked())
                    || outlives_its_generation(entry, holds, lines, sales);
                freed.extend(hold.filter(|_| !keep));
                keep
            },
            |entry, at| {
                if let Answer::Hold(number) = Answer::unpack(entry.word) {
                    moved.push((number, at));
                }
            },
        );
        for (number, at) in moved {
            self.holds.change_derived(number).set_entry(at);
        }
        for number in freed {
            let hold = *self.holds.get(number);
            self.lines.free(&hold);
            self.holds.free(number);
        }
    }
}

impl Hold {
    /// Stands in line.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state(), Some(holdfast_contracts::decision::HoldState::Waiting))
    }
}
