//! A process that sends requests for coordinators, one run after the other.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::greeting::greet_coordinator;
use super::secret::Secret;
use super::session::Session;
use super::wire::{Wire, WireError};
use crate::causes;
use crate::generator::cores;

/// How often it is looked at whether the process is to end.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Why a worker does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("listening on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// It would send requests wherever anybody tells it to.
    #[error(
        "a worker sends load wherever it is told to, so one that listens on {0} wants to be shown a secret: give \
         --secret-file"
    )]
    Open(SocketAddr),
    #[error("waiting for a coordinator")]
    Wait(#[source] io::Error),
    /// Of the one run that was to be served.
    #[error("the run was not seen through: {0}")]
    Run(String),
}

/// A worker that listens.
pub(crate) struct Server {
    listener: TcpListener,
    secret: Option<Secret>,
}

impl Server {
    /// Listens; from now on coordinators can connect.
    ///
    /// # Errors
    /// If the address cannot be had, or strangers could get there.
    pub(crate) fn listen(address: SocketAddr, secret: Option<Secret>) -> Result<Self, ServeError> {
        if secret.is_none() && !address.ip().is_loopback() {
            return Err(ServeError::Open(address));
        }
        let failed = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, secret })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves one run after the other until it is stopped. What becomes of each is said.
    ///
    /// # Errors
    /// If nobody can be heard any more.
    pub(crate) fn serve(&self, stop: &AtomicBool, say: &mut dyn FnMut(&str)) -> Result<(), ServeError> {
        while let Some((stream, who)) = self.next(stop)? {
            match self.attend(stream, stop) {
                Ok(Some(what)) => say(&format!("{who}: {what}")),
                Ok(None) => say(&format!("{who}: the run was given up")),
                Err(what) => say(&format!("{who}: {what}")),
            }
        }
        Ok(())
    }

    /// Serves one run, whoever else may have called before.
    ///
    /// # Errors
    /// If it was not seen through.
    pub(crate) fn serve_once(&self, stop: &AtomicBool, say: &mut dyn FnMut(&str)) -> Result<(), ServeError> {
        while let Some((stream, who)) = self.next(stop)? {
            match self.attend(stream, stop) {
                Ok(Some(what)) => {
                    say(&format!("{who}: {what}"));
                    return Ok(());
                }
                Ok(None) => return Err(ServeError::Run("it was given up".to_owned())),
                Err(Refused::Run(what)) => return Err(ServeError::Run(what)),
                Err(refused) => say(&format!("{who}: {refused}")),
            }
        }
        Ok(())
    }

    /// Whoever connects next; nobody when the process is to end.
    fn next(&self, stop: &AtomicBool) -> Result<Option<(TcpStream, SocketAddr)>, ServeError> {
        while !stop.load(Ordering::Relaxed) {
            let mut ready = [PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
            match poll(&mut ready, Some(&LOOK_EVERY)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(ServeError::Wait(error.into())),
            }
            match self.listener.accept() {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(ServeError::Wait(error)),
            }
        }
        Ok(None)
    }

    fn attend(&self, stream: TcpStream, stop: &AtomicBool) -> Result<Option<String>, Refused> {
        let stranger = |error: &dyn std::error::Error| Refused::Stranger(causes(error));
        let mut wire = Wire::new(stream).map_err(|error| stranger(&WireError::from(error)))?;
        greet_coordinator(&mut wire, self.secret.as_ref(), cores()).map_err(|error| stranger(&error))?;
        let played = Session::new(wire, stop).play().map_err(|error| Refused::Run(causes(&error)))?;
        Ok(played.map(|it| format!("run {:x}: {} requests sent", it.run, it.sent)))
    }
}

/// Why somebody who has connected was not served.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("refused: {0}")]
    Stranger(String),
    #[error("{0}")]
    Run(String),
}

/// Nobody is there yet, or somebody has gone again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}
