//! The whole way in one process: embedded log, engine, checkpoints in RocksDB, and somebody who reads the decisions.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_contracts::decision::{Outcome, decode_decisions};
use holdfast_contracts::{Offset, PartitionId};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{PartitionState, Sequencer, SequencerConfig, WorkerConfig, rocks::CheckpointDb};
use holdfast_log::{
    AppendError, Doorbell, EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, StreamId, doorbell,
};

use crate::clock::{process_cpu, since, thread_times};

/// What may go wrong while something is measured.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The only partition: a hot SKU has one, and so has everything here.
pub const ONLY: PartitionId = PartitionId(0);
/// Its commands.
pub const COMMANDS: StreamId = StreamId::inventory_commands(ONLY);
/// Its decisions.
pub const DECISIONS: StreamId = StreamId::inventory_decisions(ONLY);

/// Nothing that works takes this long.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often somebody who waits looks although nobody has rung.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of decisions read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// A log, its sequencer and their checkpoints in one directory.
pub struct Pipeline {
    /// The log.
    pub log: Arc<dyn OrderedLog>,
    /// What runs the machine.
    pub sequencer: Sequencer<Machine>,
    /// How long each part of opening took.
    pub opening: Opening,
}

/// How long the parts of opening took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening {
    /// Opening the log, which checks its bytes.
    pub log: Duration,
    /// Opening the database.
    pub database: Duration,
}

/// How a pipeline is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The worker.
    pub worker: WorkerConfig,
    /// Whether there is a warm standby.
    pub standby: bool,
    /// Ids and holds that the machine is told to expect, as an operator does before a sale (`sequencer.room_for_ids`).
    pub room: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { worker: WorkerConfig::new(ONLY), standby: false, room: 0 }
    }
}

impl Settings {
    /// No checkpoint comes by itself.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        self.worker.checkpoint_after_bytes = u64::MAX;
        self.worker.checkpoint_after_ms = u64::MAX;
        self.worker.checkpoint_idle_ms = u64::MAX;
        self
    }
}

/// What came out of a run.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// Requests granted.
    pub granted: u64,
    /// Requests refused.
    pub refused: u64,
    /// Bytes of command records.
    pub command_bytes: u64,
    /// Bytes of decision records.
    pub decision_bytes: u64,
    /// Decision records.
    pub records: u64,
    /// From the first append to the last decision read.
    pub wall: Duration,
    /// Processor time of the whole process.
    pub cpu: Duration,
    /// Processor time by name of thread.
    pub threads: BTreeMap<String, Duration>,
}

impl Pipeline {
    /// Opens what is in the directory, or begins there.
    ///
    /// # Errors
    /// When log or database cannot be opened.
    pub fn open(directory: &Path, settings: &Settings) -> Result<Self> {
        let start = Instant::now();
        let log = EmbeddedLog::open(&directory.join("log"), &EmbeddedConfig::new(Layout::inventory(1)?))?;
        let log: Arc<dyn OrderedLog> = Arc::new(log);
        let opened_log = start.elapsed();
        let start = Instant::now();
        let db = Arc::new(CheckpointDb::open(&directory.join("checkpoints"))?);
        let database = start.elapsed();
        let machine = MachineConfig {
            room_for_ids: settings.room,
            room_for_holds: settings.room,
            ..MachineConfig::new(ONLY, 1, log.log_id())
        };
        let config = SequencerConfig {
            partitions: vec![(settings.worker.clone(), machine)],
            threads: 1,
            standby: settings.standby,
        };
        let sequencer = Sequencer::start(&log, &config, move |partition| db.partition(partition));
        Ok(Self { log, sequencer, opening: Opening { log: opened_log, database } })
    }

    /// Waits until its partition answers.
    ///
    /// # Errors
    /// When it stops instead.
    pub fn wait_until_live(&self) -> Result<()> {
        self.wait_for("the partition to be live", || Ok(self.sequencer.statuses()[0].is_live().then_some(())))
    }

