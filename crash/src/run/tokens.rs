//! Tokens of buyers, signed with the key pair that a development server makes in its data directory.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::RunError;

/// The key pair's file in the data directory of an intake.
pub(super) const FILE: &str = "development-key.pem";
/// No run takes longer.
const GOOD_FOR_S: u64 = 24 * 60 * 60;

/// Signs tokens.
pub(super) struct Issuer(EncodingKey);

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    scope: &'a str,
    iat: u64,
    exp: u64,
}

impl Issuer {
    /// Takes the key pair of an intake that has started on `data`.
    pub(super) fn open(data: &Path) -> Result<Self, RunError> {
        let pem = std::fs::read(data.join(FILE))
            .map_err(|source| RunError::io("reading the development key", source))?;
        EncodingKey::from_ed_pem(&pem)
            .map(Self)
            .map_err(|error| RunError::Failed(format!("the development key: {error}")))
    }

    /// The value of an `Authorization` header. Operators have the scope `admin`.
    pub(super) fn bearer(&self, subject: &str, scope: &str) -> String {
        let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims { sub: subject, scope, iat, exp: iat + GOOD_FOR_S };
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &self.0);
        format!("Bearer {}", token.unwrap_or_default())
    }
}
