//! Draws what happens next. It looks at the world as it stands, to have somebody there to be hit.

use holdfast_log::OrderedLog;
use holdfast_log::simulated::{Profile, Reading, Room};

use super::story::{Faults, Story};
use super::{Action, Begin, Flight, Which, World};
use crate::generate::Generator;
use crate::rng::Rng;

/// Payloads kept to be sent again.
const SENT_MAX: usize = 12;
/// Actions after the last record of a client.
const AFTERWARDS: u32 = 40;

macro_rules! kinds {
    ($($name:ident = $weight:literal $(if $on:ident)?,)*) => {
        #[derive(Debug, Clone, Copy)]
        enum Kind { $($name,)* }

        const KINDS: &[Kind] = &[$(Kind::$name,)*];

        fn weights(on: Faults) -> Vec<u32> {
            vec![$(if true $(&& on.$on)? { $weight } else { 0 },)*]
        }
    };
}

kinds! {
    Append = 210,
    Step = 270,
    Settle = 130,
    FlushSome = 70,
    LandSome = 60,
    Write = 45,
    Checkpoint = 14,
    Query = 30,
    Up = 70,
    Retry = 25 if client_retries,
    Kill = 8 if kills,
    Drop = 8 if drops,
    CrashLog = 6 if log_crashes,
    FailLog = 3 if log_failures,
    Promote = 14 if promotions,
    LoseOutput = 8 if lost_outputs,
    OddOutput = 14 if odd_outputs,
    LoseCommand = 8 if lost_commands,
    OddCommand = 20 if odd_commands,
    LeaderChange = 8 if leader_changes,
    Room = 10 if full_disks,
    FailingRead = 5 if failing_reads,
    Stall = 8 if stalls,
    BreakDisk = 8 if broken_disks,
    Damage = 5 if damage,
    Wipe = 4 if wipes,
    Older = 5 if older,
    Trim = 8 if trims,
}

/// The schedule of a seed, one action after the other.
pub struct Draw {
    rng: Rng,
    on: Faults,
    weights: Vec<u32>,
    generators: Vec<Generator>,
    /// Payloads of late, by partition.
    sent: Vec<Vec<Vec<u8>>>,
    /// How wrong the clock of each partition's leader is.
    leader_skew: Vec<i64>,
    /// How wrong each host's wall clock is.
    wall_skew: Vec<i64>,
    /// How seldom each host gets to do something.
    slowness: Vec<u32>,
    left: u32,
}

impl Draw {
    /// The schedule of a story.
    #[must_use]
    pub fn new(story: &Story, mut rng: Rng) -> Self {
        let Story { setup, on, scenario, .. } = story;
        let of_partition = |p| Generator::of_partition(scenario, setup.settings(p));
        let wrong = |rng: &mut Rng| if on.wrong_walls { signed(rng, &[0, 300, 4_000, 12_000]) } else { 0 };
        Self {
            generators: (0..setup.partitions).map(of_partition).collect(),
            sent: vec![Vec::new(); World::place(setup.partitions)],
            leader_skew: vec![0; World::place(setup.partitions)],
            wall_skew: setup.hosts.iter().map(|_| wrong(&mut rng)).collect(),
            slowness: setup.hosts.iter().map(|_| rng.one_of(&[1, 1, 3, 12])).collect(),
            weights: weights(*on),
            on: *on,
            left: AFTERWARDS,
            rng,
        }
    }

    /// The next action; `None` when the story has been told.
    pub fn next(&mut self, world: &World) -> Option<Action> {
        loop {
            let kind = KINDS[self.rng.weighted(&self.weights)];
            if let Some(action) = self.draw(kind, world) {
                return Some(action);
            }
            if matches!(kind, Kind::Append) {
                // Somebody has said all there is to say.
                self.left -= 1;
                if self.left == 0 {
                    return None;
                }
            }
        }
    }

    fn draw(&mut self, kind: Kind, world: &World) -> Option<Action> {
        let partition = self.rng.between_u32(0, world.setup.partitions - 1);
        let disk = self.rng.index(world.disks.len());
        let nth = self.rng.index(8);
        Some(match kind {
            Kind::Append => self.append(partition, world)?,
            Kind::Retry => self.retry(partition)?,
            Kind::Step => self.step(world)?,
            Kind::Settle => Action::Settle { partition },
            Kind::FlushSome => Action::Flush { partition, which: self.stream(), back: self.rng.below(3) },
            Kind::LandSome => {
                let which = self.stream();
                self.in_flight(world, partition, which)?;
                Action::Flight { partition, which, nth: 0, becomes: Flight::Lands }
            }
            Kind::Write => (world.disks[disk].waiting() > 0).then_some(Action::Write { disk })?,
            Kind::Checkpoint => Action::Checkpoint { host: self.some_worker(world)? },
            Kind::Query => Action::Query { host: self.some_worker(world)? },
            Kind::Up => self.up(world)?,
            Kind::Kill => Action::Kill { host: self.some_worker(world)? },
            Kind::Drop => Action::Drop { host: self.some_worker(world)? },
            Kind::CrashLog => Action::CrashLog { keep: self.rng.next() },
            Kind::FailLog => Action::FailLog,
            Kind::Promote => Action::Promote { host: self.some_worker(world)? },
            Kind::LoseOutput => {
                self.in_flight(world, partition, Which::Decisions)?;
                let ways =
                    [Flight::IsLost, Flight::IsTurnedAway, Flight::IsAbandoned, Flight::LandsUnanswered];
                Action::Flight { partition, which: Which::Decisions, nth, becomes: self.rng.one_of(&ways) }
            }
            Kind::OddOutput => {
                self.in_flight(world, partition, Which::Decisions)?;
                let becomes = self.rng.one_of(&[Flight::LandsTwice, Flight::LandsLate, Flight::LandsLate]);
                Action::Flight { partition, which: Which::Decisions, nth, becomes }
            }
            Kind::LoseCommand => {
                self.in_flight(world, partition, Which::Commands)?;
                let ways =
                    [Flight::IsLost, Flight::IsTurnedAway, Flight::IsAbandoned, Flight::LandsUnanswered];
                Action::Flight { partition, which: Which::Commands, nth, becomes: self.rng.one_of(&ways) }
            }
            Kind::OddCommand => {
                self.in_flight(world, partition, Which::Commands)?;
                let becomes = self.rng.one_of(&[Flight::LandsTwice, Flight::LandsLate, Flight::Lands]);
                Action::Flight { partition, which: Which::Commands, nth, becomes }
            }
            Kind::LeaderChange => {
                let skew = signed(&mut self.rng, &[0, 0, 700, 5_000, 9_000, 15_000]);
                self.leader_skew[World::place(partition)] = skew;
                let at = self.log_clock(partition);
                Action::Clock { partition, at }
            }
            Kind::Room => Action::Room(self.rng.one_of(&[
                Room::Plenty,
                Room::Plenty,
                Room::DecisionsOnly,
                Room::Nothing,
            ])),
            Kind::FailingRead => self.reading(world, Reading::Fails)?,
            Kind::Stall => self.reading(world, Reading::Stalls)?,
            Kind::BreakDisk => Action::Break { disk, broken: self.rng.coin() },
            Kind::Damage => world.may_lose(disk).then_some(Action::Damage { disk })?,
            Kind::Wipe => world.may_lose(disk).then_some(Action::Wipe { disk })?,
            Kind::Older => Action::Older { disk },
            Kind::Trim => Action::Trim { partition },
        })
    }

