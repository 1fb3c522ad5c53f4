//! The public keys that tokens are checked with. Each is bound to one algorithm when it is read.

use std::fs;
use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::KeyError;

/// No file of public keys is larger.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// No more keys are tried for one token.
const KEYS_MAX: usize = 64;
/// Shorter RSA keys can be broken.
const RSA_BYTES_MIN: usize = 2_048 / 8;

/// A key, and the only algorithm it may be used with.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// Every key that is trusted.
#[derive(Clone)]
pub(crate) struct PublicKeys {
    keys: Vec<PublicKey>,
}

impl PublicKeys {
    pub(crate) fn one(key: PublicKey) -> Self {
        Self { keys: vec![key] }
    }

    /// Reads PEM blocks or a JWK set.
    pub(crate) fn read(file: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { file: file.to_owned(), source };
        let malformed = |what: String| KeyError::Malformed { file: file.to_owned(), what };
        if fs::metadata(file).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(malformed(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(file).map_err(io)?;
        let keys = if text.trim_start().starts_with('{') { from_jwks(&text) } else { from_pem(&text) };
        let keys = keys.map_err(malformed)?;
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(malformed(format!("expected 1 to {KEYS_MAX} keys, found {}", keys.len())));
        }
        Ok(Self { keys })
    }

    /// The keys a token with this head may have been signed with. A token that names a key gets that key, or one without
    /// a name; one that names none gets any.
    pub(crate) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        kid: Option<&'a str>,
    ) -> impl Iterator<Item = &'a PublicKey> {
        let fits = move |key: &&PublicKey| match (kid, &key.kid) {
            (Some(wanted), Some(name)) => wanted == name,
            _ => true,
        };
        self.keys.iter().filter(move |key| key.algorithm == algorithm).filter(fits)
    }
}

fn from_pem(text: &str) -> Result<Vec<PublicKey>, String> {
    const BEGIN: &str = "-----BEGIN ";
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let block = format!("{BEGIN}{block}");
        if block.lines().next().is_some_and(|line| line.contains("PRIVATE")) {
            return Err("a private key is in it; only public keys belong here".into());
        }
        let bytes = block.as_bytes();
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            (Algorithm::EdDSA, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            (Algorithm::RS256, key)
        } else {
            return Err("a PEM block is no Ed25519, P-256 or RSA public key".into());
        };
        keys.push(checked(PublicKey { kid: None, algorithm, key })?);
    }
    Ok(keys)
}

fn from_jwks(text: &str) -> Result<Vec<PublicKey>, String> {
    let set: JwkSet = serde_json::from_str(text).map_err(|error| format!("not a JWK set: {error}"))?;
    let for_signatures = |jwk: &&Jwk| jwk.common.public_key_use != Some(PublicKeyUse::Encryption);
    set.keys.iter().filter(for_signatures).map(from_jwk).collect()
}

fn from_jwk(jwk: &Jwk) -> Result<PublicKey, String> {
    let (algorithm, names) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        // A shared secret would let whoever can check tokens also issue them.
        _ => return Err("a key is neither RSA nor P-256 nor Ed25519".into()),
    };
    if let AlgorithmParameters::RSA(key) = &jwk.algorithm
        && key.n.len() < RSA_BYTES_MIN * 4 / 3
    {
        return Err("an RSA key is shorter than 2,048 bits".into());
    }
    if jwk.common.key_algorithm.is_some_and(|named| named != names) {
        return Err(format!("a key is for another algorithm than {algorithm:?}"));
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
    checked(PublicKey { kid: jwk.common.key_id.clone(), algorithm, key })
}

/// Refuses a key that could not check any signature, so that it is found at start.
fn checked(key: PublicKey) -> Result<PublicKey, String> {
    let bytes = key.key.try_get_as_bytes().map_or(0, <[u8]>::len);
    let fits = match key.algorithm {
        Algorithm::EdDSA => bytes == 32,
        Algorithm::ES256 => bytes == 65,
        // The modulus stands in a JWK apart, and is checked there.
        _ => bytes == 0 || bytes >= RSA_BYTES_MIN,
    };
    if fits {
        Ok(key)
    } else {
        Err(format!("a key has {bytes} bytes, which {:?} keys have not", key.algorithm))
    }
}
