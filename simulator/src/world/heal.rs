//! The end of all faults: what must come then, within a bounded time.

use holdfast_log::OrderedLog;
use holdfast_log::simulated::Room;

use super::judge::Excuses;
use super::{Action, Begin, Check, Which, World, WorldMark};

/// Time between two rounds after the faults.
const ROUND_MS: u64 = 400;
/// Rounds that may pass beside those that work carried over takes.
const ROUNDS: usize = 90;
/// Log time must come within this of the log's clock.
const LATE_MAX_MS: u64 = 3_000;

impl World {
    /// Ends all faults and asks for everything that was promised: every command decided, every decision read, every
    /// owner in the same state, holds expired, and the same state again from checkpoints and from nothing.
    ///
    /// # Errors
    /// What did not come.
    pub fn heal(&mut self) -> Check {
        self.end_faults()?;
        self.come_up()?;
        let live = self.live();
        self.settle_down("after the faults")?;
        self.marks.hit(WorldMark::HealedWithinBounds);
        self.marks.hit_if(self.live() < live, WorldMark::HoldsExpiredAfterHealing);
        // And once more from what is on the disks.
        for host in 0..self.hosts.len() {
            self.kill(host);
        }
        self.come_up()?;
        self.settle_down("from checkpoints")?;
        for truth in &self.truths {
            let partition = truth.partition();
            let named = |why| format!("partition {partition}: {why}");
            truth.compare_log(self.port.as_ref()).map_err(named)?;
            truth.replay().map_err(named)?;
        }
        Ok(())
    }

    fn live(&self) -> usize {
        self.truths.iter().map(|truth| truth.model().live()).sum()
    }

    fn end_faults(&mut self) -> Check {
        self.log.set_room(Room::Plenty);
        if self.excuses.log_failed {
            self.crash_log(1);
            self.observe()?;
        }
        for partition in 0..self.setup.partitions {
            self.settle(partition);
        }
        self.observe()?;
        // Whoever was hit by an earlier fault finds out.
        for host in 0..self.hosts.len() {
            let wall = self.clocks[Self::place(self.hosts[host].setup.partition)];
            self.write(self.hosts[host].setup.disk);
            self.apply(&Action::Step { host, most: 20, wall })?;
        }
        for partition in 0..self.setup.partitions {
            self.log.resume(Self::stream(partition, Which::Commands));
            self.log.resume(Self::stream(partition, Which::Decisions));
            // The embedded log never stamps earlier than before, so its time goes on from the latest.
            let stamps = self.truth(partition).commands().iter().map(|record| record.append_time.0);
            let latest = stamps.max().unwrap_or(1_700_000_000_000);
            self.set_clock(partition, latest.max(self.clocks[Self::place(partition)]));
        }
        for disk in &self.disks {
            disk.set_broken(false);
            disk.write();
        }
        // Replies of writes that failed before are still to be heard.
        let broken = std::mem::take(&mut self.excuses.disks);
        let trimmed = std::mem::take(&mut self.excuses.trimmed);
        self.excuses =
            Excuses { disks: broken, trimmed, ..Excuses::new(self.truths.len(), self.disks.len()) };
        Ok(())
    }

    /// Whether a disk may lose what it has: somebody else has a checkpoint from which the log goes on, or none is needed.
    pub(super) fn may_lose(&self, disk: usize) -> bool {
        let Some(host) = self.hosts.iter().find(|host| host.setup.disk == disk) else { return false };
        let partition = host.setup.partition;
        let low = self.log.watermarks(Self::stream(partition, Which::Commands)).low;
        low.0 == 0 || self.sources(partition).any(|other| other != disk)
    }

    /// A disk of the partition with a checkpoint from which the log goes on.
    pub(super) fn source(&self, partition: u32) -> Option<usize> {
        self.sources(partition).next()
    }

    fn sources(&self, partition: u32) -> impl Iterator<Item = usize> {
        let low = self.log.watermarks(Self::stream(partition, Which::Commands)).low;
        let mine = self.hosts.iter().filter(move |host| host.setup.partition == partition);
        mine.map(|host| host.setup.disk).filter(move |disk| {
            let anchor = self.disks[*disk].flushed_anchor();
            !self.disks[*disk].is_damaged() && anchor.is_some_and(|anchor| anchor.next_offset >= low)
        })
    }

