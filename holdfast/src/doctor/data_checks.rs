//! What the data directory holds: the log, its identity, its checkpoints.

use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_contracts::{LogTime, Offset, PartitionId};
use holdfast_engine::record_hash;
use holdfast_engine::rocks::ReadOnlyDb;
use holdfast_log::{OrderedLog, ReadOnlyLog, StreamId, Topic};

use super::{Finding, Subject};
use crate::data::checkpoints_refused;
use crate::failure::{Failure, causes};

/// A wall clock behind the log by more than this makes time stand still for as long.
const BEHIND_MAX_MS: u64 = 1_000;

pub(super) fn all(subject: &Subject) -> Vec<Finding> {
    let data = &subject.data;
    if data.must_be_one().is_err() {
        return vec![Finding::ok("log", "there is none yet; it is created at the first start")];
    }
    let log = match data.read_log() {
        Ok(log) => log,
        Err(failure) => return vec![Finding::from_failure("log", failure)],
    };
    let mut findings = vec![identity(subject, &log), id_key(subject, &log), last_time(&log)];
    match data.read_checkpoints() {
        Ok(None) => findings.push(Finding::ok("checkpoints", "there are none yet")),
        Ok(Some(db)) => findings.extend(partitions(&log).map(|partition| checkpoint(&log, &db, partition))),
        Err(failure) => findings.push(Finding::from_failure("checkpoints", failure)),
    }
    findings
}

fn partitions(log: &ReadOnlyLog) -> impl Iterator<Item = PartitionId> + use<> {
    (0..log.partitions(Topic::InventoryCommands)).map(PartitionId)
}

fn identity(subject: &Subject, log: &ReadOnlyLog) -> Finding {
    let has = log.partitions(Topic::InventoryCommands);
    let records: u64 = partitions(log)
        .map(|partition| {
            let marks = log.watermarks(StreamId::inventory_commands(partition));
            marks.end.0 - marks.low.0
        })
        .sum();
    let found = format!("log {}, {has} partitions, {records} command records", log.log_id());
    match subject.partitions {
        Some(asked) if asked != has => Finding::fail(
            "log",
            format!("{found}; {asked} partitions are asked for"),
            format!("set partitions back to {has}: the count is pinned when a log is created"),
        ),
        _ => Finding::ok("log", found),
    }
}

/// Whether the reservation ids of this log come from the key that is there.
fn id_key(subject: &Subject, log: &ReadOnlyLog) -> Finding {
    const NAME: &str = "reservation id key";
    let checked = subject.data.identity().and_then(|identity| {
        let pinned = identity.and_then(|it| it.id_key);
        let key = crate::id_key::check(&subject.intake.id_key_path(), pinned.as_deref(), log)?;
        Ok((key.is_some(), pinned.is_some()))
    });
    match checked {
        Ok((true, true)) => Finding::ok(NAME, "it is the one this log was begun with"),
        Ok((true, false)) => Finding::ok(NAME, "it is there, and is pinned at the next start"),
        Ok((false, _)) => Finding::ok(NAME, "there is none yet; it is made at the first start"),
        Err(failure) => Finding::from_failure(NAME, failure),
    }
}

/// Holds the wall clock against the last append.
fn last_time(log: &ReadOnlyLog) -> Finding {
    match newest_append(log) {
        Err(failure) => Finding::from_failure("clock and log", failure),
        Ok(None) => Finding::ok("clock and log", "nothing was appended yet"),
        Ok(Some(newest)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let now = LogTime(u64::try_from(now).unwrap_or(u64::MAX));
            let behind = newest.ms_since(now);
            if behind > BEHIND_MAX_MS {
                return Finding::fail(
                    "clock and log",
                    format!("the wall clock is {behind} ms behind the last append"),
                    "set the clock; until it has caught up, log time stands still and no hold expires",
                );
            }
            Finding::ok("clock and log", format!("the last append was {} ms ago", now.ms_since(newest)))
        }
    }
}

fn newest_append(log: &ReadOnlyLog) -> Result<Option<LogTime>, Failure> {
    let mut newest = None;
    for partition in partitions(log) {
        let stream = StreamId::inventory_commands(partition);
        let marks = log.watermarks(stream);
        if marks.end > marks.low {
            let mut records = Vec::new();
            log.read(stream, Offset(marks.end.0 - 1), 1, &mut records)
                .map_err(|error| Failure::of("LOG_UNREADABLE", "reading the end of the log", &error))?;
            newest = newest.max(records.last().map(|record| record.append_time));
        }
    }
    Ok(newest)
}

/// Whether a checkpoint can be read and was made from this log.
fn checkpoint(log: &ReadOnlyLog, db: &ReadOnlyDb, partition: PartitionId) -> Finding {
    let name = "checkpoint";
    let mut bytes = 0;
    let loaded = db.load(partition, &mut |_, _, page| {
        bytes += page.len();
        Ok(())
    });
    let anchor = match loaded {
        Ok(Some(anchor)) => anchor,
        Ok(None) => return Finding::ok(name, format!("partition {partition}: none yet")),
        Err(error) => return Finding::from_failure(name, checkpoints_refused(&error)),
    };
    let stream = StreamId::inventory_commands(partition);
    let marks = log.watermarks(stream);
    let found =
        format!("partition {partition}: at offset {} of {}, {bytes} bytes", anchor.next_offset, marks.end);
    let fix = "restore log and checkpoints from the same backup";
    if anchor.log_id != log.log_id() {
        return Finding::fail(name, format!("{found}; it belongs to log {}", anchor.log_id), fix);
    }
    if anchor.next_offset > marks.end || anchor.next_offset < marks.low {
        return Finding::fail(name, format!("{found}; the log does not have that offset"), fix);
    }
    if anchor.last_record.is_none() || anchor.next_offset == marks.low {
        return Finding::ok(name, found);
    }
    let mut records = Vec::new();
    match log.read(stream, Offset(anchor.next_offset.0 - 1), 1, &mut records) {
        Err(error) => Finding::fail(name, format!("{found}; {}", causes(&error)), fix),
        Ok(()) if records.first().map(record_hash) == anchor.last_record => Finding::ok(name, found),
        Ok(()) => Finding::fail(name, format!("{found}; the log has another record there"), fix),
    }
}
