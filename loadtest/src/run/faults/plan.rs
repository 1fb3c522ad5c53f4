//! Who stands for the roles of a scenario's faults. Whatever cannot be done is refused before anything is begun.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use super::FaultError;
use super::ballast;
use super::process::{Frozen, Process};
use crate::run::own_server::{OwnServer, Shared};
use crate::run::{Credentials, RunConfig};
use crate::scenario::{Fault, FaultKind, SERVER, in_order};
use crate::server::Role;

/// A command that starts a process has failed if it ends within that time and does not say that all is well.
const FAILS_WITHIN: Duration = Duration::from_millis(100);

/// What is done in a run, and to whom.
pub(in crate::run) struct Plan {
    pub(super) faults: Vec<Planned>,
    pub(super) hands: Hands,
}

/// A fault that can be done.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) at: Duration,
    pub(super) lasts: Option<Duration>,
    pub(super) what: What,
    pub(super) told: String,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Kill(Who),
    Freeze(Who),
    FillDisk(PathBuf),
}

/// A process that something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Of the run's own server.
    Own(Role),
    /// Named on the command line.
    Named(usize),
}

/// Reaches the processes and the disk.
#[derive(Default)]
pub(super) struct Hands {
    own: Option<Shared>,
    named: Vec<Named>,
    data: Option<PathBuf>,
}

/// A process that was named on the command line.
struct Named {
    name: String,
    process: Process,
    restart: Option<String>,
    /// Of the command that has started it again.
    child: Option<Child>,
}

impl Plan {
    /// `data` is where a server of the run's own will have its data.
    ///
    /// # Errors
    /// [`FaultError::Refused`] if something is missing for it.
    pub(in crate::run) fn new(
        faults: &[Fault],
        config: &RunConfig,
        data: Option<&Path>,
    ) -> Result<Self, FaultError> {
        let mut hands = Hands { data: data.map(Path::to_owned), ..Hands::default() };
        for (name, pid) in &config.processes {
            let restart = config.restarts.get(name).cloned();
            hands.named.push(Named { name: name.clone(), process: open(name, *pid)?, restart, child: None });
        }
        if let Some(name) = config.restarts.keys().find(|it| !config.processes.contains_key(*it)) {
            return Err(refused(format!("--restart {name} needs --process {name}=PID beside it")));
        }
        if let (None, Credentials::Keys(keys)) = (&hands.data, &config.credentials) {
            hands.data = Some(keys.clone());
        }
        let faults =
            in_order(faults).into_iter().map(|it| hands.plan(it, config)).collect::<Result<_, _>>()?;
        Ok(Self { faults, hands })
    }

    /// The run has started a server of its own.
    pub(in crate::run) fn with(mut self, own: Shared) -> Self {
        self.hands.own = Some(own);
        self
    }
}

fn refused(what: String) -> FaultError {
    FaultError::Refused(what)
}

