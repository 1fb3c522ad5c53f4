//! Each role as a process of its own, on Kafka.
//!
//! Nothing in here decides anything. A sequencer runs the partitions that the group gives it and follows the others if it
//! is told to; an intake follows all of them with machines that never emit.

mod connect;
mod control;
mod dead;
mod figures;
mod intake;
mod ownership;
mod sequencer;
mod standing;

pub(crate) use connect::{Connected, asking, refused as kafka_refused, settings_refused};
pub(crate) use control::drain;
pub(crate) use intake::run as intake;
pub(crate) use sequencer::run as sequencer;
