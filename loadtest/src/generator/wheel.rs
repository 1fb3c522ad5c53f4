//! What is to be done later, in the order of its time.
//!
//! A hashed wheel with one place for each millisecond of a turn (Varghese and Lauck, scheme 6): putting something in and
//! taking what is due cost the same however much there is. Within a millisecond the order is kept by sorting what has come
//! due, so nothing is early and nothing is later than the next look.

use crate::books::Moment;

const PLACES: usize = 4_096;
const NANOS_PER_PLACE: u64 = 1_000_000;

/// Items with the moment from which they are due.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    places: Vec<Vec<(Moment, T)>>,
    /// The first millisecond that was not looked at.
    next: u64,
    /// What belongs to earlier ones, the latest first.
    ready: Vec<(Moment, T)>,
    /// When to look at the places again. Nothing if that has to be found out.
    look: Option<Moment>,
    len: usize,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Vec::new()).collect(),
            next: 0,
            ready: Vec::new(),
            look: None,
            len: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Puts something in. What is due already comes with the next look.
    pub(crate) fn put(&mut self, at: Moment, item: T) {
        self.len += 1;
        let millisecond = at.0 / NANOS_PER_PLACE;
        if millisecond < self.next {
            let behind = self.ready.partition_point(|(other, _)| *other > at);
            self.ready.insert(behind, (at, item));
        } else {
            self.places[place(millisecond)].push((at, item));
            self.look = self.look.map(|known| known.min(at));
        }
    }

    /// The next thing that is due, with its moment.
    pub(crate) fn take(&mut self, now: Moment) -> Option<(Moment, T)> {
        let millisecond = now.0 / NANOS_PER_PLACE;
        if self.next <= millisecond {
            let known = self.ready.len();
            // Whoever was away for longer than a turn finds everything in one.
            let turn = self.next..=millisecond.min(self.next + PLACES as u64 - 1);
            for place in turn.map(place) {
                let due = |(at, _): &mut (Moment, T)| at.0 / NANOS_PER_PLACE <= millisecond;
                self.ready.extend(self.places[place].extract_if(.., due));
            }
            self.next = millisecond + 1;
            self.look = self.look.filter(|at| at.0 / NANOS_PER_PLACE > millisecond);
            if self.ready.len() > known {
                self.ready.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
            }
        }
        self.ready.last().filter(|(at, _)| *at <= now)?;
        self.len -= 1;
        self.ready.pop()
    }

    /// When to look again: not after anything is due. Nothing if there is nothing.
    pub(crate) fn next(&mut self) -> Option<Moment> {
        if let Some((at, _)) = self.ready.last() {
            return Some(*at);
        }
        if self.len == 0 {
            return None;
        }
        // Found out once for each time it comes: whoever asks again and again does not go through the places each time.
        Some(*self.look.get_or_insert_with(|| earliest(&self.places, self.next)))
    }
}

/// The earliest in the turn that begins with this millisecond, or when it is over: later turns are looked for then.
fn earliest<T>(places: &[Vec<(Moment, T)>], next: u64) -> Moment {
    let turn_over = next + PLACES as u64;
    let found = (next..turn_over).find_map(|millisecond| {
        let of_this_turn = |at: &Moment| at.0 / NANOS_PER_PLACE == millisecond;
        places[place(millisecond)].iter().map(|(at, _)| *at).filter(of_this_turn).min()
    });
    found.unwrap_or(Moment(turn_over * NANOS_PER_PLACE))
}

fn place(millisecond: u64) -> usize {
    usize::try_from(millisecond % PLACES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn things_come_in_the_order_of_their_time_and_never_early() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut wheel, mut expected, mut inside) = (Wheel::new(), Vec::new(), BTreeSet::new());
        let (mut now, mut taken) = (0, Vec::new());
        for number in 0..20_000u32 {
            let at = now + rng.u64(0..10_000_000_000);
            wheel.put(Moment(at), number);
            expected.push(at);
            inside.insert((at, number));
            assert!(wheel.next() <= inside.first().map(|(at, _)| Moment(*at)));
            if number % 7 == 0 {
                now += rng.u64(0..3_000_000);
                while let Some((at, number)) = wheel.take(Moment(now)) {
                    assert!(at.0 <= now, "{at:?} is early at {now}");
                    assert!(inside.remove(&(at.0, number)));
                    taken.push(at.0);
                }
                let (look, first) = (wheel.next(), inside.first().map(|(at, _)| Moment(*at)));
                assert!(look.is_none_or(|at| at.0 > now), "there is nothing to do at {look:?}");
                assert!(look.is_some() == first.is_some() && look <= first, "{look:?} is after {first:?}");
            }
        }
        while wheel.len() > 0 {
            now = now.max(wheel.next().expect("there is something").0);
            while let Some((at, _)) = wheel.take(Moment(now)) {
                taken.push(at.0);
            }
        }
        assert!(taken.is_sorted(), "something came after what was due later");
        expected.sort_unstable();
        assert_eq!(taken, expected);
        assert!(wheel.next().is_none());
    }

    #[test]
    fn what_is_late_already_comes_at_once() {
        let mut wheel = Wheel::new();
        assert!(wheel.take(Moment(5_000_000_000)).is_none());
        wheel.put(Moment(1), "late");
        assert_eq!(wheel.next(), Some(Moment(1)));
        assert_eq!(wheel.take(Moment(5_000_000_001)), Some((Moment(1), "late")));
    }
}
