//! The machine alone, on one core: records in, decisions out, with ten million ids remembered.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use holdfast_benches::clock::{Took, median, per_second, timed};
use holdfast_benches::counting::{Allocations, allocations_of};
use holdfast_benches::pipeline::{ONLY, Result};
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::command::{BatchScratch, Command, decode_batch};
use holdfast_contracts::{LogId, LogTime, Offset};
use holdfast_core::{InputRecord, Machine, MachineConfig};

use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] =
    &["machine_accept", "machine_soldout", "machine_zipf", "machine_allocations"];

const PEER: &str = "decode and one insert into a std HashMap, same ids";
/// Commands in a record: what one intake gathers while a flush is under way.
const PER_RECORD: u32 = 512;
/// How often the measured part is repeated, each time with ids never seen.
const REPEATS: u32 = 7;

/// A machine, and the log it is fed from.
pub(super) struct Fed {
    pub(super) machine: Machine,
    offset: u64,
    out: Vec<u8>,
}

impl Fed {
    /// A machine that was told how many ids and holds to expect, as an operator who knows the sale tells it: what the
    /// system takes to find memory is another row's business.
    pub(super) fn expecting(ids: u64, holds: u64) -> Result<Self> {
        let (room_for_ids, room_for_holds) = (usize::try_from(ids)?, usize::try_from(holds)?);
        let config = MachineConfig::new(ONLY, 1, LogId([7; 16]));
        Ok(Self {
            machine: Machine::new(MachineConfig { room_for_ids, room_for_holds, ..config }),
            offset: 0,
            out: Vec::new(),
        })
    }

    /// Decides a record. Time passes as if a million requests came per second.
    pub(super) fn feed(&mut self, payload: &[u8]) -> Result<()> {
        let append_time = LogTime(1_790_000_000_000 + self.offset * u64::from(PER_RECORD) / 1_000);
        let record = InputRecord { offset: Offset(self.offset), append_time, payload };
        self.offset += 1;
        self.out.clear();
        if !self.machine.apply(record, &mut self.out)? {
            return Err("a record was not answered".into());
        }
        Ok(())
    }

    /// Feeds so many requests that are made as they are needed.
    pub(super) fn feed_from(&mut self, work: &mut Work, requests: u64) -> Result<()> {
        for _ in 0..requests.div_ceil(u64::from(PER_RECORD)) {
            self.feed(work.record(PER_RECORD))?;
        }
        Ok(())
    }

    /// Units held, over all SKUs.
    pub(super) fn held(&self) -> u64 {
        let skus = self.machine.skus().filter_map(|sku| self.machine.view_sku(sku));
        skus.map(|sku| sku.figures.held).sum()
    }
}

/// What one kind of work came to.
struct Outcome {
    took: Vec<Took>,
    requests: u64,
    remembered: u64,
    growth: Allocations,
    records: u64,
    records_without: u64,
    /// When the last part came once more: every answer a replay, nothing grows.
    again: Allocations,
}

fn decide(kind: Kind, remembered: u64, requests: u64) -> Result<Outcome> {
    let requests = requests.next_multiple_of(u64::from(PER_RECORD));
    let all = remembered + u64::from(REPEATS) * requests;
    let holds = if kind == Kind::Soldout { all / 50 } else { all };
    let (mut fed, mut work) = (Fed::expecting(all, holds)?, Work::new(kind, 1));
    // Sold out after the first records, or units for all, whatever sizes are rounded to.
    for record in work.opening(if kind == Kind::Soldout { remembered } else { 2 * all }) {
        fed.feed(&record)?;
    }
    fed.feed_from(&mut work, remembered)?;
    let mut outcome = Outcome {
        took: Vec::new(),
        requests,
        remembered: fed.machine.sizes().ids,
        growth: Allocations::default(),
        records: 0,
        records_without: 0,
        again: Allocations::default(),
    };
    let mut last = Vec::new();
    for _ in 0..REPEATS {
        if kind == Kind::Soldout {
            fed.feed(&work.restock(u32::try_from(kind.granted(requests))?))?;
        }
        let held = fed.held();
        last = work.records(requests, PER_RECORD);
        let (done, took) = timed(|| outcome.feed(&mut fed, &last));
        done?;
        outcome.took.push(took);
        let granted = fed.held() - held;
        if granted != kind.granted(requests) {
            return Err(format!("{granted} of {requests} were granted").into());
        }
    }
    // Once for the output, which is longer for replays, and once to count.
    for _ in 0..2 {
        let (done, spent) = allocations_of(|| last.iter().try_for_each(|record| fed.feed(record)));
        done?;
        outcome.again = spent;
    }
    Ok(outcome)
}

