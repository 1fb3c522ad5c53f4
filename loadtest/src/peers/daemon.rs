//! A server of somebody else as a child process, which is ended with whoever holds it.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::error::PeersError;
use crate::server::tail;

/// A server that does not serve after so long will not any more.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long it may take to end in good order.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to end at once.
const GONE_WITHIN: Duration = Duration::from_secs(2);
const TALK_LINES_MAX: usize = 10;
/// A port that was free may be somebody's a moment later; then another one is tried.
const PORTS_MAX: usize = 4;

/// What a program is, and how it is told to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// In good order.
    pub(super) end: Signal,
    /// At once, for when nobody waits any more.
    pub(super) abort: Signal,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Daemon {
    kind: Kind,
    child: Child,
    talk: PathBuf,
}

impl Daemon {
    /// Starts it. What it says is added to the file `talk`.
    pub(super) fn start(kind: Kind, mut command: Command, talk: &Path) -> Result<Self, PeersError> {
        let program = PathBuf::from(command.as_std().get_program());
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(talk)?;
            Ok((file.try_clone()?, file))
        };
        let (stdout, stderr) = open().map_err(|source| PeersError::Prepare("writing a log", source))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        // Ctrl-C is for us: a child that heard it too would be gone before it is told to go.
        command.process_group(0);
        let child = command.spawn().map_err(|source| PeersError::Start { program, source })?;
        Ok(Self { kind, child, talk: talk.to_owned() })
    }

    /// Tries until it serves.
    pub(super) async fn ready<T, E>(
        &mut self,
        attempt: impl AsyncFn() -> Result<T, E>,
    ) -> Result<T, PeersError> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Ok(served) = attempt().await {
                return Ok(served);
            }
            match self.child.try_wait() {
                Ok(None) => sleep(LOOK_EVERY).await,
                Ok(Some(status)) => return Err(self.failed(format!("ended by itself with {status}"))),
                Err(source) => return Err(PeersError::Prepare("waiting for a child", source)),
            }
        }
        Err(self.failed(format!("does not serve after {} s", READY_WITHIN.as_secs())))
    }

    /// Ends it in good order.
    pub(super) async fn stop(mut self) -> Result<(), PeersError> {
        self.signal(self.kind.end);
        match timeout(ENDED_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failed(format!("ended with {status}"))),
            Ok(Err(source)) => Err(PeersError::Prepare("waiting for a child", source)),
            Err(_) => Err(self.failed(format!("does not end within {} s", ENDED_WITHIN.as_secs()))),
        }
    }

    fn failed(&self, what: String) -> PeersError {
        let said = tail(&self.talk, TALK_LINES_MAX).join("\n");
        PeersError::Failed { program: self.kind.name, what, said }
    }

    fn signal(&self, signal: Signal) {
        // A child that was waited for has no id any more, so nobody else's process is meant.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Fails only if it has just ended by itself, which whoever waits for it will see.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal(self.kind.abort);
        // Its directory is about to be removed, which works when nobody writes into it any more.
        let deadline = Instant::now() + GONE_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Starts something on a free port of the loopback.
pub(super) async fn on_free_port<T>(
    start: impl AsyncFn(SocketAddr) -> Result<T, PeersError>,
) -> Result<T, PeersError> {
    let mut tries = 1;
    loop {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
        match start(free.map_err(|source| PeersError::Prepare("looking for a free port", source))?).await {
            Err(PeersError::Failed { .. }) if tries < PORTS_MAX => tries += 1,
            result => return result,
        }
    }
}