    fn stream(&mut self) -> Which {
        if self.rng.coin() { Which::Commands } else { Which::Decisions }
    }

    /// Nothing is to be drawn about flights where nothing flies.
    fn in_flight(&self, world: &World, partition: u32, which: Which) -> Option<usize> {
        let kafka = world.setup.profile == Profile::Kafka;
        Some(world.log.in_flight(World::stream(partition, which))).filter(|count| kafka && *count > 0)
    }

    fn log_clock(&self, partition: u32) -> u64 {
        let place = World::place(partition);
        self.generators[place].wall_ms().saturating_add_signed(self.leader_skew[place])
    }

    fn append(&mut self, partition: u32, world: &World) -> Option<Action> {
        let place = World::place(partition);
        let record = self.generators[place].next(world.truth(partition).model())?;
        let at = record.append_time_ms.saturating_add_signed(self.leader_skew[place]);
        let sent = &mut self.sent[place];
        if sent.len() == SENT_MAX {
            sent.remove(0);
        }
        sent.push(record.payload.clone());
        Some(Action::Append { partition, at, payload: record.payload })
    }

    /// A client that heard nothing says the same again.
    fn retry(&mut self, partition: u32) -> Option<Action> {
        let sent = &self.sent[World::place(partition)];
        if sent.is_empty() {
            return None;
        }
        let payload = sent[self.rng.index(sent.len())].clone();
        Some(Action::Append { partition, at: self.log_clock(partition), payload })
    }

    fn some_worker(&mut self, world: &World) -> Option<usize> {
        let up: Vec<usize> =
            (0..world.hosts.len()).filter(|host| world.hosts[*host].worker.is_some()).collect();
        (!up.is_empty()).then(|| up[self.rng.index(up.len())])
    }

    fn wall(&self, host: usize, world: &World) -> u64 {
        let place = World::place(world.hosts[host].setup.partition);
        self.generators[place].wall_ms().saturating_add_signed(self.wall_skew[host])
    }

    fn step(&mut self, world: &World) -> Option<Action> {
        let host = self.some_worker(world)?;
        if self.rng.below(200) == 0 {
            self.slowness[host] = self.rng.one_of(&[1, 1, 3, 12]);
        }
        if self.rng.below(u64::from(self.slowness[host])) > 0 {
            return None;
        }
        let most = self.rng.one_of(&[1, 1, 2, 5, 30]);
        Some(Action::Step { host, most, wall: self.wall(host, world) })
    }

    fn reading(&mut self, world: &World, reading: Reading) -> Option<Action> {
        let host = self.some_worker(world)?;
        let wall = self.wall(host, world);
        Some(Action::StepReading { host, wall, which: self.stream(), reading })
    }

    /// Somebody who is down comes up, with what it needs for that.
    fn up(&mut self, world: &World) -> Option<Action> {
        let host = self.rng.index(world.hosts.len());
        let it = &world.hosts[host];
        let (partition, disk) = (it.setup.partition, it.setup.disk);
        if it.worker.is_some() {
            return None;
        }
        if it.needs_upgrade {
            return Some(Action::Upgrade { host });
        }
        let low = world.log.watermarks(World::stream(partition, Which::Commands)).low;
        let empty = world.disks[disk].anchor().is_none();
        if (it.needs_checkpoint || (empty && low.0 > 0))
            && let Some(from) = world.source(partition)
            && from != disk
        {
            return Some(Action::Ship { from, to: disk });
        }
        let alone = !world.hosts.iter().any(|it| it.setup.partition == partition && it.is_active());
        let role = if (alone && self.rng.percent(85)) || (self.on.zombies && self.rng.percent(30)) {
            Begin::Active
        } else if self.on.standbys {
            Begin::Standby
        } else {
            return None;
        };
        Some(Action::Start { host, role })
    }
}

/// One of these numbers, to either side.
fn signed(rng: &mut Rng, these: &[i64]) -> i64 {
    let one = rng.one_of(these);
    if rng.coin() { one } else { -one }
}
