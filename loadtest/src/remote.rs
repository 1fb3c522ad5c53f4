//! A run whose requests are sent by other processes.
//!
//! The coordinator does everything but the sending: it opens the sale, tells the workers what to send and when T0 is by the
//! clock of each, puts together what they measure, and judges what their buyers were told. Frames are neither encrypted nor
//! signed, as little as the requests are: the secret keeps strangers from using a worker, not from listening.

mod clock;
mod crew;
mod greeting;
mod link;
mod message;
mod secret;
mod serve;
mod session;
mod wire;

pub use secret::Secret;

pub(crate) use crew::{Crew, Plan, together};
pub(crate) use serve::{ServeError, Server};

/// Processes that send requests.
#[derive(Debug, Clone, Default)]
pub struct Workers {
    /// Where they listen, as `host:port`.
    pub names: Vec<String>,
    /// What they want to be shown.
    pub secret: Option<Secret>,
}
