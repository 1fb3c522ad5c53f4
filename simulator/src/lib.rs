//! The second opinion on the inventory machine.
//!
//! A fast machine is believed because something slow and obvious agrees with it. This crate is that something, and the
//! hostile customers around it:
//!
//! - [`model`]: the machine a second time, written from `docs/rules.md` alone, with maps and vectors and no cleverness;
//! - [`audit`]: a third party that reads only commands and answers, keeps its own books, and checks the promises
//!   (conservation, one ending, never early, first come first served) without knowing how either machine works;
//! - [`generate`]: buyers, operators, tickers and bad clients, drawn from a seed;
//! - [`compare`]: a decision record against what the model expected, and the first difference in words;
//! - [`marks`]: which interesting situations a run has reached, so that a run that reaches too little fails;
//! - [`subject`]: the trait behind which the machine under test stands;
//! - [`run`]: one seed or one case through all of the above, many seeds on several threads;
//! - [`shrink`] and [`case`]: a failing list of records made small, and kept as text for good.
//!
//! # How the parts meet
//!
//! [`run::run_seed`] draws a scenario, asks [`generate::Generator`] for one record after the other (it may look at the
//! model, to stand close to edges), gives each record to the model and to the subject, and compares. Nothing here
//! reads a clock or the environment: a seed and a commit reproduce a run.
//!
//! # What a world with crashes will add
//!
//! The engine (poll, apply, emit, checkpoint, recover) is one more subject: the world appends the generator's records
//! to a simulated log at times of its own choosing, lets owners crash and overlap, and holds every decision record that
//! any owner emits against [`model::Model::apply`] of the command record at `source_offset`. For that, keep one
//! [`model::Model`] per partition that follows the commands log record by record, and store its answers by offset.

pub mod answer;
pub mod audit;
pub mod case;
pub mod compare;
pub mod encode;
pub mod generate;
pub mod marks;
pub mod model;
pub mod record;
pub mod rng;
pub mod run;
pub mod shrink;
pub mod subject;

#[cfg(test)]
mod tests;
