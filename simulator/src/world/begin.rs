//! A worker begins, from whatever its disk holds.

use std::sync::Arc;

use holdfast_engine::{Role, Worker};

use super::host::guarded;
use super::{Begin, Check, World, WorldMark};

impl World {
    /// A process begins with a worker, unless it has one, or another of the same process emits already.
    pub(super) fn start(&mut self, host: usize, role: Begin) -> Check {
        let setup = self.hosts[host].setup;
        let disk = &self.disks[setup.disk];
        let taken = |other: &super::Host| other.setup.disk == setup.disk && other.is_active();
        let refused = role == Begin::Active && self.hosts.iter().any(taken);
        if self.hosts[host].worker.is_some() || refused {
            return Ok(());
        }
        let waiting = disk.waiting();
        let store = disk.store();
        let log = Arc::clone(&self.port);
        let role = if role == Begin::Active { Role::Active } else { Role::Standby };
        let build = setup.build(&self.setup);
        // Loading waits for what is on its way to the disk.
        let opened = guarded(|| Worker::open(setup.worker(), &build, log, store, role))?;
        let (last, damaged) = (disk.anchor(), disk.is_damaged());
        // What cannot be used is made up for by the verified copy.
        let of_copy = damaged || last.is_none();
        let anchor = if of_copy { disk.verified_anchor() } else { last };
        let story = self.disk_stories[setup.disk].take();
        match opened {
            Err(reason) => {
                self.disk_stories[setup.disk] = story;
                self.could_not_begin(host, &reason, anchor.as_ref(), damaged)
            }
            Ok(worker) => {
                let expected = anchor.map_or(0, |anchor| anchor.next_offset.0);
                if worker.next_offset().0 != expected {
                    return Err(format!(
                        "host {host} begins at command {}, its checkpoint ends at {expected}",
                        worker.next_offset()
                    ));
                }
                self.hosts[host].worker = Some(worker);
                self.note_beginning(host, expected, waiting);
                self.marks.hit_if(damaged && expected == 0, WorldMark::CheckpointDamageMadeUpByLog);
                self.marks.hit_if(of_copy && expected > 0, WorldMark::CheckpointDamageMadeUpByVerifiedCopy);
                if let Some(story) = story {
                    self.marks.hit(story);
                }
                self.check_digest(host)
            }
        }
    }

    fn note_beginning(&mut self, host: usize, from: u64, waiting: usize) {
        let host = &mut self.hosts[host];
        host.needs_checkpoint = false;
        if host.in_process {
            self.marks.hit(WorldMark::OwnerRebuiltInItsProcess);
            self.marks.hit_if(waiting > 0, WorldMark::OwnerRebuiltWhileCheckpointWaited);
        }
        self.marks.hit(if from == 0 {
            WorldMark::BeganWithoutCheckpoint
        } else {
            WorldMark::BeganWithCheckpoint
        });
    }
}
