//! Makes a failing case small: drops records, drops commands, drops lines, calms the clock, as long as it still fails.

use holdfast_contracts::command::{
    AdjustStock, BatchBuilder, Command, DefineSale, Line, Lines, Reserve, SetStock, SkuList, decode_batch,
};
use holdfast_contracts::{IntakeId, RequestTag};

use crate::case::Case;
use crate::model::Settings;
use crate::record::{Record, encode_batch};

/// Shrinks a case for which `fails` is true. Asks at most `tries_max` times.
///
/// The result fails too. It is small, not the smallest: no single step below makes it smaller, unless the tries ran out.
pub fn shrink(case: &Case, tries_max: u32, fails: impl FnMut(&Case) -> bool) -> Case {
    let mut shrinker = Shrinker { best: case.clone(), tries_left: tries_max, fails };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_records();
        shrinker.drop_commands();
        shrinker.simplify_commands();
        shrinker.calm_the_clock();
        shrinker.tidy_dictionaries();
        if shrinker.best == before || shrinker.tries_left == 0 {
            return shrinker.best;
        }
    }
}

struct Shrinker<F> {
    best: Case,
    tries_left: u32,
    fails: F,
}

impl<F: FnMut(&Case) -> bool> Shrinker<F> {
    /// Takes the candidate if it still fails.
    fn try_records(&mut self, records: Vec<Record>) -> bool {
        if self.tries_left == 0 || records == self.best.records {
            return false;
        }
        self.tries_left -= 1;
        let candidate = Case { records, ..self.best.clone() };
        let fails = (self.fails)(&candidate);
        if fails {
            self.best = candidate;
        }
        fails
    }

    fn try_record(&mut self, n: usize, record: Record) -> bool {
        let mut records = self.best.records.clone();
        records[n] = record;
        self.try_records(records)
    }

    /// Delta debugging: large pieces first, then smaller ones, from the end, where what does not matter is.
    ///
    /// Each piece is dropped with its time, or without: what follows may need the time that passed.
    fn drop_records(&mut self) {
        let mut piece = self.best.records.len() / 2;
        while piece > 0 {
            let mut end = self.best.records.len();
            while end > 0 {
                let start = end.saturating_sub(piece);
                let mut records = self.best.records.clone();
                let its_time = start.checked_sub(1).map_or(0, |before| {
                    records[end - 1].append_time_ms.saturating_sub(records[before].append_time_ms)
                });
                records.drain(start..end);
                if !self.try_records(records.clone()) {
                    move_earlier(&mut records[start..], its_time);
                    self.try_records(records);
                }
                end = start.min(self.best.records.len());
            }
            piece /= 2;
        }
    }

    fn drop_commands(&mut self) {
        for n in 0..self.best.records.len() {
            let mut piece = self.best.records[n].commands().div_ceil(2);
            while piece > 0 && self.best.records[n].commands() > 1 {
                let mut end = self.best.records[n].commands();
                while end > 0 {
                    let start = end.saturating_sub(piece);
                    let record = edited(&self.best.settings, &self.best.records[n], |commands| {
                        if end - start < commands.len() {
                            commands.drain(start..end);
                        }
                    });
                    if let Some(record) = record {
                        self.try_record(n, record);
                    }
                    end = start;
                }
                piece /= 2;
            }
        }
    }

    /// One line instead of many, one unit instead of many, no flags.
    fn simplify_commands(&mut self) {
        for n in 0..self.best.records.len() {
            for index in 0..self.best.records[n].commands() {
                for simpler in [one_line, one_unit, no_flags] {
                    if let Some(record) =
                        simplified(&self.best.settings, &self.best.records[n], index, simpler)
                    {
                        self.try_record(n, record);
                    }
                }
            }
        }
    }

    /// Less time between two records, and everything after them earlier by as much.
    fn calm_the_clock(&mut self) {
        for n in 1..self.best.records.len() {
            let step = |case: &Case| {
                case.records[n].append_time_ms.saturating_sub(case.records[n - 1].append_time_ms)
            };
            let mut by_ms = step(&self.best);
            while by_ms > 0 {
                let mut records = self.best.records.clone();
                move_earlier(&mut records[n..], by_ms);
                self.try_records(records);
                by_ms = (by_ms / 2).min(step(&self.best));
            }
        }
    }

    /// Dictionaries with only the SKUs that are named, each once.
    fn tidy_dictionaries(&mut self) {
        for n in 0..self.best.records.len() {
            if let Some(record) = tidied(&self.best.settings, &self.best.records[n]) {
                self.try_record(n, record);
            }
        }
    }
}

