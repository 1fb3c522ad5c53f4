//! The machine: everything a partition knows, and the one function that moves it.

mod context;
mod control;

use holdfast_contracts::command::{BatchHeader, BatchScratch, Command, decode_batch};
use holdfast_contracts::decision::{BodyWriter, Granted};
use holdfast_contracts::{ControlKey, CustomerId, Digest, LogId, LogTime, Offset, PartitionId, WireError};

use crate::accounts::Accounts;
use crate::ahead::{AHEAD, Ahead};
use crate::clock::{self, Clock};
use crate::hash::Sum;
use crate::holds::Holds;
use crate::ids::IdTable;
use crate::lines::Lines;
use crate::rules::Rules;
use crate::sales::Sales;
use crate::skus::Skus;
use crate::wants::Want;
use crate::wheel::Wheel;
use crate::work::Work;
pub(crate) use context::{Context, DictionaryEntry};

/// What a machine is, beside its state. Nothing here changes an answer but [`MachineConfig::control_key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineConfig {
    /// The partition it decides for.
    pub partition: PartitionId,
    /// How many partitions there are: a SKU belongs to `murmur2(SKU) mod partitions`.
    pub partitions: u32,
    /// The log it is bound to. A tick that names another stops it.
    pub log_id: LogId,
    /// With a key, commands that are none of a buyer's are refused unless their record is authenticated with it. It
    /// belongs to the log for as long as that lasts: with another key, or without, the same records get other answers,
    /// so a checkpoint made with another one is refused.
    pub control_key: Option<ControlKey>,
    /// Bins of the id table, a power of two up to 4096. More are faster with many ids, fewer are smaller.
    pub id_bins: usize,
    /// Slots of the timing wheel, a power of two from 64. A slot is 16 ms.
    pub wheel_slots: usize,
    /// Remembered ids that memory is taken for at the start, about 30 bytes each. More than these are as welcome, but memory
    /// for them is taken when they come, and a record that needs it waits for it.
    pub room_for_ids: usize,
    /// Holds likewise, about 65 bytes each beside their ids.
    pub room_for_holds: usize,
}

impl MachineConfig {
    /// The sizes used in production.
    #[must_use]
    pub const fn new(partition: PartitionId, partitions: u32, log_id: LogId) -> Self {
        Self {
            partition,
            partitions,
            log_id,
            control_key: None,
            id_bins: 4096,
            wheel_slots: 1 << 16,
            room_for_ids: 0,
            room_for_holds: 0,
        }
    }
}

/// A record of the commands log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRecord<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// When the log took it in, by the log's own clock.
    pub append_time: LogTime,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Why a machine cannot go on. The partition stops; nothing is guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The log activates rules that this build does not know.
    #[error("the log activates rules version {0}, which this build does not know; run a build that does")]
    UnknownRules(u32),
    /// A tick belongs to another log.
    #[error("a tick names log {found}, but this partition belongs to log {bound}")]
    OtherLog {
        /// The log the machine is bound to.
        bound: LogId,
        /// The log named.
        found: LogId,
    },
}

