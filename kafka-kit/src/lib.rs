//! Real Kafka brokers for tests and benches: started on free loopback ports, stopped by pid.
//!
//! `scripts/kafka` does the work; this crate starts it, reads what it says, and ends the brokers when the handle is
//! dropped. Brokers also end when the process that started them dies.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Deserialize;
use tempfile::TempDir;

/// How the brokers are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// 1 or 3.
    pub brokers: u32,
    /// Also with listeners for SASL_SSL and mutual TLS, and access control.
    pub secure: bool,
    /// Lets the broker's code be compiled before this returns, for what is measured.
    pub warm: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { brokers: 1, secure: false, warm: false }
    }
}

/// One broker as `scripts/kafka status` describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Broker {
    /// Its number, from 1.
    pub id: u32,
    /// Its process; 0 if it does not run.
    pub pid: u32,
    /// Its plain listener.
    pub port: u16,
    /// Whether it runs.
    pub alive: bool,
}

/// What `scripts/kafka` says of the brokers.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// Addresses of the plain listeners, as clients want them.
    pub bootstrap: String,
    /// Where their data lies.
    pub dir: PathBuf,
    /// The brokers.
    pub brokers: Vec<Broker>,
    /// Addresses of the SASL_SSL listeners (SCRAM-SHA-512), if there are any.
    pub sasl_ssl: Option<String>,
    /// Addresses of the listeners with mutual TLS, if there are any.
    pub ssl: Option<String>,
    /// Where `ca.pem` and for each user `NAME.pem` and `NAME.key` lie.
    pub tls_dir: Option<PathBuf>,
    /// The password of every user.
    pub password: Option<String>,
}

/// Running brokers; dropping this ends them.
#[derive(Debug)]
pub struct Brokers {
    status: Status,
    _dir: TempDir,
}

static SHARED: Mutex<Weak<Brokers>> = Mutex::new(Weak::new());

impl Brokers {
    /// Starts brokers and waits until they serve.
    ///
    /// # Panics
    /// If they do not start.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let dir =
            tempfile::Builder::new().prefix("holdfast-kafka-").tempdir().expect("a directory can be made");
        Self::start_in(dir, options)
    }

    /// The same, with the data below `parent`, which may be a small file system of its own.
    ///
    /// # Panics
    /// If they do not start.
    #[must_use]
    pub fn start_below(parent: &Path, options: Options) -> Self {
        Self::start_in(tempfile::tempdir_in(parent).expect("a directory can be made"), options)
    }

    fn start_in(dir: TempDir, options: Options) -> Self {
        let data = dir.path().join("kafka");
        let (brokers, owner) = (options.brokers.to_string(), std::process::id().to_string());
        let mut arguments = vec!["up", "--brokers", &brokers, "--owner", &owner];
        arguments.extend(options.secure.then_some("--secure"));
        arguments.extend(options.warm.then_some("--warm"));
        let output = script(&data, &arguments);
        assert!(output.status.success(), "brokers do not start: {}", String::from_utf8_lossy(&output.stderr));
        let status = serde_json::from_slice(&output.stdout).expect("scripts/kafka prints JSON");
        Self { status, _dir: dir }
    }

    /// One plain broker that the tests of a process share, so that each has topics of its own and not a broker.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let brokers = Arc::new(Self::start(Options::default()));
            *shared = Arc::downgrade(&brokers);
            brokers
        })
    }

    /// What was said of them when they started. Pids change when brokers are restarted; see [`Self::status`].
    #[must_use]
    pub const fn begun(&self) -> &Status {
        &self.status
    }

    /// Addresses of the plain listeners, as clients want them.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.status.bootstrap
    }

    /// How they are now.
    ///
    /// # Panics
    /// If `scripts/kafka` does not say.
    #[must_use]
    pub fn status(&self) -> Status {
        let output = script(&self.status.dir, &["status"]);
        serde_json::from_slice(&output.stdout).expect("scripts/kafka prints JSON")
    }

    /// Ends a broker with `kill -9`.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self, broker: u32) {
        self.command("kill", broker);
    }

    /// Ends a broker in an orderly way.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop(&self, broker: u32) {
        self.command("stop", broker);
    }

    /// Starts a broker that has ended, and waits until it serves.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self, broker: u32) {
        self.command("start", broker);
    }

    fn command(&self, command: &str, broker: u32) {
        let output = script(&self.status.dir, &[command, &broker.to_string()]);
        assert!(output.status.success(), "{command} {broker}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs one of Kafka's own tools, for example `org.apache.kafka.tools.TopicCommand`, and returns its stdout.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(script_path());
        let output = command.arg("tool").arg(class).args(arguments).output().expect("bash is there");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).expect("tools print text")
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        script(&self.status.dir, &["down"]);
    }
}

/// `scripts/kafka` of the checkout that the running test belongs to.
fn script_path() -> PathBuf {
    let start = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(std::env::current_dir, |it| Ok(it.into()));
    let start = start.expect("there is a current directory");
    let found = start.ancestors().map(|it| it.join("scripts/kafka")).find(|it| it.exists());
    found.expect("the process runs in a checkout")
}

fn script(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(script_path());
    command.args(arguments).arg("--dir").arg(data);
    command.output().expect("bash is there")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that has ended and that nobody has waited for has no command line any more.
    fn runs(pid: u32) -> bool {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn a_broker_starts_serves_and_is_gone_afterwards() {
        let brokers = Brokers::start(Options::default());
        let topic = ["--bootstrap-server", brokers.bootstrap(), "--create", "--topic", "a"];
        assert!(brokers.tool("org.apache.kafka.tools.TopicCommand", &topic).contains("Created"));
        let pid = brokers.status().brokers[0].pid;
        let data = brokers.begun().dir.clone();
        assert!(runs(pid) && data.exists());
        brokers.kill(1);
        assert!(!brokers.status().brokers[0].alive);
        brokers.restart(1);
        let pid = brokers.status().brokers[0].pid;
        drop(brokers);
        assert!(!runs(pid) && !data.exists());
    }
}
