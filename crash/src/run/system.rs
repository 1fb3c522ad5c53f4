//! The processes under test.

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;

use super::RunError;
use super::client::Targets;
use super::commands::CommandLine;
use super::disk::SmallDisk;
use super::process::Process;
use super::recorder::Recorder;
use crate::evidence::{Fault, OwnerDigest, Role};

/// A process that is not ready after so long will not be.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long an owner may take to tell its digests.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// One process, through all its lives.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) line: CommandLine,
    pub(super) data: PathBuf,
    pub(super) talk: PathBuf,
    pub(super) disk: Option<SmallDisk>,
    recorder: Arc<Recorder>,
    targets: Arc<Targets>,
    process: Option<Process>,
    lives: u32,
    /// Where it answers: buyers if it is an intake, operators otherwise.
    pub(super) address: Option<SocketAddr>,
}

/// What a process says of its state in its data directory.
#[derive(Deserialize)]
struct LiveState {
    partition: u32,
    next_offset: u64,
    digest: String,
}

impl Member {
    pub(super) fn new(
        name: &str,
        role: Role,
        line: CommandLine,
        data: PathBuf,
        talk: PathBuf,
        shared: &(Arc<Recorder>, Arc<Targets>),
    ) -> Self {
        Self {
            name: name.to_owned(),
            role,
            line,
            data,
            talk,
            disk: None,
            recorder: Arc::clone(&shared.0),
            targets: Arc::clone(&shared.1),
            process: None,
            lives: 0,
            address: None,
        }
    }

    /// The name of its present life: what it knew in an earlier one it need not know any more.
    pub(super) fn life(&self) -> String {
        format!("{}.{}", self.name, self.lives)
    }

    const fn takes_requests(&self) -> bool {
        matches!(self.role, Role::Intake | Role::Server)
    }

    /// Starts it, and does not wait.
    pub(super) fn start(&mut self) -> Result<(), RunError> {
        self.lives += 1;
        self.recorder.fault(Fault::Started { role: self.role, who: self.name.clone() });
        self.process = Some(Process::start(&self.line, &self.talk)?);
        Ok(())
    }

    /// Waits until it says its address.
    pub(super) fn wait_until_ready(&mut self) -> Result<(), RunError> {
        if !self.try_ready(READY_WITHIN) {
            let name = &self.name;
            let talk = self.talk.display();
            return Err(RunError::Failed(format!("{name} does not get ready; what it said is in {talk}")));
        }
        Ok(())
    }

    /// The same, without a complaint.
    pub(super) fn try_ready(&mut self, within: Duration) -> bool {
        let Some(process) = &mut self.process else { return false };
        let Some(address) = process.address(within) else { return false };
        self.address = Some(address);
        if self.takes_requests() {
            self.targets.add(self.life(), address);
        }
        self.recorder.fault(Fault::Ready { role: self.role, who: self.name.clone() });
        true
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, moment: &str) {
        let Some(mut process) = self.process.take() else { return };
        let at_us = self.recorder.now_us();
        process.kill();
        let (role, who, moment) = (self.role, self.name.clone(), moment.to_owned());
        self.recorder.fault_at(at_us, Fault::Killed { role, who, moment });
        self.targets.remove(&self.life());
    }

    /// SIGSTOP.
    pub(super) fn pause(&mut self) {
        let Some(process) = &self.process else { return };
        process.signal(Signal::STOP);
        self.recorder.fault(Fault::Paused { role: self.role, who: self.name.clone() });
    }

    /// SIGCONT.
    pub(super) fn resume(&mut self) {
        let Some(process) = &self.process else { return };
        self.recorder.fault(Fault::Resumed { role: self.role, who: self.name.clone() });
        process.signal(Signal::CONT);
    }

    /// Whether it has ended by itself, which is written down.
    pub(super) fn note_if_ended(&mut self) -> bool {
        let ended = self.process.as_mut().and_then(Process::ended);
        if let Some(status) = ended {
            super::say(&format!("{} has ended by itself: {status}", self.name));
            let (role, who) = (self.role, self.name.clone());
            self.recorder.fault(Fault::EndedByItself { role, who, how: status.to_string() });
            self.targets.remove(&self.life());
            self.process = None;
        }
        ended.is_some()
    }

    /// Ends it in good order; says whether it ended so.
    pub(super) fn end(&mut self) -> bool {
        self.note_if_ended();
        self.targets.remove(&self.life());
        self.process.take().is_none_or(|mut it| it.end().is_some_and(|status| status.success()))
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|it| it.ended().is_some())
    }

    /// What its status page says of its partitions. Nothing if it does not answer.
    pub(super) fn partitions(&self) -> Vec<Value> {
        let Some(address) = self.address.filter(|_| self.process.is_some()) else { return Vec::new() };
        let agent = ureq::Agent::config_builder().timeout_global(Some(TELL_WITHIN)).build().new_agent();
        let page = agent.get(format!("http://{address}/status")).call().ok();
        let text = page.and_then(|it| it.into_body().read_to_string().ok()).unwrap_or_default();
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        status["partitions"].as_array().cloned().unwrap_or_default()
    }

    /// Writes down the digests it tells, if it does.
    pub(super) fn tell_digests(&self) {
        let Ok(mut stream) = UnixStream::connect(self.data.join("live.sock")) else { return };
        let mut bytes = Vec::new();
        if stream.set_read_timeout(Some(TELL_WITHIN)).is_err() || stream.read_to_end(&mut bytes).is_err() {
            return;
        }
        let states: Vec<LiveState> = serde_json::from_slice(&bytes).unwrap_or_default();
        for it in states {
            self.recorder.digest(&OwnerDigest {
                at_us: self.recorder.now_us(),
                who: self.life(),
                partition: it.partition,
                next_offset: it.next_offset,
                digest: it.digest,
            });
        }
    }
}
