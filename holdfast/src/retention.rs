//! Forgets the part of the log that a verified checkpoint covers and that is old enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast_contracts::{LogTime, Offset, PartitionId};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{Anchor, Machine as _, Restoring, StoreError, record_hash};
use holdfast_log::{OrderedLog, StreamId, Topic};

use crate::config::RetentionConfig;
use crate::data::DataDir;
use crate::failure::{Failure, causes};

/// Looks from time to time for what may be forgotten, on a thread that exists only while it looks.
pub(crate) struct Retention {
    keep_ms: u64,
    every: Duration,
    next: Instant,
    data: DataDir,
    log: Arc<dyn OrderedLog>,
    looking: Option<JoinHandle<()>>,
    ending: Arc<AtomicBool>,
}

impl Retention {
    pub(crate) fn new(config: &RetentionConfig, data: DataDir, log: Arc<dyn OrderedLog>) -> Self {
        let every = Duration::from_millis(config.check_every_ms.get());
        Self {
            keep_ms: config.keep_ms,
            every,
            next: Instant::now() + every,
            data,
            log,
            looking: None,
            ending: Arc::default(),
        }
    }

    /// Begins to look if it is time to and nobody looks already.
    pub(crate) fn step(&mut self) {
        if self.keep_ms == 0 || Instant::now() < self.next {
            return;
        }
        if self.looking.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.next = Instant::now() + self.every;
        let (data, log, keep_ms) = (self.data.clone(), Arc::clone(&self.log), self.keep_ms);
        let ending = Arc::clone(&self.ending);
        let spawned = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(move || forget(&data, log.as_ref(), keep_ms, &ending));
        match spawned {
            Ok(thread) => self.looking = Some(thread),
            Err(error) => tracing::warn!(error = causes(&error), "retention could not look"),
        }
    }

    /// Waits for whoever looks.
    pub(crate) fn end(mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.looking.take() {
            // Its panic was logged.
            thread.join().ok();
        }
    }
}

/// One look at every partition.
fn forget(data: &DataDir, log: &dyn OrderedLog, keep_ms: u64, ending: &AtomicBool) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let before = LogTime(u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(keep_ms));
    for partition in (0..log.partitions(Topic::InventoryCommands)).map(PartitionId) {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        match forget_of(data, log, partition, before) {
            Ok(None) => {}
            Ok(Some((commands, decisions))) => tracing::info!(
                partition = partition.0,
                commands_below = commands.0,
                decisions_below = decisions.0,
                "the log may forget what a verified checkpoint covers"
            ),
            Err(failure) => tracing::warn!(
                partition = partition.0,
                reason = failure.detail,
                "nothing is forgotten: the checkpoint could not be verified"
            ),
        }
    }
}

/// Trims one partition as far as it may be trimmed; says below which offsets.
pub(crate) fn forget_of(
    data: &DataDir,
    log: &dyn OrderedLog,
    partition: PartitionId,
    before: LogTime,
) -> Result<Option<(Offset, Offset)>, Failure> {
    let (commands, decisions) =
        (StreamId::inventory_commands(partition), StreamId::inventory_decisions(partition));
    let low = log.watermarks(commands).low;
    // Without anything old enough there is no reason to load a checkpoint.
    if first_since(log, commands, before)? <= low {
        return Ok(None);
    }
    let Some(anchor) = verified(data, log, partition)? else { return Ok(None) };
    // The last record that is in the checkpoint stays: a start compares it.
    let covered = Offset(anchor.next_offset.0.saturating_sub(1));
    let below = covered.min(first_since(log, commands, before)?);
    if below <= low {
        return Ok(None);
    }
    let outputs_below = anchor.out_offset.min(first_since(log, decisions, before)?);
    let refused = |error| Failure::of("TRIM", "trimming the log", &error);
    log.trim(commands, below).map_err(refused)?;
    log.trim(decisions, outputs_below).map_err(refused)?;
    Ok(Some((below, outputs_below)))
}

/// The checkpoint on the disk, once it was loaded whole, has the digest it claims, and fits the log.
fn verified(data: &DataDir, log: &dyn OrderedLog, partition: PartitionId) -> Result<Option<Anchor>, Failure> {
    let Some(db) = data.read_checkpoints()? else { return Ok(None) };
    let config = MachineConfig::new(partition, log.partitions(Topic::InventoryCommands), log.log_id());
    let mut restore = Machine::restore(&config);
    let refused = |error: StoreError| Failure::of("CHECKPOINTS", "loading the checkpoint", &error);
    let anchor = db
        .load(partition, &mut |kind, number, bytes| Restoring::page(&mut restore, kind, number, bytes))
        .map_err(refused)?;
    let Some(anchor) = anchor else { return Ok(None) };
    let machine = Restoring::finish(restore).map_err(|error| refused(error.into()))?;
    let differs = |what: &str| {
        Failure::new(
            crate::failure::Exit::Failed,
            "CHECKPOINTS",
            format!("the checkpoint has another {what}"),
        )
    };
    if machine.digest() != anchor.digest {
        return Err(differs("digest than it claims"));
    }
    if anchor.log_id != log.log_id() {
        return Err(differs("log"));
    }
    let Some(last) = anchor.next_offset.0.checked_sub(1).map(Offset) else { return Ok(None) };
    let mut records = Vec::new();
    log.read(StreamId::inventory_commands(partition), last, 1, &mut records)
        .map_err(|error| Failure::of("LOG_UNREADABLE", "reading the log", &error))?;
    if records.first().map(record_hash) != anchor.last_record {
        return Err(differs("last record than the log"));
    }
    Ok(Some(anchor))
}

/// The first record that is not older than `before`, found by halving: append times of the embedded log do not fall.
fn first_since(log: &dyn OrderedLog, stream: StreamId, before: LogTime) -> Result<Offset, Failure> {
    let marks = log.watermarks(stream);
    let (mut low, mut high) = (marks.low.0, marks.end.0);
    let mut records = Vec::new();
    while low < high {
        let middle = low + (high - low) / 2;
        records.clear();
        log.read(stream, Offset(middle), 1, &mut records)
            .map_err(|error| Failure::of("LOG_UNREADABLE", "reading the log", &error))?;
        match records.first() {
            Some(record) if record.append_time < before => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Offset(low))
}
