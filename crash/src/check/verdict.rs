//! What the checker finds.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::evidence::Place;

/// Breaches that are told in full for each promise; the others are counted.
const TOLD_MAX: usize = 8;

/// What Holdfast promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Promise {
    /// No oversell: at every offset, units promised and sold never exceed units on hand.
    S1,
    /// Conservation: on hand = available + held + committed + unavailable.
    S2,
    /// One decision for each request id; repetitions get it again, other content gets `ID_REUSED`.
    S3,
    /// An acknowledged answer is in both topics, and what nobody asked for, or what was said to have failed, is not.
    S4,
    /// Every command record that must be answered is, once, in order.
    S5,
    /// State and outputs depend on the log alone.
    S6,
    /// The output stream is dense, duplicates are identical, the chain holds.
    S7,
    /// No hold ends early.
    S8,
    /// No hold ends late, and log time is what the log says.
    S9,
    /// First come, first served; nobody is refused while there is enough; answers given earlier lie earlier.
    S10,
    /// A reservation ends once.
    S11,
    /// A partition whose history does not add up refuses.
    S13,
    /// What was stored survives kills and full disks undamaged.
    S14,
    /// What is read is labelled with an offset, and was so at that offset.
    S16,
    /// Nobody has more units than one customer may have.
    Limit,
    /// The other rules of the machine.
    Rules,
}

impl Promise {
    /// The promise in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::S1 => "no oversell",
            Self::S2 => "conservation of units",
            Self::S3 => "one decision per request id",
            Self::S4 => "acknowledged answers are in the log, and nothing else is",
            Self::S5 => "one output for every command record",
            Self::S6 => "determinism",
            Self::S7 => "dense, identical, chained outputs",
            Self::S8 => "no early expiry",
            Self::S9 => "no late expiry",
            Self::S10 => "first come, first served",
            Self::S11 => "one ending",
            Self::S13 => "stop, not diverge",
            Self::S14 => "stored state survives",
            Self::S16 => "labelled reads",
            Self::Limit => "customer limits",
            Self::Rules => "rules of the sale",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A broken promise and the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The promise.
    pub promise: Promise,
    /// What is wrong, for people.
    pub what: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Ids concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// The three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every promise was kept, and there was enough evidence to say so.
    Pass,
    /// A promise was broken.
    Fail,
    /// No promise was seen broken, but an assumption without which that means nothing was not met.
    Inconclusive,
}

impl Judgement {
    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The exit code that stands for it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Inconclusive => 3,
        }
    }
}

/// What the checker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The answer.
    pub verdict: Judgement,
    /// How often each promise was broken.
    pub broken: BTreeMap<Promise, u64>,
    /// The first breaches of each promise.
    pub breaches: Vec<Breach>,
    /// Assumptions that were not met.
    pub unmet: Vec<String>,
    /// What was seen.
    pub counts: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for breach in &self.breaches {
            write!(f, "{} ({}): {}", breach.promise, breach.promise.meaning(), breach.what)?;
            if let Some(at) = breach.place {
                write!(f, " [at {}/{}/{}]", at.partition, at.offset, at.index)?;
            }
            for id in &breach.ids {
                write!(f, " {id}")?;
            }
            writeln!(f)?;
        }
        for (promise, times) in &self.broken {
            writeln!(f, "{promise} broken {times} times")?;
        }
        for unmet in &self.unmet {
            writeln!(f, "not met: {unmet}")?;
        }
        for (name, count) in &self.counts {
            writeln!(f, "{name:>24} {count}")?;
        }
        write!(f, "verdict: {}", self.verdict.name())
    }
}

/// Collects breaches and unmet assumptions.
#[derive(Debug, Default)]
pub(super) struct Findings {
    broken: BTreeMap<Promise, u64>,
    breaches: Vec<Breach>,
    unmet: Vec<String>,
}

impl Findings {
    /// A promise was broken.
    pub(super) fn broken(
        &mut self,
        promise: Promise,
        place: Option<Place>,
        ids: &[String],
        what: impl Into<String>,
    ) {
        let times = self.broken.entry(promise).or_default();
        *times += 1;
        if *times <= TOLD_MAX as u64 {
            self.breaches.push(Breach { promise, what: what.into(), place, ids: ids.to_vec() });
        }
    }

    /// An assumption was not met.
    pub(super) fn unmet(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.unmet.contains(&what) {
            self.unmet.push(what);
        }
    }

    pub(super) fn into_verdict(mut self, counts: Counts) -> Verdict {
        self.breaches.sort_by_key(|it| it.promise);
        let verdict = if !self.broken.is_empty() {
            Judgement::Fail
        } else if !self.unmet.is_empty() {
            Judgement::Inconclusive
        } else {
            Judgement::Pass
        };
        Verdict { verdict, broken: self.broken, breaches: self.breaches, unmet: self.unmet, counts: counts.0 }
    }
}

/// How often what was seen.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn add(&mut self, name: &'static str, more: u64) {
        *self.0.entry(name).or_default() += more;
    }

    pub(super) fn get(&self, name: &'static str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}
