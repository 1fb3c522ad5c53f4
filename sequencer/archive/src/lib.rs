//! Checkpoints off this host: shipped to an object store, verified there, restored on another.
//!
//! [`ObjectArchive`] keeps them. A checkpoint is a few objects of pages and one that describes them, which is written last and
//! carries hashes of all: what has no description is not there, and what has other bytes than it says is damaged.
//!
//! ```text
//! <log id>/<partition>/<next offset>/checkpoint.json           the description, see `manifest`
//!                                    <number>-<hash>.pages     pages, see `chunk`
//!                                    verified-<hash>           whoever wrote it has read that description's pages back
//! ```
//!
//! Logs, partitions and offsets never share a key. Numbers are padded with zeros, so a listing is in order.

mod archive;
mod chunk;
mod keys;
mod listing;
mod manifest;
mod open;
mod transfer;

pub use archive::ObjectArchive;
pub use open::OpenError;
