//! The schedule of faults. Everything in it follows from the seed and from what can be seen of the system.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RunError;
use super::client::Client;
use super::kafka::Kafka;
use super::moments::Moment;
use super::organiser::wait_for_acks;
use super::process::LOOK_EVERY;
use super::system::Member;
use crate::evidence::{Fault, Role};

/// Answers that buyers get between two faults: each fault meets a system at work.
const ACKS_BETWEEN: u64 = 20;
/// Buyers must be answered again after so long, whatever was done.
const ANSWERED_WITHIN: Duration = Duration::from_secs(90);

/// A process that is told that another has its name ends within so long.
const TWINS_WITHIN: Duration = Duration::from_secs(60);

/// A run of so many seconds is a long one.
pub(super) const LONG_S: u64 = 300;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultClass {
    Kill(Role, Moment),
    /// SIGSTOP for so long, then SIGCONT.
    Pause(Role, u64),
    DiskFull,
    /// A second owner of the same partitions: two processes with one name in the group.
    TwoOwners,
    /// `kill -9` of a broker, and a start after a while.
    Broker(Which),
}

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// One that leads partitions of ours.
    Leader,
    /// The active controller.
    Controller,
}

impl FaultClass {
    fn name(self) -> String {
        match self {
            Self::Kill(role, moment) => format!("kill {role:?} at: {}", moment.name()),
            Self::Pause(role, ms) => format!("pause {role:?} for {ms} ms"),
            Self::DiskFull => "disk full".to_owned(),
            Self::TwoOwners => "two owners".to_owned(),
            Self::Broker(which) => format!("kill a broker: {which:?}"),
        }
    }
}

/// Does harm.
pub(super) struct Chaos<'a> {
    pub(super) members: &'a mut Vec<Member>,
    pub(super) client: Arc<Client>,
    pub(super) kafka: Option<&'a Kafka>,
    pub(super) rng: fastrand::Rng,
}

