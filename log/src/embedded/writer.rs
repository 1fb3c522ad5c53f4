//! The one thread that writes: it turns what waits into frames, writes them as a group, flushes once, and publishes.
//!
//! While a flush is under way the next group gathers in the queue. It never waits for a group to grow.

use std::{io, mem, sync::Arc, time::Instant};

use super::{
    disk::DiskFile,
    frame::{self, Place, Seed, Subject},
    header::SegmentHeader,
    index::Index,
    queue::{Entry, Gate, WriterRest},
    recover::Recovered,
    segment::{Segment, StreamPoint},
    shared::Shared,
    staging::Staging,
};
use crate::{
    doorbell::Listener,
    port::{Durability, Record, WakeRound},
};

/// A flush covers about this much at most: more hardly makes the disk faster, but makes the first wait for the last.
const GROUP_BYTES: usize = 2 << 20;

/// Room for a group and for the record that ends it.
const STAGING_BYTES: usize = GROUP_BYTES + frame::PAYLOAD_BYTES_MAX + (1 << 20);

/// What the writer has to do next.
enum Task {
    Write,
    Mark,
    Finish,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    listener: Listener,
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    seed: Seed,
    /// How far every stream is written.
    points: Vec<StreamPoint>,
    staging: Staging,
    /// Everything before is durable.
    flushed: Place,
    /// Something was flushed that the manifest does not speak of yet.
    unmarked: bool,
    /// The streams that have records in the group.
    touched: Vec<usize>,
    /// Bytes of record frames in the group.
    group_bytes: usize,
    evicted: Vec<Record>,
}

impl Writer {
    /// A writer that goes on where recovery stopped.
    pub(super) fn new(shared: Arc<Shared>, listener: Listener, recovered: Recovered) -> Self {
        let segment = recovered.segments.last().expect("a log has a segment that was begun");
        Self {
            seed: Seed::new(shared.log_id, segment.number),
            flushed: Place { segment: segment.number, position: recovered.end },
            staging: Staging::new(STAGING_BYTES, recovered.end, &recovered.page),
            shared,
            listener,
            segment: Arc::clone(segment),
            file: recovered.file,
            points: recovered.points,
            // Recovery has said so.
            unmarked: false,
            touched: Vec::new(),
            group_bytes: 0,
            evicted: Vec::new(),
        }
    }

