//! The command lines of the processes, and the settings they are given: all that a run knows of how roles are started.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How long a sequencer may be silent before it is taken for dead.
pub(super) const SESSION_MS: u64 = 6_000;

/// A program and its arguments.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl CommandLine {
    fn new<const N: usize>(program: &Path, words: [&str; N]) -> Self {
        Self { program: program.to_owned(), arguments: words.map(OsString::from).to_vec() }
    }

    fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.arguments.extend([OsString::from(option), value.into()]);
        self
    }

    /// Everything in one process, on the embedded log.
    pub(super) fn up(program: &Path, config: &Path, data: &Path) -> Self {
        Self::new(program, ["up", "--listen", "127.0.0.1:0"]).with("--config", config).with("--data", data)
    }

    /// An intake on Kafka.
    pub(super) fn intake(program: &Path, config: &Path, data: &Path) -> Self {
        Self::new(program, ["intake", "--listen", "127.0.0.1:0"])
            .with("--config", config)
            .with("--data", data)
    }

    /// A sequencer on Kafka.
    pub(super) fn sequencer(program: &Path, config: &Path, data: &Path) -> Self {
        Self::new(program, ["sequencer", "--listen", "127.0.0.1:0"])
            .with("--config", config)
            .with("--data", data)
    }

    /// Makes the topics.
    pub(super) fn create_topics(program: &Path, config: &Path, partitions: u32) -> Self {
        Self::new(program, ["topics", "create"])
            .with("--partitions", partitions.to_string())
            .with("--config", config)
    }

    /// The command, so that the process ends when the thread that starts it does, if the system has a tool for that.
    pub(super) fn command(&self) -> Command {
        let guard = Path::new("/usr/bin/setpriv");
        let mut command = if guard.exists() {
            let mut command = Command::new(guard);
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        for variable in ["HOLDFAST_CONFIG", "HOLDFAST_DATA", "HOLDFAST_OUTPUT", "HOLDFAST_LOG"] {
            command.env_remove(variable);
        }
        command.args(&self.arguments);
        command
    }
}

/// What all processes of a run have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) partitions: u32,
    pub(super) id_key_file: PathBuf,
    /// Of Kafka; without it the log is embedded.
    pub(super) kafka: Option<Where>,
}

/// Where the topics are.
#[derive(Debug, Clone)]
pub(super) struct Where {
    pub(super) bootstrap: String,
    pub(super) prefix: String,
    pub(super) profile: &'static str,
}

/// The settings file of one process. Checkpoints come often, so that kills hit them.
pub(super) fn settings(common: &Common, gate: bool, instance: Option<&str>) -> String {
    let keeps = common.kafka.is_none() || instance.is_some();
    let mut text = format!("log_level = \"info\"\npartitions = {}\n", common.partitions);
    let file = quoted(&common.id_key_file);
    let _ = write!(text, "\n[intake]\nshards = 1\ngate = {gate}\nid_key_file = {file}\n");
    // Whoever keeps no checkpoints needs none.
    let (after_ms, idle_ms) = if keeps { (200, 500) } else { (86_400_000, 86_400_000) };
    let _ = write!(
        text,
        "\n[sequencer]\ncheckpoint_after_ms = {after_ms}\ncheckpoint_idle_ms = {idle_ms}\nidle_tick_ms = 250\n"
    );
    match &common.kafka {
        None => text.push_str("\n[log]\nsegment_bytes = 16777216\n"),
        Some(kafka) => {
            let (bootstrap, prefix) = (quoted(Path::new(&kafka.bootstrap)), quoted(Path::new(&kafka.prefix)));
            text.push_str("standby = true\n");
            let _ = write!(
                text,
                "\n[kafka]\nbootstrap = {bootstrap}\ntopic_prefix = {prefix}\nprofile = \"{}\"\n",
                kafka.profile
            );
            let _ = write!(text, "\n[roles]\nsession_timeout_ms = {SESSION_MS}\n");
            if let Some(instance) = instance {
                let _ = writeln!(text, "instance_id = \"{instance}\"");
            }
        }
    }
    text
}

/// A TOML string.
fn quoted(path: &Path) -> String {
    format!("{path:?}")
}
