//! The key pair of a development server.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;

use super::secret::{read_if_there, read_or_create};
use super::{KeyError, PublicKey};

/// The file of the key pair in a data directory.
const FILE: &str = "development-key.pem";

/// A key pair that a server without configured keys trusts, so that tokens can be had without an identity provider.
///
/// Whoever can read the file can be anybody. It is meant for a developer's machine.
pub struct DevelopmentKeys {
    signing: SigningKey,
    encoding: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    scope: String,
    iat: u64,
    exp: u64,
}

impl DevelopmentKeys {
    /// Reads the key pair of a data directory, or makes one. The file is readable by its owner only.
    ///
    /// # Errors
    /// [`KeyError`], also when others may read the file.
    pub fn open_or_create(data_dir: &Path) -> Result<Self, KeyError> {
        let file = data_dir.join(FILE);
        let pem = read_or_create(&file, || {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|_| KeyError::Random)?;
            let pem = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF);
            let malformed = |_| malformed(&file, "the key cannot be written as PEM");
            pem.map(|pem| pem.as_bytes().to_vec()).map_err(malformed)
        })?;
        Self::of(&file, &pem)
    }

    /// Reads the key pair of a data directory. None if there is none.
    ///
    /// # Errors
    /// [`KeyError`], also when others may read the file.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, KeyError> {
        let file = data_dir.join(FILE);
        read_if_there(&file)?.map(|pem| Self::of(&file, &pem)).transpose()
    }

    fn of(file: &Path, pem: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(pem).map_err(|_| malformed(file, "not a PEM file"))?;
        let signing = SigningKey::from_pkcs8_pem(text)
            .map_err(|_| malformed(file, "not an Ed25519 private key in PKCS #8"))?;
        let der = signing.to_pkcs8_der().map_err(|_| malformed(file, "the key cannot be written as DER"))?;
        let encoding = EncodingKey::from_ed_der(der.as_bytes());
        Ok(Self { signing, encoding })
    }

    /// A token for `subject` with these scopes that is good for `ttl`, at least a second.
    ///
    /// # Panics
    /// Never: an Ed25519 key signs everything.
    #[must_use]
    pub fn issue(&self, subject: &str, scopes: &[&str], ttl: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let exp = now.saturating_add(ttl.as_secs().max(1));
        let claims = Claims { sub: subject, scope: scopes.join(" "), iat: now, exp };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.encoding)
            .expect("an Ed25519 key signs everything")
    }

    /// The public half, to check tokens with.
    pub(crate) fn public(&self) -> PublicKey {
        let public = self.signing.verifying_key();
        PublicKey { kid: None, algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_der(public.as_bytes()) }
    }
}

fn malformed(file: &Path, what: &str) -> KeyError {
    KeyError::Malformed { file: file.to_owned(), what: what.to_owned() }
}

impl std::fmt::Debug for DevelopmentKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevelopmentKeys").finish_non_exhaustive()
    }
}
