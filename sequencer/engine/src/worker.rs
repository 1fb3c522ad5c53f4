//! One partition's worker: a state machine that is stepped.
//!
//! The order of the steps is the whole recovery story. A worker that begins reads its checkpoint, makes sure that the
//! log is the one the checkpoint was made from, reads which outputs are in the decisions log already, and then does what it
//! always does: poll, apply, emit. Outputs that are in the log already are compared and not appended again.

pub(crate) mod begin;
mod checkpoint;
mod emit;
pub(crate) mod open;
mod role;
mod tick;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_contracts::{Chain, LogTime, Offset, OutSeq, PartitionId};
use holdfast_log::{OrderedLog, ReadError, Record, StreamId, Ticket};

use crate::anchor::Anchor;
use crate::machine::{Machine, input};
use crate::stop::StopReason;
use crate::store::CheckpointStore;
use crate::tail::OutputTail;

pub(crate) use watch::STUCK_AFTER_MS;

/// Whether a worker emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Applies and emits.
    Active,
    /// Applies, compares its outputs with those that somebody else emits, and is ready to take over.
    Standby,
}

/// Settings of a worker. None of them changes an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// The partition.
    pub partition: PartitionId,
    /// Bytes of commands read at once.
    pub read_bytes_max: usize,
    /// Bytes of a checkpoint copied between two reads.
    pub copy_bytes_per_step: usize,
    /// A checkpoint begins when so many bytes of commands came since the last ...
    pub checkpoint_after_bytes: u64,
    /// ... or when so much time passed and it is worth it: at least 64 KiB came ...
    pub checkpoint_after_ms: u64,
    /// ... or when so much time passed and anything came.
    pub checkpoint_idle_ms: u64,
    /// Outputs that may wait for their acknowledgement before reading pauses.
    pub unacknowledged_outputs_max: usize,
    /// Bytes of outputs that a standby keeps until somebody emits them. It reads no further when there are more.
    pub standby_outputs_bytes_max: usize,
    /// Whether a standby writes checkpoints. Only where nobody else writes to its store.
    pub standby_checkpoints: bool,
    /// A quiet partition gets a tick this often, so that log time never stands still for long.
    pub idle_tick_ms: u64,
}

impl WorkerConfig {
    /// The settings used unless somebody says otherwise.
    #[must_use]
    pub const fn new(partition: PartitionId) -> Self {
        Self {
            partition,
            read_bytes_max: 1 << 20,
            copy_bytes_per_step: 256 << 10,
            checkpoint_after_bytes: 64 << 20,
            checkpoint_after_ms: 1_000,
            checkpoint_idle_ms: 60_000,
            unacknowledged_outputs_max: 65_536,
            standby_outputs_bytes_max: 64 << 20,
            standby_checkpoints: false,
            idle_tick_ms: 1_000,
        }
    }
}

/// Fewer bytes of commands are replayed faster than a checkpoint is written.
pub(crate) const CHECKPOINT_BYTES_MIN: u64 = 64 << 10;

/// How soon to look again for what nobody announces.
const LOOK_MS: u64 = 2;
/// The same when nothing came of it for long.
const LOOK_MS_LONG: u64 = 50;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Something was done, so another step may find more.
    pub progressed: bool,
    /// Step again at this time at the latest, whatever the log does.
    pub wake_at: Option<LogTime>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Looks up the record its checkpoint ends with.
    Anchor,
    /// Reads which outputs are in the log already.
    Tail { until: Offset },
    /// Polls, applies, emits.
    Running,
}

/// An output that is not known to be in the log.
#[derive(Debug)]
struct Unsaid {
    out_seq: OutSeq,
    /// The command it answers.
    source: Offset,
    payload: Bytes,
}

impl Unsaid {
    /// Bytes it takes to keep it.
    fn weight(&self) -> usize {
        self.payload.len() + size_of::<Self>()
    }
}

/// An output that is appended and not yet acknowledged.
#[derive(Debug)]
struct InFlight {
    output: Unsaid,
    ticket: Ticket,
}

