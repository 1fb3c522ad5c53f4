//! Why there is no table.

use std::io;
use std::path::PathBuf;

use super::config::ConfigError;
use crate::run::RunError;
use crate::server::ServerError;
use crate::tokens::TokenError;

/// Why the systems cannot be compared. A system that answers wrongly is no error: it stands in the table.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Files, threads or sockets cannot be had.
    #[error("{0}")]
    Prepare(&'static str, #[source] io::Error),
    /// A program is not installed.
    #[error("{program} is not there; it comes with the package {package}")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// A program cannot be started.
    #[error("starting {}", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program ended, or does not serve.
    #[error("{program} {what}; the last it said:\n{said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it did.
        what: String,
        /// The end of its output.
        said: String,
    },
    /// PostgreSQL refused something that is no reservation.
    #[error("PostgreSQL: {0}")]
    Postgres(&'static str, #[source] tokio_postgres::Error),
    /// Redis refused something that is no reservation.
    #[error("Redis: {what} was answered {answer}")]
    Redis {
        /// What was asked.
        what: &'static str,
        /// The answer.
        answer: String,
    },
    /// Holdfast failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Buyers cannot be given tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The sale could not be set up, or the stock not be counted.
    #[error(transparent)]
    Organising(#[from] RunError),
    /// Somebody who looks at the shelf is not told what is there.
    #[error("looking at the shelf was answered {0}")]
    Looking(String),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A task panicked; the message went to standard error.
    #[error("the comparison itself failed")]
    Panicked,
}
