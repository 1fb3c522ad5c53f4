//! What a log on Kafka survives, by the settings of its topics.

use std::fmt;

use serde::{Serialize, Serializer};

/// What a log on Kafka is claimed to survive. Topics that do not bear the claim out are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// Three replicas, two of which must have a record before it is acknowledged.
    #[default]
    Replicated,
    /// One replica. For development, and where losing the machine may lose the sale.
    Single,
}

/// A profile in words and numbers, for whoever asks what the log survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Survives {
    /// Its name, `kafka-replicated` or `kafka-single`.
    pub profile: &'static str,
    /// Replicas of each partition, at least.
    pub replication_factor: u32,
    /// Replicas that must have a record before it is acknowledged, at least.
    pub min_insync_replicas: u32,
    /// What acknowledged decisions survive.
    pub survives: &'static str,
    /// What is not claimed.
    pub not_claimed: &'static str,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Replicated, Self::Single];

    /// Its name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replicated => "replicated",
            Self::Single => "single",
        }
    }

    /// The profile with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// What it promises and what its topics must have.
    #[must_use]
    pub const fn survives(self) -> Survives {
        match self {
            Self::Replicated => Survives {
                profile: "kafka-replicated",
                replication_factor: 3,
                min_insync_replicas: 2,
                survives: "kill -9 of anything, and the loss of any one broker",
                not_claimed: "power loss of two or more brokers before their pages are on disk",
            },
            Self::Single => Survives {
                profile: "kafka-single",
                replication_factor: 1,
                min_insync_replicas: 1,
                survives: "kill -9 of a process",
                not_claimed: "a crash of the operating system, power loss, the loss of a disk or a broker",
            },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