/// One partition: its machine, and where it stands in its logs.
pub struct Worker<M, S> {
    config: WorkerConfig,
    log: Arc<dyn OrderedLog>,
    store: S,
    machine: M,
    role: Role,
    phase: Phase,
    anchor: Anchor,
    /// The first command not applied.
    next: Offset,
    /// The last command applied.
    last: Option<Record>,
    out_seq: OutSeq,
    chain: Chain,
    tail: OutputTail,
    /// Outputs that the log has not taken yet.
    blocked: VecDeque<Unsaid>,
    /// Bytes in them.
    blocked_bytes: usize,
    in_flight: VecDeque<InFlight>,
    /// Up to which output, and where in the decisions log, everything is durable.
    durable: (OutSeq, Offset),
    /// Commands that were in the log when the worker began: once they are applied it is ready.
    target: Offset,
    /// The outputs in the log were compared with those of all commands.
    caught_up: bool,
    /// No further commands are read: the partition is being handed over.
    is_paused: bool,
    watch: watch::Watch,
    checkpoint: checkpoint::Progress,
    tick: tick::Ticker,
    records: Vec<Record>,
    commands_applied: u64,
    /// What was wrong with the checkpoint, if something else had to stand in for it.
    damage: Option<String>,
    /// For a planted bug only.
    #[cfg(feature = "mutant-12")]
    wall: LogTime,
}

impl<M: Machine, S: CheckpointStore> Worker<M, S> {
    fn commands(&self) -> StreamId {
        StreamId { topic: M::COMMANDS, partition: self.config.partition }
    }

    fn decisions(&self) -> StreamId {
        StreamId { topic: M::DECISIONS, partition: self.config.partition }
    }

    /// Does what can be done now. `wall` is the caller's wall clock: it decides when to write ticks and checkpoints, and
    /// reaches the machine only as content of a tick.
    ///
    /// # Errors
    /// [`StopReason`] when the partition must stand still. The worker is of no use afterwards, with one exception: when the
    /// log could not be asked ([`StopReason::is_outage`]) nothing is half done and stepping may go on.
    ///
    /// # Panics
    /// When the machine breaks an invariant. The worker is of no use afterwards.
    pub fn step(&mut self, wall: LogTime) -> Result<Step, StopReason> {
        let mut step = match self.phase {
            Phase::Anchor => self.step_anchor()?,
            Phase::Tail { until } => self.step_tail(until)?,
            Phase::Running => return self.step_running(wall),
        };
        if !step.progressed {
            // Nobody rings when a log that fetches from elsewhere has these records at hand.
            step.wake_at = Some(wall.plus_ms(LOOK_MS));
        }
        Ok(step)
    }

    fn step_running(&mut self, wall: LogTime) -> Result<Step, StopReason> {
        #[cfg(feature = "mutant-12")]
        {
            self.wall = wall;
        }
        self.settle()?;
        let mut progressed = self.push_blocked()?;
        if self.may_read() {
            progressed |= self.read_and_apply()?;
        }
        if self.role == Role::Standby {
            progressed |= self.compare_with_log()?;
        }
        self.keep_watch(wall);
        self.check_caught_up()?;
        progressed |= self.step_checkpoint(wall)?;
        let wake_at = if progressed || self.is_paused { None } else { self.step_tick(wall)? };
        Ok(Step { progressed, wake_at: earlier(wake_at, self.wait_until(wall)) })
    }

    fn may_read(&self) -> bool {
        let has_room = match self.role {
            Role::Active => {
                self.blocked.is_empty() && self.in_flight.len() < self.config.unacknowledged_outputs_max
            }
            // It cannot keep everything until somebody emits it.
            Role::Standby => self.blocked_bytes < self.config.standby_outputs_bytes_max,
        };
        has_room && !self.is_paused
    }

