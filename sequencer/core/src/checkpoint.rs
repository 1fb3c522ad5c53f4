//! Checkpoints: the state as pages, copied out while the machine goes on.

mod copy;
mod meta;
mod restore;

pub(crate) use copy::Copying;
pub use restore::Restore;
