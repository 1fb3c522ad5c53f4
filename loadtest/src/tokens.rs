//! Tokens for many buyers, signed with the key pair that a development server makes in its data directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// The key pair's file in the data directory.
const FILE: &str = "development-key.pem";

/// How long a token is good for, in seconds. No run takes longer.
const GOOD_FOR_S: u64 = 24 * 60 * 60;

/// Why tokens cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The key pair cannot be read.
    #[error("reading the development key {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The key pair is not one.
    #[error("using the development key")]
    Key(#[source] jsonwebtoken::errors::Error),
}

/// Signs tokens.
pub(crate) struct Issuer {
    key: EncodingKey,
    issued_at: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    scope: &'a str,
    iat: u64,
    exp: u64,
}

impl Issuer {
    /// Takes the key pair of a server that has started on `data_dir`.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, TokenError> {
        let file = data_dir.join(FILE);
        let pem = std::fs::read(&file).map_err(|source| TokenError::Read { file, source })?;
        let key = EncodingKey::from_ed_pem(&pem).map_err(TokenError::Key)?;
        let issued_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Self { key, issued_at })
    }

    /// The value of an `Authorization` header.
    pub(crate) fn bearer(&self, subject: &str, scope: &str) -> Result<String, TokenError> {
        let claims = Claims { sub: subject, scope, iat: self.issued_at, exp: self.issued_at + GOOD_FOR_S };
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).map_err(TokenError::Key)?;
        Ok(format!("Bearer {token}"))
    }
}
