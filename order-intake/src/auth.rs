//! Who asks: tokens are checked once and then remembered by their bytes until they expire.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_contracts::CustomerId;
use jsonwebtoken::{Algorithm, Validation};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::config::AuthConfig;
use crate::ids::Ids;
use crate::keys::PublicKeys;

/// Bytes of a subject.
const SUBJECT_BYTES_MAX: usize = 255;
/// Keys tried for one token.
const TRIES_MAX: usize = 8;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Keyed hash of the subject; what it asks for is derived from it.
    pub(crate) subject: [u8; 32],
    /// Its pseudonym in the log.
    pub(crate) customer: CustomerId,
    /// It may operate sales and stock.
    pub(crate) is_admin: bool,
    /// Seconds since 1970 from which on the token is not good any more.
    good_until_s: u64,
}

/// Why a token is not taken. Told to nobody but the log: it would help whoever forges one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is larger than allowed")]
    TooLarge,
    #[error("the token's head cannot be read, or names an algorithm that is not accepted")]
    Head,
    #[error("the token's head says that something in it must be understood that is not")]
    Critical,
    #[error("no trusted key fits the token")]
    NoKey,
    #[error("the signature or a claim of the token does not hold")]
    Refused,
    #[error("the token's subject is empty or too long")]
    Subject,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: serde_json::Number,
    #[serde(default)]
    scope: String,
}

/// The head of a token, as far as [`jsonwebtoken::Header`] does not tell: whether `crit` is there at all.
#[derive(Deserialize)]
struct Head {
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// Whether the head names extensions that must be understood (RFC 7515, 4.1.11). None is understood here, and what is no
/// proper list of them, an empty one for example, is to be refused as well; so what it names is not looked at.
fn has_critical(token: &[u8]) -> Result<bool, TokenError> {
    let head = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| TokenError::Head)?;
    let head: Head = serde_json::from_slice(&head).map_err(|_| TokenError::Head)?;
    Ok(head.crit)
}

/// Checks tokens.
pub(crate) struct Verifier {
    keys: PublicKeys,
    /// One for each algorithm that is accepted: a key is used with its own and with no other.
    validations: [Validation; 3],
    leeway_s: u64,
    token_bytes_max: usize,
    admin_scope: String,
    ids: Ids,
}

impl Verifier {
    pub(crate) fn new(config: &AuthConfig, keys: PublicKeys, ids: Ids) -> Self {
        let validation = |algorithm| {
            let mut validation = Validation::new(algorithm);
            let mut required = vec!["exp", "sub"];
            validation.leeway = config.leeway_s;
            validation.validate_nbf = true;
            if let Some(issuer) = &config.issuer {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            if let Some(audience) = &config.audience {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            validation.set_required_spec_claims(&required);
            validation
        };
        Self {
            keys,
            validations: [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256].map(validation),
            leeway_s: config.leeway_s,
            token_bytes_max: usize::try_from(config.token_bytes_max.get()).unwrap_or(usize::MAX),
            admin_scope: config.admin_scope.clone(),
            ids,
        }
    }

    /// Checks a token: some tens of microseconds.
    fn verify(&self, token: &[u8]) -> Result<Principal, TokenError> {
        if token.len() > self.token_bytes_max {
            return Err(TokenError::TooLarge);
        }
        let head = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Head)?;
        if has_critical(token)? {
            return Err(TokenError::Critical);
        }
        let validation = self.validations.iter().find(|validation| validation.algorithms[0] == head.alg);
        let validation = validation.ok_or(TokenError::Head)?;
        let mut failure = TokenError::NoKey;
        for key in self.keys.candidates(head.alg, head.kid.as_deref()).take(TRIES_MAX) {
            match jsonwebtoken::decode::<Claims>(token, &key.key, validation) {
                Ok(data) => return self.principal(&data.claims),
                Err(_) => failure = TokenError::Refused,
            }
        }
        Err(failure)
    }

    fn principal(&self, claims: &Claims) -> Result<Principal, TokenError> {
        if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES_MAX {
            return Err(TokenError::Subject);
        }
        let subject = self.ids.subject(&claims.sub);
        let is_admin = claims.scope.split(' ').any(|scope| scope == self.admin_scope);
        // A fraction of a second is rounded away.
        let expires_s = claims.exp.as_u64().or_else(|| whole_seconds(&claims.exp)).unwrap_or(0);
        Ok(Principal {
            subject,
            customer: Ids::customer(&subject),
            is_admin,
            good_until_s: expires_s.saturating_add(self.leeway_s),
        })
    }
}

fn whole_seconds(number: &serde_json::Number) -> Option<u64> {
    number.to_string().split_once('.')?.0.parse().ok()
}

/// The tokens that one thread has checked.
pub(crate) struct Tokens {
    checked: HashMap<Box<[u8]>, Principal>,
    remembered_max: usize,
}

impl Tokens {
    pub(crate) fn new(config: &AuthConfig) -> Self {
        let remembered_max = usize::try_from(config.tokens_remembered_max.get()).unwrap_or(usize::MAX);
        Self { checked: HashMap::new(), remembered_max }
    }

    /// Who sent this token.
    pub(crate) fn principal(&mut self, token: &[u8], verifier: &Verifier) -> Result<Principal, TokenError> {
        let now_s = now_s();
        if let Some(principal) = self.checked.get(token) {
            if principal.good_until_s > now_s {
                return Ok(*principal);
            }
            self.checked.remove(token);
        }
        let principal = verifier.verify(token)?;
        if self.checked.len() >= self.remembered_max {
            self.checked.retain(|_, principal| principal.good_until_s > now_s);
        }
        if self.checked.len() >= self.remembered_max {
            // Rare, and cheaper than keeping an order of use on every request.
            self.checked.clear();
        }
        self.checked.insert(token.into(), principal);
        Ok(principal)
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
