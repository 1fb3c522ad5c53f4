//! The contracts as a standard Protobuf implementation reads and writes them.
//!
//! Tests hold the hand-written codec of `holdfast-contracts` against these types in both directions.

pub use prost::Message;

/// Inventory commands and decisions.
#[allow(missing_docs, reason = "generated from the documented .proto files")]
pub mod inventory {
    include!(concat!(env!("OUT_DIR"), "/holdfast.inventory.v1.rs"));
}
