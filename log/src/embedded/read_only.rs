//! Looking at a log that somebody else may be writing.
//!
//! Nothing is locked and nothing is written. What the writer appends, prepares and trims meanwhile is noticed by looking
//! again; a frame that is being written is not whole yet, and so is simply not there yet.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};

use bytes::Bytes;
use holdfast_contracts::{LogId, Offset};

use super::{
    disk::{Access, Disk, RealDisk},
    error::{Doing, OpenError},
    frame::{Place, Seed, Subject},
    header::{HeaderFound, SegmentHeader, header_bytes},
    index::Index,
    manifest::{self, Manifest, ManifestFile, Stage},
    read::{Reader, Wanted},
    scan::{Rest, Scan},
    segment::{Segment, Segments, StreamPoint, file_name},
    survey::{Survey, check_header, check_identity, check_sealed, corrupt, refuse_damage, survey},
};
use crate::port::{
    AppendError, OrderedLog, ReadError, Record, Status, StreamId, Subscription, Ticket, Topic, TrimError,
    WakerSet, Watermarks,
};

/// How often the log is looked at again when the writer was in between, before it is called damaged.
const LOOKS_MAX: u32 = 16;
/// How much is read at a time when looking for what is new.
const LOOK_BYTES: usize = 64 << 10;

/// How a log is opened for reading only. By default any log, checked as far back as a server checks it.
#[derive(Debug, Clone, Copy)]
pub struct ReadOnlyConfig {
    /// The log that must be in the directory; `None` takes any.
    pub expected_log_id: Option<LogId>,
    /// Bytes of log that are checked when it is opened, newest first; older ones are checked when they are read.
    pub verify_bytes_max: u64,
}

impl Default for ReadOnlyConfig {
    fn default() -> Self {
        Self { expected_log_id: None, verify_bytes_max: super::config::VERIFY_BYTES_MAX }
    }
}

/// A log that is only read, while a server may be running on its directory.
///
/// It stands still until [`refresh`](Self::refresh) looks for what is new. Its readable end is the end of whole records,
/// also of commands whose flush is still under way; `durable` is what is known to be flushed.
pub struct ReadOnlyLog {
    disk: Arc<dyn Disk>,
    known: Manifest,
    segments: Segments,
    streams: Vec<SeenStream>,
    tail: Mutex<Tail>,
    closed: AtomicBool,
}

struct SeenStream {
    low: AtomicU64,
    end: AtomicU64,
    durable: AtomicU64,
    subscribers: Arc<WakerSet>,
}

/// Where looking stopped.
struct Tail {
    segment: Arc<Segment>,
    points: Vec<StreamPoint>,
    position: u32,
    /// Everything before was flushed.
    flushed: Place,
    /// Records after that: where they begin, and the end of their stream with them.
    unflushed: VecDeque<(Place, usize, Offset)>,
}

impl ReadOnlyLog {
    /// Opens the log in a directory.
    ///
    /// # Errors
    ///
    /// The same refusals as for writing, but a lock is no obstacle.
    pub fn open(directory: &Path, config: &ReadOnlyConfig) -> Result<Self, OpenError> {
        fs::metadata(directory).doing("looking at the log directory")?;
        Self::open_on(
            &(Arc::new(RealDisk::new(directory)) as Arc<dyn Disk>),
            &directory.display().to_string(),
            config,
        )
    }

    pub(super) fn open_on(
        disk: &Arc<dyn Disk>,
        directory: &str,
        config: &ReadOnlyConfig,
    ) -> Result<Self, OpenError> {
        let mut looks = 0;
        loop {
            looks += 1;
            match Self::try_open(disk, directory, config) {
                // The writer may have trimmed a segment between two looks of ours.
                Err(error) if error.is_missing_file() && looks < LOOKS_MAX => {}
                other => return other,
            }
        }
    }

    fn try_open(disk: &Arc<dyn Disk>, directory: &str, config: &ReadOnlyConfig) -> Result<Self, OpenError> {
        let names = disk.list().doing("listing the log directory")?;
        if !names.iter().any(|name| name == manifest::FILE) {
            return Err(OpenError::NoLog { directory: directory.to_owned() });
        }
        let known = ManifestFile::open(&**disk, Access::Read)?.get();
        if known.stage == Stage::Creating {
            return Err(OpenError::NoLog { directory: directory.to_owned() });
        }
        check_identity(&known, config.expected_log_id, None)?;
        // The writer may begin a segment between a look at its header and one at its first frame.
        let found = match survey(&**disk, &known) {
            Err(OpenError::Corrupt(_)) => survey(&**disk, &known)?,
            other => other?,
        };
        let sealed = check_sealed(&**disk, &known, &found.begun, config.verify_bytes_max)?;
        let log = Self::begin(Arc::clone(disk), known, &found, sealed);
        log.refresh()?;
        log.refuse_damage()?;
        Ok(log)
    }

