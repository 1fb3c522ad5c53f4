//! Settings of an intake. None of them changes a decision; they bound what is accepted and say who may ask.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use holdfast_contracts::ControlKey;
use serde::{Deserialize, Serialize};

use crate::error::IntakeError;
use crate::keys::IdKey;

/// What an intake listens to, and its bounds. Every key has a default; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntakeConfig {
    /// Where to listen. Port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Threads, each with a listening socket of its own on the same port. Default 2, at most 64.
    pub shards: NonZeroU16,
    /// Where the keys that were not configured are kept. Default `holdfast-data`.
    pub data_dir: PathBuf,
    /// The file with the 32 secret bytes that reservation ids are derived with; made if it is missing. Instances that
    /// serve the same buyers need the same one. Default `reservation-id.key` in `data_dir`.
    pub id_key_file: Option<PathBuf>,
    /// The key itself, for a caller that has read and checked it; then the file is not looked at. No setting.
    #[serde(skip)]
    pub id_key: Option<IdKey>,
    /// What operators' commands are authenticated with where the log has a control key: the machines must have the same
    /// one, else their partitions are not served. No setting; see [`crate::keys::read_control_key`].
    #[serde(skip)]
    pub control_key: Option<ControlKey>,
    /// Who may ask.
    pub auth: AuthConfig,
    /// How long a request waits for its decision unless it says otherwise (`Prefer: wait=N`), in ms. Default 2,000.
    pub wait_default_ms: NonZeroU64,
    /// The longest wait a request may ask for, in ms. Default 30,000.
    pub wait_max_ms: NonZeroU64,
    /// How long a request waits for its command to be durable before it is answered that the outcome is unknown, in ms,
    /// counted from the end of its wait. Default 5,000.
    pub durable_wait_ms: NonZeroU64,
    /// Largest body, in bytes. Default 1,048,576.
    pub body_bytes_max: NonZeroU32,
    /// A client that takes longer to send the head of a request, or its first, is cut off, in ms. Default 5,000.
    pub header_timeout_ms: NonZeroU64,
    /// A connection on which nothing was asked for so long is closed, in ms. Default 60,000.
    pub idle_timeout_ms: NonZeroU64,
    /// A client that takes longer to send a body is cut off, in ms. Default 10,000.
    pub body_timeout_ms: NonZeroU64,
    /// Bytes of the head of a request. Default 16,384, at least 8,192.
    pub header_bytes_max: NonZeroU32,
    /// Open connections, all shards together. More wait in the listen queue. Default 20,000.
    pub connections_max: NonZeroU32,
    /// Requests of one shard that wait for decisions. More are refused with 503. Default 65,536.
    pub waiting_max: NonZeroU32,
    /// Records of one shard and partition that are written at the same time; what comes meanwhile makes up the next. Default 4.
    pub records_in_flight_max: NonZeroU16,
    /// Reservations per second and shard that one customer may ask for, 0 for any number. More are refused with 429. Default 0.
    pub customer_requests_per_s: u32,
    /// Whether what is sold out is refused without writing to the log. Default true.
    pub gate: bool,
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Public keys that tokens may be signed with: PEM blocks, or a JWK set. Without it the intake runs in development
    /// mode and makes a key pair in `data_dir`. Default none.
    pub keys_file: Option<PathBuf>,
    /// The issuer that tokens must name. Default any.
    pub issuer: Option<String>,
    /// The audience that tokens must name. Default none; then a token for somebody in particular is refused.
    pub audience: Option<String>,
    /// Clock difference that is forgiven, in seconds, at most 30. Default 30.
    pub leeway_s: u64,
    /// Largest token, in bytes. Default 4,096.
    pub token_bytes_max: NonZeroU32,
    /// Checked tokens that each shard remembers. Default 65,536.
    pub tokens_remembered_max: NonZeroU32,
    /// The scope that operators need. Default `admin`.
    pub admin_scope: String,
}

const fn nz16(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a default is not 0")
}

const fn nz32(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a default is not 0")
}

const fn nz64(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("a default is not 0")
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            shards: nz16(2),
            data_dir: PathBuf::from("holdfast-data"),
            id_key_file: None,
            id_key: None,
            control_key: None,
            auth: AuthConfig::default(),
            wait_default_ms: nz64(2_000),
            wait_max_ms: nz64(30_000),
            durable_wait_ms: nz64(5_000),
            body_bytes_max: nz32(1_048_576),
            header_timeout_ms: nz64(5_000),
            idle_timeout_ms: nz64(60_000),
            body_timeout_ms: nz64(10_000),
            header_bytes_max: nz32(16_384),
            connections_max: nz32(20_000),
            waiting_max: nz32(65_536),
            records_in_flight_max: nz16(4),
            customer_requests_per_s: 0,
            gate: true,
        }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            keys_file: None,
            issuer: None,
            audience: None,
            leeway_s: 30,
            token_bytes_max: nz32(4_096),
            tokens_remembered_max: nz32(65_536),
            admin_scope: "admin".into(),
        }
    }
}

impl IntakeConfig {
    /// Says how the values must relate.
    ///
    /// # Errors
    /// [`IntakeError::Config`] with a sentence about the first value that does not fit.
    pub fn validate(&self) -> Result<(), IntakeError> {
        let refuse = |why: &str| Err(IntakeError::Config(why.to_owned()));
        if self.shards.get() > 64 {
            return refuse("shards must be at most 64");
        }
        if self.wait_default_ms > self.wait_max_ms {
            return refuse("wait_default_ms must not be larger than wait_max_ms");
        }
        if self.header_bytes_max.get() < 8_192 {
            return refuse("header_bytes_max must be at least 8192");
        }
        if self.connections_max.get() < u32::from(self.shards.get()) {
            return refuse("connections_max must allow every shard one connection");
        }
        if self.auth.leeway_s > 30 {
            return refuse("auth.leeway_s must be at most 30");
        }
        if self.auth.admin_scope.is_empty() || self.auth.admin_scope.contains(' ') {
            return refuse("auth.admin_scope must be one word");
        }
        Ok(())
    }

    /// The file of the secret that reservation ids are derived with.
    #[must_use]
    pub fn id_key_path(&self) -> PathBuf {
        self.id_key_file.clone().unwrap_or_else(|| self.data_dir.join("reservation-id.key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_each_other_and_may_all_be_left_out() {
        IntakeConfig::default().validate().expect("valid");
        let config: IntakeConfig = toml::from_str("").expect("nothing is required");
        assert_eq!(config, IntakeConfig::default());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<IntakeConfig>("lissten = '127.0.0.1:1'").is_err());
        assert!(toml::from_str::<IntakeConfig>("[auth]\nsecret = 'x'").is_err());
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        for text in ["wait_max_ms = 1", "shards = 65", "header_bytes_max = 100", "[auth]\nleeway_s = 31"] {
            let config: IntakeConfig = toml::from_str(text).expect("well formed");
            assert!(config.validate().is_err(), "{text}");
        }
    }
}