    /// Waits until a look finds something, and fails when the partition stops instead.
    ///
    /// # Errors
    /// After two minutes, or when the look or the partition fails.
    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if let PartitionState::Stopped(reason) = &self.sequencer.statuses()[0].state {
                return Err(format!("while waiting for {what} the partition stopped: {reason}").into());
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {what}").into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Appends records that hold no requests, and waits until they are applied.
    ///
    /// # Errors
    /// When the log does not take them.
    pub fn prepare(&self, records: &[Bytes]) -> Result<()> {
        for record in records {
            self.log.append(COMMANDS, record.clone())?.wait(PATIENCE).ok_or("no answer from the log")??;
        }
        let end = self.log.watermarks(COMMANDS).end;
        self.wait_for("the opening to be applied", || {
            Ok((self.sequencer.statuses()[0].next_offset >= end).then_some(()))
        })
    }

    /// Appends records of together so many requests, with at most `under_way_max` records between the first append and
    /// the last decision read, and reads all decisions.
    ///
    /// # Errors
    /// When the log does not take them, or the decisions do not come.
    pub fn run(&self, records: &[Bytes], requests: u64, under_way_max: u64) -> Result<Flow> {
        let from = self.log.watermarks(DECISIONS).end;
        let answered = Arc::new(AtomicU64::new(0));
        let (bell, mut listener) = doorbell();
        let reader = Reader { log: Arc::clone(&self.log), from, requests, answered, producer: bell.clone() };
        let answered = Arc::clone(&reader.answered);
        let threads = thread_times();
        let (start, cpu) = (Instant::now(), process_cpu());
        let reading = std::thread::Builder::new().name("consumer".to_owned()).spawn(move || reader.run())?;
        let _room = self.log.subscribe(COMMANDS, bell.waker());
        for (appended, record) in (0u64..).zip(records) {
            while appended - answered.load(Ordering::Acquire) >= under_way_max && !reading.is_finished() {
                listener.wait_until(Instant::now() + LOOK);
            }
            while let Err(error) = self.log.append(COMMANDS, record.clone()) {
                if !matches!(error, AppendError::Full | AppendError::DiskFull) || start.elapsed() > PATIENCE {
                    return Err(error.into());
                }
                listener.wait_until(Instant::now() + LOOK);
            }
        }
        // The thread's own times end with it, so it takes them along.
        let (flow, consumer) = reading.join().map_err(|_| "the consumer panicked")??;
        let wall = start.elapsed();
        let mut times = since(&threads);
        times.insert("consumer".to_owned(), consumer);
        let command_bytes = records.iter().map(|record| record.len() as u64).sum();
        Ok(Flow { wall, cpu: process_cpu().saturating_sub(cpu), threads: times, command_bytes, ..flow })
    }
}

/// Reads decisions until so many requests are answered.
struct Reader {
    log: Arc<dyn OrderedLog>,
    from: Offset,
    requests: u64,
    answered: Arc<AtomicU64>,
    producer: Doorbell,
}

impl Reader {
    fn run(self) -> Result<(Flow, Duration)> {
        let (bell, mut listener) = doorbell();
        let _subscription = self.log.subscribe(DECISIONS, bell.waker());
        let (mut flow, mut next, mut last_seq) = (Flow::default(), self.from, None);
        let mut records = Vec::new();
        let mut progress = Instant::now();
        while flow.granted + flow.refused < self.requests {
            listener.take();
            self.log.read(DECISIONS, next, READ_BYTES_MAX, &mut records)?;
            if records.is_empty() {
                if progress.elapsed() > PATIENCE {
                    return Err("no decisions come".into());
                }
                listener.wait_until(Instant::now() + LOOK);
                continue;
            }
            progress = Instant::now();
            for record in records.drain(..) {
                next = record.offset.next();
                let batch = decode_decisions(&record.payload).map_err(|error| format!("{error:?}"))?;
                let seq = batch.envelope.out_seq.0;
                if last_seq.is_some_and(|last| seq != last + 1) {
                    return Err(format!("output {seq} follows {last_seq:?}").into());
                }
                last_seq = Some(seq);
                for decision in batch.decisions() {
                    match decision.outcome {
                        Some(Outcome::Reserved { .. }) => flow.granted += 1,
                        Some(Outcome::Refused { .. }) => flow.refused += 1,
                        _ => {}
                    }
                }
                flow.records += 1;
                flow.decision_bytes += record.payload.len() as u64;
                self.answered.fetch_add(1, Ordering::Release);
            }
            self.producer.ring();
        }
        Ok((flow, crate::clock::thread_cpu()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Kind, Work};

    #[test]
    fn every_request_is_answered_and_as_many_are_granted_as_there_are_units() {
        for kind in [Kind::Accept, Kind::Soldout, Kind::Zipf, Kind::Mixed] {
            let directory = tempfile::tempdir().expect("a directory");
            let pipeline = Pipeline::open(directory.path(), &Settings::default()).expect("it opens");
            let mut work = Work::new(kind, 7);
            pipeline.prepare(&work.opening(20_000)).expect("the sale opens");
            let flow = pipeline.run(&work.records(20_000, 300), 20_000, 8).expect("it runs");
            assert_eq!((flow.granted, flow.granted + flow.refused), (kind.granted(20_000), 20_000));
            pipeline.sequencer.stop(PATIENCE);
        }
    }
}
