//! Carries requests to the server over a bounded number of kept-alive connections.

mod pool;
mod wire;

pub(crate) use pool::{Client, Lane, Reply, Request, Target};
pub(crate) use wire::{Availability, answer_to, availability};
