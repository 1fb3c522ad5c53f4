//! What owners say of their state.

use serde::{Deserialize, Serialize};

/// The state of one owner of a partition between two of its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerDigest {
    /// When it was asked, in microseconds since the run began.
    pub at_us: u64,
    /// The process.
    pub who: String,
    /// The partition.
    pub partition: u32,
    /// The first command that is not in the state.
    pub next_offset: u64,
    /// Digest of the state.
    pub digest: String,
}
