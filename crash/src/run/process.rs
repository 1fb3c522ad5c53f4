//! A part of the system as a child process.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::RunError;
use super::commands::CommandLine;

/// How often something that nobody tells of is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long an orderly end may take.
const END_WITHIN: Duration = Duration::from_secs(40);

/// A running process. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it. Its standard error is added to `talk`. It ends with this process where the system can see to that.
    pub(super) fn start(line: &CommandLine, talk: &Path) -> Result<Self, RunError> {
        let open = OpenOptions::new().create(true).append(true).open(talk);
        let talk: File =
            open.map_err(|source| RunError::io("opening the file for what a process says", source))?;
        let mut command = line.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(talk);
        let mut child = command.spawn().map_err(|source| RunError::io("starting a process", source))?;
        let stdout =
            child.stdout.take().ok_or_else(|| RunError::Failed("a process without output".to_owned()))?;
        let (told, lines) = channel();
        // Ends with the process; reads to the end, so that the process never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = told.send(line);
            }
        });
        Ok(Self { child, lines, ended: None })
    }

    /// Waits until it says an address, ends, or `within` has passed.
    pub(super) fn address(&mut self, within: Duration) -> Option<SocketAddr> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(address) = address_in(&line) {
                        return Some(address);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).filter(|_| self.ended.is_none())
    }

    /// Sends a signal, unless it is known to have ended.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // Fails only if it has just ended by itself, which whoever waits for it sees.
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// `kill -9`, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }

    /// Asks it to end; kills it if it does not. Says how it ended by itself.
    pub(super) fn end(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = Instant::now() + END_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill();
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    line.split([' ', '/', '"', ',']).find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_wherever_it_stands_in_the_line() {
        let here: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        for line in ["127.0.0.1:4711", "http://127.0.0.1:4711", "ready on http://127.0.0.1:4711/"] {
            assert_eq!(address_in(line), Some(here), "{line}");
        }
        assert_eq!(address_in("no address: 17"), None);
    }
}
