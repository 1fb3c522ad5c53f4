//! Appends on their way: which of them somebody still waits for, and what becomes of each.

use std::collections::VecDeque;

use super::{Flight, Which, World, WorldMark};

/// For each stream and each append in flight: whether nobody waits for it any more.
pub(super) struct Flights {
    abandoned: Vec<[VecDeque<bool>; 2]>,
}

impl Flights {
    pub(super) fn new(partitions: usize) -> Self {
        Self { abandoned: (0..partitions).map(|_| Default::default()).collect() }
    }

    fn of(&mut self, partition: u32, which: Which) -> &mut VecDeque<bool> {
        &mut self.abandoned[World::place(partition)][which as usize]
    }

    pub(super) fn forget(&mut self, partition: u32, which: Which) {
        self.of(partition, which).clear();
    }

    pub(super) fn forget_all(&mut self) {
        self.abandoned.iter_mut().flatten().for_each(VecDeque::clear);
    }
}

impl World {
    /// Something becomes of an append in flight.
    ///
    /// Outputs of one owner land in order, as the log promises; only what was lost may be missing, and only what nobody
    /// waits for any more may come late. Commands come from many clients and land as they like.
    pub(super) fn flight(&mut self, partition: u32, which: Which, nth: usize, becomes: Flight) {
        let stream = Self::stream(partition, which);
        let in_flight = self.log.in_flight(stream);
        let abandoned = self.flights.of(partition, which);
        abandoned.resize(in_flight, false);
        let wanted = becomes == Flight::LandsLate;
        let candidates: Vec<usize> = (0..in_flight).filter(|at| abandoned[*at] == wanted).collect();
        if candidates.is_empty() {
            return;
        }
        let in_order = which == Which::Decisions
            && matches!(becomes, Flight::Lands | Flight::LandsTwice | Flight::LandsUnanswered);
        let nth = if in_order { 0 } else { nth % candidates.len() };
        let at = candidates[nth];
        match becomes {
            Flight::Lands | Flight::LandsLate => {
                self.log.land_nth(stream, at);
            }
            Flight::LandsTwice => {
                self.log.land_copy(stream, at);
            }
            Flight::LandsUnanswered => {
                self.log.land_unanswered(stream, at);
            }
            Flight::IsLost => self.log.lose(stream, at),
            Flight::IsTurnedAway => self.log.turn_away(stream, at),
            Flight::IsAbandoned => self.log.abandon(stream, at),
        }
        let abandoned = self.flights.of(partition, which);
        match becomes {
            Flight::LandsTwice => {}
            Flight::IsAbandoned => abandoned[at] = true,
            _ => drop(abandoned.remove(at)),
        }
        if which == Which::Decisions
            && !matches!(becomes, Flight::Lands | Flight::LandsTwice | Flight::LandsLate)
        {
            self.excuses.outputs[Self::place(partition)] = true;
            self.truths[Self::place(partition)].reader.gaps_allowed = true;
        }
        self.note_flight(which, nth, becomes);
    }

    fn note_flight(&mut self, which: Which, nth: usize, becomes: Flight) {
        let command = which == Which::Commands;
        let mark = match becomes {
            Flight::Lands if command && nth > 0 => WorldMark::CommandLandedOutOfOrder,
            Flight::Lands => return,
            Flight::LandsTwice if command => WorldMark::CommandLandedTwice,
            Flight::LandsTwice => WorldMark::OutputLandedTwice,
            Flight::LandsUnanswered if command => WorldMark::CommandAnswerLost,
            Flight::LandsUnanswered => WorldMark::OutputAnswerLost,
            Flight::IsLost | Flight::IsAbandoned if command => WorldMark::CommandLost,
            Flight::IsTurnedAway if command => WorldMark::CommandTurnedAway,
            Flight::IsLost | Flight::IsTurnedAway | Flight::IsAbandoned => WorldMark::OutputLost,
            Flight::LandsLate if command => WorldMark::CommandLandedLate,
            Flight::LandsLate => WorldMark::OutputLandedLate,
        };
        self.marks.hit(mark);
    }
}
