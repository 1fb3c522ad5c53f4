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
//! # The world
//!
//! [`world`] runs the real engine on a simulated log, with owners that crash, overlap and fall behind, clocks that step,
//! disks that fail, and checkpoints that are damaged, shipped or put back.
//!
//! - *What is right*: one [`model::Model`] per partition follows the durable commands, and its answers are kept by offset.
//!   Any output that any owner emits, at any time, is held against the answer at its `source_offset`; under one number
//!   there is one sequence of bytes.
//! - *What was kept*: a reader follows the decisions as a consumer would, with an [`audit::Auditor`]. What was
//!   acknowledged stays where it is.
//! - *Who agrees*: the digest of every owner at every offset, of standbys, of owners begun from checkpoints, and of a
//!   machine that replays everything.
//! - *What must come*: when all faults end, everything is decided, read and expired within bounded rounds. Stories that end
//!   with a log that lost what it had acknowledged end with an owner that says so by name.
//! - *What failed*: a [`world::WorldCase`], one action per line, made small by [`world::shrink_world`].

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