    fn begin(disk: Arc<dyn Disk>, known: Manifest, found: &Survey, sealed: Vec<Segment>) -> Self {
        let last = found.begun.last().expect("a log has a segment that was begun");
        let first = found.begun.first().expect("a log has a segment that was begun");
        let (points, position) = (last.points.clone(), header_bytes(&known.layout));
        let segment = Arc::new(Segment::verified(last.clone(), position, Index::growing(last.points.len())));
        let segments: Vec<_> = sealed.into_iter().map(Arc::new).chain([Arc::clone(&segment)]).collect();
        let seen = |(low, end): (&StreamPoint, &StreamPoint)| SeenStream {
            low: AtomicU64::new(low.next.0),
            end: AtomicU64::new(end.next.0),
            durable: AtomicU64::new(end.next.0),
            subscribers: Arc::default(),
        };
        // The header of a segment is written when everything before it is flushed.
        let flushed = Place { segment: segment.number, position };
        Self {
            streams: first.points.iter().zip(&points).map(seen).collect(),
            tail: Mutex::new(Tail { segment, points, position, flushed, unflushed: VecDeque::new() }),
            segments: Segments::new(segments),
            disk,
            known,
            closed: AtomicBool::new(false),
        }
    }

    /// Looks for what was appended and trimmed since the last look, and wakes subscribers if something was. Returns
    /// whether the end of any stream moved.
    ///
    /// # Errors
    ///
    /// If the log is damaged or cannot be read, or was trimmed beyond what was seen so far, in which case it must be
    /// opened again. What was seen before stays readable.
    pub fn refresh(&self) -> Result<bool, OpenError> {
        let mut tail = self.lock();
        let mut looks = 0;
        // Records are published also when a later one turns out to be damaged.
        let advanced = loop {
            match self.advance(&mut tail, &mut looks) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let manifest = ManifestFile::open(&*self.disk, Access::Read)?.get();
        let flushed = manifest.flushed.min(tail.place());
        tail.vouch(flushed);
        let moved = self.publish(&tail);
        drop(tail);
        self.follow_trimming(manifest.first_segment);
        for stream in self.streams.iter().filter(|_| moved) {
            stream.subscribers.wake_all();
        }
        advanced.map(|()| moved)
    }

    /// Goes on to the end of whole frames of the current segment, and into the next one. True if it did the latter.
    fn advance(&self, tail: &mut Tail, looks: &mut u32) -> Result<bool, OpenError> {
        let name = file_name(tail.segment.number);
        let file = self.disk.open(&name, Access::Read).doing("opening a log segment")?;
        let seed = Seed::new(self.known.log_id, tail.segment.number);
        let mut scan =
            Scan::new(&*file, seed, tail.position, self.known.segment_bytes).with_chunks_of(LOOK_BYTES);
        while let Some(frame) = scan.next().doing("reading a log segment")? {
            let wrong = |what: &str| corrupt(tail.segment.number, frame.position, what);
            let Subject { stream, offset, .. } = frame.header.subject;
            let nr =
                self.known.layout.index(stream).ok_or_else(|| wrong("the record's stream does not exist"))?;
            let before = tail.points[nr].chain;
            tail.points[nr].pass(&frame).map_err(wrong)?;
            tail.segment.index_mut().note(nr, offset, frame.position, before);
            let place = Place { segment: tail.segment.number, position: frame.position };
            tail.unflushed.push_back((place, nr, offset.next()));
            tail.vouch(frame.header.claim);
            tail.position = scan.position();
            tail.segment.set_end(tail.position);
        }
        let Some(header) = self.next_header(tail.segment.number + 1)? else {
            return Ok(false);
        };
        if header.previous_end == tail.position && header.points == tail.points {
            tail.begin(header, header_bytes(&self.known.layout));
            self.segments.push(Arc::clone(&tail.segment));
            return Ok(true);
        }
        // The segment was finished and the next one begun while we looked: what is missing is there by now.
        *looks += 1;
        if *looks < LOOKS_MAX {
            return Ok(true);
        }
        Err(corrupt(
            tail.segment.number,
            tail.position,
            "no whole record, though the segment after it was begun",
        ))
    }

    fn next_header(&self, number: u32) -> Result<Option<SegmentHeader>, OpenError> {
        let file = match self.disk.open(&file_name(number), Access::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.doing("opening a log segment")?,
        };
        match SegmentHeader::read(&*file, &self.known.layout).doing("reading a segment header")? {
            HeaderFound::Header(header) => {
                check_header(&self.known, number, &header)?;
                Ok(Some(header))
            }
            // Not begun, or just being begun.
            HeaderFound::Blank | HeaderFound::Damaged | HeaderFound::Format(_) => Ok(None),
        }
    }

    /// Refuses a hole at the end that was flushed before. It is looked at again before it is believed: the writer may
    /// have filled it in between.
    fn refuse_damage(&self) -> Result<(), OpenError> {
        let mut looks = 0;
        loop {
            let hole = self.lock().place();
            let file =
                self.disk.open(&file_name(hole.segment), Access::Read).doing("opening a log segment")?;
            let rest =
                Rest::read(&*file, hole, self.known.segment_bytes).doing("reading the end of the log")?;
            let Err(damage) = refuse_damage(&self.known, hole, &rest) else {
                return Ok(());
            };
            looks += 1;
            let moved = self.refresh()?;
            if !moved && looks >= LOOKS_MAX {
                return Err(damage);
            }
        }
    }

    fn publish(&self, tail: &Tail) -> bool {
        let mut moved = false;
        for (stream, point) in self.streams.iter().zip(&tail.points) {
            moved |= stream.end.swap(point.next.0, Ordering::AcqRel) != point.next.0;
        }
        let mut durable: Vec<u64> = tail.points.iter().map(|point| point.next.0).collect();
        for &(_, nr, end) in tail.unflushed.iter().rev() {
            durable[nr] = end.0 - 1;
        }
        for (stream, durable) in self.streams.iter().zip(durable) {
            stream.durable.store(durable, Ordering::Release);
        }
        moved
    }

    fn follow_trimming(&self, first_segment: u32) {
        self.segments.forget_below(first_segment);
        if let Some(first) = self.segments.snapshot().first() {
            for (stream, point) in self.streams.iter().zip(&first.start) {
                stream.low.store(point.next.0, Ordering::Release);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self, id: StreamId) -> Option<(usize, &SeenStream)> {
        let index = self.known.layout.index(id)?;
        Some((index, &self.streams[index]))
    }

    fn known_stream(&self, id: StreamId) -> &SeenStream {
        self.stream(id).unwrap_or_else(|| panic!("the log has no stream {id}")).1
    }
}

impl Tail {
    fn place(&self) -> Place {
        Place { segment: self.segment.number, position: self.position }
    }

    /// Takes notice that everything before `claim` was flushed.
    fn vouch(&mut self, claim: Place) {
        self.flushed = self.flushed.max(claim);
        while self.unflushed.front().is_some_and(|(place, ..)| *place < self.flushed) {
            self.unflushed.pop_front();
        }
    }

    /// Goes on in the next segment.
    fn begin(&mut self, header: SegmentHeader, position: u32) {
        self.segment.index_mut().finish();
        let index = Index::growing(header.points.len());
        self.segment = Arc::new(Segment::verified(header, position, index));
        self.position = position;
        self.vouch(self.place());
    }
}

impl SeenStream {
    fn watermarks(&self) -> Watermarks {
        let low = Offset(self.low.load(Ordering::Acquire));
        let durable = Offset(self.durable.load(Ordering::Acquire));
        Watermarks { low, end: Offset(self.end.load(Ordering::Acquire)), durable }
    }
}

impl OrderedLog for ReadOnlyLog {
    fn log_id(&self) -> LogId {
        self.known.log_id
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.known.layout.partitions(topic)
    }

    fn append(&self, stream: StreamId, _payload: Bytes) -> Result<Ticket, AppendError> {
        self.stream(stream).ok_or(AppendError::NoSuchStream(stream))?;
        Err(AppendError::ReadOnly)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        let (index, seen) = self.stream(stream).ok_or(ReadError::NoSuchStream(stream))?;
        let marks = seen.watermarks();
        if from < marks.low {
            return Err(ReadError::Trimmed { low: marks.low });
        }
        if from > marks.end {
            return Err(ReadError::BeyondEnd { end: marks.end });
        }
        if from == marks.end {
            return Ok(());
        }
        let layout = &self.known.layout;
        let reader =
            Reader { disk: &*self.disk, log_id: self.known.log_id, layout, segments: &self.segments };
        let wanted = Wanted { stream, index, from, end: marks.end, bytes_max: max_bytes };
        match reader.read(wanted, None, out)? {
            Some(_) => Ok(()),
            // The writer has removed the file. Everything before the segment we know next is gone as well.
            None => {
                let first = ManifestFile::open(&*self.disk, Access::Read);
                let first = first.map_err(|error| ReadError::Io(Arc::new(std::io::Error::other(error))))?;
                self.follow_trimming(first.get().first_segment);
                Err(ReadError::Trimmed { low: seen.watermarks().low })
            }
        }
    }

    fn watermarks(&self, stream: StreamId) -> Watermarks {
        self.known_stream(stream).watermarks()
    }

    fn subscribe(&self, stream: StreamId, waker: Waker) -> Subscription {
        self.known_stream(stream).subscribers.subscribe(waker)
    }

    fn trim(&self, stream: StreamId, _below: Offset) -> Result<(), TrimError> {
        self.stream(stream).ok_or(TrimError::NoSuchStream(stream))?;
        Err(TrimError::ReadOnly)
    }

    fn resume(&self, _stream: StreamId) {}

    fn status(&self) -> Status {
        if self.closed.load(Ordering::Acquire) { Status::Closed } else { Status::Healthy }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for stream in &self.streams {
            stream.subscribers.wake_all();
        }
    }
}
