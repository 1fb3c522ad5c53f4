//! What becomes of checkpoint disks while nobody uses them, and what the log forgets because of what is on them.

use holdfast_contracts::Offset;
use holdfast_log::OrderedLog;

use super::disk::Disk;
use super::{Check, Which, World, WorldMark};

impl World {
    /// Puts something else in a disk's place, which is only done while nobody uses it.
    pub(super) fn replace_disk(&mut self, disk: usize, story: WorldMark) {
        if self.is_used(disk) {
            return;
        }
        self.end_process(disk);
        if story == WorldMark::BeganOnAnEmptiedDisk {
            self.disks[disk].wipe();
        } else if !self.disks[disk].put_back_older() {
            return;
        }
        self.disk_stories[disk] = Some(story);
    }

    pub(super) fn ship(&mut self, from: usize, to: usize) {
        let partition_of =
            |disk| self.hosts.iter().find(|host| host.setup.disk == disk).map(|host| host.setup.partition);
        if from == to || self.is_used(to) || partition_of(from) != partition_of(to) {
            return;
        }
        // Only a checkpoint that reads back whole is shipped.
        if self.disks[from].anchor_to_ship().is_some() {
            self.end_process(to);
            self.disks[to].copy_from(&self.disks[from]);
            self.disk_stories[to] = Some(WorldMark::BeganFromSomebodyElsesCheckpoint);
        }
    }

    /// The log forgets what no checkpoint and no reader needs any more. All that can be read back is copied first, and the
    /// copies count. Disks without any checkpoint do not: whoever begins there gets a copy first.
    pub(super) fn trim(&mut self, partition: u32) -> Check {
        let mine: Vec<&Disk> = self
            .hosts
            .iter()
            .filter(|host| host.setup.partition == partition)
            .map(|host| &self.disks[host.setup.disk])
            .collect();
        mine.iter().for_each(|disk| disk.verify());
        let copies = mine.iter().filter_map(|disk| disk.verified_anchor());
        // What is damaged may be the only copy, and nothing is forgotten on its word.
        let whole = mine.iter().filter(|disk| !disk.is_damaged());
        let anchors: Vec<_> = whole.flat_map(|disk| disk.anchors()).chain(copies).collect();
        let Some(commands) = anchors.iter().map(|anchor| anchor.next_offset).min() else { return Ok(()) };
        let outputs = anchors.iter().map(|anchor| anchor.out_offset).min().unwrap_or(Offset(0));
        let outputs = outputs.min(self.truth(partition).reader.next());
        for (which, below) in [(Which::Commands, commands), (Which::Decisions, outputs)] {
            let stream = Self::stream(partition, which);
            let low = self.log.watermarks(stream).low;
            self.log.trim(stream, below).map_err(|error| format!("trimming: {error}"))?;
            if low < below && which == Which::Commands {
                self.marks.hit(WorldMark::CommandsTrimmed);
            } else if low < below {
                self.marks.hit(WorldMark::DecisionsTrimmed);
                self.excuses.trimmed[Self::place(partition)] = true;
            }
        }
        Ok(())
    }

    /// Whether the bytes on a disk may change: there is a way to begin without them.
    pub(super) fn may_be_damaged(&self, disk: usize) -> bool {
        let low = |partition| self.log.watermarks(Self::stream(partition, Which::Commands)).low;
        let host = self.hosts.iter().find(|host| host.setup.disk == disk);
        let copy = self.disks[disk].verified_anchor();
        let copied = host.zip(copy).is_some_and(|(host, copy)| copy.next_offset >= low(host.setup.partition));
        copied || self.may_lose(disk)
    }
}
