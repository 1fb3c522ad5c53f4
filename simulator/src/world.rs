//! The seeded world around the real engine: owners that crash, overlap and fall behind, a log and disks that fail.
//!
//! The workers are the real ones, on the simulated log and on checkpoint disks in memory. [`World::apply`] does one
//! [`Action`]; whatever happens, each partition's truth follows its log and objects to the first thing that is not as it
//! must be. [`heal`](World::heal) ends all faults and asks for what must come then; some stories end badly after that, and
//! the owners must say so by name.

mod action;
mod begin;
mod build;
mod case;
mod disk;
mod draw;
mod ends;
mod flights;
mod heal;
mod host;
mod judge;
mod keeping;
mod marks;
mod reader;
mod run;
mod setup;
mod story;
#[cfg(test)]
mod tests;
mod truth;
mod view;

use std::sync::Arc;

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset, PartitionId};
use holdfast_log::simulated::{Pace, Profile, Reading, Survivors};
use holdfast_log::{AppendError, Layout, OrderedLog, SimulatedConfig, SimulatedLog, StreamId, Ticket};

pub use action::{Action, Begin, Flight, Which};
pub use case::WorldCase;
pub use draw::Draw;
pub use marks::{WorldMark, WorldMarks};
pub use run::{case_of_seed, run_world, run_world_case, shrink_world, story_of_seed, trace_world_case};
pub use setup::{End, HostSetup, Setup};
pub use story::{Faults, Story};

use crate::rng::splitmix64;
use build::unknown_rules;
use disk::Disk;
use flights::Flights;
use host::Host;
use judge::Excuses;
use truth::Truth;

/// What is wrong with the checker itself, on purpose: a run with it must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Canary {
    /// Nothing.
    #[default]
    None,
    /// Checkpoint disks say "flushed" and lose pages.
    Store,
    /// The reader of decisions garbles what it reads, once.
    Reader,
}

/// An append of a client that has not been answered.
struct Asked {
    partition: u32,
    ticket: Ticket,
    payload: Bytes,
}

/// Everything there is.
pub struct World {
    setup: Setup,
    log: Arc<SimulatedLog>,
    port: Arc<dyn OrderedLog>,
    truths: Vec<Truth>,
    disks: Vec<Disk>,
    /// How a disk came to what it holds, until somebody begins from it.
    disk_stories: Vec<Option<WorldMark>>,
    hosts: Vec<Host>,
    asked: Vec<Asked>,
    flights: Flights,
    excuses: Excuses,
    marks: WorldMarks,
    /// The log's clock of each partition.
    clocks: Vec<u64>,
}

type Check = Result<(), String>;

impl World {
    /// A world before its first action.
    ///
    /// # Panics
    /// If the setup has no partition.
    #[must_use]
    pub fn new(setup: &Setup, canary: Canary) -> Self {
        let layout =
            Layout::inventory(setup.partitions).expect("a world has some partitions, but not too many");
        let config = SimulatedConfig {
            profile: setup.profile,
            pace: Pace::Stepwise,
            unsettled_records_max: setup.unsettled_max,
            ..SimulatedConfig::new(setup.log_id, layout)
        };
        let log = Arc::new(SimulatedLog::new(config));
        let mut truths: Vec<Truth> = (0..setup.partitions).map(|p| Truth::new(setup.settings(p))).collect();
        for truth in &mut truths {
            truth.reader.garbles = canary == Canary::Reader;
        }
        let partitions = truths.len();
        Self {
            port: Arc::clone(&log) as Arc<dyn OrderedLog>,
            log,
            truths,
            disks: (0..setup.disks()).map(|_| Disk::new(canary == Canary::Store)).collect(),
            disk_stories: vec![None; setup.disks()],
            hosts: setup.hosts.iter().map(|host| Host::new(*host)).collect(),
            asked: Vec::new(),
            flights: Flights::new(partitions),
            excuses: Excuses::new(partitions, setup.disks()),
            marks: WorldMarks::default(),
            clocks: vec![0; partitions],
            setup: setup.clone(),
        }
    }

    fn stream(partition: u32, which: Which) -> StreamId {
        match which {
            Which::Commands => StreamId::inventory_commands(PartitionId(partition)),
            Which::Decisions => StreamId::inventory_decisions(PartitionId(partition)),
        }
    }

    fn place(partition: u32) -> usize {
        partition as usize
    }

    /// The truth about a partition.
    #[must_use]
    pub fn truth(&self, partition: u32) -> &Truth {
        &self.truths[Self::place(partition)]
    }