/// Watches a machine decide, command by command.
pub trait Probe {
    /// Called before each command of a record, which was decoded whole.
    fn before(&mut self, machine: &Machine, index: u32, command: &Command<'_>);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoProbe;

impl Probe for NoProbe {
    #[inline(always)]
    fn before(&mut self, _: &Machine, _: u32, _: &Command<'_>) {}
}

/// The inventory of one partition: a pure function from command records to decision records.
#[derive(Debug)]
pub struct Machine {
    pub(crate) config: MachineConfig,
    pub(crate) clock: Clock,
    pub(crate) rules: Rules,
    /// When the current generation of ids began.
    pub(crate) generation_began: LogTime,
    pub(crate) ids: IdTable,
    pub(crate) holds: Holds,
    pub(crate) lines: Lines,
    pub(crate) accounts: Accounts,
    pub(crate) skus: Skus,
    pub(crate) sales: Sales,
    pub(crate) wheel: Wheel,
    pub(crate) work: Work,
    /// Elements of all live holds.
    pub(crate) live_sum: Sum,
    pub(crate) sweep: crate::sweep::Sweep,
    pub(crate) copying: crate::checkpoint::Copying,
    scratch: Scratch,
}

/// Memory used again for every record.
#[derive(Debug, Default)]
struct Scratch {
    batch: BatchScratch,
    dictionary: Vec<DictionaryEntry>,
    wants: Vec<Want>,
    granted: Vec<Granted>,
}

impl Machine {
    /// A machine that has seen nothing.
    #[must_use]
    pub fn new(config: MachineConfig) -> Self {
        let mut machine = Self::unprepared(config);
        machine.prepare();
        machine
    }

    /// Takes the memory that the configuration asks for.
    pub(crate) fn prepare(&mut self) {
        let MachineConfig { room_for_ids, room_for_holds, .. } = self.config;
        if room_for_ids > 0 {
            self.ids.prepare(room_for_ids);
        }
        if room_for_holds > 0 {
            self.accounts.prepare(room_for_holds);
            self.holds.slots.prepare(room_for_holds);
        }
    }

    /// A machine that has seen nothing and takes memory as it needs it.
    pub(crate) fn unprepared(config: MachineConfig) -> Self {
        Self {
            config,
            clock: Clock::default(),
            rules: Rules::default(),
            generation_began: clock::TIME_MIN,
            ids: IdTable::new(config.id_bins),
            holds: Holds::default(),
            lines: Lines::default(),
            accounts: Accounts::new(config.id_bins),
            skus: Skus::default(),
            sales: Sales::default(),
            wheel: Wheel::new(config.wheel_slots, clock::TIME_MIN),
            work: Work::default(),
            live_sum: Sum::default(),
            sweep: crate::sweep::Sweep::default(),
            copying: crate::checkpoint::Copying::default(),
            scratch: Scratch::default(),
        }
    }

    /// Decides one record: appends the machine's part of its output record to `out` and says whether there is one. If
    /// not, what was appended means nothing.
    ///
    /// # Errors
    /// [`Halt`] when the log asks for something this build must not guess at. The machine is of no use afterwards.
    ///
    /// # Panics
    /// When an invariant is broken. The machine is of no use afterwards; it is rebuilt from checkpoint and log.
    pub fn apply(&mut self, record: InputRecord<'_>, out: &mut Vec<u8>) -> Result<bool, Halt> {
        self.apply_watched(record, out, &mut NoProbe)
    }

    /// As [`Machine::apply`], with somebody watching.
    ///
    /// # Errors
    /// As [`Machine::apply`].
    pub fn apply_watched<P: Probe>(
        &mut self,
        record: InputRecord<'_>,
        out: &mut Vec<u8>,
        probe: &mut P,
    ) -> Result<bool, Halt> {
        let (mut names, mut commands) = self.scratch.batch.lend();
        let decoded = decode_batch(record.payload, &mut names, &mut commands);
        let mut context = Context {
            offset: record.offset,
            appended: clock::clamp(record.append_time),
            payload: record.payload,
            authentic: None,
            names: &names,
            dictionary: std::mem::take(&mut self.scratch.dictionary),
            wants: std::mem::take(&mut self.scratch.wants),
            granted: std::mem::take(&mut self.scratch.granted),
            out: BodyWriter::new(out),
            cause: None,
            said: false,
        };
        let header = decoded.unwrap_or_default();
        self.begin_record(&mut context, header);
        let decided = match decoded {
            Ok(_) => self.decide_all(&mut context, &commands, probe),
            Err(error) => {
                malformed(&mut context, error);
                Ok(())
            }
        };
        self.sweep_some();
        let said = context.said;
        self.scratch.dictionary = context.dictionary;
        self.scratch.wants = context.wants;
        self.scratch.granted = context.granted;
        self.scratch.batch.take_back(names, commands);
        decided.map(|()| said)
    }

    /// Moves log time and does what is due.
    fn begin_record(&mut self, context: &mut Context<'_, '_>, header: BatchHeader) {
        self.skus.begin_record();
        self.work.begin_record();
        let started = self.clock.started().is_some();
        let before = self.clock.now();
        let event = self.clock.record(context.offset, context.appended);
        if !started {
            self.generation_began = self.clock.now();
        }
        context.out.header(self.clock.now(), header.intake_id, header.first_request_tag);
        self.after_clock(context, before, event);
        self.do_due_work(context);
    }

    fn decide_all<P: Probe>(
        &mut self,
        context: &mut Context<'_, '_>,
        commands: &[Command<'_>],
        probe: &mut P,
    ) -> Result<(), Halt> {
        self.resolve(context);
        let mut ahead = self.look_first(context, commands);
        for (index, command) in (0u32..).zip(commands) {
            let at = index as usize;
            self.look_on(context, commands, at, &mut ahead);
            context.cause = Some(index);
            probe.before(self, index, command);
            self.decide(context, command, &ahead[at % AHEAD])?;
        }
        Ok(())
    }

    #[inline]
    fn decide(
        &mut self,
        context: &mut Context<'_, '_>,
        command: &Command<'_>,
        ahead: &Ahead,
    ) -> Result<(), Halt> {
        match command {
            Command::Reserve(it) => self.reserve(context, it, ahead),
            Command::BeginPayment { reservation_id, customer } => {
                self.begin_payment(context, *reservation_id, *customer);
            }
            Command::Confirm { reservation_id, customer, reacquire } => {
                self.confirm(context, *reservation_id, *customer, *reacquire);
            }
            Command::Release { reservation_id, customer } => {
                self.release(context, *reservation_id, *customer);
            }
            Command::Extend { reservation_id, customer, by_ms, command_id } => {
                self.extend(context, *reservation_id, *customer, *by_ms, *command_id);
            }
            Command::SetStock(_)
            | Command::AdjustStock(_)
            | Command::DefineSale(_)
            | Command::OpenSale { .. }
            | Command::PauseSale { .. }
            | Command::CloseSale { .. }
            | Command::Tick { .. }
            | Command::ActivateRules { .. } => return self.decide_control(context, command),
        }
        Ok(())
    }

    /// Digest of the whole state. Equal states have equal digests; takes time proportional to the number of SKUs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut sum = self.skus.sum();
        sum.add(self.live_sum.0);
        for (number, generation) in self.ids.generations.sums() {
            sum.add(generation.0.wrapping_mul(u128::from(2 * number + 1)));
        }
        sum.add(self.small_element());
        Digest(sum.0)
    }

    /// What the machine was made with.
    #[must_use]
    pub const fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// Whether this SKU belongs to this partition.
    pub(crate) fn owns(&self, sku: &str) -> bool {
        holdfast_contracts::murmur2::partition_of(sku, self.config.partitions) == self.config.partition
    }

    /// Bytes of memory that the state takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.holds.memory_bytes()
            + self.lines.memory_bytes()
            + self.accounts.memory_bytes()
            + self.skus.memory_bytes()
            + self.sales.memory_bytes()
            + self.wheel.memory_bytes()
    }

    /// Units of a customer in a listing.
    #[inline]
    pub(crate) fn account(&self, listing: u32, customer: CustomerId) -> u32 {
        self.accounts.find(listing, customer).units
    }

    /// Adds units, at least one, to a customer's account.
    #[inline]
    pub(crate) fn account_add(&mut self, listing: u32, customer: CustomerId, units: u32) {
        let found = self.accounts.find(listing, customer);
        self.accounts.add(found, listing, customer, units);
    }
}

fn malformed(context: &mut Context<'_, '_>, error: WireError) {
    context.say().malformed(error.code());
}
