//! `loadtest worker`, and how it is known to `loadtest run`.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Ending, LoadtestError, Surroundings, say};
use crate::remote::{Secret, ServeError, Server, Workers};

/// The secret itself, for those who would rather not have a file.
const SECRET_VARIABLE: &str = "HOLDFAST_WORKER_SECRET";
/// After a second signal, as elsewhere.
const INTERRUPTED: i32 = 130;

/// Where a worker listens, and to whom.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Where coordinators connect; port 0 takes a free one. The address is the first line on standard output
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    #[command(flatten)]
    secret: SecretArgs,
    /// End after one run
    #[arg(long)]
    once: bool,
}

/// What both sides know.
#[derive(Debug, Clone, Args)]
pub(super) struct SecretArgs {
    /// A file with the secret that workers and those who use them share: at least 16 characters. The environment variable
    /// HOLDFAST_WORKER_SECRET can have it instead. Needed by workers that listen on anything but loopback
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    fn read(&self) -> Result<Option<Secret>, LoadtestError> {
        let (text, whence) = match (&self.secret_file, std::env::var(SECRET_VARIABLE)) {
            (Some(file), _) => {
                let text = fs::read_to_string(file).map_err(|source| LoadtestError::File {
                    what: format!("reading {}", file.display()),
                    source,
                })?;
                (text, file.display().to_string())
            }
            (None, Ok(text)) => (text, SECRET_VARIABLE.to_owned()),
            (None, Err(_)) => return Ok(None),
        };
        let secret = Secret::new(&text);
        secret.map(Some).ok_or_else(|| LoadtestError::Usage(format!("{whence}: {}", Secret::WANTED)))
    }
}

/// Who sends.
#[derive(Debug, Clone, Args)]
pub(super) struct WorkersArgs {
    /// Let these processes send, each a part: `loadtest worker` listens there. This one does everything else
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    workers: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

impl WorkersArgs {
    pub(super) fn read(&self) -> Result<Workers, LoadtestError> {
        // The secret is looked at only where it is used: whoever runs alone need not have a good one.
        let secret = if self.workers.is_empty() { None } else { self.secret.read()? };
        Ok(Workers { names: self.workers.clone(), secret })
    }
}

impl WorkerArgs {
    pub(super) fn execute(
        &self,
        around: &Surroundings,
        out: &mut dyn Write,
    ) -> Result<Ending, LoadtestError> {
        let stop = Arc::new(AtomicBool::new(false));
        let failed = |source| LoadtestError::File { what: "listening for signals".to_owned(), source };
        for signal in [SIGTERM, SIGINT] {
            // The second one ends it at once, so this comes first.
            flag::register_conditional_shutdown(signal, INTERRUPTED, stop.clone()).map_err(failed)?;
            flag::register(signal, stop.clone()).map_err(failed)?;
        }
        let server = Server::listen(self.listen, self.secret.read()?).map_err(refused)?;
        let address = server.address().map_err(failed)?;
        say(out, &address.to_string())?;
        let mut talk = |text: &str| {
            if !around.is_quiet {
                // Nobody is there to hear that nobody can be told.
                writeln!(io::stderr(), "{text}").ok();
            }
        };
        let served = match self.once {
            true => server.serve_once(&stop, &mut talk),
            false => server.serve(&stop, &mut talk),
        };
        served.map_err(refused)?;
        Ok(Ending::Done)
    }
}

fn refused(error: ServeError) -> LoadtestError {
    match error {
        ServeError::Open(_) => LoadtestError::Usage(error.to_string()),
        error => LoadtestError::Other(Box::new(error)),
    }
}
