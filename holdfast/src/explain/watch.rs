//! Runs the machine over a partition and looks at it where an id is mentioned.

use std::collections::BTreeMap;

use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::decision::{
    DecisionBatch, Envelope, What, decode_decisions, write_chain, write_envelope,
};
use holdfast_contracts::{Chain, Offset, OutSeq, PartitionId, ReservationId};
use holdfast_core::{InputRecord, Machine, MachineConfig, Probe};
use holdfast_engine::rocks::ReadOnlyDb;
use holdfast_engine::{Anchor, Machine as _, Restoring, StoreError};
use holdfast_log::{OrderedLog, Record, StreamId, Topic};

use super::scan::{Found, each_record_from};
use super::{Entry, Now, Seen, words};
use crate::data::checkpoints_refused;
use crate::failure::Failure;

/// What was seen of an id in one partition.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) entries: Vec<Entry>,
    pub(super) now: Option<Now>,
    pub(super) notes: Vec<String>,
}

/// Looks at the commands of one record that are about an id.
struct Look<'a> {
    id: ReservationId,
    names: &'a [&'a str],
    seen: BTreeMap<u32, Seen>,
}

impl Probe for Look<'_> {
    fn before(&mut self, machine: &Machine, index: u32, command: &Command<'_>) {
        if words::ids(command).any(|id| id == self.id) {
            self.seen.insert(index, Seen::of(machine, command, self.names));
        }
    }
}

/// Tells the history of an id in a partition.
pub(super) fn watch(
    log: &dyn OrderedLog,
    checkpoints: Option<&ReadOnlyDb>,
    partition: PartitionId,
    id: ReservationId,
    found: &Found,
) -> Result<Watched, Failure> {
    let mut watched = Watched::default();
    let first = found.sources.first().copied().unwrap_or_default();
    let (mut machine, begin) = begin(log, checkpoints, partition, first)?;
    if begin > first {
        watched.notes.push(format!(
            "partition {partition}: the log no longer reaches back to the beginning, and the checkpoint stands at offset \
             {begin}; what came before is told from the decisions log, without the state it met"
        ));
        tell_from_outputs(partition, id, found, begin, &mut watched.entries);
    }
    let mut halted = None;
    let mut out = Vec::new();
    each_record_from(log, StreamId::inventory_commands(partition), begin, |record| {
        if halted.is_some() {
            return;
        }
        out.clear();
        let applied = if found.sources.contains(&record.offset) {
            apply_watched(&mut machine, record, id, &mut out, &mut watched.entries)
        } else {
            machine.apply(input(record), &mut out).map(|_| ())
        };
        halted = applied.err();
    })?;
    // What a command brings about stands before its answer, as in the record.
    watched.entries.sort_by_key(|entry| (entry.offset, entry.index.map_or(0, |index| index + 1)));
    if let Some(halt) = halted {
        return Err(
            Failure::of("HALTED", "replaying the log", &halt).advise("run a build that knows these rules")
        );
    }
    watched.now = machine.view_id(id).map(|view| Now::of(&view, machine.now().0));
    if watched.now.is_none() {
        watched
            .notes
            .push(format!("partition {partition}: the id is no longer remembered at the end of the log"));
    }
    Ok(watched)
}

/// A machine that has not yet seen `first`, if that can be had, and the first record it has not seen.
fn begin(
    log: &dyn OrderedLog,
    checkpoints: Option<&ReadOnlyDb>,
    partition: PartitionId,
    first: Offset,
) -> Result<(Machine, Offset), Failure> {
    let low = log.watermarks(StreamId::inventory_commands(partition)).low;
    let config = MachineConfig::new(partition, log.partitions(Topic::InventoryCommands), log.log_id());
    if let Some(db) = checkpoints {
        match load(db, &config, log, (low, first)) {
            Ok(Some(loaded)) => return Ok(loaded),
            Ok(None) => {}
            Err(error) if low > Offset(0) => return Err(checkpoints_refused(&error)),
            // The log can do without.
            Err(_) => {}
        }
    }
    if low > Offset(0) {
        return Err(Failure::new(
            crate::failure::Exit::Failed,
            "HISTORY_TRIMMED",
            format!(
                "the log of partition {partition} begins at offset {low} and there is no checkpoint of it"
            ),
        )
        .advise("restore the checkpoint directory or the beginning of the log"));
    }
    Ok((Machine::new(config), Offset(0)))
}

