//! The inventory machine: a pure function from command records to decision records.
//!
//! It has no clock, no thread, no randomness, no float, no environment and no I/O. Time reaches it as the append time of
//! a record, settings as commands. The same records in give the same bytes out, on every machine, for ever. What it
//! answers is written down exactly in `docs/rules.md`.
//!
//! Reading order: [`Machine::apply`] in `machine.rs`, then `reserve.rs` for the rule of who may have a unit, `moves.rs` for
//! what becomes of it, `work.rs` for what time does, `stock.rs` and `sale.rs` for the operators.
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod accounts;
mod ahead;
mod answer;
mod checkpoint;
mod clock;
mod groups;
mod hash;
mod holds;
mod ids;
mod lines;
mod machine;
mod moves;
mod paged;
mod pages;
mod pool;
mod reserve;
mod rules;
mod sale;
mod sales;
mod skus;
mod state;
mod stock;
mod sweep;
mod view;
mod wants;
mod wheel;
mod work;

pub use checkpoint::Restore;
pub use machine::{Halt, InputRecord, Machine, MachineConfig, NoProbe, Probe};
pub use pages::{PageSink, RestoreError};
pub use rules::RULES_VERSION_NEWEST;
pub use view::{IdView, LineView, ReservationView, SaleView, Sizes, SkuView};
