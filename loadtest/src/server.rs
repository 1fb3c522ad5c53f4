//! A server as child processes: started, killed, started again on the same data, ended.
//!
//! It is one process with everything in it, or on Kafka one for each role.

mod cluster;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cluster::Cluster;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// A server that says nothing for so long will not start any more.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a server may take to end in good order.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// A free port of the loopback.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Why the server does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It cannot be started at all.
    #[error("starting {}", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Its files cannot be written.
    #[error("writing {}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It ended by itself.
    #[error("the server ended by itself: {0}")]
    Ended(ExitStatus),
    /// It did not say its address.
    #[error("the server printed no address within {} s", READY_WITHIN.as_secs())]
    NotReady,
    /// It did not end when it was told to.
    #[error("the server did not end within {} s", ENDED_WITHIN.as_secs())]
    DoesNotEnd,
    /// It cannot be waited for or signalled.
    #[error("controlling the server process")]
    Control(#[source] io::Error),
}

/// How to start a server.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) data: PathBuf,
    /// Its standard error is added to this file.
    pub(crate) talk: PathBuf,
    /// Brokers to run on, each role in a process of its own. Without them everything is one process.
    pub(crate) kafka: Option<String>,
    /// What is sold: of several processes the one that decides about it is killed.
    pub(crate) sku: String,
    /// Where buyers go, also when it is started again.
    pub(crate) listen: SocketAddr,
    /// Partitions of what is created; as many as a server makes by itself without a number.
    pub(crate) partitions: Option<u32>,
    /// Ctrl-C on the terminal does not reach it: whoever runs it ends it when it is no longer needed.
    pub(crate) is_apart: bool,
}

/// A part that a process plays. A server that is one process plays both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Decides about what is sold.
    Sequencer,
    /// Serves buyers.
    Intake,
}

/// A running server. Killed when dropped.
pub(crate) enum Server {
    Whole(Box<Process>),
    Cluster(Box<Cluster>),
}

/// One process that has said where it listens. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// Held open: a server that cannot write to its standard output might stop.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Recipe {
    /// Starts it and waits until it says where.
    pub(crate) async fn start(&self) -> Result<Server, ServerError> {
        match &self.kafka {
            None => self.whole().await.map(|it| Server::Whole(Box::new(it))),
            Some(bootstrap) => Cluster::start(self, bootstrap).await.map(|it| Server::Cluster(Box::new(it))),
        }
    }

    /// The same in one process with these settings.
    pub(crate) async fn start_with(&self, settings: &Path) -> Result<Server, ServerError> {
        let command = ["up", "--listen", "127.0.0.1:0", "--config"].map(OsStr::new);
        let more = [settings.as_os_str(), OsStr::new("--data"), self.data.as_os_str()];
        let process = self.spawn(command.into_iter().chain(more)).await?;
        Ok(Server::Whole(Box::new(process)))
    }

    /// Starts again the sequencer that was killed, and waits until it serves.
    pub(crate) async fn revive(&self, server: &mut Server) -> Result<(), ServerError> {
        self.revive_role(server, Role::Sequencer).await
    }

    /// Starts again the process that was killed in this role, and waits until it serves.
    pub(crate) async fn revive_role(&self, server: &mut Server, role: Role) -> Result<(), ServerError> {
        match (server, role) {
            (Server::Whole(process), _) => **process = self.whole().await?,
            (Server::Cluster(cluster), Role::Sequencer) => cluster.revive(self).await?,
            (Server::Cluster(cluster), Role::Intake) => cluster.intake = cluster::intake(self).await?,
        }
        Ok(())
    }

    /// The process that plays this role now; nothing if its end was waited for.
    pub(crate) async fn pid_of(&self, server: &mut Server, role: Role) -> Result<Option<Pid>, ServerError> {
        match (server, role) {
            (Server::Whole(process), _) => Ok(process.pid()),
            (Server::Cluster(cluster), Role::Sequencer) => {
                cluster.look(self).await?;
                Ok(cluster.owner().pid())
            }
            (Server::Cluster(cluster), Role::Intake) => Ok(cluster.intake.pid()),
        }
    }

    async fn whole(&self) -> Result<Process, ServerError> {
        let listen = self.listen.to_string();
        let mut command = vec!["up".as_ref(), "--listen".as_ref(), OsStr::new(&listen)];
        command.extend([OsStr::new("--data"), self.data.as_os_str()]);
        let partitions = self.partitions.map(|it| it.to_string());
        if let Some(partitions) = &partitions {
            command.extend([OsStr::new("--partitions"), partitions.as_ref()]);
        }
        self.spawn(command).await
    }

    /// Starts one process and waits until it prints an address.
    async fn spawn<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a OsStr>,
    ) -> Result<Process, ServerError> {
        let mut child =
            self.command(arguments)?.stdout(Stdio::piped()).spawn().map_err(|it| self.refused(it))?;
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let mut stdout = BufReader::new(stdout);
        let address = match timeout(READY_WITHIN, address_in(&mut stdout)).await {
            Err(_) => return Err(ServerError::NotReady),
            Ok(Err(source)) => return Err(ServerError::Control(source)),
            Ok(Ok(Some(address))) => address,
            Ok(Ok(None)) => {
                return Err(ServerError::Ended(child.wait().await.map_err(ServerError::Control)?));
            }
        };
        Ok(Process { child, _stdout: stdout, address })
    }

    /// Runs something that ends by itself.
    async fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<(), ServerError> {
        let mut child =
            self.command(arguments)?.stdout(Stdio::null()).spawn().map_err(|it| self.refused(it))?;
        let status = timeout(READY_WITHIN, child.wait()).await.map_err(|_| ServerError::NotReady)?;
        let status = status.map_err(ServerError::Control)?;
        if status.success() { Ok(()) } else { Err(ServerError::Ended(status)) }
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Command, ServerError> {
        let talk = self.open_talk()?;
        let mut command = Command::new(&self.program);
        // The demonstration is the same whatever its caller's shell is set up for.
        for variable in ["HOLDFAST_CONFIG", "HOLDFAST_DATA", "HOLDFAST_OUTPUT"] {
            command.env_remove(variable);
        }
        command.args(arguments).stdin(Stdio::null()).stderr(talk).kill_on_drop(true);
        if self.is_apart {
            command.process_group(0);
        }
        Ok(command)
    }

    fn refused(&self, source: io::Error) -> ServerError {
        ServerError::Start { program: self.program.clone(), source }
    }

    fn open_talk(&self) -> Result<File, ServerError> {
        let file = OpenOptions::new().create(true).append(true).open(&self.talk);
        file.map_err(|source| ServerError::File { file: self.talk.clone(), source })
    }
}

