//! What each topic is to be like.

use rdkafka::admin::{NewTopic, TopicReplication};

use super::TopicsSpec;
use crate::Topic;
use crate::kafka::{KafkaConfig, Profile};

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Commands,
    Decisions,
    DeadLetters,
    Identity,
}

/// A topic as it is to be.
#[derive(Debug, Clone)]
pub(super) struct WantedTopic {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) partitions: u32,
    /// The settings it is made with.
    pub(super) settings: Vec<(&'static str, String)>,
}

/// Kafka's own default, above the 1,000,000 bytes of a command record and what comes around it.
const MESSAGE_BYTES: u32 = 1_048_588;
/// A dead letter is a command record with headers.
const DEAD_LETTER_BYTES: u32 = 2 << 20;
/// Decisions of 8 MiB and what comes around them; what producers are configured for.
const DECISION_BYTES: u32 = 9_000_000;

impl Role {
    const ALL: [Self; 4] = [Self::Commands, Self::Decisions, Self::DeadLetters, Self::Identity];

    fn name(self, config: &KafkaConfig) -> String {
        match self {
            Self::Commands => config.topic_name(Topic::InventoryCommands),
            Self::Decisions => config.topic_name(Topic::InventoryDecisions),
            Self::DeadLetters => config.dead_letters_topic(),
            Self::Identity => config.identity_topic(),
        }
    }

    /// Largest batch that brokers must take.
    pub(super) const fn message_bytes(self) -> u32 {
        match self {
            Self::Commands | Self::Identity => MESSAGE_BYTES,
            Self::DeadLetters => DEAD_LETTER_BYTES,
            Self::Decisions => DECISION_BYTES,
        }
    }

    /// How long records are kept at least, in ms; for ever if there is none.
    pub(super) const fn retention_ms(self, spec: &TopicsSpec) -> Option<u64> {
        match self {
            Self::Decisions => spec.decisions_retention_ms,
            Self::Commands | Self::DeadLetters | Self::Identity => None,
        }
    }
}

/// The names of all topics on the brokers.
pub(super) fn names(config: &KafkaConfig) -> Vec<String> {
    Role::ALL.into_iter().map(|role| role.name(config)).collect()
}

/// All topics.
pub(super) fn topics(config: &KafkaConfig, spec: &TopicsSpec) -> Vec<WantedTopic> {
    let min_insync = spec.profile.survives().min_insync_replicas;
    let topic = |role: Role| WantedTopic {
        role,
        name: role.name(config),
        partitions: if role == Role::Identity { 1 } else { spec.partitions },
        settings: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("max.message.bytes", role.message_bytes().to_string()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("min.insync.replicas", min_insync.to_string()),
            ("retention.bytes", "-1".to_owned()),
            ("retention.ms", role.retention_ms(spec).map_or("-1".to_owned(), |ms| ms.to_string())),
            ("unclean.leader.election.enable", "false".to_owned()),
        ],
    };
    Role::ALL.into_iter().map(topic).collect()
}

impl WantedTopic {
    /// What the brokers are asked for.
    pub(super) fn request(&self, profile: Profile) -> NewTopic<'_> {
        let replication = TopicReplication::Fixed(profile.survives().replication_factor.cast_signed());
        let topic = NewTopic::new(&self.name, self.partitions.cast_signed(), replication);
        self.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    }
}
