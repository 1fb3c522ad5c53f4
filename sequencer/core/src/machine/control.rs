//! Commands that are none of a buyer's: who may give them, and those that are about time and rules.

use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::control::split_control_mac;
use holdfast_contracts::decision::Reason;
use holdfast_contracts::{IntakeId, LogId, LogTime, RequestTag};

use super::{Context, Halt, Machine, MachineConfig};
use crate::rules::Rules;

impl Machine {
    /// Decides a command that is none of a buyer's, if the record may have it.
    pub(super) fn decide_control(
        &mut self,
        context: &mut Context<'_, '_>,
        command: &Command<'_>,
    ) -> Result<(), Halt> {
        if !self.may_control(context) {
            // Before anything is looked up or remembered: the genuine command with this id still has its turn.
            context.say().refused(command.control_id(), false, Reason::UnauthenticatedControl, None, 0);
            return Ok(());
        }
        match command {
            Command::SetStock(it) => self.set_stock(context, it),
            Command::AdjustStock(it) => self.adjust_stock(context, it),
            Command::DefineSale(it) => self.define_sale(context, it),
            Command::OpenSale { sale_id } => self.open_sale(context, sale_id),
            Command::PauseSale { sale_id, freeze_ttl } => self.pause_sale(context, sale_id, *freeze_ttl),
            Command::CloseSale { sale_id } => self.close_sale(context, sale_id),
            Command::Tick { wall, log_id } => return self.tick(context, *wall, *log_id),
            Command::ActivateRules { version, dedupe_window_ms, work_per_record_max } => {
                if !Rules::knows(*version) {
                    return Err(Halt::UnknownRules(*version));
                }
                self.activate_rules(context, *version, *dedupe_window_ms, *work_per_record_max);
            }
            Command::Reserve(_)
            | Command::BeginPayment { .. }
            | Command::Confirm { .. }
            | Command::Release { .. }
            | Command::Extend { .. } => unreachable!("buyers need no code"),
        }
        Ok(())
    }

    /// Whether the record at hand may have control commands. Its bytes are hashed at most once, and only if there is a key.
    fn may_control(&self, context: &mut Context<'_, '_>) -> bool {
        let MachineConfig { control_key: Some(key), log_id, partition, .. } = &self.config else {
            return true;
        };
        if cfg!(feature = "mutant-31") && split_control_mac(context.payload).is_none() {
            return true;
        }
        let payload = context.payload;
        *context.authentic.get_or_insert_with(|| key.verifies(*log_id, *partition, payload))
    }

    fn activate_rules(
        &mut self,
        context: &mut Context<'_, '_>,
        version: u32,
        dedupe_window_ms: u64,
        work_per_record_max: u32,
    ) {
        let in_force = if cfg!(feature = "mutant-30") { self.rules.version } else { version };
        self.rules = self.rules.activated(in_force, dedupe_window_ms, work_per_record_max);
        context.say().rules_activated(version);
        for sale in self.sales.numbers() {
            self.serve_sale(context, sale);
        }
    }

    fn tick(
        &mut self,
        context: &mut Context<'_, '_>,
        wall: LogTime,
        log_id: Option<LogId>,
    ) -> Result<(), Halt> {
        let bound = self.config.log_id;
        if let Some(found) = log_id
            && found != bound
        {
            return Err(Halt::OtherLog { bound, found });
        }
        let before = self.clock.now();
        let event = self.clock.tick(context.offset, context.appended, wall);
        self.after_clock(context, before, event);
        context.out.nothing();
        Ok(())
    }

    /// A command record that only lets time pass in this machine's partition, authenticated if there is a key.
    #[must_use]
    pub fn tick_record(&self, wall: LogTime, log_id: LogId) -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        builder.start(IntakeId(0), RequestTag(0));
        builder.push(&Command::Tick { wall, log_id: Some(log_id) });
        builder.record_for(self.config.control_key.as_ref(), log_id, self.config.partition)
    }
}
