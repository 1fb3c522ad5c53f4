//! One stream of a Kafka log: its ends, its appends, its feeds and who waits for it.

mod tend;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_contracts::Offset;

use super::{
    feed::{Feed, Trouble},
    native::{Fault, Report, Room, Stamp, TopicHandle},
    outbox::Outbox,
    producer::Producer,
    shared::Shared,
};
use crate::port::{
    AppendError, Corruption, ReadError, Record, StreamId, Ticket, TrimError, WakerSet, Watermarks,
};

/// Readers of one stream that may be at different places at the same time.
pub(super) const FEEDS_MAX: usize = 4;
/// How long to wait before asking again who leads a partition.
const LEADER_PAUSE: Duration = Duration::from_millis(20);
/// Memory of a feed that is not the one farthest ahead.
const TRAILING_BYTES_MAX: usize = 1 << 20;

pub(super) struct Stream {
    pub(super) id: StreamId,
    low: AtomicU64,
    /// The offset after the last record that is known to be in the log.
    end: AtomicU64,
    trim_mark: AtomicU64,
    pub(super) subscribers: Arc<WakerSet>,
    /// Those who wait for a ticket.
    pub(super) settled: Arc<WakerSet>,
    outbox: Mutex<Outbox>,
    /// An append was refused for lack of room since the last wake-up for it.
    refused: AtomicBool,
    /// The client had no room for what waits, since the last report.
    crowded_out: AtomicBool,
    feeds: Mutex<Feeds>,
    /// Knows what the feed that is farthest ahead has heard of the ends.
    leader: Mutex<Option<Arc<TopicHandle>>>,
    /// A reader found every feed taken.
    starving: AtomicBool,
}

#[derive(Default)]
pub(super) struct Feeds {
    pub(super) list: Vec<Feed>,
    room: Room,
}

impl Feeds {
    fn leader(&self) -> Option<&Feed> {
        self.list.iter().max_by_key(|feed| feed.next())
    }
}

/// What one look for records came to.
enum Look {
    Done,
    /// The brokers must be asked for the ends before this can be answered.
    Ask,
}

impl Stream {
    pub(super) fn new(id: StreamId) -> Self {
        let settled: Arc<WakerSet> = Arc::default();
        Self {
            id,
            low: AtomicU64::new(0),
            end: AtomicU64::new(0),
            trim_mark: AtomicU64::new(0),
            subscribers: Arc::default(),
            outbox: Mutex::new(Outbox::new(Arc::clone(&settled))),
            settled,
            refused: AtomicBool::new(false),
            crowded_out: AtomicBool::new(false),
            feeds: Mutex::default(),
            leader: Mutex::default(),
            starving: AtomicBool::new(false),
        }
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // Nothing in there panics but on a broken rule of this adapter.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn feeds(&self) -> MutexGuard<'_, Feeds> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.id.partition.0).expect("partitions are few")
    }

    /// The ends as far as they are known, the last fetch included.
    pub(super) fn watermarks(&self) -> Watermarks {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = &*leader {
            self.heard(leader.fetched_ends(self.partition()));
        }
        drop(leader);
        // In this order: low <= end must hold for whoever looks at both.
        let low = Offset(self.low.load(Ordering::Acquire));
        let end = Offset(self.end.load(Ordering::Acquire));
        Watermarks { low, end, durable: end }
    }

    fn heard(&self, (low, end): (Option<u64>, Option<u64>)) {
        if let Some(end) = end {
            self.end.fetch_max(end, Ordering::AcqRel);
        }
        if let Some(low) = low {
            self.low.fetch_max(low, Ordering::AcqRel);
        }
    }

    /// Asks the leader for the ends.
    pub(super) fn refresh(&self, shared: &Shared, timeout: Duration) -> Result<Watermarks, Fault> {
        let known = self.end.load(Ordering::Acquire);
        let (low, end) = self.query_ends(shared, known, timeout)?;
        if end < known {
            // Only a later append could have moved it since the leader answered, and that moves it up.
            self.end.store(end, Ordering::Release);
            self.stop_reading();
            shared.fail(&format!(
                "{} ends at offset {end} and had ended at {known}: records are lost, or the topic was made anew",
                self.id
            ));
        }
        self.heard((Some(low), Some(end)));
        Ok(self.watermarks())
    }

