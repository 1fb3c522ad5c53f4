//! Looking ahead: memory that later commands of a record will need is fetched while earlier ones are decided.
//!
//! It changes how long a decision takes, never what it is.

use holdfast_contracts::command::Command;

use crate::groups::Home;
use crate::hash::hash_bytes;
use crate::holds::NONE;
use crate::ids::hash_of;
use crate::machine::{Context, DictionaryEntry, Machine};

/// How many commands ahead memory is fetched: enough to hide a miss, few enough to stay in the cache. First the groups
/// that say where entries are...
const LOOK_FAR: usize = 24;
/// ... and when those are there, the entries.
const LOOK_NEAR: usize = 12;

/// Commands looked at ahead of their turn, the latest so many.
pub(crate) const AHEAD: usize = 32;
const _: () = assert!(LOOK_NEAR < LOOK_FAR && LOOK_FAR < AHEAD);

/// Where a command will look, as found out ahead of its turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ahead {
    pub(crate) id: Home,
    /// The listing whose account it will look for, when it has one line.
    pub(crate) listing: u32,
    pub(crate) account: Home,
}

impl Machine {
    /// Begins to look ahead in a record.
    pub(crate) fn look_first(&self, context: &Context<'_, '_>, commands: &[Command<'_>]) -> [Ahead; AHEAD] {
        let mut ahead = [Ahead::default(); AHEAD];
        for (slot, command) in ahead.iter_mut().zip(commands.iter().take(LOOK_FAR)) {
            *slot = self.look_far(context, command);
        }
        for near in ahead.iter().take(LOOK_NEAR) {
            self.look_near(near);
        }
        ahead
    }

    /// Looks as far ahead of the command with index `at`.
    #[inline(always)]
    pub(crate) fn look_on(
        &self,
        context: &Context<'_, '_>,
        commands: &[Command<'_>],
        at: usize,
        ahead: &mut [Ahead; AHEAD],
    ) {
        if let Some(far) = commands.get(at + LOOK_FAR) {
            ahead[(at + LOOK_FAR) % AHEAD] = self.look_far(context, far);
        }
        self.look_near(&ahead[(at + LOOK_NEAR) % AHEAD]);
    }

    /// Looks up the record's dictionary once for all its commands.
    pub(crate) fn resolve(&self, context: &mut Context<'_, '_>) {
        context.dictionary.clear();
        context.dictionary.extend(context.names.iter().map(|name| {
            let hash = hash_bytes(name.as_bytes());
            self.skus.prefetch_name(hash);
            DictionaryEntry { hash, sku: NONE, listing: NONE, said: 0 }
        }));
        for (entry, name) in context.dictionary.iter_mut().zip(context.names) {
            if let Some(sku) = self.skus.find(name, entry.hash) {
                entry.sku = sku;
                self.skus.prefetch(sku);
            }
        }
        for entry in context.dictionary.iter_mut().filter(|entry| entry.sku != NONE) {
            entry.listing = self.skus.get(entry.sku).listing;
            self.sales.prefetch(entry.listing);
        }
    }

    /// Starts loading what a command will look at first.
    #[inline(always)]
    fn look_far(&self, context: &Context<'_, '_>, command: &Command<'_>) -> Ahead {
        match command {
            Command::Reserve(it) => {
                let line = it.lines.single().unwrap_or_default();
                let listing = context.dictionary.get(line.sku as usize).map_or(NONE, |entry| entry.listing);
                Ahead {
                    id: self.ids.prefetch(hash_of(it.reservation_id)),
                    listing,
                    account: self.accounts.prefetch(listing, it.customer),
                }
            }
            Command::BeginPayment { reservation_id, .. }
            | Command::Confirm { reservation_id, .. }
            | Command::Release { reservation_id, .. }
            | Command::Extend { reservation_id, .. } => {
                Ahead { id: self.ids.prefetch(hash_of(*reservation_id)), ..Ahead::default() }
            }
            _ => Ahead::default(),
        }
    }

    /// Starts loading what it will look at next.
    #[inline(always)]
    fn look_near(&self, ahead: &Ahead) {
        self.ids.prefetch_entries(ahead.id);
        self.accounts.prefetch_entries(ahead.account);
    }
}
