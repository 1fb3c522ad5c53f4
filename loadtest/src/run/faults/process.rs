//! A process, whoever started it: killed, frozen, thawed.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The system has that long to take down a process that was killed.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Stands for one process and never for another one that has got its number.
#[derive(Debug)]
pub(super) struct Process(OwnedFd);

impl Process {
    /// # Errors
    /// If there is none, or it is not ours to signal.
    pub(super) fn open(pid: Pid) -> io::Result<Self> {
        let process = Self(pidfd_open(pid, PidfdFlags::empty())?);
        rustix::process::test_kill_process(pid)?;
        process.is_there()?;
        Ok(process)
    }

    /// One that may have ended already, but that nobody has waited for.
    pub(super) fn of_child(pid: Pid) -> io::Result<Self> {
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// A second handle on the same process.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// `kill -9`. When this returns it is gone, and its files and ports are free.
    pub(super) fn kill(&self) -> io::Result<()> {
        self.is_there()?;
        pidfd_send_signal(&self.0, Signal::KILL)?;
        if self.has_ended(GONE_WITHIN)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Stops it until what this returns is dropped.
    pub(super) fn freeze(self) -> io::Result<Frozen> {
        self.is_there()?;
        pidfd_send_signal(&self.0, Signal::STOP)?;
        Ok(Frozen(self))
    }

    /// # Errors
    /// If it has ended, whether or not anybody has waited for it.
    fn is_there(&self) -> io::Result<()> {
        if self.has_ended(Duration::ZERO)? { Err(Errno::SRCH.into()) } else { Ok(()) }
    }

    /// Whether it ends within that time.
    pub(super) fn has_ended(&self, within: Duration) -> io::Result<bool> {
        let within = Timespec::try_from(within).map_err(io::Error::other)?;
        loop {
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&within)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A process that stands still. Goes on when this is dropped.
#[derive(Debug)]
pub(super) struct Frozen(Process);

impl Drop for Frozen {
    fn drop(&mut self) {
        // Fails only if it has been killed meanwhile.
        let _ = pidfd_send_signal(&self.0.0, Signal::CONT);
    }
}
