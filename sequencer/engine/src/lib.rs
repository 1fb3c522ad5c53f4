//! Runs a machine on a log partition: poll, apply, emit, checkpoint, recover, hand over.
//!
//! The output of a partition is a pure function of its input log. So whoever owns a partition, for however long it believes
//! so, emits the same bytes under the same `out_seq`, and nothing here needs to fence anybody.
//!
//! [`Worker`] is the whole story of one partition as a state machine that is stepped: it has no thread and no clock of
//! its own, so a simulator drives the same code. [`Sequencer`] gives workers their threads.

mod anchor;
mod archive;
mod assignment;
mod machine;
mod retention;
pub mod rocks;
mod runner;
mod status;
mod stop;
mod store;
mod tail;
mod worker;

pub use anchor::{Anchor, record_hash};
pub use archive::{
    Archived, ArchivedStore, CheckpointArchive, Listing, NoStore, Page, Pages, ShipConfig, ShipError,
    ShipStatus, Shipped, Shipper, Shipping, Trim, read_back,
};
pub use assignment::{Assignment, Generation, Handover, OnSettled, Settled};
pub use holdfast_core::{PageSink, RestoreError};
pub use machine::{Input, Machine, Restoring};
pub use retention::{Keeper, ReaderMark, ReaderMarks, Retention, RetentionError, RetentionStatus, retain};
pub use runner::{Query, Sequencer, SequencerConfig, SequencerError};
pub use status::{PartitionState, PartitionStatus, Stuck};
pub use stop::StopReason;
pub use store::{CheckpointStore, PageVisitor, StoreError};
pub use worker::{Role, Step, Worker, WorkerConfig};
