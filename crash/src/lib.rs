//! The end-to-end crash test: real processes, real brokers, kills in the middle of the traffic, and a checker that judges
//! from the evidence alone.
//!
//! The runner ([`run`]) leaves files behind ([`evidence`]); the checker ([`check`]) reads those files and nothing else. It
//! shares with the product the decoder of its records and no arithmetic.

pub mod check;
pub mod evidence;
pub mod run;
