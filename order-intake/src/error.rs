//! Why an intake cannot start.

use std::io;
use std::net::SocketAddr;

use holdfast_log::ReadError;

use crate::keys::KeyError;

/// Why an intake cannot start.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A setting does not fit.
    #[error("the settings do not fit together: {0}")]
    Config(String),
    /// A key is missing, unreadable, or readable by too many.
    #[error("a key cannot be used")]
    Key(#[from] KeyError),
    /// The address cannot be listened to.
    #[error("{address} cannot be listened to")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The log cannot be asked where it ends.
    #[error("the log cannot be asked")]
    Log(#[from] ReadError),
    /// A thread or its runtime could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
}
