//! The thread that makes room: it prepares segments before they are needed and removes those that were trimmed.

use std::{io, sync::Arc, time::Instant};

use super::{
    disk::{Disk, DiskFile, is_disk_full},
    queue::Gate,
    segment::file_name,
    shared::{Prepared, Shared},
};
use crate::doorbell::Listener;

/// A file that does not have its final name yet ends in this, and is removed when the log is opened.
pub(super) const UNFINISHED: &str = ".new";

/// Creates a segment file of zeros under its final name. Durable when it returns, and nothing is left when it fails.
pub(super) fn create_segment(disk: &dyn Disk, number: u32, bytes: u32) -> io::Result<Arc<dyn DiskFile>> {
    let name = file_name(number);
    let unfinished = format!("{name}{UNFINISHED}");
    let file = disk.create(&unfinished, bytes)?;
    disk.rename(&unfinished, &name)?;
    disk.sync_names()?;
    Ok(file)
}

pub(super) struct Preparer {
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Listener,
}

impl Preparer {
    /// Makes room until the log is closed or fails.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            self.shared.fail(&format!("preparing or removing a log segment failed: {error}"));
        }
    }

    fn work(&mut self) -> io::Result<()> {
        loop {
            // Before looking: a ring that is taken here is answered by the looks below.
            self.listener.take();
            if self.shared.queue().gate != Gate::Open {
                return Ok(());
            }
            // Trimming first: it may make the room that preparing needs.
            self.trim()?;
            let missing = self.shared.queue().segment_to_prepare();
            let Some(number) = missing else {
                self.listener.wait();
                continue;
            };
            match create_segment(&*self.shared.disk, number, self.shared.tuning.segment_bytes) {
                Ok(file) => self.hand_over(number, file)?,
                Err(error) if is_disk_full(&error) => {
                    self.shared.queue().disk_full = true;
                    self.listener.wait_until(Instant::now() + self.shared.tuning.disk_full_retry);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn hand_over(&mut self, number: u32, file: Arc<dyn DiskFile>) -> io::Result<()> {
        // Before anything is written to it: from then on its absence is a loss.
        self.shared.manifest().update(|manifest| manifest.last_segment = number)?;
        self.shared.prepared().push(Prepared { number, file });
        let somebody_was_refused = self.shared.queue().add_prepared();
        if somebody_was_refused {
            self.shared.wake_everyone();
        }
        Ok(())
    }

    /// Drops the oldest segments in which nobody needs a record any more.
    fn trim(&mut self) -> io::Result<()> {
        let segments = self.shared.segments.snapshot();
        let streams = &self.shared.streams;
        let is_over = |start: &[super::segment::StreamPoint]| {
            start.iter().zip(streams).all(|(point, stream)| point.next <= stream.trim_mark())
        };
        let may_go = segments.iter().skip(1).take(self.shared.surplus(segments.len()));
        let Some(first) = may_go.take_while(|next| is_over(&next.start)).last() else {
            return Ok(());
        };
        // In this order: what the manifest calls trimmed is never missed, and what is gone is never offered.
        self.shared.manifest().update(|manifest| manifest.first_segment = first.number)?;
        for (point, stream) in first.start.iter().zip(streams) {
            stream.set_low(point.next);
        }
        self.shared.segments.forget_below(first.number);
        for old in segments.iter().take_while(|old| old.number < first.number) {
            self.shared.disk.remove(&file_name(old.number))?;
        }
        Ok(())
    }
}
