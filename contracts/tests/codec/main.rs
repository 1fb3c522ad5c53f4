//! The hand-written codec held against a standard Protobuf implementation, and against its own past.

mod codes;
mod commands;
mod decisions;
mod errors;
mod golden;
mod mangle;
mod reference;
mod sizes;
mod strategies;