    /// Lets something happen.
    ///
    /// # Errors
    /// What is wrong afterwards.
    pub fn apply(&mut self, action: &Action) -> Check {
        match action {
            Action::Append { partition, at, payload } => self.client_appends(*partition, *at, payload)?,
            Action::Clock { partition, at } => self.set_clock(*partition, *at),
            Action::Step { host, most, wall } => self.step(*host, *most, *wall, None)?,
            Action::StepReading { host, wall, which, reading } => {
                self.step(*host, 1, *wall, Some((*which, *reading)))?;
            }
            Action::Flight { partition, which, nth, becomes } => {
                self.flight(*partition, *which, *nth, *becomes);
            }
            Action::Flush { partition, which, back } => self.flush(*partition, *which, *back),
            Action::Settle { partition } => self.settle(*partition),
            Action::CrashLog { keep } => self.crash_log(*keep),
            Action::FailLog => self.fail_log(),
            Action::Room(room) => self.log.set_room(*room),
            Action::Start { host, role } => self.start(*host, *role)?,
            Action::Kill { host } => self.kill(*host),
            Action::Drop { host } => self.drop_worker(*host),
            Action::Promote { host } => self.promote(*host)?,
            Action::Upgrade { host } => self.upgrade(*host),
            Action::Checkpoint { host } => self.request_checkpoint(*host),
            Action::Query { host } => self.query(*host)?,
            Action::Write { disk } => self.write(*disk),
            Action::Break { disk, broken } => self.break_disk(*disk, *broken),
            Action::Damage { disk } => self.disks[*disk].damage(),
            Action::Wipe { disk } => self.replace_disk(*disk, WorldMark::BeganOnAnEmptiedDisk),
            Action::Older { disk } => self.replace_disk(*disk, WorldMark::BeganFromAnOlderCheckpoint),
            Action::Ship { from, to } => self.ship(*from, *to),
            Action::Trim { partition } => self.trim(*partition)?,
        }
        self.observe()
    }