    /// Everybody who is down comes up: one active worker of each partition first.
    fn come_up(&mut self) -> Check {
        let hosts = self.hosts.len();
        // Twice: what one needs may end another of the same process.
        for host in (0..hosts).chain(0..hosts) {
            if self.hosts[host].worker.is_some() {
                continue;
            }
            self.prepare(host);
            let partition = self.hosts[host].setup.partition;
            let alone = !self.hosts.iter().any(|it| it.setup.partition == partition && it.is_active());
            let disk = self.hosts[host].setup.disk;
            let taken = self.hosts.iter().any(|it| it.setup.disk == disk && it.is_active());
            let role = if alone || (host % 3 == 2 && !taken) { Begin::Active } else { Begin::Standby };
            self.apply(&Action::Start { host, role })?;
            let stopped = self.truths[Self::place(partition)].stopped_at().is_some();
            if self.hosts[host].worker.is_none() && !stopped {
                return Err(format!("host {host} does not come up after the faults"));
            }
        }
        // A partition of standbys needs somebody who answers.
        for host in 0..self.hosts.len() {
            let partition = self.hosts[host].setup.partition;
            if !self.hosts.iter().any(|it| it.setup.partition == partition && it.is_active()) {
                self.drop_worker(host);
                self.apply(&Action::Start { host, role: Begin::Active })?;
            }
        }
        Ok(())
    }

    /// Gives a host that is down what it needs to begin.
    fn prepare(&mut self, host: usize) {
        let setup = self.hosts[host].setup;
        self.upgrade(host);
        let low = self.log.watermarks(Self::stream(setup.partition, Which::Commands)).low;
        let disk = &self.disks[setup.disk];
        let reaches = disk.anchor().is_some_and(|anchor| anchor.next_offset >= low) && !disk.is_damaged();
        if low.0 > 0
            && !reaches
            && let Some(from) = self.source(setup.partition)
        {
            // The process may have a worker that began when the log still reached back to its beginning.
            self.kill(host);
            self.ship(from, setup.disk);
        }
    }

    /// Goes on without faults until nothing is left to do.
    fn settle_down(&mut self, when: &str) -> Check {
        let from: Vec<u64> = self.clocks.clone();
        let rounds = ROUNDS + 4 * self.live();
        let mut missing = String::new();
        for _ in 0..rounds {
            for partition in 0..self.setup.partitions {
                let at = self.clocks[Self::place(partition)] + ROUND_MS;
                self.set_clock(partition, at);
                self.settle(partition);
            }
            (0..self.disks.len()).for_each(|disk| self.write(disk));
            self.observe()?;
            for host in 0..self.hosts.len() {
                let wall = self.clocks[Self::place(self.hosts[host].setup.partition)];
                self.apply(&Action::Step { host, most: 200, wall })?;
                self.query(host)?;
                self.rise(host)?;
            }
            match self.is_settled(&from) {
                Ok(()) => return Ok(()),
                Err(why) => missing = why,
            }
        }
        Err(format!("{when}, {rounds} rounds are not enough: {missing}"))
    }

    /// A worker that found an old fault begins anew.
    fn rise(&mut self, host: usize) -> Check {
        let partition = self.hosts[host].setup.partition;
        if self.hosts[host].worker.is_some() || self.truths[Self::place(partition)].stopped_at().is_some() {
            return Ok(());
        }
        self.prepare(host);
        let alone = !self.hosts.iter().any(|it| it.setup.partition == partition && it.is_active());
        let role = if alone { Begin::Active } else { Begin::Standby };
        self.apply(&Action::Start { host, role })
    }

    /// Whether everything that must come has come; what is missing if not.
    fn is_settled(&self, from: &[u64]) -> Check {
        for (truth, from) in self.truths.iter().zip(from) {
            let partition = truth.partition();
            let missing = |what: String| Err(format!("partition {partition}: {what}"));
            if truth.reader.last() < truth.outputs() {
                let (read, all) = (truth.reader.last(), truth.outputs());
                return missing(format!("a reader has {read} of {all} outputs"));
            }
            if truth.stopped_at().is_some() {
                continue;
            }
            let model = truth.model();
            let clock = self.clocks[Self::place(partition.0)];
            let now = model.log_time_ms().unwrap_or(0);
            if model.overdue() > 0 {
                return missing(format!("{} holds are over and have not expired", model.overdue()));
            }
            if model.clock_is_suspect() {
                return missing("the clock is suspect".to_owned());
            }
            if now + LATE_MAX_MS < clock || now < from + ROUND_MS {
                return missing(format!("log time is {now}, the log's clock {clock}"));
            }
            for (number, host) in self.hosts.iter().enumerate() {
                let Some(worker) = host.worker.as_ref().filter(|_| host.setup.partition == partition.0)
                else {
                    continue;
                };
                let (next, end) = (worker.next_offset().0, truth.end());
                if next != end || !worker.is_ready() {
                    return missing(format!("host {number} has applied {next} of {end} commands"));
                }
                if worker.outputs_unacknowledged() > 0 {
                    return missing(format!("host {number} waits for its outputs"));
                }
            }
        }
        Ok(())
    }
}
