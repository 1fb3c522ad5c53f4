//! A server that the run starts itself, on a directory of its own, and ends when it is over.

use std::io::{self, Write, stderr};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{Credentials, RunConfig, RunError, Start};
use crate::results::{Results, Verdict};
use crate::server::{ANY_PORT, Recipe, Role, Server, ServerError, tail};

/// The server's standard error goes here, in its data directory.
const TALK: &str = "server.stderr";
const TALK_LINES_MAX: usize = 20;
/// Ports that are drawn before any free one is taken.
const DRAWS_MAX: usize = 64;
/// Nobody draws a smaller one.
const PORT_MIN: u16 = 10_000;

/// A server that faults are done to while others ask it.
pub(super) type Shared = Arc<Mutex<OwnServer>>;

/// A running server with what it takes to start it again. Killed when dropped.
pub(super) struct OwnServer {
    server: Server,
    recipe: Recipe,
    runtime: Runtime,
}

impl OwnServer {
    fn start(start: &Start, data: &Path, partitions: u32) -> Result<Self, RunError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Generator)?;
        let mut recipe = Recipe {
            program: start.program.clone(),
            data: data.to_owned(),
            talk: data.join(TALK),
            kafka: start.kafka.clone(),
            sku: String::new(),
            listen: free_address(),
            partitions: Some(partitions),
            is_apart: true,
        };
        let server = runtime.block_on(recipe.start())?;
        recipe.listen = server.address();
        Ok(Self { server, recipe, runtime })
    }

    /// What is sold, and so who decides.
    pub(super) fn sells(&mut self, sku: &str) {
        sku.clone_into(&mut self.recipe.sku);
    }

    /// The process that plays a role now.
    pub(super) fn pid(&mut self, role: Role) -> Result<Option<Pid>, ServerError> {
        self.runtime.block_on(self.recipe.pid_of(&mut self.server, role))
    }

    /// Starts again what was killed in a role, where it was, and waits until it serves.
    pub(super) fn revive(&mut self, role: Role) -> Result<(), ServerError> {
        self.runtime.block_on(self.recipe.revive_role(&mut self.server, role))
    }

    /// The same run, against this server.
    fn config(&self, config: &RunConfig) -> RunConfig {
        RunConfig {
            server: format!("http://{}", self.server.address()),
            credentials: Credentials::Keys(self.server.keys(&self.recipe)),
            ..config.clone()
        }
    }
}

/// Ends the server, if there is one. That it did not end well is a warning: it takes nothing back of what was told.
pub(super) fn end(own: Option<&Shared>, results: &mut Results) {
    let Some(own) = own else { return };
    let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
    let OwnServer { server, runtime, .. } = &mut *own;
    let warning = match runtime.block_on(server.end()) {
        Ok(true) => return,
        Ok(false) => "the server of the run did not end in good order".to_owned(),
        Err(error) => format!("ending the server of the run: {error}"),
    };
    results.generator.warnings.push(warning);
}

/// Starts a server and plays a run against it.
pub(super) fn with(
    home: Home,
    start: &Start,
    config: &RunConfig,
    play: impl FnOnce(&RunConfig, Shared) -> Result<Results, RunError>,
) -> Result<Results, RunError> {
    let result = OwnServer::start(start, &home.path, config.partitions)
        .and_then(|own| play(&own.config(config), Arc::new(Mutex::new(own))));
    if !result.as_ref().is_ok_and(|it| it.verdict != Verdict::Wrong) {
        home.keep();
    }
    result
}

/// The directory of the server's data.
pub(super) struct Home {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Home {
    /// # Errors
    /// If it is in use, or cannot be made.
    pub(super) fn open(start: &Start) -> Result<Self, RunError> {
        let failed = |what: &Path| {
            let what = what.display().to_string();
            move |error: io::Error| RunError::Write { what, source: Box::new(error) }
        };
        let Some(path) = &start.data else {
            let temporary = tempfile::Builder::new().prefix("holdfast-loadtest-").tempdir();
            let temporary = temporary.map_err(failed(&std::env::temp_dir()))?;
            return Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        std::fs::create_dir_all(path).map_err(failed(path))?;
        if std::fs::read_dir(path).map_err(failed(path))?.next().is_some() {
            return Err(RunError::NotEmpty(path.clone()));
        }
        Ok(Self { path: path.clone(), temporary: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// For whoever wants to know what went wrong.
    fn keep(self) {
        let talk = self.path.join(TALK);
        let lines = tail(&talk, TALK_LINES_MAX).join("\n");
        let what = format!("the server's data stay in {}", self.path.display());
        // Nobody is there to hear that nobody can be told.
        drop(writeln!(stderr(), "{what}\nthe last it said, in {}:\n{lines}", talk.display()));
        if let Some(temporary) = self.temporary {
            let _ = temporary.keep();
        }
    }
}

/// A free address that the system gives to nobody by itself: a client that tries to connect while the server is away could
/// otherwise be given the server's own port, be connected to itself, and keep the server from coming back.
fn free_address() -> SocketAddr {
    let given =
        given_ports(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    (0..DRAWS_MAX)
        .map(|_| fastrand::u16(PORT_MIN..))
        .filter(|port| !given.contains(port))
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap_or(ANY_PORT)
}

/// The ports that the system gives to clients, as it says them itself; what is usual if it does not.
fn given_ports(text: &str) -> RangeInclusive<u16> {
    let mut ends = text.split_whitespace().filter_map(|it| it.parse().ok());
    match (ends.next(), ends.next()) {
        (Some(from), Some(to)) => from..=to,
        _ => 32_768..=60_999,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_gets_a_port_that_no_client_is_given() {
        assert_eq!(given_ports("1024\t2000\n"), 1024..=2000);
        assert_eq!(given_ports(""), 32_768..=60_999);
        let system = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let address = free_address();
        assert!(address.port() >= PORT_MIN && !given_ports(&system).contains(&address.port()), "{address}");
    }

    #[test]
    fn a_directory_that_is_in_use_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let start =
            |path: &Path| Start { program: "holdfast".into(), data: Some(path.to_owned()), kafka: None };
        let fresh = directory.path().join("fresh");
        assert_eq!(Home::open(&start(&fresh)).unwrap().path(), fresh);
        let refused = Home::open(&start(directory.path())).err();
        assert!(matches!(refused, Some(RunError::NotEmpty(path)) if path == directory.path()));
        assert!(fresh.is_dir());
    }
}
