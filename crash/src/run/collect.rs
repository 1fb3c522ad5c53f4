//! Reads both topics back to their ends.

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{OrderedLog, StreamId, Topic};

use super::RunError;
use crate::evidence::{COMMANDS, DECISIONS, DumpWriter};

const READ_BYTES_MAX: usize = 4 << 20;
/// A partition that gives nothing for so long, although it is not at its end, cannot be read.
const STALLED_AFTER: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Writes dumps of the commands and the decisions. Nobody writes to them any more.
pub(super) fn dump(log: &dyn OrderedLog, directory: &Path) -> Result<(), RunError> {
    for (topic, name) in [(Topic::InventoryCommands, COMMANDS), (Topic::InventoryDecisions, DECISIONS)] {
        let mut writer = DumpWriter::create(&directory.join(name))?;
        for partition in 0..log.partitions(topic) {
            let stream = StreamId { topic, partition: PartitionId(partition) };
            dump_stream(log, stream, &mut writer)?;
        }
        writer.finish()?;
    }
    Ok(())
}

fn dump_stream(log: &dyn OrderedLog, stream: StreamId, writer: &mut DumpWriter) -> Result<(), RunError> {
    let ends = log
        .refresh(stream)
        .map_err(|error| RunError::Failed(format!("asking for the ends of {stream}: {error}")))?;
    let (mut next, mut records) = (ends.low, Vec::new());
    let mut moved = Instant::now();
    while next < ends.end {
        records.clear();
        let read = log.read(stream, next, READ_BYTES_MAX, &mut records);
        read.map_err(|error| RunError::Failed(format!("reading {stream} back: {error}")))?;
        for record in &records {
            writer.write(stream.partition.0, record.offset.0, record.append_time.0, &record.payload)?;
            next = Offset(record.offset.0 + 1);
            moved = Instant::now();
        }
        if records.is_empty() {
            if moved.elapsed() > STALLED_AFTER {
                return Err(RunError::Failed(format!("{stream} cannot be read beyond {next}")));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}