/// The machine in the checkpoint, if it has not yet seen `first` or the log begins too late to do without.
fn load(
    db: &ReadOnlyDb,
    config: &MachineConfig,
    log: &dyn OrderedLog,
    (low, first): (Offset, Offset),
) -> Result<Option<(Machine, Offset)>, StoreError> {
    let is_of_use = |anchor: &Anchor| {
        let is_early_enough = anchor.next_offset <= first || low > Offset(0);
        is_early_enough && anchor.log_id == log.log_id() && anchor.next_offset >= low
    };
    let anchor = db.load(config.partition, &mut |_, _, _| Ok(()))?;
    if !anchor.is_some_and(|anchor| is_of_use(&anchor)) {
        return Ok(None);
    }
    let mut restore = Machine::restore(config);
    let page = &mut |kind, number, bytes: &[u8]| Restoring::page(&mut restore, kind, number, bytes);
    // A server may have written another one since.
    let Some(anchor) = db.load(config.partition, page)?.filter(is_of_use) else { return Ok(None) };
    Ok(Some((Restoring::finish(restore)?, anchor.next_offset)))
}

fn input(record: &Record) -> InputRecord<'_> {
    InputRecord { offset: record.offset, append_time: record.append_time, payload: &record.payload }
}

/// Applies a record that mentions the id, and writes down what it says of it.
fn apply_watched(
    machine: &mut Machine,
    record: &Record,
    id: ReservationId,
    out: &mut Vec<u8>,
    entries: &mut Vec<Entry>,
) -> Result<(), holdfast_core::Halt> {
    let (mut names, mut commands) = (Vec::new(), Vec::new());
    // A record that is not a batch is answered as malformed; it then has no commands.
    let _malformed = decode_batch(&record.payload, &mut names, &mut commands);
    let mut look = Look { id, names: &names, seen: BTreeMap::new() };
    write_envelope(out, Envelope { source_offset: record.offset, out_seq: OutSeq(1) });
    machine.apply_watched(input(record), out, &mut look)?;
    write_chain(out, Chain::default());
    let batch = decode_decisions(out).expect("the machine writes what can be read");
    tell(machine.config().partition, id, &batch, &names, &commands, &look.seen, entries);
    Ok(())
}

/// Writes down what a decision record says of an id.
fn tell(
    partition: PartitionId,
    id: ReservationId,
    batch: &DecisionBatch<'_>,
    names: &[&str],
    commands: &[Command<'_>],
    seen: &BTreeMap<u32, Seen>,
    entries: &mut Vec<Entry>,
) {
    let skus: Vec<_> = batch.skus().collect();
    let entry = |index, asked, (code, answer), rule| Entry {
        partition: partition.0,
        offset: batch.envelope.source_offset.0,
        index,
        log_time_ms: batch.log_time.0,
        log_time: words::time(batch.log_time.0),
        asked,
        code,
        answer,
        rule,
        replay: false,
        seen: None,
    };
    for event in batch.events() {
        let (What::Expired { id: of, .. } | What::Offered { id: of, .. }) = event.what else { continue };
        if of == id {
            let asked = if event.cause.is_some() { "(by another command)" } else { "(time)" };
            let words = words::event(&event.what, &skus);
            entries.push(entry(event.cause, asked.to_owned(), words, words::event_rule(&event.what)));
        }
    }
    for (index, decision) in (0u32..).zip(batch.decisions()) {
        let command = commands.get(index as usize);
        let is_meant = command.map_or(decision.id == Some(id), |it| words::ids(it).any(|of| of == id));
        if !is_meant {
            continue;
        }
        let seen = seen.get(&index).cloned();
        let (asked, rule) = match command {
            Some(command) => (words::asked(command, names), words::rule(command, &decision, seen.as_ref())),
            None => ("(the command was trimmed)".to_owned(), String::new()),
        };
        let told = entry(Some(index), asked, words::answer(&decision, &skus), rule);
        entries.push(Entry { replay: decision.replay, seen, ..told });
    }
}

/// Tells what came before the machine could look, from the answers that were given then.
fn tell_from_outputs(
    partition: PartitionId,
    id: ReservationId,
    found: &Found,
    begin: Offset,
    entries: &mut Vec<Entry>,
) {
    let mut last = OutSeq(0);
    for record in &found.outputs {
        let Ok(batch) = decode_decisions(&record.payload) else { continue };
        // Another owner may have written the same output again.
        if batch.envelope.source_offset < begin && batch.envelope.out_seq > last {
            last = batch.envelope.out_seq;
            tell(partition, id, &batch, &[], &[], &BTreeMap::new(), entries);
        }
    }
}
