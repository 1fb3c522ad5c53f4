//! Everything at hand while one record is decided.

use holdfast_contracts::decision::{BodyWriter, Granted};
use holdfast_contracts::{LogTime, Offset};

use crate::holds::NONE;
use crate::skus::Skus;
use crate::wants::Want;

/// A dictionary entry of the record at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DictionaryEntry {
    pub(crate) hash: u64,
    /// Its number, or [`NONE`] while nobody made it known.
    pub(crate) sku: u32,
    /// The listing it had when the record began, to fetch memory by.
    pub(crate) listing: u32,
    /// Index of an unknown name in the output's dictionary plus one, once it was said.
    pub(crate) said: u32,
}

/// Everything at hand while one record is decided.
pub(crate) struct Context<'r, 'o> {
    pub(crate) offset: Offset,
    /// The record's append time, in the years the machine knows.
    pub(crate) appended: LogTime,
    /// The record's bytes.
    pub(super) payload: &'r [u8],
    /// Whether the record is authenticated, once somebody has asked.
    pub(super) authentic: Option<bool>,
    pub(crate) names: &'r [&'r str],
    pub(crate) dictionary: Vec<DictionaryEntry>,
    pub(crate) wants: Vec<Want>,
    pub(crate) granted: Vec<Granted>,
    pub(crate) out: BodyWriter<'o>,
    /// Index of the command being decided; `None` while time is.
    pub(crate) cause: Option<u32>,
    /// Something was said that makes an output record.
    pub(crate) said: bool,
}

impl<'o> Context<'_, 'o> {
    /// Index of the command being decided.
    pub(crate) fn index(&self) -> u32 {
        self.cause.unwrap_or(0)
    }

    /// The writer, to say something that makes an output record.
    #[inline]
    pub(crate) const fn say(&mut self) -> &mut BodyWriter<'o> {
        self.said = true;
        &mut self.out
    }

    /// The name that a dictionary index stands for: an empty one if there is none.
    pub(crate) fn name(&self, entry: u32) -> &str {
        self.names.get(entry as usize).copied().unwrap_or_default()
    }

    /// The output index of a dictionary entry, whether its SKU is known or not.
    pub(crate) fn say_entry(&mut self, skus: &mut Skus, index: u32) -> u32 {
        let at = index as usize;
        let entry = self.dictionary[at];
        if entry.sku != NONE {
            return skus.say(entry.sku, &mut self.out);
        }
        if entry.said == 0 {
            let said = self.out.sku(self.names[at]) + 1;
            self.each_entry_like(at, |entry| entry.said = said);
        }
        self.dictionary[at].said - 1
    }

    /// Makes the SKU of a dictionary entry known, and the commands after this one in the record see it.
    pub(crate) fn make_known(&mut self, skus: &mut Skus, index: u32) -> u32 {
        let at = index as usize;
        let entry = self.dictionary[at];
        if entry.sku != NONE {
            return entry.sku;
        }
        let number = skus.know(self.names[at]);
        if entry.said != 0 {
            skus.was_said(number, entry.said - 1);
        }
        self.each_entry_like(at, |entry| entry.sku = number);
        number
    }

    /// A dictionary may name a SKU twice.
    fn each_entry_like(&mut self, at: usize, mut change: impl FnMut(&mut DictionaryEntry)) {
        let (hash, name) = (self.dictionary[at].hash, self.names[at]);
        for (entry, other) in self.dictionary.iter_mut().zip(self.names) {
            if entry.hash == hash && *other == name {
                change(entry);
            }
        }
    }
}
