//! The words that cross a process border: ids, commands, decisions, the wire codec, topic names. No I/O.
//!
//! The wire format is the Protobuf schema in `contracts/proto/`. The codec here is written by hand because it stands on
//! the hot path: decoding borrows from the record and allocates nothing per command. Property tests hold it against a
//! standard Protobuf implementation in both directions.

pub mod command;
pub mod control;
pub mod decision;
pub mod ids;
pub mod limits;
pub mod murmur2;
pub mod terms;
pub mod topics;
pub mod wire;

pub use control::{ControlFingerprint, ControlKey, ControlMac};
pub use ids::{
    Chain, CustomerId, Digest, IntakeId, LogId, LogTime, Offset, OutSeq, PartitionId, Position, RequestTag,
    ReservationId,
};
pub use terms::SaleTerms;
pub use wire::WireError;
