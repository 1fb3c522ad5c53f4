//! Runs the machine over the log again, and holds what it says against what was said.
//!
//! The work is done by the engine's own standby worker on a log that is only read, with a checkpoint store that writes
//! nothing. So a replay derives outputs exactly as a server does, and compares each with the one in the log byte for byte.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use holdfast_contracts::decision::decode_decisions;
use holdfast_contracts::{LogTime, Offset, OutSeq, PartitionId};
use holdfast_core::{Machine, MachineConfig, PageSink};
use holdfast_engine::rocks::ReadOnlyDb;
use holdfast_engine::{
    Anchor, CheckpointStore, PageVisitor, Role, StopReason, StoreError, Worker, WorkerConfig,
};
use holdfast_log::{OrderedLog, StreamId, Topic};
use serde::Serialize;

use crate::bounded::BoundedLog;
use crate::data::{DataDir, checkpoints_refused};
use crate::failure::{Exit, Failure, causes};
use crate::live::{self, LiveState};
use crate::output::{Answer, Output, Table};

/// What a replay of one partition came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Replayed {
    pub(crate) partition: u32,
    /// The first command record replayed: 0, or where the checkpoint stands if the log was trimmed.
    pub(crate) from_offset: u64,
    /// The first command record not replayed.
    pub(crate) to_offset: u64,
    /// Digest of the state after all of it.
    pub(crate) digest: String,
    /// Where the live state is known, oldest first: in the checkpoint, and from the server if one runs.
    pub(crate) live: Vec<Compared>,
    /// Outputs in the decisions log that were compared, byte for byte with their chain.
    pub(crate) outputs_compared: u64,
    /// Outputs of the last commands that are not in the decisions log yet.
    pub(crate) outputs_to_come: u64,
    /// What does not agree; empty if all does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<String>,
}

/// A digest of the live state, beside the one the replay has at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Compared {
    pub(crate) source: &'static str,
    pub(crate) offset: u64,
    pub(crate) live_digest: String,
    pub(crate) replayed_digest: String,
}

/// The answer of `replay`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Replays(Vec<Replayed>);

impl Answer for Replays {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&[
            "partition",
            "from",
            "to",
            "digest",
            "live",
            "at",
            "live digest",
            "replayed there",
            "outputs compared",
            "to come",
            "verdict",
        ]);
        for it in &self.0 {
            let compared = it.live.last();
            table.row([
                it.partition.to_string(),
                it.from_offset.to_string(),
                it.to_offset.to_string(),
                it.digest.clone(),
                compared.map(|it| it.source.to_owned()).unwrap_or_default(),
                compared.map(|it| it.offset.to_string()).unwrap_or_default(),
                compared.map(|it| it.live_digest.clone()).unwrap_or_default(),
                compared.map(|it| it.replayed_digest.clone()).unwrap_or_default(),
                it.outputs_compared.to_string(),
                it.outputs_to_come.to_string(),
                it.difference.clone().unwrap_or_else(|| "same".to_owned()),
            ]);
        }
        table
    }
}

/// Replays every partition, or one, and prints what came of it.
pub(crate) fn run(data: &DataDir, only: Option<u32>, output: Output) -> Result<(), Failure> {
    // Asked first: what it has seen is in the log by the time the log is opened.
    let server = live::ask(&data.live_socket());
    if server.is_some() {
        output.say("a server runs on this data directory and has said what its state is");
    }
    let log: Arc<dyn OrderedLog> = Arc::new(data.read_log()?);
    let checkpoints = data.read_checkpoints()?;
    let partitions = log.partitions(Topic::InventoryCommands);
    if let Some(wrong) = only.filter(|only| *only >= partitions) {
        return Err(Failure::usage(format!("there is no partition {wrong}; the log has {partitions}")));
    }
    let wanted = (0..partitions).filter(|partition| only.is_none_or(|only| only == *partition));
    let mut replays = Vec::new();
    for partition in wanted {
        let state = server.iter().flatten().find(|state| state.partition == partition);
        replays.push(replay(&log, checkpoints.as_ref(), state, PartitionId(partition))?);
        output.say(&format!("partition {partition} replayed"));
    }
    let replays = Replays(replays);
    output.answer(&replays)?;
    let different = replays.0.iter().filter(|replayed| replayed.difference.is_some()).count();
    if different > 0 {
        let detail = format!("{different} of {} partitions replay to something else", replays.0.len());
        return Err(Failure::new(Exit::Findings, "REPLAY_DIFFERS", detail).advise(
            "run the build that wrote the log; if it is this one, keep the data directory and report a bug",
        ));
    }
    Ok(())
}

