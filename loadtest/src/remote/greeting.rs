//! How a coordinator and a worker get to know each other, before either believes a word.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::PROTOCOL;
use super::secret::{Nonce, Proof, Secret, Side};
use super::wire::{Wire, WireError};

/// Whoever takes longer for a word of greeting is somebody else.
const PATIENCE: Duration = Duration::from_secs(5);
/// The coordinator waits for longer: the worker may be getting rid of somebody else.
const PATIENCE_FOR_WORKER: Duration = Duration::from_secs(15);
const MAGIC: [u8; 8] = *b"holdfast";

/// Why the other is not spoken with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetingError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("it does not answer; perhaps it is busy with another run")]
    Silent,
    #[error("whoever is there is no part of a load test")]
    Stranger,
    #[error(
        "it speaks version {theirs} of the workers' protocol, and this program version {PROTOCOL}: use the same program \
         on both sides"
    )]
    Version { theirs: u32 },
    #[error("it wants a secret: give both sides the same --secret-file")]
    SecretWanted,
    #[error("it does not know of any secret, though one is to be shared with it")]
    SecretUnknown,
    #[error("the secrets of the two sides differ")]
    SecretDiffers,
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

/// The beginning of the first frame either way. It stays as it is in every version.
#[derive(Debug, Serialize, Deserialize)]
struct Opening {
    magic: [u8; 8],
    protocol: u32,
}

impl Opening {
    const OURS: Self = Self { magic: MAGIC, protocol: PROTOCOL };

    /// Reads one, and what comes after it.
    fn read<T: for<'de> Deserialize<'de>>(wire: &mut Wire, within: Duration) -> Result<T, GreetingError> {
        let frame = match wire.frame(within) {
            Ok(frame) => frame.ok_or(GreetingError::Silent)?,
            // Other protocols begin with other bytes, which make a length that is none.
            Err(WireError::TooLong(_)) => return Err(GreetingError::Stranger),
            Err(error) => return Err(error.into()),
        };
        let (opening, rest): (Self, _) =
            postcard::take_from_bytes(&frame).map_err(|_| GreetingError::Stranger)?;
        if opening.magic != MAGIC {
            return Err(GreetingError::Stranger);
        }
        if opening.protocol != PROTOCOL {
            return Err(GreetingError::Version { theirs: opening.protocol });
        }
        postcard::from_bytes(rest).map_err(|_| GreetingError::Stranger)
    }
}

/// After the opening of a worker.
#[derive(Debug, Serialize, Deserialize)]
struct Challenge {
    nonce: Nonce,
    wants_secret: bool,
}

/// How a greeting ends.
#[derive(Debug, Serialize, Deserialize)]
enum Admission {
    Welcome { proof: Proof, cores: u32 },
    Refused,
}

/// Gets to know a worker. Says how many cores it can use.
///
/// # Errors
/// If it is none, or the two sides do not have the same secret.
pub(crate) fn greet_worker(wire: &mut Wire, secret: Option<&Secret>) -> Result<u32, GreetingError> {
    let ours = Nonce::draw()?;
    wire.send(&(Opening::OURS, ours))?;
    let Challenge { nonce: theirs, wants_secret } = Opening::read(wire, PATIENCE_FOR_WORKER)?;
    match (wants_secret, secret) {
        (true, None) => return Err(GreetingError::SecretWanted),
        (false, Some(_)) => return Err(GreetingError::SecretUnknown),
        (true, Some(_)) | (false, None) => {}
    }
    // The one who called shows it first: whoever calls without the secret hears nothing that could help to guess it.
    wire.send(&Proof::make(secret, Side::Coordinator, ours, theirs))?;
    match wire.receive(PATIENCE)?.ok_or(GreetingError::Silent)? {
        Admission::Welcome { proof, cores } if proof.holds(secret, Side::Worker, ours, theirs) => {
            wire.trust();
            Ok(cores)
        }
        Admission::Welcome { .. } | Admission::Refused => Err(GreetingError::SecretDiffers),
    }
}

/// Gets to know whoever calls a worker that can use so many cores.
///
/// # Errors
/// If it is no coordinator, or it has not shown that it knows the secret.
pub(crate) fn greet_coordinator(
    wire: &mut Wire,
    secret: Option<&Secret>,
    cores: u32,
) -> Result<(), GreetingError> {
    let ours = Nonce::draw()?;
    let opened = Opening::read::<Nonce>(wire, PATIENCE);
    if matches!(opened, Ok(_) | Err(GreetingError::Version { .. })) {
        // The other one is told our version, so that both sides can say what is wrong.
        wire.send(&(Opening::OURS, Challenge { nonce: ours, wants_secret: secret.is_some() }))?;
    }
    let theirs = opened?;
    let proof: Proof = wire.receive(PATIENCE)?.ok_or(GreetingError::Silent)?;
    if !proof.holds(secret, Side::Coordinator, theirs, ours) {
        wire.send(&Admission::Refused)?;
        return Err(GreetingError::SecretDiffers);
    }
    let proof = Proof::make(secret, Side::Worker, theirs, ours);
    wire.send(&Admission::Welcome { proof, cores })?;
    wire.trust();
    Ok(())
}

#[cfg(test)]
mod tests;
