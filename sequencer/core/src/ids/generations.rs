//! Generations: stretches of log time by which ids are forgotten.

use std::collections::VecDeque;

use crate::hash::Sum;
use crate::rules::GENERATIONS_PER_WINDOW;

/// The generations whose ids are remembered, and where each begins in every bin.
#[derive(Debug)]
pub(crate) struct Generations {
    bins: usize,
    /// Those before the current one, oldest first.
    before: VecDeque<Generation>,
    current: Generation,
    /// Entries of all of them together.
    remembered: u64,
    /// Places freed of a generation that left the window, to be used by the next.
    spare: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    /// Where it begins in each bin; empty while that is at the bin's first place ever.
    begins: Vec<u32>,
    entries: u64,
    /// Elements of its entries, and of the holds among them that have ended.
    sum: Sum,
}

impl Generations {
    pub(super) fn new(bins: usize) -> Self {
        let current = Generation { number: 0, begins: Vec::new(), entries: 0, sum: Sum::default() };
        Self { bins, before: VecDeque::new(), current, remembered: 0, spare: Vec::new() }
    }

    /// Makes the first generation of an empty table the one with this number.
    pub(super) fn begin_with(&mut self, number: u64, begin_of: impl Fn(usize) -> u32) {
        let begins = (0..self.bins).map(begin_of).collect();
        (self.current.number, self.current.begins) = (number, begins);
    }

    /// The generations in the window, oldest first.
    fn window(&self) -> impl DoubleEndedIterator<Item = &Generation> {
        self.before.iter().chain([&self.current])
    }

    pub(crate) fn number(&self) -> u64 {
        self.current.number
    }

    #[inline]
    pub(super) fn count(&mut self) {
        self.current.entries += 1;
        self.remembered += 1;
    }

    /// Ids remembered for their age.
    #[inline]
    pub(crate) const fn remembered(&self) -> u64 {
        self.remembered
    }

    /// The sum of the current generation.
    #[inline]
    pub(crate) fn current_sum(&mut self) -> &mut Sum {
        &mut self.current.sum
    }

    /// The sum of a generation, `None` once it has left the window.
    pub(crate) fn sum_of(&mut self, number: u64) -> Option<&mut Sum> {
        let mut window = self.before.iter_mut().chain([&mut self.current]);
        window.find(|generation| generation.number == number).map(|found| &mut found.sum)
    }

    /// Numbers and sums of the generations in the window.
    pub(crate) fn sums(&self) -> impl Iterator<Item = (u64, Sum)> {
        self.window().map(|generation| (generation.number, generation.sum))
    }

    #[inline]
    pub(super) fn old_before(&self, bin: usize) -> u32 {
        self.before.front().unwrap_or(&self.current).begins.get(bin).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn is_old(&self, bin: usize, place: u32) -> bool {
        place < self.old_before(bin)
    }

    pub(super) fn number_of(&self, bin: usize, place: u32) -> Option<u64> {
        let begins = |generation: &&Generation| generation.begins.get(bin).copied().unwrap_or(0) <= place;
        self.window().rev().find(begins).map(|generation| generation.number)
    }

    /// Number of each generation in the window, and where it begins in each bin.
    pub(crate) fn begins(&self) -> Vec<(u64, Vec<u32>)> {
        let full = |begins: &Vec<u32>| if begins.is_empty() { vec![0; self.bins] } else { begins.clone() };
        self.window().map(|generation| (generation.number, full(&generation.begins))).collect()
    }

    /// Lets `count` generations pass; `end_of(bin)` is where the bin ends now.
    pub(super) fn roll(&mut self, count: u64, end_of: impl Fn(usize) -> u32) {
        let number = self.number() + count;
        let mut begins = self.spare.pop().unwrap_or_default();
        begins.clear();
        begins.extend((0..self.bins).map(end_of));
        let next = Generation { number, begins, entries: 0, sum: Sum::default() };
        self.before.push_back(std::mem::replace(&mut self.current, next));
        let kept = GENERATIONS_PER_WINDOW - u64::from(cfg!(feature = "mutant-06"));
        while self.before.front().is_some_and(|oldest| oldest.number + kept < number) {
            if let Some(left) = self.before.pop_front() {
                self.remembered -= left.entries;
                self.spare.push(left.begins);
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.window().map(|generation| generation.begins.capacity()).sum::<usize>() * size_of::<u32>()
    }
}
