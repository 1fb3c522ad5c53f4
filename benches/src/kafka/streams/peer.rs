//! The peer's program: compiled from the sources in `benches/peers/streams`, started as its users would start it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;

use crate::kafka::broker::Broker;
use crate::processes::{Running, output};

/// Where the stores keep their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Store {
    Rocks,
    Memory,
}

/// What survives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

/// A way to run the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Variant {
    pub(crate) store: Store,
    pub(crate) guarantee: Guarantee,
}

impl Variant {
    /// All four.
    pub(crate) const ALL: [Self; 4] = [
        Self { store: Store::Rocks, guarantee: Guarantee::AtLeastOnce },
        Self { store: Store::Memory, guarantee: Guarantee::AtLeastOnce },
        Self { store: Store::Rocks, guarantee: Guarantee::ExactlyOnce },
        Self { store: Store::Memory, guarantee: Guarantee::ExactlyOnce },
    ];

    pub(crate) const fn name(self) -> &'static str {
        match (self.store, self.guarantee) {
            (Store::Rocks, Guarantee::AtLeastOnce) => "rocksdb_at_least_once",
            (Store::Memory, Guarantee::AtLeastOnce) => "memory_at_least_once",
            (Store::Rocks, Guarantee::ExactlyOnce) => "rocksdb_exactly_once",
            (Store::Memory, Guarantee::ExactlyOnce) => "memory_exactly_once",
        }
    }
}

/// What its settings are to be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tuning {
    Throughput,
    Latency,
    /// To be killed while another instance stands by.
    Takeover,
}

/// How long the brokers wait for a sign of life, in milliseconds.
pub(crate) const SESSION_TIMEOUT_MS: u64 = 3_000;

/// Settings of Kafka Streams that are best for a purpose; found by trying.
fn settings(variant: Variant, tuning: Tuning) -> &'static [&'static str] {
    match (tuning, variant.guarantee) {
        // Large transactions and batches: what is in them is paid for once.
        (Tuning::Throughput, Guarantee::AtLeastOnce) => {
            &["commit.interval.ms=30000", "producer.linger.ms=100", "producer.compression.type=lz4"]
        }
        (Tuning::Throughput, Guarantee::ExactlyOnce) => {
            &["commit.interval.ms=1000", "producer.linger.ms=100", "producer.compression.type=lz4"]
        }
        // Results leave at once. Commits write the cached stock and the offsets; the default is long enough not to matter.
        (Tuning::Latency, Guarantee::AtLeastOnce) => {
            &["commit.interval.ms=30000", "producer.linger.ms=0", "producer.compression.type=none"]
        }
        // What was not committed is done again, so commit often; another instance keeps up with the changelogs.
        (Tuning::Takeover, _) => &[
            "lag=yes",
            "commit.interval.ms=200",
            "num.standby.replicas=1",
            "producer.linger.ms=0",
            "consumer.session.timeout.ms=3000",
            "consumer.heartbeat.interval.ms=300",
        ],
        // Nobody sees a result before its transaction ends.
        (Tuning::Latency, Guarantee::ExactlyOnce) => {
            &["commit.interval.ms=20", "producer.linger.ms=0", "producer.compression.type=none"]
        }
    }
}

/// A name that no application had before on these brokers: they remember where one has stopped.
pub(crate) fn fresh_application() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("streams.app-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The compiled program.
#[derive(Debug)]
pub(crate) struct Peer {
    classpath: String,
}

impl Peer {
    /// Compiles it.
    pub(crate) fn compile(directory: &Path) -> Result<Self> {
        let root = checkout()?;
        let jars = output(Command::new(root.join("scripts/kafka")).arg("classpath"))?;
        let classes = directory.join("classes");
        std::fs::create_dir_all(&classes)?;
        let mut javac = Command::new("javac");
        javac.arg("-d").arg(&classes).arg("-cp").arg(jars.trim());
        for source in std::fs::read_dir(root.join("benches/peers/streams"))? {
            let source = source?.path();
            if source.extension().is_some_and(|extension| extension == "java") {
                javac.arg(source);
            }
        }
        output(&mut javac)?;
        Ok(Self { classpath: format!("{}:{}", classes.display(), jars.trim()) })
    }

    /// Starts an instance of an application. Instances with the same `application` share its work.
    pub(crate) fn start(&self, broker: &Broker, instance: &Instance<'_>) -> Result<App> {
        let state = instance.directory.join(format!("state-{}", instance.name));
        let mut java = Command::new("java");
        java.args(JVM).arg("-cp").arg(&self.classpath).arg("Reservations");
        let Variant { store, guarantee } = instance.variant;
        java.arg(if store == Store::Memory { "store=memory" } else { "store=rocksdb" });
        java.arg(match guarantee {
            Guarantee::AtLeastOnce => "guarantee=at_least_once",
            Guarantee::ExactlyOnce => "guarantee=exactly_once_v2",
        });
        java.arg(format!("commands={}", instance.commands)).arg(format!("results={}", instance.results));
        java.arg(format!("bootstrap.servers={}", broker.bootstrap()));
        java.arg(format!("application.id={}", instance.application));
        java.arg(format!("client.id={}-{}", instance.application, instance.name));
        java.arg(format!("state.dir={}", state.display()));
        java.args(settings(instance.variant, instance.tuning));
        let mut running =
            Running::start(&mut java, &instance.directory.join(format!("talk-{}", instance.name)))?;
        let lines = running.lines()?;
        Ok(App { running, lines, talk: instance.directory.join(format!("talk-{}", instance.name)) })
    }
}

/// Enough memory that collecting garbage costs little; the collector that does most work in a second.
const JVM: &[&str] = &[
    "-Xms1536m",
    "-Xmx1536m",
    "-XX:+UseParallelGC",
    "-XX:+AlwaysPreTouch",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// What one process is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instance<'a> {
    pub(crate) application: &'a str,
    pub(crate) name: &'a str,
    pub(crate) variant: Variant,
    pub(crate) tuning: Tuning,
    pub(crate) commands: &'a str,
    pub(crate) results: &'a str,
    pub(crate) directory: &'a Path,
}

/// A running instance; dropping it asks it to end.
#[derive(Debug)]
pub(crate) struct App {
    running: Running,
    lines: Receiver<String>,
    talk: PathBuf,
}

impl App {
    /// Waits for a line and returns what a look finds in it.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        patience: Duration,
        look: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = look(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(format!("waited in vain for {what}").into()),
                Err(RecvTimeoutError::Disconnected) => {
                    let said = std::fs::read_to_string(&self.talk).unwrap_or_default();
                    return Err(format!("the peer ended: {}", said.lines().next().unwrap_or_default()).into());
                }
            }
        }
    }

    /// Waits until it runs.
    pub(crate) fn wait_until_running(&self, patience: Duration) -> Result<()> {
        self.wait_for("the peer to run", patience, |line| line.starts_with("STATE RUNNING").then_some(()))
    }

    /// What it has printed since somebody looked last.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(self) -> Result<()> {
        self.running.kill()
    }
}

/// The checkout that this process runs in.
fn checkout() -> Result<PathBuf> {
    let start =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(std::env::current_dir, |it| Ok(it.into()))?;
    let found = start.ancestors().find(|it| it.join("scripts/kafka").is_file());
    Ok(found.ok_or("this does not run in a checkout")?.to_owned())
}