/// Payloads like this one with less in them: half of the commands, then one command less.
pub(crate) fn smaller_records(settings: &Settings, payload: &[u8]) -> Vec<Vec<u8>> {
    let record = Record { append_time_ms: 0, payload: payload.to_vec() };
    let count = record.commands();
    let without = |range: std::ops::Range<usize>| {
        edited(settings, &record, |commands| drop(commands.drain(range))).map(|smaller| smaller.payload)
    };
    let halves = [without(0..count / 2), without(count / 2..count)];
    halves.into_iter().chain((0..count).map(|n| without(n..n + 1))).flatten().collect()
}

fn move_earlier(records: &mut [Record], by_ms: u64) {
    for record in records {
        record.append_time_ms = record.append_time_ms.saturating_sub(by_ms);
    }
}

fn tidied(settings: &Settings, record: &Record) -> Option<Record> {
    let (mut skus, mut commands) = (Vec::new(), Vec::new());
    decode_batch(&record.payload, &mut skus, &mut commands).ok()?;
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(0), RequestTag(0));
    for command in &commands {
        let mut index = |old: u32| {
            let name = usize::try_from(old).ok().and_then(|old| skus.get(old));
            name.map_or(u32::MAX, |name| builder.sku(name))
        };
        match *command {
            Command::Reserve(it) => {
                let lines: Vec<Line> = it.lines.iter().map(|l| Line { sku: index(l.sku), ..l }).collect();
                builder.push(&Command::Reserve(Reserve { lines: Lines::of(&lines), ..it }));
            }
            Command::SetStock(it) => {
                let sku = index(it.sku);
                builder.push(&Command::SetStock(SetStock { sku, ..it }));
            }
            Command::AdjustStock(it) => {
                let sku = index(it.sku);
                builder.push(&Command::AdjustStock(AdjustStock { sku, ..it }));
            }
            Command::DefineSale(it) => {
                let list: Vec<u32> = it.skus.iter().map(index).collect();
                builder.push(&Command::DefineSale(DefineSale { skus: SkuList::of(&list), ..it }));
            }
            other => builder.push(&other),
        }
    }
    let payload = settings.signed_like(&record.payload, builder.bytes().to_vec());
    Some(Record { append_time_ms: record.append_time_ms, payload })
}

/// The record with its commands changed, written anew. `None` if it is malformed or nothing is left.
fn edited(settings: &Settings, record: &Record, edit: impl FnOnce(&mut Vec<Command<'_>>)) -> Option<Record> {
    let (mut skus, mut commands) = (Vec::new(), Vec::new());
    decode_batch(&record.payload, &mut skus, &mut commands).ok()?;
    edit(&mut commands);
    let payload = encode_batch((IntakeId(0), RequestTag(0)), &skus, &commands);
    let payload = settings.signed_like(&record.payload, payload);
    (!commands.is_empty()).then_some(Record { append_time_ms: record.append_time_ms, payload })
}

/// The parts of a reserve command that can be made simpler.
type Parts = (Vec<Line>, bool, bool);

fn one_line(parts: &mut Parts) {
    parts.0.truncate(1);
}

fn one_unit(parts: &mut Parts) {
    parts.0.iter_mut().for_each(|line| line.quantity = line.quantity.min(1));
}

fn no_flags(parts: &mut Parts) {
    (parts.1, parts.2) = (false, false);
}

fn simplified(settings: &Settings, record: &Record, index: usize, simpler: fn(&mut Parts)) -> Option<Record> {
    let (mut skus, mut commands) = (Vec::new(), Vec::new());
    decode_batch(&record.payload, &mut skus, &mut commands).ok()?;
    let Some(Command::Reserve(it)) = commands.get(index).copied() else { return None };
    let mut parts = (it.lines.iter().collect(), it.allow_partial, it.join_waitlist);
    simpler(&mut parts);
    let (lines, allow_partial, join_waitlist) = parts;
    // A new list: the simpler command borrows other memory than its neighbours.
    let mut commands: Vec<Command<'_>> = commands.clone();
    commands[index] =
        Command::Reserve(Reserve { lines: Lines::of(&lines), allow_partial, join_waitlist, ..it });
    let payload = encode_batch((IntakeId(0), RequestTag(0)), &skus, &commands);
    let payload = settings.signed_like(&record.payload, payload);
    Some(Record { append_time_ms: record.append_time_ms, payload })
}
