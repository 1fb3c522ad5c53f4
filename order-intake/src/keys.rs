//! Keys: the pair that development tokens are signed with, the public keys that tokens are checked with, and the secret
//! that reservation ids are derived with, and the secret that operators' commands are authenticated with.

mod development;
mod public;
mod secret;

use std::io;
use std::path::PathBuf;

pub use development::DevelopmentKeys;
pub(crate) use public::{PublicKey, PublicKeys};
pub use secret::{IdKey, create_control_key, read_control_key};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or its directory cannot be read or written.
    #[error("{} cannot be read or written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read a secret.
    #[error("{} may be read by others than its owner; run chmod 600 on it, or replace it", .0.display())]
    ReadableByOthers(PathBuf),
    /// The file is not what it should be.
    #[error("{}: {what}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A secret that was to be made is there.
    #[error("{} is there already; a key in use must not be replaced", .0.display())]
    Exists(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}