/// A place where the live state is known.
struct Mark {
    source: &'static str,
    offset: Offset,
    out_seq: OutSeq,
    digest: String,
}

impl Mark {
    fn all(anchor: Option<&Anchor>, server: Option<&LiveState>) -> Vec<Self> {
        let checkpoint = anchor.map(|it| Self {
            source: "checkpoint",
            offset: it.next_offset,
            out_seq: it.out_seq,
            digest: it.digest.to_string(),
        });
        let server = server.map(|it| Self {
            source: "server",
            offset: Offset(it.next_offset),
            out_seq: OutSeq(it.out_seq),
            digest: it.digest.clone(),
        });
        let mut marks: Vec<_> = checkpoint.into_iter().chain(server).collect();
        marks.sort_by_key(|mark| mark.offset);
        marks
    }
}

/// Replays one partition.
///
/// # Errors
/// If log or checkpoint cannot be read. That something differs is an answer.
pub(crate) fn replay(
    log: &Arc<dyn OrderedLog>,
    checkpoints: Option<&ReadOnlyDb>,
    server: Option<&LiveState>,
    partition: PartitionId,
) -> Result<Replayed, Failure> {
    let commands = StreamId::inventory_commands(partition);
    let marks = log.watermarks(commands);
    let trimmed = marks.low > Offset(0);
    let store = ReadOnlyStore { db: checkpoints, partition, load_pages: trimmed };
    let anchor = store.anchor().map_err(|error| checkpoints_refused(&error))?;
    let from =
        if trimmed { anchor.as_ref().map_or(marks.low, |anchor| anchor.next_offset) } else { Offset(0) };

    let mut replayed = Replayed {
        partition: partition.0,
        from_offset: from.0,
        to_offset: marks.end.0,
        digest: String::new(),
        live: Vec::new(),
        outputs_compared: 0,
        outputs_to_come: 0,
        difference: None,
    };
    if let Some(other) = anchor.as_ref().filter(|anchor| anchor.log_id != log.log_id()) {
        replayed.difference = Some(format!("the checkpoint belongs to log {}", other.log_id));
        return Ok(replayed);
    }
    let known = Mark::all(anchor.as_ref(), server);
    let first_stop = known.first().map_or(marks.end, |mark| mark.offset.min(marks.end));
    let view = Arc::new(BoundedLog::new(Arc::clone(log), first_stop));
    let run = || Run::new(&view, store, partition)?.go(&view, &known, marks.end, &mut replayed);
    let stopped = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => return Ok(replayed),
        Ok(Err(reason)) => reason,
        Err(_) => {
            replayed.difference = Some("the machine broke an invariant".to_owned());
            return Ok(replayed);
        }
    };
    match stopped {
        StopReason::Read(error) => Err(Failure::of("LOG_UNREADABLE", "reading the log", &error)),
        StopReason::Store(error) => Err(checkpoints_refused(&error)),
        reason => {
            replayed.difference = Some(causes(&reason));
            Ok(replayed)
        }
    }
}

/// A replay under way.
struct Run<'a> {
    worker: Worker<Machine, ReadOnlyStore<'a>>,
    log: Arc<dyn OrderedLog>,
    partition: PartitionId,
    first_out_seq: OutSeq,
}

impl<'a> Run<'a> {
    fn new(
        view: &Arc<BoundedLog>,
        store: ReadOnlyStore<'a>,
        partition: PartitionId,
    ) -> Result<Self, StopReason> {
        let log: Arc<dyn OrderedLog> = view.clone();
        let machine = MachineConfig::new(partition, log.partitions(Topic::InventoryCommands), log.log_id());
        let config = WorkerConfig { read_bytes_max: 4 << 20, ..WorkerConfig::new(partition) };
        let worker = Worker::open(config, &machine, Arc::clone(&log), store, Role::Standby)?;
        let first_out_seq = worker.out_seq();
        Ok(Self { worker, log, partition, first_out_seq })
    }

