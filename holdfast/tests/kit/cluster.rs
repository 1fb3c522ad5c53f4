//! Roles on a real broker that the tests of a file share, each test with topics of its own.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::murmur2::partition_of;
use holdfast_kafka_kit::Brokers;
use serde_json::Value;
use tempfile::TempDir;

use super::offline::{PATIENCE, SKU};
use super::run;
use super::server::{Answered, Server};

pub(crate) const PARTITIONS: u32 = 2;

/// Topics on a broker, and a directory for the processes that work on them.
pub(crate) struct Cluster {
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) prefix: String,
    directory: TempDir,
}

impl Cluster {
    /// Makes the topics. `more` is added to the settings of every role, at their beginning.
    pub(crate) fn new(prefix: &str, more: &str) -> Self {
        let cluster = Self::without_topics(prefix, more);
        let created =
            cluster.run("tool", &["topics", "create", "--partitions", &PARTITIONS.to_string()]).json();
        assert_eq!(created["created"].as_array().map(Vec::len), Some(4), "{created}");
        cluster
    }

    pub(crate) fn without_topics(prefix: &str, more: &str) -> Self {
        let cluster = Self {
            brokers: Brokers::shared(),
            prefix: format!("{prefix}-"),
            directory: tempfile::tempdir().expect("a directory for the test"),
        };
        fs::create_dir(cluster.archive()).expect("it can be made");
        cluster.write_settings("settings", more);
        cluster
    }

    /// One more file of settings.
    pub(crate) fn write_settings(&self, name: &str, more: &str) {
        let mut text = more.to_owned();
        write!(
            text,
            "\n[kafka]\nbootstrap = '{}'\ntopic_prefix = '{}'\nprofile = 'single'\n",
            self.brokers.bootstrap(),
            self.prefix
        )
        .expect("text");
        fs::write(self.file(name), text).expect("written");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.toml"))
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn settings(&self) -> String {
        self.file("settings").to_str().expect("text").to_owned()
    }

    pub(crate) fn other_settings(&self, name: &str) -> String {
        self.file(name).to_str().expect("text").to_owned()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> super::Ran {
        let settings = self.settings();
        run(&self.data(name), &[arguments, &["--config", &settings]].concat())
    }

    pub(crate) fn sequencer(&self, name: &str) -> Server {
        Server::role(&self.data(name), "sequencer", &["--config", &self.settings()])
    }

    pub(crate) fn intake(&self, name: &str) -> Server {
        Server::role(&self.data(name), "intake", &["--config", &self.settings()])
    }

    /// The name of a topic on the broker.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// What a role says of itself.
pub(crate) fn status(role: &Server) -> Value {
    role.send("GET", "/status", "", None).body
}

/// What a sequencer says of the partition of the SKU that is sold.
pub(crate) fn partition(role: &Server) -> Value {
    status(role)["partitions"][partition_of(SKU, PARTITIONS).0 as usize].clone()
}

pub(crate) fn owns(role: &Server) -> bool {
    let partition = partition(role);
    partition["assignment"] == "active" && partition["state"] == "live" && partition["settled"] == true
}

/// Waits for a state of the processes.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + 2 * PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Reserves with the same key until there is an answer, as a buyer does.
#[track_caller]
pub(crate) fn reserve(intake: &Server, token: &str, key: &str) -> Answered {
    let mut answer = intake.reserve(token, key, 1);
    wait_until("an answer", || {
        if matches!(answer.status, 202 | 503) {
            answer = intake.reserve(token, key, 1);
        }
        !matches!(answer.status, 202 | 503)
    });
    answer
}

/// Whether there is anything in a directory.
pub(crate) fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}
