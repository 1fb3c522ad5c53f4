//! The RocksDB that is linked is the one that the bindings were made for.

use std::path::PathBuf;

use holdfast_engine::rocks::CheckpointDb;

/// The version that the bindings name: `librocksdb-sys` carries it behind the `+` of its own.
fn expected() -> String {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let lock = PathBuf::from(package).join("../../Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("the workspace has a lock file");
    let (_, after) =
        lock.split_once("name = \"librocksdb-sys\"\nversion = \"").expect("RocksDB is a dependency");
    let (version, _) = after.split_once('"').expect("a version");
    version.split_once('+').expect("the version of RocksDB").1.to_owned()
}

/// The version that the library says of itself when it opens a database.
fn linked() -> String {
    let directory = tempfile::tempdir().expect("a directory");
    drop(CheckpointDb::open(directory.path()).expect("the database opens"));
    let log = std::fs::read_to_string(directory.path().join("LOG")).expect("RocksDB keeps a log");
    let (_, after) = log.split_once("RocksDB version: ").expect("it begins with the version");
    after.split_whitespace().next().expect("a version").to_owned()
}

#[test]
fn the_linked_rocksdb_is_the_one_the_bindings_were_made_for() {
    assert_eq!(linked(), expected());
}