    /// Asks again while the answer may be that of a leader that has just begun.
    fn query_ends(&self, shared: &Shared, known: u64, timeout: Duration) -> Result<(u64, u64), Fault> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match shared.askers[self.id.topic.code() as usize].query_ends(self.partition(), left) {
                // The brokers are between two leaders, or have yet to hear who it is.
                Err(fault) if fault.is_about_leader() && left > LEADER_PAUSE => thread::sleep(LEADER_PAUSE),
                // A new leader may take a moment to know what is committed.
                Ok((_, end)) if end < known && left > LEADER_PAUSE => thread::sleep(LEADER_PAUSE),
                answer => return answer,
            }
        }
    }

    pub(super) fn append(&self, shared: &Arc<Shared>, payload: Bytes) -> Result<Ticket, AppendError> {
        let bytes = payload.len();
        let bytes_max = self.id.topic.payload_bytes_max();
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        let mut outbox = self.outbox();
        shared.check_gate()?;
        if outbox.interrupted {
            return Err(AppendError::Interrupted);
        }
        let is_broken = outbox.producer.as_ref().is_none_or(|producer| producer.is_broken());
        if is_broken && outbox.unsettled() > 0 {
            // Whoever gives the producer up is on the way here, and nothing may slip past what it has.
            outbox.interrupted = true;
            return Err(AppendError::Interrupted);
        }
        if !shared.room.take(bytes as u64) && !self.refuse(shared, bytes as u64) {
            return Err(AppendError::Full);
        }
        if is_broken {
            match shared.producers[self.id.topic.code() as usize].current(shared, self.id.topic) {
                Ok(producer) => outbox.producer = Some(producer),
                Err(fault) => {
                    shared.room.give_back(bytes as u64, 1);
                    self.refused.store(true, Ordering::SeqCst);
                    shared.counters.remember(fault.text);
                    return Err(AppendError::Full);
                }
            }
        }
        let ticket = outbox.accept(payload);
        self.hand_over(shared, outbox);
        Ok(ticket)
    }

    /// Gives what waits to the client, as far as that is wanted now.
    fn hand_over(&self, shared: &Shared, mut outbox: MutexGuard<'_, Outbox>) {
        match outbox.hand_over(self.partition()) {
            Ok(()) => {}
            Err(fault) if fault.code == Fault::QUEUE_FULL => self.crowded_out.store(true, Ordering::SeqCst),
            Err(fault) => {
                let producer = outbox.producer.clone();
                drop(outbox);
                if let Some(producer) = producer {
                    producer.give_up(shared, &fault.text);
                }
            }
        }
    }

    /// Gives what waits to the client, if other streams had filled it.
    pub(super) fn hand_over_rest(&self, shared: &Shared) {
        if self.crowded_out.load(Ordering::SeqCst) && self.crowded_out.swap(false, Ordering::SeqCst) {
            self.hand_over(shared, self.outbox());
        }
    }

    /// Marks the stream as refused for lack of room. True if there was room after all, and it is taken.
    fn refuse(&self, shared: &Shared, bytes: u64) -> bool {
        self.refused.store(true, Ordering::SeqCst);
        // Room that came before the mark was seen would wake nobody.
        shared.room.take(bytes)
    }

    /// Whether somebody waits for room, once.
    pub(super) fn take_refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst) && self.refused.swap(false, Ordering::SeqCst)
    }

    /// Settles appends. When one of them failed, those that were to follow it fail with it.
    pub(super) fn settle(&self, shared: &Shared, producer: &Arc<Producer>, reports: &[Report]) {
        let mut outbox = self.outbox();
        let mut bytes = 0;
        for report in reports {
            bytes += report.bytes as u64;
            let publish = |end| {
                self.end.fetch_max(end, Ordering::AcqRel);
            };
            outbox.settle(report, publish);
            if matches!(report.outcome, Ok((_, Stamp::Other))) {
                shared.fail_bad_stamp(self.id);
            }
        }
        shared.room.give_back(bytes, reports.len() as u64);
        let mut failed = reports.iter().filter_map(|report| report.outcome.as_ref().err());
        shared.counters.deliveries_failed(failed.clone().count() as u64);
        let is_current = outbox.goes_to(producer);
        if is_current && let Some((fault, _)) = failed.next() {
            outbox.interrupted = true;
            shared.abandon(&mut outbox, &fault.text);
        }
        outbox.progressed();
        if is_current {
            self.hand_over(shared, outbox);
        }
    }

    /// Gives up what a producer has of this stream, and what it was to get.
    pub(super) fn give_up(&self, shared: &Shared, producer: &Arc<Producer>, reason: &str) {
        let mut outbox = self.outbox();
        if outbox.goes_to(producer) {
            outbox.interrupted |= outbox.unsettled() > 0;
            shared.abandon(&mut outbox, reason);
        }
    }

    pub(super) fn read(
        &self,
        shared: &Shared,
        from: Offset,
        bytes_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        if let Look::Done = self.look(shared, from, bytes_max, out)? {
            return Ok(());
        }
        let marks = self.refresh(shared, shared.ask_timeout).map_err(io_error)?;
        if from > marks.end {
            return Err(ReadError::BeyondEnd { end: marks.end });
        }
        match self.look(shared, from, bytes_max, out)? {
            Look::Done => Ok(()),
            Look::Ask => {
                Err(io_error(Fault { code: 0, text: "the brokers disagree about the stream's ends".into() }))
            }
        }
    }

    fn look(
        &self,
        shared: &Shared,
        from: Offset,
        bytes_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Look, ReadError> {
        // The ends that are known without asking the client library: this is on every reader's way.
        let low = Offset(self.low.load(Ordering::Acquire));
        if from < low {
            return Err(ReadError::Trimmed { low });
        }
        if from.0 > self.end.load(Ordering::Acquire) && from > self.watermarks().end {
            return Ok(Look::Ask);
        }
        let mut feeds = self.feeds();
        loop {
            let Some(nr) = self.feed_at(shared, &mut feeds, from.0).map_err(io_error)? else {
                self.starving.store(true, Ordering::Release);
                return Ok(Look::Done);
            };
            let Err(trouble) = self.read_feed(shared, &mut feeds, nr, (from.0, bytes_max), out) else {
                return Ok(Look::Done);
            };
            // Whoever reads on begins with another feed.
            let feed = feeds.list.swap_remove(nr);
            self.follow_leader(&feeds);
            if feed.next() >= from.0 {
                drop(feeds);
                return self.explain(shared, trouble);
            }
            // It was on its way here, and what stopped it lies behind this reader.
        }
    }

    /// Reads from one feed, and lets it forget what it need not keep.
    fn read_feed(
        &self,
        shared: &Shared,
        feeds: &mut Feeds,
        nr: usize,
        (from, bytes_max): (u64, usize),
        out: &mut Vec<Record>,
    ) -> Result<(), Trouble> {
        let Feeds { list, room } = feeds;
        let before = list[nr].next();
        let result = list[nr].read(from, bytes_max, room, out);
        let next = list[nr].next();
        let leads = list.iter().all(|feed| feed.next() <= next);
        if next > before {
            self.end.fetch_max(next, Ordering::AcqRel);
        }
        let kept = if leads { shared.tail_bytes_max } else { TRAILING_BYTES_MAX.min(shared.tail_bytes_max) };
        list[nr].trim(from, kept);
        result
    }

    fn explain(&self, shared: &Shared, trouble: Trouble) -> Result<Look, ReadError> {
        match trouble {
            Trouble::OutOfRange => Ok(Look::Ask),
            Trouble::Fault(fault) => Err(io_error(fault)),
            Trouble::Corrupt { offset, what } => {
                Err(ReadError::Corrupt(Corruption { file: self.id.to_string(), position: offset, what }))
            }
            Trouble::BadStamp { offset } => {
                shared.fail_bad_stamp(self.id);
                let what =
                    "the record has no time of the log: the topic is not set to LogAppendTime".to_owned();
                Err(ReadError::Corrupt(Corruption { file: self.id.to_string(), position: offset, what }))
            }
        }
    }

    /// The feed for a reader at `from`; a new one if none is near. None if there are too many already.
    fn feed_at(&self, shared: &Shared, feeds: &mut Feeds, from: u64) -> Result<Option<usize>, Fault> {
        let near = feeds.list.iter().enumerate().filter(|(_, feed)| feed.serves(from));
        if let Some((nr, _)) = near.max_by_key(|(_, feed)| feed.next()) {
            return Ok(Some(nr));
        }
        if feeds.list.len() >= FEEDS_MAX {
            let now = Instant::now();
            let idle = feeds.list.iter().enumerate().filter(|(_, feed)| feed.may_end(now));
            let Some((nr, _)) = idle.min_by_key(|(_, feed)| feed.last_read) else {
                return Ok(None);
            };
            drop(feeds.list.swap_remove(nr));
        }
        let taken = |lane: &usize| feeds.list.iter().any(|feed| feed.lane == *lane);
        let lane = (0..FEEDS_MAX).find(|lane| !taken(lane)).expect("there are as many lanes as feeds");
        let topic = shared.lanes.get(shared, self.id.topic, lane)?;
        feeds.list.push(Feed::start(self.id, lane, topic, from, &self.subscribers)?);
        self.follow_leader(feeds);
        Ok(Some(feeds.list.len() - 1))
    }

    fn follow_leader(&self, feeds: &Feeds) {
        let leader = feeds.leader().map(|feed| Arc::clone(&feed.topic));
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    pub(super) fn trim(&self, shared: &Shared, below: Offset) -> Result<(), TrimError> {
        let mut durable = self.watermarks().durable;
        if below > durable {
            let asked = self.refresh(shared, shared.ask_timeout);
            durable = asked.map_err(|fault| TrimError::Io(Arc::new(fault.into())))?.durable;
        }
        if below > durable {
            return Err(TrimError::BeyondDurable { durable });
        }
        self.trim_mark.fetch_max(below.0, Ordering::AcqRel);
        Ok(())
    }
}

pub(super) fn io_error(fault: Fault) -> ReadError {
    ReadError::Io(Arc::new(io::Error::from(fault)))
}
