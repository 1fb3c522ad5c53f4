//! Section 1.1: who may send control commands.

use holdfast_contracts::command::Command;
use holdfast_contracts::decision::Reason;

use super::{Model, Settings};
use crate::answer::{Decision, Refusal};
use crate::marks::Mark;

const CONTEXT: &str = "holdfast 2026-11-21 control record authentication 1";
/// The last field of an authenticated record: number 15, length-delimited, 16 bytes.
const FIELD: [u8; 2] = [0x7a, 0x10];
const CODE: usize = 16;

impl Settings {
    /// The authentication code of a record that has these bytes and no code yet.
    #[must_use]
    pub fn code_of(&self, secret: &[u8; 32], bytes: &[u8]) -> [u8; CODE] {
        let key = blake3::derive_key(CONTEXT, secret);
        let text = [&self.log_id.0[..], &self.partition.0.to_be_bytes(), bytes].concat();
        let hash = blake3::keyed_hash(&key, &text);
        std::array::from_fn(|at| hash.as_bytes()[at])
    }

    /// Appends the code that this secret gives a record.
    pub fn sign(&self, secret: &[u8; 32], record: &mut Vec<u8>) {
        let code = self.code_of(secret, record);
        record.extend_from_slice(&FIELD);
        record.extend_from_slice(&code);
    }

    /// Whether a record may have control commands.
    #[must_use]
    pub fn may_control(&self, record: &[u8]) -> bool {
        let Some(secret) = &self.control_secret else { return true };
        let Some(end) = record.len().checked_sub(FIELD.len() + CODE) else { return false };
        let (bytes, last) = record.split_at(end);
        last.starts_with(&FIELD) && last[FIELD.len()..] == self.code_of(secret, bytes)
    }

    /// A record made from another one, as genuine or as little as that was.
    #[must_use]
    pub(crate) fn signed_like(&self, before: &[u8], mut made: Vec<u8>) -> Vec<u8> {
        if let Some(secret) = &self.control_secret
            && self.may_control(before)
        {
            self.sign(secret, &mut made);
        }
        made
    }
}

/// Whether a command is none of a buyer's.
const fn is_control(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::Tick { .. }
            | Command::SetStock(_)
            | Command::AdjustStock(_)
            | Command::DefineSale(_)
            | Command::OpenSale { .. }
            | Command::PauseSale { .. }
            | Command::CloseSale { .. }
            | Command::ActivateRules { .. }
    )
}

impl Model {
    /// The refusal of a control command that the record may not have.
    pub(super) fn refuse_control(&mut self, command: &Command<'_>) -> Option<Decision> {
        if !is_control(command) {
            self.marks.hit_if(self.turn.control_refused, Mark::BuyerDecidedBesideRefusedControl);
            return None;
        }
        let id = match command {
            Command::SetStock(it) => Some(it.command_id),
            Command::AdjustStock(it) => Some(it.command_id),
            Command::DefineSale(it) => Some(it.command_id),
            _ => None,
        };
        if self.turn.may_control {
            self.marks.hit_if(self.settings.control_secret.is_some(), Mark::ControlWithCode);
            let was_refused = id.is_some_and(|id| self.refused_control.remove(&id.0));
            self.marks.hit_if(was_refused, Mark::ControlTakenThatWasRefusedBefore);
            return None;
        }
        self.turn.control_refused = true;
        self.refused_control.extend(id.map(|id| id.0));
        let other_log = |id| id != self.settings.log_id;
        match command {
            Command::Tick { log_id, .. } => {
                self.marks.hit(Mark::TickRefused);
                self.marks.hit_if(log_id.is_some_and(other_log), Mark::NotStoppedByARefusedTick);
            }
            Command::ActivateRules { version, .. } if !matches!(version, 1 | 2) => {
                self.marks.hit(Mark::NotStoppedByRefusedRules);
            }
            _ => {}
        }
        Some(self.decision(id, false, Err(Refusal::plain(Reason::UnauthenticatedControl))))
    }
}