    /// Writes until the log is closed or fails.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            self.shared.fail(&format!("writing the log failed: {error}"));
        }
    }

    fn work(&mut self) -> io::Result<()> {
        let mut entries = Vec::new();
        loop {
            match self.next_task(&mut entries) {
                Task::Write => self.write(&mut entries)?,
                Task::Mark => self.mark()?,
                Task::Finish => return Ok(()),
            }
        }
    }

    /// Waits until there is something to do.
    fn next_task(&mut self, entries: &mut Vec<Entry>) -> Task {
        let rested_since = Instant::now();
        let mut derived_due = None;
        loop {
            // Before looking: a ring that is taken here is answered by the look below.
            self.listener.take();
            let mut queue = self.shared.queue();
            let closing = match queue.gate {
                Gate::Open => false,
                Gate::Closed => true,
                Gate::Failed(_) => return Task::Finish,
            };
            let now = Instant::now();
            if !queue.is_empty() {
                let due = *derived_due.get_or_insert(now + self.shared.tuning.derived_delay);
                if queue.is_flush_wanted() || closing || now >= due {
                    queue.take(entries);
                    return Task::Write;
                }
                queue.writer_rest = WriterRest::Light;
                drop(queue);
                self.listener.wait_until(due);
                continue;
            }
            let mark_due = rested_since + self.shared.tuning.mark_delay;
            if self.unmarked && (closing || now >= mark_due) {
                return Task::Mark;
            }
            if closing {
                return Task::Finish;
            }
            // For a little while the writer looks by itself, so that whoever derives records from what was just
            // flushed need not pay for a wake-up.
            let light_until = rested_since + self.shared.tuning.derived_delay;
            let until = if now < light_until { Some(light_until) } else { self.unmarked.then_some(mark_due) };
            let deep = now >= light_until;
            queue.writer_rest = if deep { WriterRest::Deep } else { WriterRest::Light };
            drop(queue);
            match until {
                Some(until) => {
                    self.listener.wait_until(until);
                }
                None => self.listener.wait(),
            }
        }
    }

    fn write(&mut self, entries: &mut Vec<Entry>) -> io::Result<()> {
        for entry in entries.drain(..) {
            if entry.place.segment != self.segment.number {
                self.flush_group()?;
                self.begin_segment(entry.place.segment)?;
            } else if self.group_bytes >= GROUP_BYTES {
                self.flush_group()?;
            }
            self.stage(&entry);
        }
        self.flush_group()
    }

    /// Adds a record's frame to the group.
    fn stage(&mut self, entry: &Entry) {
        let position = self.staging.position();
        assert_eq!(position, entry.place.position, "the queue and the writer disagree about a frame's place");
        let point = &mut self.points[entry.stream];
        let (offset, append_time) = (entry.appended.offset, entry.appended.append_time);
        assert_eq!(offset, point.next, "offsets of a stream are dense");
        self.segment.index_mut().note(entry.stream, offset, position, point.chain);
        let subject = Subject { stream: entry.id, offset, append_time };
        frame::encode(
            self.staging.frames(),
            self.seed,
            self.flushed,
            subject,
            &entry.payload,
            &mut point.chain,
        );
        point.next = offset.next();
        point.last_time = append_time;
        self.group_bytes += frame::frame_bytes(entry.payload.len());
        // Everything before the group is durable, so the first record of the group is the durable end.
        if offset == self.shared.streams[entry.stream].durable() {
            self.touched.push(entry.stream);
        }
    }

    /// Writes and flushes what is staged, and publishes the group.
    fn flush_group(&mut self) -> io::Result<()> {
        if self.group_bytes == 0 {
            return Ok(());
        }
        self.flush_staging()?;
        self.unmarked = true;
        self.publish();
        Ok(())
    }

    fn flush_staging(&mut self) -> io::Result<()> {
        let position = self.staging.position();
        let (at, pages) = self.staging.pages();
        self.file.write_at(at, pages)?;
        self.file.sync()?;
        self.staging.go_on(position);
        self.flushed = Place { segment: self.segment.number, position };
        self.segment.set_end(position);
        Ok(())
    }

    /// Tells everyone about a group that is durable, each waker once.
    fn publish(&mut self) {
        let shared = Arc::clone(&self.shared);
        for &nr in &self.touched {
            shared.streams[nr].set_durable(self.points[nr].next);
        }
        let somebody_was_refused = shared.queue().settle(mem::take(&mut self.group_bytes));
        let mut round = WakeRound::default();
        for &nr in &self.touched {
            let stream = &shared.streams[nr];
            // Subscribers of derived streams were woken when the record was appended.
            if stream.id().topic.durability() == Durability::Flushed {
                round.wake(&stream.subscribers);
            }
            round.wake(&stream.settled);
        }
        if somebody_was_refused {
            for stream in &shared.streams {
                round.wake(&stream.subscribers);
            }
        }
        for nr in self.touched.drain(..) {
            while shared.streams[nr].evict(shared.tuning.tail_bytes_max, &mut self.evicted) {
                self.evicted.clear();
            }
            self.evicted.clear();
        }
    }

    /// Writes down, outside of the segments, up to where they are flushed: the last group has no later frame to vouch for
    /// it, and a page that goes missing takes the frames in it along.
    fn mark(&mut self) -> io::Result<()> {
        let flushed = self.flushed;
        self.shared.manifest().update(|manifest| manifest.flushed = flushed)?;
        self.unmarked = false;
        Ok(())
    }

    /// Begins the next segment. Its header is durable before its first frame is written, so a whole frame proves a
    /// whole header, and the header proves that the segment before it was whole.
    fn begin_segment(&mut self, number: u32) -> io::Result<()> {
        let file = self.prepared_file(number)?;
        let header = SegmentHeader {
            log_id: self.shared.log_id,
            number,
            previous_end: self.flushed.position,
            points: self.points.clone(),
        };
        let bytes = header.encode();
        file.write_at(0, &bytes)?;
        file.sync()?;
        self.segment.index_mut().finish();
        let position = self.shared.header_bytes();
        let index = Index::growing(self.points.len());
        self.segment = Arc::new(Segment::verified(header, position, index));
        self.file = file;
        self.shared.segments.push(Arc::clone(&self.segment));
        self.seed = Seed::new(self.shared.log_id, number);
        self.flushed = Place { segment: number, position };
        self.staging.restart(position, &[]);
        self.shared.preparer.ring();
        Ok(())
    }

    fn prepared_file(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut prepared = self.shared.prepared();
        // The queue hands out places in prepared segments only, so this is a broken rule and not a full disk.
        assert_eq!(prepared.first().map(|next| next.number), Some(number), "segments are begun in order");
        Ok(prepared.remove(0).file)
    }
}
