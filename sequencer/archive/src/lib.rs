//! Checkpoints off this host: shipped to an object store, verified there, restored on another.
