//! What several commands need of the state: known ids, changes of holds, the lines of an answer.

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::{Granted, HoldState, SaleState};

use crate::answer::Answer;
use crate::groups::Home;
use crate::hash::{Mix, element};
use crate::holds::{Hold, Holds, NONE};
use crate::ids::{Entry, EntryRef, REMEMBERED_MAX, hash_of};
use crate::lines::{HoldLine, Lines};
use crate::machine::{Context, Machine};
use crate::sales::{Sale, Sales};

impl Machine {
    /// The entry of an id that is remembered.
    #[inline]
    pub(crate) fn known(&self, id: ReservationId, home: Home) -> Option<EntryRef> {
        let (holds, lines, sales) = (&self.holds, &self.lines, &self.sales);
        self.ids.find(id, home, |entry| outlives_its_generation(entry, holds, lines, sales))
    }

    /// The number and value of the hold with this id.
    #[inline]
    pub(crate) fn find_hold(&self, id: ReservationId) -> Option<u32> {
        let at = self.known(id, self.ids.home(hash_of(id)))?;
        match Answer::unpack(self.ids.entry(at).word) {
            Answer::Hold(number) => Some(number),
            _ => None,
        }
    }

    /// Whether there is memory for another id and another hold.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.ids.generations.remembered() < REMEMBERED_MAX && self.holds.next_number().is_some()
    }

    /// The sale of a hold's units.
    pub(crate) fn sale_of(&self, hold: &Hold) -> &Sale {
        self.sales.sale_of(any_listing(hold, &self.lines))
    }

    /// The element of a hold in the digest.
    #[inline]
    pub(crate) fn hold_element(&self, number: u32) -> u128 {
        let hold = self.holds.get(number);
        self.element_of(hold, self.ids.entry(hold.entry()))
    }

    /// The element of a hold with this id.
    #[inline(always)]
    pub(crate) fn element_of(&self, hold: &Hold, entry: &Entry) -> u128 {
        let (low, high) = entry.words();
        let [a, b, c, d, place] = hold.describe();
        let place = if hold.first_line().is_some() { self.lines_hash(*hold) } else { place };
        element(2, [low, high, u64::from(entry.fingerprint), a, b, c, d, place])
    }

    #[cold]
    fn lines_hash(&self, hold: Hold) -> u64 {
        let mix = |mix: Mix, line: HoldLine| {
            let numbers = u64::from(line.quantity) << 32 | u64::from(line.granted);
            mix.with(u64::from(line.listing)).with(numbers)
        };
        self.lines.of(&hold).fold(Mix::new(3), mix).finish()
    }

    /// Changes a hold and keeps the digest right. The only way a hold changes after it was made.
    pub(crate) fn change_hold(&mut self, number: u32, change: impl FnOnce(&mut Hold)) {
        let before = self.hold_element(number);
        let was_live = self.holds.get(number).is_live();
        change(self.holds.change(number));
        let hold = *self.holds.get(number);
        let after = self.hold_element(number);
        // Live holds count for themselves. Ended ones count with the generation of their id and are forgotten with it.
        match (was_live, hold.is_live()) {
            (true, true) => {
                self.live_sum.remove(before);
                self.live_sum.add(after);
            }
            (true, false) => {
                self.live_sum.remove(before);
                if let Some(sum) = self.ended_sum(&hold) {
                    sum.add(after);
                }
            }
            (false, false) => {
                if let Some(sum) = self.ended_sum(&hold) {
                    sum.remove(before);
                    sum.add(after);
                }
            }
            (false, true) => unreachable!("an ended hold does not live again"),
        }
    }

    fn ended_sum(&mut self, hold: &Hold) -> Option<&mut crate::hash::Sum> {
        let number = self.ids.generation_of(hold.entry())?;
        self.ids.generations.sum_of(number)
    }

    /// Puts a hold's lines, with output dictionary indexes, into `context.granted`.
    pub(crate) fn say_hold_lines(&mut self, context: &mut Context<'_, '_>, hold: &Hold) {
        let lines: Vec<HoldLine> = match hold.listing() {
            Some(listing) => {
                let granted = if hold.state() == Some(HoldState::Waiting) || hold.ended_waiting() {
                    0
                } else {
                    hold.units()
                };
                self.say_lines(
                    context,
                    std::iter::once(HoldLine { listing, quantity: hold.units(), granted }),
                );
                return;
            }
            None => self.lines.of(hold).collect(),
        };
        self.say_lines(context, lines.into_iter());
    }

    /// Puts lines, with output dictionary indexes, into `context.granted`.
    pub(crate) fn say_lines(&mut self, context: &mut Context<'_, '_>, lines: impl Iterator<Item = HoldLine>) {
        context.granted.clear();
        for line in lines {
            let sku = self.skus.say(self.sales.listing(line.listing).sku, &mut context.out);
            let missing = line.quantity - line.granted;
            context.granted.push(Granted { sku, quantity: line.quantity, missing });
        }
    }
}

/// A listing of a hold; all its listings are of one sale.
pub(crate) fn any_listing(hold: &Hold, lines: &Lines) -> u32 {
    hold.listing().or_else(|| lines.of(hold).next().map(|line| line.listing)).unwrap_or(NONE)
}

/// Whether an entry is remembered whatever its age: a live hold, or units sold in a sale that is not over.
pub(crate) fn outlives_its_generation(entry: &Entry, holds: &Holds, lines: &Lines, sales: &Sales) -> bool {
    let Answer::Hold(number) = Answer::unpack(entry.word) else { return false };
    let hold = holds.get(number);
    match hold.state() {
        Some(HoldState::Confirmed) => sales.sale_of(any_listing(hold, lines)).state != SaleState::Closed,
        _ => hold.is_live(),
    }
}