impl Chaos<'_> {
    /// Each class alone, kills again and again for a part of the time and the slow ones once or, in a long run, three
    /// times; then all mixed for as long as is left, at least a sixth of the time.
    pub(super) fn run(&mut self, classes: &[FaultClass], seconds: u64) -> Result<(), RunError> {
        let begun = Instant::now();
        let whole = Duration::from_secs(seconds);
        let is_kill = |it: &&FaultClass| matches!(it, FaultClass::Kill(..));
        let (kills, slow): (Vec<FaultClass>, Vec<FaultClass>) = classes.iter().partition(is_kill);
        let (part, times) = if seconds < LONG_S { (whole * 2 / 3, 1) } else { (whole / 3, 3) };
        let kinds = u32::try_from(kills.len()).unwrap_or(1);
        for (class, nth) in kills.into_iter().zip(1..) {
            let until = part * nth / kinds;
            self.phase(&class.name());
            // Once at least, however short the run is.
            loop {
                self.once(class)?;
                if begun.elapsed() >= until {
                    break;
                }
            }
        }
        for class in slow {
            self.phase(&class.name());
            for _ in 0..times {
                self.once(class)?;
            }
        }
        self.phase("mixed");
        let mixed = Instant::now();
        while begun.elapsed() < whole || mixed.elapsed() < whole / 6 {
            if let Some(class) = self.rng.choice(classes).copied() {
                self.once(class)?;
            }
        }
        self.phase("heal");
        Ok(())
    }

    fn phase(&self, name: &str) {
        super::say(&format!("{:>7} answers, {name}", self.client.recorder.acks()));
        self.client.recorder.fault(Fault::Phase { name: name.to_owned() });
    }

    /// One fault, in a system that answers, and the recovery from it.
    fn once(&mut self, class: FaultClass) -> Result<(), RunError> {
        if !wait_for_acks(&self.client, ACKS_BETWEEN, ANSWERED_WITHIN) {
            let within = ANSWERED_WITHIN.as_secs();
            return Err(RunError::Failed(format!("buyers are not answered within {within} s of a fault")));
        }
        match class {
            FaultClass::Kill(role, moment) => self.kill(role, moment)?,
            FaultClass::Pause(role, ms) => self.pause(role, ms),
            FaultClass::DiskFull => self.fill_disk(),
            FaultClass::TwoOwners => self.double()?,
            FaultClass::Broker(which) => self.kill_broker(which)?,
        }
        self.revive()
    }

    fn pick(&mut self, role: Role) -> Option<usize> {
        let here: Vec<usize> = (0..self.members.len()).filter(|at| self.members[*at].role == role).collect();
        self.rng.choice(here)
    }

    /// A sequencer that owns something, if one says so.
    fn pick_owner(&mut self, role: Role) -> Option<usize> {
        let owns = |member: &Member| member.partitions().iter().any(|it| it["assignment"] == "active");
        let owners: Vec<usize> = (0..self.members.len())
            .filter(|at| self.members[*at].role == role && owns(&self.members[*at]))
            .collect();
        self.rng.choice(owners).or_else(|| self.pick(role))
    }

    fn kill(&mut self, role: Role, moment: Moment) -> Result<(), RunError> {
        // Now and then one that stands by.
        let picked = if self.rng.u8(..) < 200 { self.pick_owner(role) } else { self.pick(role) };
        let Some(at) = picked else { return Ok(()) };
        let checkpoints: PathBuf = self.members[at].data.join("checkpoints");
        let log = self.kafka.map(|it| it.log.as_ref());
        moment.wait(&self.client.recorder, &checkpoints, log, &mut self.rng);
        self.members[at].kill(moment.name());
        std::thread::sleep(Duration::from_millis(self.rng.u64(..200)));
        self.members[at].start()?;
        self.members[at].wait_until_ready()
    }

    fn pause(&mut self, role: Role, ms: u64) {
        let Some(at) = self.pick_owner(role) else { return };
        self.members[at].pause();
        std::thread::sleep(Duration::from_millis(ms));
        self.members[at].resume();
    }

    fn fill_disk(&mut self) {
        let Some(at) = self.members.iter().position(|it| it.disk.is_some()) else { return };
        let Some(disk) = &self.members[at].disk else { return };
        let who = self.members[at].name.clone();
        self.client.recorder.fault(Fault::DiskFull { who: who.clone() });
        disk.fill();
        std::thread::sleep(Duration::from_millis(self.rng.u64(1_500..3_000)));
        disk.free();
        self.client.recorder.fault(Fault::DiskFreed { who });
    }

    /// Starts a second process under the name that one has in the group. The group lets the second in and tells the first
    /// when it next asks; until then both own the same partitions.
    fn double(&mut self) -> Result<(), RunError> {
        let (Some(kafka), Some(at)) = (self.kafka, self.pick_owner(Role::Sequencer)) else { return Ok(()) };
        let mut twin = kafka.twin(&self.members[at])?;
        twin.start()?;
        twin.wait_until_ready()?;
        self.client.recorder.fault(Fault::Doubled { who: twin.name.clone() });
        let deadline = Instant::now() + TWINS_WITHIN;
        while !self.members[at].has_ended() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        // In good order: what the twin owns is handed over.
        twin.end();
        Ok(())
    }

    fn kill_broker(&mut self, which: Which) -> Result<(), RunError> {
        let Some(kafka) = self.kafka else { return Ok(()) };
        let controller = kafka.controller();
        let leaders = kafka.leaders();
        let wanted = match which {
            Which::Leader => self.rng.choice(leaders.clone()),
            Which::Controller => controller,
        };
        let broker = wanted.ok_or_else(|| RunError::Failed("no broker says that it leads".to_owned()))?;
        let fault = Fault::BrokerKilled {
            who: format!("broker-{broker}"),
            led: leaders.contains(&broker),
            controlled: controller == Some(broker),
        };
        self.client.recorder.fault(fault);
        kafka.brokers.kill(broker);
        std::thread::sleep(Duration::from_millis(self.rng.u64(500..4_000)));
        kafka.brokers.restart(broker);
        self.client.recorder.fault(Fault::Ready { role: Role::Broker, who: format!("broker-{broker}") });
        kafka.wait_until_in_sync()
    }

    /// Starts again what has ended by itself. A process may do that; it must come back.
    pub(super) fn revive(&mut self) -> Result<(), RunError> {
        for member in self.members.iter_mut() {
            if member.note_if_ended() {
                member.start()?;
                member.wait_until_ready()?;
            }
        }
        Ok(())
    }
}
