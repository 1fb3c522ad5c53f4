//! From a command that is due to its decision: a producer that batches as the intake does, the sequencer, and a reader
//! of the decisions.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_benches::pipeline::{COMMANDS, DECISIONS, Result};
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::Offset;
use holdfast_contracts::decision::{Outcome, decode_decisions};
use holdfast_log::{OrderedLog, Ticket, doorbell};

use super::broker::{PATIENCE, unparking};
use super::hops::{Load, send_when_due};
use super::ours::{Deciding, Topics};
use super::schedule::{Latencies, Schedule};
use crate::group::Setup;

/// Bytes of decisions read at once.
const READ_BYTES_MAX: usize = 1 << 20;
/// How often somebody who waits looks although nobody has rung.
const LOOK: Duration = Duration::from_millis(100);

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) latencies: Latencies,
    pub(crate) commands_per_record: f64,
}

/// One run over topics of its own. Asking and deciding have a log each, as processes of their own have.
pub(crate) fn run(setup: &Setup, topics: &Topics<'_>, load: Load) -> Result<Decided> {
    let directory = tempfile::tempdir_in(&setup.directory)?;
    let schedule = Schedule { rate: load.rate, start: Instant::now() };
    let (warm, commands) = (schedule.commands_in(load.warm), schedule.commands_in(load.warm + load.counted));
    let mut work = Work::new(Kind::Accept, 1);
    let opening = work.opening(commands);
    topics.fill(&opening, &[])?;
    let deciding = Deciding::start(topics.open()?, directory.path(), usize::try_from(commands)?)?;
    deciding.wait_for(opening.len() as u64)?;
    let log = topics.open()?;
    let schedule = Schedule { start: Instant::now() + Duration::from_millis(300), ..schedule };
    let decided = std::thread::scope(|scope| {
        let read = scope.spawn({
            let log = Arc::clone(&log);
            move || read(log.as_ref(), schedule, warm, commands)
        });
        let records = ask(log.as_ref(), &mut work, schedule, commands);
        let latencies = read.join().map_err(|_| "the reader panicked")??;
        Ok(Decided { latencies, commands_per_record: commands as f64 / records? as f64 })
    });
    deciding.stop();
    log.close();
    decided
}

/// Appends what is due.
fn ask(log: &dyn OrderedLog, work: &mut Work, schedule: Schedule, commands: u64) -> Result<u64> {
    let _woken = log.subscribe(COMMANDS, unparking());
    let under_way: RefCell<VecDeque<Ticket>> = RefCell::default();
    send_when_due(
        schedule,
        commands,
        |_, count| {
            let payload = Bytes::copy_from_slice(work.record(u32::try_from(count)?));
            under_way.borrow_mut().push_back(log.append(COMMANDS, payload)?);
            Ok(())
        },
        || {
            let mut under_way = under_way.borrow_mut();
            while let Some(result) = under_way.front().and_then(Ticket::result) {
                result?;
                under_way.pop_front();
            }
            Ok(under_way.len() as u64)
        },
    )
}

/// Reads all decisions. They come in the order of the commands, one for each.
fn read(log: &dyn OrderedLog, schedule: Schedule, warm: u64, commands: u64) -> Result<Latencies> {
    let (bell, mut listener) = doorbell();
    let _subscription = log.subscribe(DECISIONS, bell.waker());
    let (mut latencies, mut command, mut next) = (Latencies::new()?, 0, Offset(0));
    let (mut records, mut progress) = (Vec::new(), Instant::now());
    while command < commands {
        listener.take();
        log.read(DECISIONS, next, READ_BYTES_MAX, &mut records)?;
        if records.is_empty() {
            if progress.elapsed() > PATIENCE {
                return Err(format!("{command} of {commands} commands were decided").into());
            }
            listener.wait_until(Instant::now() + LOOK);
            continue;
        }
        for record in records.drain(..) {
            next = record.offset.next();
            let batch = decode_decisions(&record.payload).map_err(|error| format!("{error:?}"))?;
            progress = Instant::now();
            for decision in batch.decisions() {
                match decision.outcome {
                    Some(Outcome::Reserved { .. }) => {}
                    Some(Outcome::Refused { reason, .. }) => {
                        return Err(format!("command {command} was refused: {reason:?}").into());
                    }
                    // What opened the sale.
                    _ => continue,
                }
                if command >= warm {
                    latencies.record(progress.saturating_duration_since(schedule.due(command)));
                }
                command += 1;
            }
        }
    }
    Ok(latencies)
}