/// The first thing in its output that looks like an address.
async fn address_in(stdout: &mut BufReader<ChildStdout>) -> io::Result<Option<SocketAddr>> {
    let mut line = String::new();
    while stdout.read_line(&mut line).await? > 0 {
        if let Some(address) = find_address(&line) {
            return Ok(Some(address));
        }
        line.clear();
    }
    Ok(None)
}

fn find_address(line: &str) -> Option<SocketAddr> {
    line.split([' ', '/', '\n', '\t', ',', '"']).find_map(|word| word.parse().ok())
}

impl Process {
    async fn wait(&mut self) -> Result<ExitStatus, ServerError> {
        self.child.wait().await.map_err(ServerError::Control)
    }

    /// Its process, while nobody has waited for its end.
    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }

    /// Asks it to end and waits until it has.
    async fn end(&mut self) -> Result<ExitStatus, ServerError> {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM).map_err(|error| ServerError::Control(error.into()))?;
        }
        match timeout(ENDED_WITHIN, self.child.wait()).await {
            Ok(status) => status.map_err(ServerError::Control),
            Err(_) => Err(ServerError::DoesNotEnd),
        }
    }
}

impl Server {
    /// Where buyers go.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Whole(process) => process.address,
            Self::Cluster(cluster) => cluster.intake.address,
        }
    }

    /// The directory with the keys that tokens are signed with.
    pub(crate) fn keys<'a>(&'a self, recipe: &'a Recipe) -> PathBuf {
        match self {
            Self::Whole(_) => recipe.data.clone(),
            Self::Cluster(_) => recipe.data.join(cluster::INTAKE),
        }
    }

    /// Whether buyers lose their connections when it is killed.
    pub(crate) const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    fn victim(&mut self) -> &mut Process {
        match self {
            Self::Whole(process) => process,
            Self::Cluster(cluster) => cluster.owner(),
        }
    }

    /// Waits until the process that is to be killed has ended, by itself or because it was killed.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, ServerError> {
        self.victim().wait().await
    }

    /// The process that is to be killed, while nobody has waited for its end.
    pub(crate) fn pid(&mut self) -> Option<Pid> {
        self.victim().pid()
    }

    /// Asks everything to end and waits until it has. Says whether it did so in good order.
    pub(crate) async fn end(&mut self) -> Result<bool, ServerError> {
        match self {
            Self::Whole(process) => Ok(process.end().await?.success()),
            Self::Cluster(cluster) => cluster.end().await,
        }
    }
}

/// `kill -9`: whatever it was doing, it does no more. The process must not have been waited for.
pub(crate) fn kill(pid: Pid) {
    // Fails only if it has just ended by itself, which whoever waits for it will see.
    let _ = kill_process(pid, Signal::KILL);
}

/// The last lines of a file, for a message about a failure.
pub(crate) fn tail(file: &Path, lines_max: usize) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].iter().map(|it| (*it).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_wherever_it_stands_in_the_line() {
        let here: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        for line in [
            "127.0.0.1:4711\n",
            "holdfast ready on http://127.0.0.1:4711/\n",
            "{\"listen\":\"127.0.0.1:4711\"}",
        ] {
            assert_eq!(find_address(line), Some(here), "{line}");
        }
        assert_eq!(find_address("no address: 17\n"), None);
    }
}
