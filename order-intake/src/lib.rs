//! The HTTP interface: turns requests into commands, waits for their decisions, answers.

mod config;
mod error;
mod health;
mod intake;
pub mod keys;
mod listen;
mod shard;
mod shared;

pub use config::{AuthConfig, IntakeConfig};
pub use error::IntakeError;
pub use intake::{Intake, ShutdownReport};
