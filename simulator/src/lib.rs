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
//! - [`mutants`]: bugs planted on purpose, to see that all of the above is awake;
//! - [`shrink`] and [`case`]: a failing list of records made small, and kept as text for good.
//!
//! # How the parts meet
//!
//! [`run::run_seed`] draws a scenario, asks [`generate::Generator`] for one record after the other (it may look at the
//! model, to stand close to edges), gives each record to the model and to the subject, and compares. Nothing here
//! reads a clock or the environment: a seed and a commit reproduce a run.
//!
//! # How to put a machine on trial
//!
//! Implement [`subject::Machine`] for a wrapper of it and run [`run::run_seeds`] with that type; `main.rs` names the
//! subject in one place. The wrapper appends what `BodyWriter` writes; envelope and chain are added around it. With
//! [`subject::Machine::restored`] the run throws the machine away now and then and goes on with one made from its
//! checkpoint. Deliberately faulty builds of the machine are run in the same way: each must fail.
//!
//! # What a world with crashes will add
//!
//! The world runs the real engine on a simulated log, with owners that crash, overlap and fall behind. What it needs
//! from here:
//!
//! - *What is right*: one [`model::Model`] per partition follows the commands log record by record, and its answers are
//!   kept by offset. Any decision record that any owner emits, at any time, is held against the answer at its
//!   `source_offset` with [`compare::compare`]; `out_seq` counts the answers that are not `None`. Truncation of an
//!   unacknowledged tail goes back to a clone of the model ([`model::Model`] is `Clone`).
//! - *What is asked*: [`generate::Generator::next`] makes payloads; the world appends them late, twice or never, and
//!   stamps them itself. Twice is harmless to the generator: it looks at the model, not at its own count of records.
//! - *What was kept*: [`audit::Auditor`] reads the decisions log from its beginning, as a consumer would.
//! - *What was met*: new marks go into [`marks`]; both kinds are added up by [`marks::Marks::add`].
//! - *What failed*: a [`case::Case`] with faults between the records; the text format has room for other words at
//!   the beginning of a line, and [`shrink`] for steps that drop them.

pub mod answer;
pub mod audit;
pub mod case;
pub mod compare;
pub mod encode;
pub mod generate;
pub mod marks;
pub mod model;
pub mod mutants;
pub mod real;
pub mod record;
pub mod rng;
pub mod run;
pub mod shrink;
pub mod subject;
pub mod world;

#[cfg(test)]
mod tests;