    /// To every place where the live state is known, then to the end.
    fn go(
        mut self,
        view: &BoundedLog,
        known: &[Mark],
        end: Offset,
        replayed: &mut Replayed,
    ) -> Result<(), StopReason> {
        for mark in known {
            view.show_up_to(mark.offset.min(end));
            self.run_to_end()?;
            let digest = self.worker.machine().digest().to_string();
            let difference = self.against(mark, &digest);
            replayed.difference = replayed.difference.take().or(difference);
            replayed.live.push(Compared {
                source: mark.source,
                offset: mark.offset.0,
                live_digest: mark.digest.clone(),
                replayed_digest: digest,
            });
        }
        view.show_up_to(end);
        self.run_to_end()?;
        replayed.digest = self.worker.machine().digest().to_string();
        let derived = self.worker.out_seq();
        replayed.outputs_to_come = self.worker.outputs_unacknowledged() as u64;
        replayed.outputs_compared = derived.0 - self.first_out_seq.0 - replayed.outputs_to_come;
        let found = self.last_output()?;
        if found > derived {
            return Err(StopReason::OutputAhead { found, derived });
        }
        Ok(())
    }

    fn run_to_end(&mut self) -> Result<(), StopReason> {
        // A standby looks at no clock: it writes neither ticks nor checkpoints.
        while self.worker.step(LogTime(0))?.progressed {}
        Ok(())
    }

    /// What the live state says otherwise.
    fn against(&self, mark: &Mark, digest: &str) -> Option<String> {
        let (source, at) = (mark.source, mark.offset);
        if self.worker.next_offset() != at {
            let end = self.worker.next_offset();
            return Some(format!(
                "the {source} has seen the commands up to offset {at}, but the log ends at {end}"
            ));
        }
        if mark.out_seq != self.worker.out_seq() {
            let (live, replayed) = (mark.out_seq, self.worker.out_seq());
            return Some(format!(
                "at offset {at} the {source} had given {live} outputs, the replay {replayed}"
            ));
        }
        (mark.digest != digest)
            .then(|| format!("at offset {at} the {source} has digest {}, the replay {digest}", mark.digest))
    }

    /// Number of the last output in the decisions log.
    fn last_output(&self) -> Result<OutSeq, StopReason> {
        let decisions = StreamId::inventory_decisions(self.partition);
        let marks = self.log.watermarks(decisions);
        if marks.end == marks.low {
            return Ok(OutSeq(0));
        }
        let last = Offset(marks.end.0 - 1);
        let mut records = Vec::new();
        self.log.read(decisions, last, 1, &mut records)?;
        let batch = records.first().and_then(|record| decode_decisions(&record.payload).ok());
        batch.map(|batch| batch.envelope.out_seq).ok_or(StopReason::ForeignOutput(last))
    }
}

/// The checkpoint of a partition, or none, and nowhere to write another.
#[derive(Clone, Copy)]
pub(crate) struct ReadOnlyStore<'a> {
    pub(crate) db: Option<&'a ReadOnlyDb>,
    pub(crate) partition: PartitionId,
    /// Whether a worker begins with the checkpoint, not at the beginning of the log.
    pub(crate) load_pages: bool,
}

impl ReadOnlyStore<'_> {
    /// Where the checkpoint stands.
    pub(crate) fn anchor(&self) -> Result<Option<Anchor>, StoreError> {
        self.db.map_or(Ok(None), |db| db.load(self.partition, &mut |_, _, _| Ok(())))
    }
}

impl PageSink for ReadOnlyStore<'_> {
    fn put(&mut self, _: u8, _: u64, _: &[u8]) {}

    fn delete(&mut self, _: u8, _: u64) {}
}

impl CheckpointStore for ReadOnlyStore<'_> {
    fn load(&mut self, visit: &mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError> {
        match self.db {
            Some(db) if self.load_pages => db.load(self.partition, visit),
            _ => Ok(None),
        }
    }

    fn begin_whole(&mut self) {}

    fn commit(&mut self, _: &Anchor) {}

    fn poll(&mut self) -> Result<Option<Anchor>, StoreError> {
        Ok(None)
    }
}