impl Outcome {
    fn feed(&mut self, fed: &mut Fed, records: &[bytes::Bytes]) -> Result<()> {
        for record in records {
            let (done, spent) = allocations_of(|| fed.feed(record));
            done?;
            self.growth.count += spent.count;
            self.growth.bytes += spent.bytes;
            self.records += 1;
            self.records_without += u64::from(spent.count == 0);
        }
        Ok(())
    }

    fn speeds(&self, time: impl Fn(&Took) -> std::time::Duration) -> Vec<f64> {
        self.took.iter().map(|took| per_second(self.requests, time(took))).collect()
    }
}

/// Hands the ids' own bits on: they are random.
#[derive(Default)]
struct Random(u64);

impl Hasher for Random {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }
}

/// Decodes the same records and remembers the ids in a hash map of the standard library. Requests per second.
fn hash_map(remembered: u64, requests: u64) -> Result<f64> {
    let mut map: HashMap<u128, u32, BuildHasherDefault<Random>> = HashMap::default();
    let (mut work, mut scratch) = (Work::new(Kind::Accept, 1), BatchScratch::default());
    let mut insert = |record: &[u8]| -> Result<()> {
        let (mut skus, mut commands) = scratch.lend();
        decode_batch(record, &mut skus, &mut commands).map_err(|error| format!("{error:?}"))?;
        for command in &commands {
            if let Command::Reserve(it) = command {
                map.insert(u128::from_le_bytes(it.reservation_id.0), 1);
            }
        }
        scratch.take_back(skus, commands);
        Ok(())
    };
    for _ in 0..remembered.div_ceil(u64::from(PER_RECORD)) {
        insert(work.record(PER_RECORD))?;
    }
    let mut speeds = Vec::new();
    for _ in 0..REPEATS {
        let records = work.records(requests, PER_RECORD);
        let (done, took) = timed(|| records.iter().try_for_each(|record| insert(record)));
        done?;
        speeds.push(per_second(requests, took.thread));
    }
    Ok(median(&speeds).unwrap_or_default())
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let remembered = setup.size(10_000_000, 100_000);
    let requests = setup.size(500_000, 50_000);
    let peer = hash_map(remembered, requests)?;
    let goals = [("machine_accept", 6e6), ("machine_soldout", 8e6), ("machine_zipf", 5e6)];
    let (mut rows, mut outcomes) = (Vec::new(), Vec::new());
    for (kind, (name, goal)) in Kind::ALL.into_iter().zip(goals) {
        let outcome = decide(kind, remembered, requests)?;
        let speeds = outcome.speeds(|took| took.thread);
        let middle = median(&speeds).unwrap_or_default();
        let row = Measured::new(name, middle, "decisions/s")
            .peer(PEER, peer)
            .with("ns_per_decision", 1e9 / middle)
            .with("slowest", speeds.iter().copied().fold(f64::INFINITY, f64::min))
            .with("fastest", speeds.iter().copied().fold(0.0, f64::max))
            .with("by_wall_clock", median(&outcome.speeds(|took| took.wall)).unwrap_or_default())
            .with("ids_remembered_before", outcome.remembered)
            .with("commands_per_record", PER_RECORD)
            .goals(&[Goal::AtLeast(goal)]);
        rows.push(row);
        outcomes.push(outcome);
    }
    rows.push(allocations(&outcomes));
    Ok(rows)
}

/// Tables grow now and then, a bounded number of times per doubling. Commands allocate nothing: most records pass
/// without any allocation, and when nothing grows there is none at all.
fn allocations(outcomes: &[Outcome]) -> Row {
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let commands = sum(|it| it.requests * u64::from(REPEATS));
    let again = sum(|it| it.again.count);
    Measured::new("machine_allocations", again as f64 / sum(|it| it.requests) as f64, "per command")
        .with("when_nothing_grows", again)
        .with("growth_of_tables", sum(|it| it.growth.count))
        .with("growth_of_tables_bytes_per_command", sum(|it| it.growth.bytes) as f64 / commands as f64)
        .with("commands", commands)
        .with("records", sum(|it| it.records))
        .with("records_without_any", sum(|it| it.records_without))
        .provided(sum(|it| it.growth.count) * 100 < commands)
        .goals(&[Goal::AtMost(0.0)])
}