fn open(name: &str, pid: u32) -> Result<Process, FaultError> {
    let opened = number(pid).ok_or(Errno::SRCH.into()).and_then(Process::open);
    opened.map_err(|error| refused(format!("--process {name}={pid}: {error}")))
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

impl Hands {
    fn plan(&self, fault: &Fault, config: &RunConfig) -> Result<Planned, FaultError> {
        let what = match fault.kind() {
            FaultKind::FillDisk => self.fill_disk(fault)?,
            FaultKind::Freeze => What::Freeze(self.find(fault, config)?),
            FaultKind::Kill => {
                let who = self.find(fault, config)?;
                if fault.lasts().is_some() && !self.can_start(who) {
                    let name = fault.role();
                    return Err(refused(format!(
                        "the scenario starts {name} again: say how with --restart {name}=COMMAND"
                    )));
                }
                What::Kill(who)
            }
        };
        Ok(Planned { at: fault.at(), lasts: fault.lasts(), what, told: fault.told() })
    }

    fn fill_disk(&self, fault: &Fault) -> Result<What, FaultError> {
        let Some(data) = &self.data else {
            return Err(refused("a disk is filled, and the server's data directory is not known".to_owned()));
        };
        ballast::may_fill(data).map_err(|why| {
            let at_ms = fault.at().as_millis();
            refused(format!("the scenario fills the server's disk at {at_ms} ms: {why}"))
        })?;
        Ok(What::FillDisk(data.clone()))
    }

    /// Who was named comes before who happens to be there.
    fn find(&self, fault: &Fault, config: &RunConfig) -> Result<Who, FaultError> {
        let role = fault.role();
        if let Some(number) = self.named.iter().position(|it| it.name == role) {
            return Ok(Who::Named(number));
        }
        let is_cluster = config.start.as_ref().map(|it| it.kafka.is_some());
        let hint = match (role, is_cluster) {
            (SERVER, Some(false)) | ("sequencer", Some(_)) => return Ok(Who::Own(Role::Sequencer)),
            ("intake", Some(_)) => return Ok(Who::Own(Role::Intake)),
            (SERVER, Some(true)) => "it has no such process on Kafka, but sequencer and intake; otherwise ",
            (SERVER | "sequencer" | "intake", None) => {
                "let the run start a server of its own with --start, or "
            }
            _ => "",
        };
        Err(refused(format!(
            "the scenario says `{}`: {hint}name its process with --process {role}=PID",
            fault.told()
        )))
    }

    /// Whether it can be started again.
    pub(super) fn can_start(&self, who: Who) -> bool {
        match who {
            Who::Own(_) => true,
            Who::Named(number) => self.named[number].restart.is_some(),
        }
    }

    pub(super) fn kill(&mut self, who: Who) -> Result<(), FaultError> {
        self.process(who)?.kill().map_err(|error| FaultError::failed("killing a process", error))?;
        if let Who::Named(number) = who
            && let Some(mut child) = self.named[number].child.take()
        {
            // It is gone; nobody else can take note of that.
            let _ = child.wait();
        }
        Ok(())
    }

    pub(super) fn freeze(&self, who: Who) -> Result<Frozen, FaultError> {
        self.process(who)?.freeze().map_err(|error| FaultError::failed("freezing a process", error))
    }

    /// Starts again what was killed.
    pub(super) fn start(&mut self, who: Who) -> Result<(), FaultError> {
        match who {
            Who::Own(role) => self
                .own()
                .revive(role)
                .map_err(|error| FaultError::failed("starting the server again", error)),
            Who::Named(number) => {
                let named = &mut self.named[number];
                let what = format!("starting {} again", named.name);
                named.start().map_err(|error| FaultError::failed(&what, error))
            }
        }
    }

    fn process(&self, who: Who) -> Result<Process, FaultError> {
        let found = match who {
            Who::Own(role) => {
                let pid = self.own().pid(role).map_err(|it| FaultError::failed("finding a process", it))?;
                pid.ok_or(Errno::SRCH.into()).and_then(Process::open)
            }
            Who::Named(number) => self.named[number].process.again(),
        };
        found.map_err(|error| FaultError::failed("finding a process", error))
    }

    fn own(&self) -> MutexGuard<'_, OwnServer> {
        let own = self.own.as_ref().expect("only a run with a server of its own plans anything for it");
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    /// It stays when the run is over: who has given the command wants it to be there.
    fn start(&mut self) -> io::Result<()> {
        let Some(command) = &self.restart else { return Ok(()) };
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // In a group of its own, or Ctrl-C would end it with the run.
        let mut child = shell.process_group(0).spawn()?;
        let pid = number(child.id()).ok_or(Errno::SRCH)?;
        self.process = Process::of_child(pid)?;
        if self.process.has_ended(FAILS_WITHIN)? {
            let status = child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("`{command}` ended with {status}")));
            }
        } else {
            self.child = Some(child);
        }
        Ok(())
    }
}