    /// Polls a batch of commands and applies each.
    fn read_and_apply(&mut self) -> Result<bool, StopReason> {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let read = self.log.read(self.commands(), self.next, self.config.read_bytes_max, &mut records);
        let mut result = match read {
            Ok(()) => Ok(!records.is_empty()),
            Err(ReadError::Trimmed { low }) => Err(StopReason::TrimGap { needed: self.next, low }),
            Err(error) => Err(error.into()),
        };
        for record in records.drain(..) {
            result = self.apply(record);
            // The next record may be one to stop at, and nothing that was decided before it may go unsaid.
            let is_blocked = self.role == Role::Active && !self.blocked.is_empty();
            if result.is_err() || is_blocked || self.is_full_of_outputs() {
                break;
            }
        }
        self.records = records;
        result
    }

    fn apply(&mut self, record: Record) -> Result<bool, StopReason> {
        // A record from before a revoked assignment would be applied twice, one beyond a hole would skip others.
        assert_eq!(record.offset, self.next, "commands are applied in order and without holes");
        #[cfg(not(feature = "mutant-12"))]
        let decided = input(&record);
        #[cfg(feature = "mutant-12")]
        let decided = crate::machine::Input { append_time: self.wall, ..input(&record) };
        let source = record.offset;
        let output = self.derive(decided)?;
        self.checkpoint.count(record.payload.len());
        self.tick.saw(record.append_time);
        self.next = record.offset.next();
        self.last = Some(record);
        self.commands_applied += 1;
        match output {
            Some(payload) => self.emit(source, payload).map(|()| true),
            None => Ok(true),
        }
    }

    /// Makes sure that the log holds no output that the commands did not give.
    fn check_caught_up(&mut self) -> Result<(), StopReason> {
        if self.caught_up || self.next < self.target {
            return Ok(());
        }
        self.caught_up = true;
        let found = self.tail.highest();
        if self.role == Role::Active && found > self.out_seq {
            return Err(StopReason::OutputAhead { found, derived: self.out_seq });
        }
        Ok(())
    }

    /// When something besides the log is to be looked at.
    fn wait_until(&self, wall: LogTime) -> Option<LogTime> {
        let polls = self.checkpoint.is_waiting() || self.role == Role::Active && !self.blocked.is_empty();
        polls.then(|| wall.plus_ms(if self.watch.waits_long(wall) { LOOK_MS_LONG } else { LOOK_MS }))
    }

    /// Whether everything is applied that was in the log when the worker began.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.next >= self.target
    }

    /// The machine, to be looked at.
    #[must_use]
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Whether it emits.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The first command not applied.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next
    }

    /// The commands that must be applied before the worker is ready.
    #[must_use]
    pub const fn target(&self) -> Offset {
        self.target
    }

    /// Number of the last output derived.
    #[must_use]
    pub const fn out_seq(&self) -> OutSeq {
        self.out_seq
    }

    /// The anchor of the last checkpoint that counts.
    #[must_use]
    pub const fn checkpoint(&self) -> &Anchor {
        &self.anchor
    }

    /// Command records applied by this worker.
    #[must_use]
    pub const fn records_applied(&self) -> u64 {
        self.commands_applied
    }

    /// What was wrong with the last checkpoint, if an older one or the log had to stand in for it.
    #[must_use]
    pub fn checkpoint_damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Outputs not yet acknowledged by the log.
    #[must_use]
    pub fn outputs_unacknowledged(&self) -> usize {
        self.in_flight.len() + self.blocked.len()
    }

    /// The first command whose output is not known to be in the log.
    #[must_use]
    pub fn acknowledged_offset(&self) -> Offset {
        self.first_unsaid().map_or(self.next, |output| output.source)
    }

    /// Bytes of the last checkpoint written.
    #[must_use]
    pub const fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint.bytes_written()
    }

    /// Takes the worker apart; the store can serve another.
    #[must_use]
    pub fn into_store(self) -> S {
        self.store
    }
}

fn earlier(a: Option<LogTime>, b: Option<LogTime>) -> Option<LogTime> {
    a.into_iter().chain(b).min()
}
