//! Copies records that could not be decoded to where people can look at them. The machine has answered them already.
//!
//! The place of the copier is not stored: the last dead letter of a partition says how far it came, and the decisions after
//! that are looked through again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast_contracts::decision::decode_decisions;
use holdfast_contracts::wire::WireError;
use holdfast_contracts::{Offset, PartitionId};
use holdfast_core::Machine;
use holdfast_engine::{Assignment, Sequencer};
use holdfast_log::kafka::dead_letters::{DeadLetter, DeadLetters};
use holdfast_log::kafka::{ConfigError, KafkaConfig, KafkaError};
use holdfast_log::{Doorbell, OrderedLog, ReadError, StreamId, doorbell};

/// Bytes of decisions read at once.
const READ_BYTES_MAX: usize = 1 << 20;
/// Records of several owners that may stand in another order than the commands.
const MIXED_MAX: u64 = 4_096;
/// How long one record of the log may take to come.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Longest sleep between two looks at what is owned.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was copied.
#[derive(Debug, Default)]
pub(super) struct DeadFigures(AtomicU64);

impl DeadFigures {
    pub(super) fn sent(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Copies the dead letters of the partitions that this process owns. Dropping it ends its thread.
pub(super) struct Copier {
    end: Arc<AtomicBool>,
    bell: Doorbell,
    thread: Mutex<Option<JoinHandle<()>>>,
    figures: Arc<DeadFigures>,
}

impl Copier {
    pub(super) fn start(
        kafka: &KafkaConfig,
        log: Arc<dyn OrderedLog>,
        sequencer: &Arc<Sequencer<Machine>>,
    ) -> Result<Self, ConfigError> {
        let letters = DeadLetters::open(kafka)?;
        let (bell, listener) = doorbell();
        let (end, figures) = (Arc::new(AtomicBool::new(false)), Arc::new(DeadFigures::default()));
        let mut copying = Copying {
            letters,
            log,
            sequencer: Arc::downgrade(sequencer),
            figures: Arc::clone(&figures),
            places: BTreeMap::new(),
        };
        let (ended, waker) = (Arc::clone(&end), bell.waker());
        let thread = std::thread::Builder::new().name("dead-letters".to_owned()).spawn(move || {
            let mut listener = listener;
            let mut subscriptions = BTreeMap::new();
            while !ended.load(Ordering::Acquire) {
                let Some(owned) = copying.owned() else { return };
                subscriptions.retain(|partition, _| owned.contains(partition));
                copying.places.retain(|partition, _| owned.contains(partition));
                for partition in owned {
                    let stream = StreamId::inventory_decisions(partition);
                    subscriptions
                        .entry(partition)
                        .or_insert_with(|| copying.log.subscribe(stream, waker.clone()));
                    if let Err(error) = copying.look(partition) {
                        tracing::warn!(
                            partition = partition.0,
                            error = crate::failure::causes(&error),
                            "dead letters wait"
                        );
                        copying.places.remove(&partition);
                    }
                }
                listener.wait_until(Instant::now() + LOOK_EVERY);
            }
        });
        let thread = thread.expect("the system starts a thread");
        Ok(Self { end, bell, thread: Mutex::new(Some(thread)), figures })
    }

    pub(super) fn figures(&self) -> &Arc<DeadFigures> {
        &self.figures
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        self.bell.ring();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that panicked has ended as well.
            thread.join().ok();
        }
    }
}

/// Why dead letters could not be copied just now.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("the brokers could not be asked")]
    Kafka(#[from] KafkaError),
    #[error("the decisions could not be read")]
    Read(#[from] ReadError),
}

/// How far the decisions of a partition were looked through.
#[derive(Debug, Clone, Copy)]
struct Place {
    next: Offset,
    /// Records up to this one were copied.
    copied: Option<Offset>,
}

struct Copying {
    letters: DeadLetters,
    log: Arc<dyn OrderedLog>,
    sequencer: std::sync::Weak<Sequencer<Machine>>,
    figures: Arc<DeadFigures>,
    places: BTreeMap<PartitionId, Place>,
}

impl Copying {
    /// None once the sequencer is gone.
    fn owned(&self) -> Option<Vec<PartitionId>> {
        let statuses = self.sequencer.upgrade()?.statuses();
        let owned = statuses.iter().filter(|it| it.assignment == Assignment::Active && it.is_live());
        Some(owned.map(|it| it.partition).collect())
    }

    fn look(&mut self, partition: PartitionId) -> Result<(), CopyError> {
        let mut place = match self.places.get(&partition) {
            Some(place) => *place,
            None => self.begin(partition)?,
        };
        let stream = StreamId::inventory_decisions(partition);
        let mut records = Vec::new();
        loop {
            match self.log.read(stream, place.next, READ_BYTES_MAX, &mut records) {
                Err(ReadError::Trimmed { low }) => place.next = low,
                read => read?,
            }
            if records.is_empty() {
                self.places.insert(partition, place);
                return Ok(());
            }
            for record in records.drain(..) {
                place.next = record.offset.next();
                let Ok(batch) = decode_decisions(&record.payload) else { continue };
                let source = batch.envelope.source_offset;
                if let Some(code) = batch.malformed.filter(|_| place.copied.is_none_or(|last| source > last))
                {
                    self.copy(partition, source, code)?;
                    place.copied = Some(source);
                }
            }
        }
    }

    /// Where looking begins: after the last dead letter, or at the beginning if there is none.
    fn begin(&self, partition: PartitionId) -> Result<Place, CopyError> {
        let stream = StreamId::inventory_decisions(partition);
        let marks = self.log.refresh(stream)?;
        let Some(last) = self.letters.last_sent(partition)? else {
            return Ok(Place { next: marks.low, copied: None });
        };
        // The decisions follow the commands, so the one about the last dead letter is found by halving. Owners who said the
        // same at the same time may have mixed their records a little; what is looked at twice is not copied twice.
        let (mut from, mut to) = (marks.low.0, marks.end.0);
        while from < to {
            let middle = from + (to - from) / 2;
            match self.source_at(stream, Offset(middle))? {
                Some(source) if source < last => from = middle + 1,
                _ => to = middle,
            }
        }
        let next = Offset(from.saturating_sub(MIXED_MAX).max(marks.low.0));
        Ok(Place { next, copied: Some(last) })
    }

    /// Which command record the decision record at an offset is about. None if it is gone, or not there in time.
    fn source_at(&self, stream: StreamId, offset: Offset) -> Result<Option<Offset>, CopyError> {
        let (bell, mut listener) = doorbell();
        let _woken = self.log.subscribe(stream, bell.waker());
        let deadline = Instant::now() + READ_WITHIN;
        let mut records = Vec::new();
        loop {
            match self.log.read(stream, offset, 1, &mut records) {
                Err(ReadError::Trimmed { .. }) => return Ok(None),
                read => read?,
            }
            if let Some(record) = records.first() {
                return Ok(decode_decisions(&record.payload).ok().map(|batch| batch.envelope.source_offset));
            }
            if !listener.wait_until(deadline) {
                return Ok(None);
            }
        }
    }

    fn copy(&self, partition: PartitionId, offset: Offset, code: u32) -> Result<(), CopyError> {
        let Some(raw) = self.letters.original(partition, offset)? else {
            tracing::warn!(
                partition = partition.0,
                offset = offset.0,
                "a record that could not be decoded is gone"
            );
            return Ok(());
        };
        let reason =
            WireError::from_code(code).map_or_else(|| format!("code {code}"), |error| error.to_string());
        tracing::warn!(partition = partition.0, offset = offset.0, reason, "a record could not be decoded");
        self.letters.send(&DeadLetter {
            partition,
            offset,
            timestamp: raw.timestamp,
            key: raw.key,
            payload: raw.payload,
            reason,
        })?;
        self.figures.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