    /// Lets everybody who watches look.
    fn observe(&mut self) -> Check {
        for truth in &mut self.truths {
            let partition = truth.partition();
            truth
                .follow(self.port.as_ref(), &mut self.marks)
                .map_err(|why| format!("partition {partition}: {why}"))?;
        }
        let truths = &self.truths;
        let mut lost = None;
        self.asked.retain(|asked| match asked.ticket.result() {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(appended)) => {
                let there = truths[Self::place(asked.partition)].command(appended.offset);
                if there != Some((&asked.payload, appended.append_time)) {
                    lost = Some(appended.offset);
                }
                false
            }
        });
        lost.map_or(Ok(()), |offset| Err(format!("command {offset} was acknowledged, the log has another")))
    }

    fn set_clock(&mut self, partition: u32, at: u64) {
        let before = std::mem::replace(&mut self.clocks[Self::place(partition)], at);
        self.marks.hit_if(at < before, WorldMark::ClockSteppedBack);
        self.marks.hit_if(before > 0 && at > before + 10_000, WorldMark::ClockJumpedAhead);
        self.log.set_clock(Self::stream(partition, Which::Commands), LogTime(at));
        self.log.set_clock(Self::stream(partition, Which::Decisions), LogTime(at));
    }

    fn client_appends(&mut self, partition: u32, at: u64, payload: &[u8]) -> Check {
        self.set_clock(partition, at);
        let stream = Self::stream(partition, Which::Commands);
        let payload = Bytes::copy_from_slice(payload);
        let mut result = self.log.append(stream, payload.clone());
        if matches!(result, Err(AppendError::Interrupted)) {
            self.marks.hit(WorldMark::StreamInterrupted);
            self.log.resume(stream);
            result = self.log.append(stream, payload.clone());
        }
        let lately = self.truth(partition).commands().iter().rev().take(40);
        let again = lately.into_iter().any(|record| record.payload == payload);
        self.marks.hit_if(again, WorldMark::ClientRetriedWhatWasThere);
        let owners = self.hosts.iter().filter(|host| host.works_for(partition)).count();
        if owners > 1 && unknown_rules(&self.setup.settings(partition), &payload, 0).is_some() {
            self.marks.hit(WorldMark::RulesActivatedWhileSeveralOwnersRan);
        }
        match result {
            Ok(ticket) => self.asked.push(Asked { partition, ticket, payload }),
            // The client is told to come back later; nothing was taken.
            Err(AppendError::Full) => self.marks.hit(WorldMark::AppendRefusedByFullQueue),
            Err(AppendError::DiskFull) => self.marks.hit(WorldMark::AppendRefusedByFullDisk),
            Err(AppendError::Failed { .. }) => {}
            Err(error) => return Err(format!("the log refused an append: {error}")),
        }
        Ok(())
    }

    fn flush(&mut self, partition: u32, which: Which, back: u64) {
        let stream = Self::stream(partition, which);
        let landed = self.log.watermarks(stream).durable.0 + self.log.unflushed(stream) as u64;
        self.log.flush_to(stream, Offset(landed.saturating_sub(back)));
    }

    /// Everything under way in a partition lands and becomes durable.
    fn settle(&mut self, partition: u32) {
        for which in [Which::Commands, Which::Decisions] {
            let stream = Self::stream(partition, which);
            self.log.land_all(stream);
            self.flights.forget(partition, which);
            self.log.flush(stream);
        }
    }

    /// The log stops and starts again. If it is embedded, the processes around it stop as well.
    fn crash_log(&mut self, keep: u64) {
        let unflushed: usize = self.streams().map(|stream| self.log.unflushed(stream)).sum();
        let mut kept = 0;
        if self.setup.profile == Profile::Embedded {
            (0..self.hosts.len()).for_each(|host| self.kill(host));
            kept = usize::try_from(keep % (unflushed as u64 + 1)).unwrap_or(0);
            self.log.crash(Survivors::FirstLanded(kept));
        } else {
            let mut keep_some = |stream: StreamId, count: usize| {
                let drawn =
                    splitmix64(keep ^ u64::from(stream.partition.0) << 8 ^ u64::from(stream.topic.code()));
                let some = usize::try_from(drawn % (count as u64 + 1)).unwrap_or(0);
                kept += some;
                some
            };
            self.log.crash(Survivors::PerStream(&mut keep_some));
            self.excuses.every_output();
        }
        self.marks.hit(WorldMark::LogCrashed);
        self.marks.hit_if(kept < unflushed, WorldMark::LogCrashLostRecords);
        self.marks.hit_if(kept > 0, WorldMark::LogCrashKeptPart);
        self.flights.forget_all();
        self.excuses.log_failed = false;
        for truth in &mut self.truths {
            let end = self.log.watermarks(StreamId::inventory_decisions(truth.partition())).end;
            truth.reader.go_back_to(end);
        }
    }

    fn streams(&self) -> impl Iterator<Item = StreamId> + use<> {
        (0..self.setup.partitions)
            .flat_map(|p| [Which::Commands, Which::Decisions].map(|which| Self::stream(p, which)))
    }

    /// Only the embedded log ends for good: brokers are somebody else's processes.
    fn fail_log(&mut self) {
        if self.setup.profile == Profile::Embedded {
            self.log.fail("the disk did not flush");
            self.excuses.log_failed = true;
            self.marks.hit(WorldMark::LogFailedForGood);
        }
    }

    fn write(&mut self, disk: usize) {
        let broken = self.excuses.disks[disk];
        if self.disks[disk].write() > 0 {
            self.marks.hit_if(!broken, WorldMark::CheckpointWritten);
        }
    }

    fn break_disk(&mut self, disk: usize, broken: bool) {
        self.disks[disk].set_broken(broken);
        self.excuses.disks[disk] |= broken;
    }

    fn request_checkpoint(&mut self, host: usize) {
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.request_checkpoint();
        }
    }

    fn is_used(&self, disk: usize) -> bool {
        self.hosts.iter().any(|host| host.setup.disk == disk && host.worker.is_some())
    }

    /// A worker does some steps; during them reading may go wrong.
    fn step(&mut self, host: usize, most: u32, wall: u64, fault: Option<(Which, Reading)>) -> Check {
        let partition = self.hosts[host].setup.partition;
        if self.hosts[host].worker.is_none() {
            return Ok(());
        }
        self.note_zombie(host);
        if let Some((which, reading)) = fault {
            self.log.set_reading(Self::stream(partition, which), reading);
            let mark =
                if reading == Reading::Fails { WorldMark::ReadingFailed } else { WorldMark::ReadingStalled };
            self.marks.hit(mark);
        }
        let commands = Self::stream(partition, Which::Commands);
        let under_way = |log: &SimulatedLog| log.in_flight(commands) + log.unflushed(commands);
        let before = under_way(&self.log);
        let mut result = Ok(());
        for _ in 0..most {
            match self.step_once(host, wall, fault.map(|(_, reading)| reading)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => {
                    result = Err(why);
                    break;
                }
            }
        }
        if under_way(&self.log) > before {
            self.marks.hit(WorldMark::TickWrittenByOwner);
            let off = wall.abs_diff(self.clocks[Self::place(partition)]);
            self.marks.hit_if(off > 10_000, WorldMark::OwnersWallOffByMuch);
        }
        if let Some((which, _)) = fault {
            self.log.set_reading(Self::stream(partition, which), Reading::Works);
        }
        result
    }
}
