//! Searches a partition for an id, as fast as memory can be read.

use std::collections::BTreeSet;

use holdfast_contracts::decision::decode_decisions;
use holdfast_contracts::{Offset, PartitionId, ReservationId};
use holdfast_log::{OrderedLog, ReadError, Record, StreamId};
use memchr::memmem::Finder;

use crate::failure::Failure;

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// Where a partition mentions an id.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Command records that mention it, or whose decision records do.
    pub(super) sources: BTreeSet<Offset>,
    /// Decision records that do.
    pub(super) outputs: Vec<Record>,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}

/// Finds every record that has the bytes of this id, and what those answer.
pub(super) fn find(
    log: &dyn OrderedLog,
    partition: PartitionId,
    id: ReservationId,
) -> Result<Found, Failure> {
    let finder = Finder::new(&id.0);
    let mut found = Found::default();
    each_record(log, StreamId::inventory_commands(partition), |record| {
        if finder.find(&record.payload).is_some() {
            found.sources.insert(record.offset);
        }
    })?;
    let mut outputs = Vec::new();
    each_record(log, StreamId::inventory_decisions(partition), |record| {
        if finder.find(&record.payload).is_some() {
            outputs.push(record.clone());
        }
    })?;
    for record in outputs {
        // Something that is no decision record may contain anything.
        if let Ok(batch) = decode_decisions(&record.payload) {
            found.sources.insert(batch.envelope.source_offset);
            found.outputs.push(record);
        }
    }
    Ok(found)
}

/// Shows every record of a stream, from its beginning to its end as of now.
pub(super) fn each_record(
    log: &dyn OrderedLog,
    stream: StreamId,
    look: impl FnMut(&Record),
) -> Result<(), Failure> {
    let marks = log.watermarks(stream);
    each_record_from(log, stream, marks.low, look)
}

/// Shows every record of a stream from an offset on, to its end as of now.
pub(super) fn each_record_from(
    log: &dyn OrderedLog,
    stream: StreamId,
    from: Offset,
    mut look: impl FnMut(&Record),
) -> Result<(), Failure> {
    let end = log.watermarks(stream).end;
    let mut next = from;
    let mut records = Vec::new();
    while next < end {
        records.clear();
        match log.read(stream, next, READ_BYTES, &mut records) {
            Ok(()) => {}
            // A running server trims what nobody needs.
            Err(ReadError::Trimmed { low }) if low > next => next = low,
            Err(error) => return Err(Failure::of("LOG_UNREADABLE", "reading the log", &error)),
        }
        for record in &records {
            look(record);
            next = record.offset.next();
        }
    }
    Ok(())
}
