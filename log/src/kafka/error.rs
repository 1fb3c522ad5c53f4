//! What can go wrong between Holdfast and the brokers.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::KafkaConfig;

/// Why the brokers did not do what was asked.
///
/// No text of it shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No broker answered in time. Worth another try.
    #[error("{doing}: no broker of {bootstrap} answers: {reason}")]
    Away {
        /// What was being done.
        doing: String,
        /// The brokers that were to be reached.
        bootstrap: String,
        /// What the client library says.
        reason: String,
    },
    /// The brokers do not take the name or the password, or one side does not trust the other's certificate.
    #[error("{doing}: the brokers of {bootstrap} do not let this process in: {reason}")]
    NotLetIn {
        /// What was being done.
        doing: String,
        /// The brokers.
        bootstrap: String,
        /// What the client library says.
        reason: String,
    },
    /// The principal lacks a right.
    #[error("{doing}: access control of the brokers refuses it: {reason}")]
    NotAllowed {
        /// What was being done.
        doing: String,
        /// What the brokers say.
        reason: String,
    },
    /// A topic does not exist.
    #[error("there is no topic {topic}; create the topics first")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The topics do not make up a log.
    #[error("the topics do not make up a log: {0}")]
    Layout(String),
    /// Stored bytes are not what Holdfast writes.
    #[error("{topic} holds what Holdfast did not write: {what}")]
    Foreign {
        /// The topic.
        topic: String,
        /// What is wrong.
        what: String,
    },
    /// Anything else.
    #[error("{doing}: {reason}")]
    Refused {
        /// What was being done.
        doing: String,
        /// What the brokers or the client library say.
        reason: String,
        /// Whether it may work a moment later.
        retryable: bool,
    },
}

impl KafkaError {
    /// Whether the same call may succeed a moment later, without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Refused { retryable: true, .. })
    }
}

/// Sorts an answer of the client library.
pub(crate) fn from_code(
    config: &KafkaConfig,
    doing: impl Into<String>,
    code: Code,
    detail: Option<&str>,
) -> KafkaError {
    let doing = doing.into();
    let reason = config.mask(&match detail {
        Some(detail) if !detail.is_empty() => detail.to_owned(),
        _ => code.to_string(),
    });
    let bootstrap = config.bootstrap.clone();
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::MessageTimedOut
        | Code::Resolve
        | Code::RequestTimedOut => KafkaError::Away { doing, bootstrap, reason },
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => KafkaError::NotLetIn { doing, bootstrap, reason },
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => KafkaError::NotAllowed { doing, reason },
        code => KafkaError::Refused { doing, reason, retryable: is_passing(code) },
    }
}

/// Whether a broker that says so may say otherwise a moment later.
const fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotController
            | Code::BrokerNotAvailable
            | Code::NetworkException
            | Code::KafkaStorageError
            | Code::QueueFull
    )
}
