//! What a worker and those who may tell it what to do both know, and how each shows that it does without telling.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A shorter one could be guessed by whoever has heard a proof.
const BYTES_MIN: usize = 16;
const CONTEXT: &str = "holdfast loadtest 2026-11 worker secret";

/// A shared secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes a text without the white space around it; nothing if it is too short to be a secret.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        (text.len() >= BYTES_MIN).then(|| Self(text.into()))
    }

    /// What [`Secret::new`] takes, in a word for people.
    pub const WANTED: &str = "a secret has at least 16 characters";
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Drawn anew for every connection, so that no proof is good twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nonce([u8; 32]);

impl Nonce {
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Who shows something. A proof of one is none of the other, so nobody can be used to answer their own question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Coordinator,
    Worker,
}

/// Shows that its maker knows the secret.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Proof([u8; 32]);

impl Proof {
    pub(crate) fn make(secret: Option<&Secret>, side: Side, coordinator: Nonce, worker: Nonce) -> Self {
        Self(hash(secret, side, coordinator, worker).into())
    }

    /// Takes as long whatever is wrong with it.
    pub(crate) fn holds(
        self,
        secret: Option<&Secret>,
        side: Side,
        coordinator: Nonce,
        worker: Nonce,
    ) -> bool {
        // Hashes are compared in constant time, arrays of bytes are not.
        hash(secret, side, coordinator, worker) == blake3::Hash::from(self.0)
    }
}

fn hash(secret: Option<&Secret>, side: Side, coordinator: Nonce, worker: Nonce) -> blake3::Hash {
    let key = blake3::derive_key(CONTEXT, secret.map_or(&[], |it| &it.0));
    let side: &[u8] = match side {
        Side::Coordinator => b"coordinator",
        Side::Worker => b"worker",
    };
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(&coordinator.0).update(&worker.0).update(side);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_one_secret_one_side_and_one_connection() {
        let (one, other) = (Nonce::draw().unwrap(), Nonce::draw().unwrap());
        let secret = Secret::new(" the quick brown fox\n").unwrap();
        let proof = Proof::make(Some(&secret), Side::Coordinator, one, other);
        assert!(proof.holds(Some(&secret), Side::Coordinator, one, other));
        let wrong = Secret::new("the quick brown foy").unwrap();
        assert!(!proof.holds(Some(&wrong), Side::Coordinator, one, other));
        assert!(!proof.holds(None, Side::Coordinator, one, other));
        assert!(!proof.holds(Some(&secret), Side::Worker, one, other));
        assert!(!proof.holds(Some(&secret), Side::Coordinator, other, one));
        assert!(!proof.holds(Some(&secret), Side::Coordinator, one, Nonce::draw().unwrap()));
    }

    #[test]
    fn a_secret_is_long_enough_and_not_shown() {
        assert!(Secret::new("fifteen letters").is_none());
        assert!(Secret::new("               x               ").is_none());
        let secret = Secret::new("sixteen letters!").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
