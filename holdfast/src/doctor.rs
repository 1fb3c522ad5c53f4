//! Looks whether a server can run well here, and says what to do where it cannot.

mod data_checks;
mod host_checks;

use std::net::SocketAddr;
use std::path::PathBuf;

use holdfast_intake::IntakeConfig;
use serde::Serialize;

use crate::config::Loaded;
use crate::data::DataDir;
use crate::failure::{Exit, Failure};
use crate::output::{Answer, Output, Table};

/// The development key pair in a data directory.
const DEVELOPMENT_KEY: &str = "development-key.pem";

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// A server runs, but not as well as it could, or not for long. No failure of `doctor`.
    Warn,
    /// A server does not start, or must not be trusted.
    Fail,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) found: String,
    /// What to do, unless it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), fix: None }
    }

    pub(crate) fn warn(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn fail(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), fix: Some(fix.into()) }
    }

    /// A failure of another command is a failed check.
    pub(crate) fn from_failure(check: &'static str, failure: Failure) -> Self {
        let fix = failure.advice.unwrap_or_else(|| "look at the system log".to_owned());
        Self::fail(check, failure.detail, fix)
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Findings(Vec<Finding>);

impl Answer for Findings {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&["check", "verdict", "found", "fix"]);
        for it in &self.0 {
            table.row([
                it.check.to_owned(),
                it.verdict.name().to_owned(),
                it.found.clone(),
                it.fix.clone().unwrap_or_default(),
            ]);
        }
        table
    }
}

/// What to look at.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) data: DataDir,
    pub(crate) listen: SocketAddr,
    /// The partition count that a server would be started with, if one was asked for.
    pub(crate) partitions: Option<u32>,
    /// The HTTP interface of a server.
    pub(crate) intake: IntakeConfig,
    /// Files with secrets.
    pub(crate) key_files: Vec<PathBuf>,
}

impl Subject {
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let config = &loaded.config;
        let intake = IntakeConfig { data_dir: config.data_dir.clone(), ..config.intake.clone() };
        let mut key_files = vec![intake.id_key_path()];
        if intake.auth.keys_file.is_none() {
            key_files.push(config.data_dir.join(DEVELOPMENT_KEY));
        }
        Self {
            data: DataDir::new(&config.data_dir),
            listen: intake.listen,
            partitions: loaded.partitions_asked,
            intake,
            key_files,
        }
    }
}

/// Runs all checks and prints what they found.
pub(crate) fn run(subject: &Subject, output: Output) -> Result<(), Failure> {
    let clock = host_checks::Clocks::read();
    let mut findings = vec![
        host_checks::directory(&subject.data),
        host_checks::space(subject.data.root()),
        host_checks::direct_writes(subject.data.root()),
        host_checks::flush(subject.data.root()),
        host_checks::open_files(&subject.intake),
        host_checks::huge_pages(),
        host_checks::rocksdb(),
        host_checks::port(&subject.data, subject.listen),
    ];
    findings.extend(host_checks::key_files(&subject.key_files));
    findings.extend(data_checks::all(subject));
    // Last, so that some time has passed since the clocks were read.
    findings.push(clock.check());
    let findings = Findings(findings);
    output.answer(&findings)?;
    let count = |verdict| findings.0.iter().filter(|it| it.verdict == verdict).count();
    let (fails, warns) = (count(Verdict::Fail), count(Verdict::Warn));
    if fails > 0 {
        let detail = format!("{fails} checks failed, {warns} warn");
        return Err(
            Failure::new(Exit::Findings, "FINDINGS", detail).advise("do what the checks that failed say")
        );
    }
    if warns > 0 {
        output.say(&format!("no check failed, {warns} warn"));
    }
    Ok(())
}
